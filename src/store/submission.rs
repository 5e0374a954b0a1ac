//! Submissions: planned with their jobs and tasks, then led through the scheduler's answers by compare-and-swap.
//! Touches `submission`, `job`, `task`, `event`.

use std::time::Duration;

use diesel::OptionalExtension;
use diesel::sql_types::{Array, BigInt, Double, Integer, Jsonb, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::connect::Store;
use super::error::{Doing, StoreError};
use super::event::{self, NewEvent};
use super::queue::hand_back;
use super::types::{Count, Json, Span, integer, raw, storable};
use super::write::{Transaction, Writer};
use crate::model::ids::{Fence, JobId, PoolName, SchedulerJobId, SubmissionId, Tag, TaskId};
use crate::model::job::SubmissionState;
use crate::model::resources::JobResources;
use crate::model::task::Placement;

/// A submission that is to be stored before anybody calls the scheduler.
#[derive(Clone, PartialEq, Debug)]
pub struct PlannedSubmission {
    /// Its pool.
    pub pool: PoolName,
    /// The adapter that it goes through.
    pub cluster: String,
    /// Its name in the scheduler.
    pub tag: Tag,
    /// What each of its jobs asks for.
    pub resources: JobResources,
    /// Its jobs; one is a single job, more are an array.
    pub jobs: Vec<PlannedJob>,
}

/// One job of a planned submission. Without tasks it is a pilot: it takes them from its pool's chunks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlannedJob {
    /// Whether its tasks share it.
    pub placement: Placement,
    /// Its tasks.
    pub tasks: Vec<TaskId>,
}

/// A submission that is not settled.
#[derive(Clone, PartialEq, Debug, diesel::QueryableByName)]
#[diesel(table_name = super::schema::submission)]
pub struct SubmissionRow {
    /// The submission.
    pub id: SubmissionId,
    /// Its pool.
    pub pool: PoolName,
    /// Its name in the scheduler.
    pub tag: Tag,
    /// The adapter that it goes through; unknown of older ones.
    pub cluster: Option<String>,
    /// Its state.
    pub state: SubmissionState,
    /// What each of its jobs asks for.
    #[diesel(deserialize_as = Json<JobResources>)]
    pub resources: JobResources,
    /// How many jobs it has.
    #[diesel(deserialize_as = Count)]
    pub array_size: u32,
    /// The scheduler's id, once accepted.
    pub scheduler_job_id: Option<SchedulerJobId>,
    /// The fence of the daemon that planned it.
    pub fence: Fence,
    /// How often the scheduler was called.
    #[diesel(deserialize_as = Count)]
    pub calls: u32,
    /// How long ago it was called last, by the database's clock as all spans here.
    #[diesel(sql_type = Nullable<Double>, deserialize_as = Span)]
    pub called_ago: Option<Duration>,
    /// Look-ups since that call that the scheduler answered with "not known".
    #[diesel(deserialize_as = Count)]
    pub empty_lookups: u32,
    /// How long ago the last of them was.
    #[diesel(sql_type = Nullable<Double>, deserialize_as = Span)]
    pub empty_lookup_ago: Option<Duration>,
    /// How much longer the next call is put off.
    #[diesel(sql_type = Nullable<Double>, deserialize_as = Span)]
    pub wait: Option<Duration>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// How often the tag is to be looked up after the acceptance.
    #[diesel(deserialize_as = Count)]
    pub rechecks: u32,
    /// How long ago the last such look-up was, or the acceptance.
    #[diesel(sql_type = Nullable<Double>, deserialize_as = Span)]
    pub rechecked_ago: Option<Duration>,
}

/// What is stored beside a change of state.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct SubmissionNote {
    /// What went wrong; `None` leaves the former note.
    pub error: Option<String>,
    /// How long the next call is put off from now; `None` for not at all.
    pub wait: Option<Duration>,
    /// What is known of the call before.
    pub certainty: Certainty,
}

/// Whether it is known for sure what became of the calls for a submission.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Certainty {
    /// As far as this step knows.
    #[default]
    Clear,
    /// No: a second job of the tag may show later.
    Doubtful,
}

impl SubmissionNote {
    /// What the scheduler or the daemon said.
    pub fn said(error: impl Into<String>) -> SubmissionNote {
        SubmissionNote { error: Some(error.into()), ..SubmissionNote::default() }
    }
}

#[derive(diesel::QueryableByName)]
struct IdRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

impl Store {
    /// The site's submissions that are planned, submitting or unknown, and those that are accepted and to be looked up again;
    /// oldest first.
    pub async fn open_submissions(&self, site: &str) -> Result<Vec<SubmissionRow>, StoreError> {
        let mut conn = self.conn().await?;
        diesel::sql_query(
            "SELECT id, pool, tag, cluster, state, resources, array_size, scheduler_job_id, fence, calls, empty_lookups,
                extract(epoch FROM clock_timestamp() - called_on)::float8 AS called_ago,
                extract(epoch FROM clock_timestamp() - empty_lookup_on)::float8 AS empty_lookup_ago,
                extract(epoch FROM not_before - clock_timestamp())::float8 AS wait, last_error, rechecks,
                extract(epoch FROM clock_timestamp() - rechecked_on)::float8 AS rechecked_ago
             FROM submission WHERE id IN (
                SELECT id FROM submission WHERE site = $1 AND state IN ('planned', 'submitting', 'unknown') UNION ALL
                SELECT id FROM submission WHERE site = $1 AND state = 'accepted' AND rechecks > 0)
             ORDER BY id",
        )
        .bind::<Text, _>(site)
        .load(&mut conn)
        .await
        .doing("reading open submissions")
    }
}

impl Writer {
    /// Lets a pool's submissions that wait for a time after a refusal go on at once.
    pub async fn hasten_submissions(&self, pool: &PoolName) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        diesel::sql_query(
            "UPDATE submission SET not_before = NULL
             WHERE site = $1 AND pool = $2 AND state = 'planned' AND not_before IS NOT NULL",
        )
        .bind::<Text, _>(&self.site)
        .bind::<Text, _>(&pool.0)
        .execute(transaction.conn())
        .await
        .doing("letting submissions go on")?;
        transaction.commit().await
    }

    /// Stores a submission and claims its tasks. Tasks that are no longer available and jobs that would have lost all
    /// of theirs are dropped; `None` when nothing is left. The attempt of each claimed task grows by one.
    pub async fn plan_submission(
        &self,
        planned: &PlannedSubmission,
    ) -> Result<Option<SubmissionId>, StoreError> {
        let mut transaction = self.begin().await?;
        let conn = transaction.conn();
        let jobs = lock_available(conn, &planned.jobs).await?;
        if jobs.is_empty() {
            transaction.roll_back().await?;
            return Ok(None);
        }
        let id = self.insert_submission(conn, planned, jobs.len()).await?;
        self.insert_jobs(conn, planned, id, &jobs).await?;
        claim(conn, id, &jobs).await?;
        let tasks: usize = jobs.iter().map(|job| job.tasks.len()).sum();
        let message = match tasks {
            0 => format!("{} jobs for pool {}", jobs.len(), planned.pool),
            tasks => format!("{tasks} tasks in {} jobs for pool {}", jobs.len(), planned.pool),
        };
        event::write(conn, &[submission_event("planned", id, message)]).await?;
        transaction.commit().await?;
        Ok(Some(id))
    }

    async fn insert_submission(
        &self,
        conn: &mut AsyncPgConnection,
        planned: &PlannedSubmission,
        jobs: usize,
    ) -> Result<SubmissionId, StoreError> {
        let resources = serde_json::to_value(&planned.resources).map_err(|error| StoreError::Stored {
            what: format!("`resources` of submission {}", planned.tag),
            source: Box::new(error),
        })?;
        let row: IdRow = diesel::sql_query(
            "INSERT INTO submission (site, pool, tag, state, resources, array_size, fence, cluster)
             VALUES ($1, $2, $3, 'planned', $4, $5, $6, $7) RETURNING id",
        )
        .bind::<Text, _>(&self.site)
        .bind::<Text, _>(&planned.pool.0)
        .bind::<Text, _>(planned.tag.as_str())
        .bind::<Jsonb, _>(resources)
        .bind::<Integer, _>(i32::try_from(jobs).unwrap_or(i32::MAX))
        .bind::<BigInt, _>(self.fence.0)
        .bind::<Text, _>(&planned.cluster)
        .get_result(conn)
        .await
        .doing("storing a submission")?;
        Ok(SubmissionId(row.id))
    }

    async fn insert_jobs(
        &self,
        conn: &mut AsyncPgConnection,
        planned: &PlannedSubmission,
        id: SubmissionId,
        jobs: &[PlannedJob],
    ) -> Result<(), StoreError> {
        let sizes = jobs.iter().map(|job| i32::try_from(job.tasks.len()).unwrap_or(i32::MAX));
        diesel::sql_query(
            "INSERT INTO job (submission_id, site, pool, array_index, state, placement, tasks, pilot)
             SELECT $1, $2, $3, place - 1, 'planned', placement::placement, tasks, tasks = 0
             FROM unnest($4, $5) WITH ORDINALITY AS given(placement, tasks, place)",
        )
        .bind::<BigInt, _>(id.0)
        .bind::<Text, _>(&self.site)
        .bind::<Text, _>(&planned.pool.0)
        .bind::<Array<Text>, _>(jobs.iter().map(|job| job.placement.as_str()).collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(sizes.collect::<Vec<_>>())
        .execute(conn)
        .await
        .doing("storing jobs")?;
        Ok(())
    }

    /// Moves a submission from one state to the next. `false`, and nothing is written, when it is not in `from` any
    /// more or the step is not legal. `submitting` counts a call; `rejected` and `withdrawn` free the tasks;
    /// `accepted` is [`Writer::accept_submission`]'s.
    pub async fn move_submission(
        &self,
        id: SubmissionId,
        from: SubmissionState,
        to: SubmissionState,
        note: SubmissionNote,
    ) -> Result<bool, StoreError> {
        if to == SubmissionState::Accepted || !from.may_become(to) {
            return Ok(false);
        }
        let mut transaction = self.begin().await?;
        if !self.swap_state(transaction.conn(), id, from, to, &note).await? {
            transaction.roll_back().await?;
            return Ok(false);
        }
        if matches!(to, SubmissionState::Rejected | SubmissionState::Withdrawn) {
            let reason = note.error.as_deref().unwrap_or("its submission was withdrawn");
            end_never_submitted(transaction.conn(), id, reason).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Stores that the scheduler took the submission. Jobs are those of `elements`, by array index; they wait in its
    /// queue from now on. `false` when the submission is not in `from` any more.
    pub async fn accept_submission(
        &self,
        id: SubmissionId,
        from: SubmissionState,
        scheduler_job_id: &SchedulerJobId,
        elements: Vec<(u32, SchedulerJobId)>,
        certainty: Certainty,
    ) -> Result<bool, StoreError> {
        if !from.may_become(SubmissionState::Accepted) {
            return Ok(false);
        }
        let mut transaction = self.begin().await?;
        let note = SubmissionNote { certainty, ..SubmissionNote::default() };
        if !self.swap_state(transaction.conn(), id, from, SubmissionState::Accepted, &note).await? {
            transaction.roll_back().await?;
            return Ok(false);
        }
        store_scheduler_ids(&mut transaction, id, scheduler_job_id, elements).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Stores that the scheduler refused for good: its jobs end as never submitted, its tasks wait again and show
    /// `message`. `false` when it is not in `from` any more, or could not legally be rejected.
    pub async fn reject_submission(
        &self,
        id: SubmissionId,
        from: SubmissionState,
        message: &str,
    ) -> Result<bool, StoreError> {
        self.move_submission(id, from, SubmissionState::Rejected, SubmissionNote::said(message)).await
    }

    /// Withdraws a submission that was never handed to the scheduler; its tasks wait again.
    pub async fn withdraw_submission(&self, id: SubmissionId, reason: &str) -> Result<bool, StoreError> {
        let note = SubmissionNote::said(reason);
        self.move_submission(id, SubmissionState::Planned, SubmissionState::Withdrawn, note).await
    }

    /// Counts a look-up that the scheduler answered with "not known"; returns how many there are since the last call.
    /// 0 when the submission is not `unknown` or `submitting` any more.
    pub async fn count_empty_lookup(&self, id: SubmissionId) -> Result<u32, StoreError> {
        let mut transaction = self.begin().await?;
        let row: Option<IdRow> = diesel::sql_query(
            "UPDATE submission
             SET empty_lookups = empty_lookups + 1, empty_lookup_on = clock_timestamp(), modified_on = now()
             WHERE id = $1 AND site = $2 AND state IN ('submitting', 'unknown')
             RETURNING empty_lookups::bigint AS id",
        )
        .bind::<BigInt, _>(id.0)
        .bind::<Text, _>(&self.site)
        .get_result(transaction.conn())
        .await
        .optional()
        .doing("counting a look-up")?;
        transaction.commit().await?;
        Ok(row.and_then(|row| u32::try_from(row.id).ok()).unwrap_or(0))
    }

    /// Counts an answered look-up of the tag of an accepted submission.
    pub async fn count_recheck(&self, id: SubmissionId) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        diesel::sql_query(
            "UPDATE submission SET rechecks = rechecks - 1, rechecked_on = clock_timestamp(), modified_on = now()
             WHERE id = $1 AND site = $2 AND state = 'accepted' AND rechecks > 0",
        )
        .bind::<BigInt, _>(id.0)
        .bind::<Text, _>(&self.site)
        .execute(transaction.conn())
        .await
        .doing("counting a look-up")?;
        transaction.commit().await
    }

    async fn swap_state(
        &self,
        conn: &mut AsyncPgConnection,
        id: SubmissionId,
        from: SubmissionState,
        to: SubmissionState,
        note: &SubmissionNote,
    ) -> Result<bool, StoreError> {
        let error = note.error.as_deref().map(storable);
        let moved = diesel::sql_query(SWAP_STATE)
            .bind::<BigInt, _>(id.0)
            .bind::<Text, _>(&self.site)
            .bind::<Text, _>(from.as_str())
            .bind::<Text, _>(to.as_str())
            .bind::<Nullable<Text>, _>(&error)
            .bind::<Nullable<Double>, _>(note.wait.map(|wait| wait.as_secs_f64()))
            .bind::<Integer, _>(match note.certainty {
                Certainty::Clear => 0,
                Certainty::Doubtful => RECHECKS,
            })
            .execute(conn)
            .await
            .doing("moving a submission")?;
        if moved == 0 {
            return Ok(false);
        }
        event::write(conn, &[submission_event(to.as_str(), id, error.unwrap_or_default())]).await?;
        Ok(true)
    }
}

/// After a doubt the tag is looked up so often once the submission is accepted (`plan::submission` says when).
const RECHECKS: i32 = 2;

const SWAP_STATE: &str = "
    UPDATE submission SET
        state = $4::submission_state,
        last_error = coalesce($5, last_error),
        not_before = clock_timestamp() + make_interval(secs => $6),
        calls = calls + CASE WHEN $4 = 'submitting' THEN 1 ELSE 0 END,
        called_on = CASE WHEN $4 = 'submitting' THEN clock_timestamp() ELSE called_on END,
        empty_lookups = CASE WHEN $4 = 'submitting' THEN 0 ELSE empty_lookups END,
        empty_lookup_on = CASE WHEN $4 = 'submitting' THEN NULL ELSE empty_lookup_on END,
        rechecks = greatest(rechecks, $7),
        rechecked_on = CASE WHEN $4 = 'accepted' THEN clock_timestamp() ELSE rechecked_on END,
        modified_on = now()
    WHERE id = $1 AND site = $2 AND state = $3::submission_state";

fn submission_event(kind: &'static str, id: SubmissionId, message: String) -> NewEvent {
    NewEvent { kind, submission_id: Some(id), message, ..NewEvent::default() }
}

/// Locks the tasks of `jobs` that are available and that nobody else is claiming; returns the jobs with those.
async fn lock_available(
    conn: &mut AsyncPgConnection,
    jobs: &[PlannedJob],
) -> Result<Vec<PlannedJob>, StoreError> {
    let wanted = raw(jobs.iter().flat_map(|job| job.tasks.iter().copied()));
    if wanted.is_empty() {
        return Ok(jobs.to_vec());
    }
    let rows: Vec<IdRow> = diesel::sql_query(
        "SELECT id FROM task WHERE id = ANY($1) AND available ORDER BY id FOR UPDATE SKIP LOCKED",
    )
    .bind::<Array<BigInt>, _>(wanted)
    .load(conn)
    .await
    .doing("claiming tasks")?;
    let mut free: std::collections::HashSet<i64> = rows.into_iter().map(|row| row.id).collect();
    let mut kept = Vec::with_capacity(jobs.len());
    for job in jobs {
        let tasks: Vec<TaskId> = job.tasks.iter().copied().filter(|task| free.remove(&task.0)).collect();
        if !tasks.is_empty() || job.tasks.is_empty() {
            kept.push(PlannedJob { placement: job.placement, tasks });
        }
    }
    Ok(kept)
}

async fn claim(
    conn: &mut AsyncPgConnection,
    id: SubmissionId,
    jobs: &[PlannedJob],
) -> Result<(), StoreError> {
    let mut tasks = Vec::new();
    let mut indices = Vec::new();
    for (index, job) in (0..).zip(jobs) {
        tasks.extend(raw(job.tasks.iter().copied()));
        indices.extend(std::iter::repeat_n(integer(index), job.tasks.len()));
    }
    if tasks.is_empty() {
        return Ok(());
    }
    diesel::sql_query(
        "UPDATE task SET available = false, job_id = job.id, attempt = attempt + 1, waiting_reason = NULL,
            not_before = NULL
         FROM unnest($2, $3) AS given(task_id, array_index)
            JOIN job ON job.submission_id = $1 AND job.array_index = given.array_index
         WHERE task.id = given.task_id",
    )
    .bind::<BigInt, _>(id.0)
    .bind::<Array<BigInt>, _>(tasks)
    .bind::<Array<Integer>, _>(indices)
    .execute(conn)
    .await
    .doing("claiming tasks")?;
    Ok(())
}

async fn store_scheduler_ids(
    transaction: &mut Transaction,
    id: SubmissionId,
    scheduler_job_id: &SchedulerJobId,
    elements: Vec<(u32, SchedulerJobId)>,
) -> Result<(), StoreError> {
    let (indices, ids): (Vec<i32>, Vec<String>) =
        elements.into_iter().map(|(index, element)| (integer(index), element.0)).unzip();
    diesel::sql_query("UPDATE submission SET scheduler_job_id = $2 WHERE id = $1")
        .bind::<BigInt, _>(id.0)
        .bind::<Text, _>(&scheduler_job_id.0)
        .execute(transaction.conn())
        .await
        .doing("storing the scheduler's id")?;
    diesel::sql_query(
        "UPDATE job SET scheduler_job_id = given.id, queued_on = clock_timestamp(), modified_on = now(),
            state = CASE WHEN job.state = 'planned' THEN 'queued' ELSE job.state END
         FROM unnest($2, $3) AS given(array_index, id)
         WHERE job.submission_id = $1 AND job.array_index = given.array_index",
    )
    .bind::<BigInt, _>(id.0)
    .bind::<Array<Integer>, _>(indices)
    .bind::<Array<Text>, _>(ids)
    .execute(transaction.conn())
    .await
    .doing("storing the scheduler's ids")?;
    let message = format!("the scheduler's id is {scheduler_job_id}");
    event::write(transaction.conn(), &[submission_event("submitted", id, message)]).await
}

/// Ends the jobs of a submission that the scheduler never took, and frees their tasks.
async fn end_never_submitted(
    conn: &mut AsyncPgConnection,
    id: SubmissionId,
    reason: &str,
) -> Result<(), StoreError> {
    let rows: Vec<IdRow> = diesel::sql_query(
        "UPDATE job SET state = 'ended', outcome = 'never_submitted', scheduler_reason = $2, ended_on = now(),
            modified_on = now()
         WHERE submission_id = $1 AND state <> 'ended' RETURNING id",
    )
    .bind::<BigInt, _>(id.0)
    .bind::<Text, _>(storable(reason))
    .load(conn)
    .await
    .doing("ending jobs")?;
    let jobs: Vec<JobId> = rows.into_iter().map(|row| JobId(row.id)).collect();
    hand_back(conn, &jobs, reason).await
}
