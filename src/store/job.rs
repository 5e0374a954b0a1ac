//! Jobs: what is known of each, moved by compare-and-swap along the legal transitions only, one event per change.
//! Touches `job`, `event`, and the status of the records that a job holds.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Jsonb, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use jiff_diesel::NullableTimestamp;

use super::connect::Store;
use super::error::{Doing, StoreError};
use super::event::{self, NewEvent};
use super::types::{Count, Json, Offset, Span, integer, raw, sql, storable};
use super::write::Writer;
use crate::model::ids::{JobId, NodeIndex, PoolName, SchedulerJobId, SubmissionId, Tag};
use crate::model::job::{JobState, SubmissionState};
use crate::model::record::RecordChange;
use crate::model::resources::JobResources;
use crate::model::task::Placement;

/// A job that has not ended.
#[derive(Clone, PartialEq, Debug, diesel::QueryableByName)]
#[diesel(table_name = super::schema::job)]
pub struct JobRow {
    /// The job.
    pub id: JobId,
    /// Its submission.
    pub submission_id: SubmissionId,
    /// The submission's tag.
    #[diesel(sql_type = sql::Tag)]
    pub tag: Tag,
    /// State of the submission: jobs of one that is not accepted are unknown to polls.
    #[diesel(sql_type = super::types::sql::SubmissionState)]
    pub submission_state: SubmissionState,
    /// Its pool.
    pub pool: PoolName,
    /// Its place in the submission.
    #[diesel(deserialize_as = Count)]
    pub array_index: u32,
    /// How many jobs the submission has.
    #[diesel(sql_type = Integer, deserialize_as = Count)]
    pub array_size: u32,
    /// How many nodes each of its jobs asked for.
    #[diesel(sql_type = Integer, deserialize_as = Count)]
    pub nodes: u32,
    /// Whether it was made for one task.
    pub placement: Placement,
    /// Whether it takes tasks from its pool's chunks.
    pub pilot: bool,
    /// The adapter that its submission went through; unknown of older ones.
    #[diesel(sql_type = Nullable<Text>)]
    pub cluster: Option<String>,
    /// Its state.
    pub state: JobState,
    /// The scheduler's id.
    pub scheduler_job_id: Option<SchedulerJobId>,
    /// The scheduler's reason for the state.
    pub scheduler_reason: Option<String>,
    /// How far its results are stored, in bytes.
    #[diesel(deserialize_as = Offset)]
    pub results_offset: u64,
    /// The same of its further nodes, where it has several.
    #[diesel(deserialize_as = Json<BTreeMap<NodeIndex, u64>>)]
    pub further_offsets: BTreeMap<NodeIndex, u64>,
    /// The last heartbeat seen.
    pub beat: i64,
    /// How long ago that was, by the database's clock as all spans here.
    #[diesel(sql_type = Nullable<Double>, deserialize_as = Span)]
    pub beat_ago: Option<Duration>,
    /// When we decided to end it.
    #[diesel(deserialize_as = NullableTimestamp)]
    pub cancel_requested_on: Option<Timestamp>,
    /// For how long believable polls have not listed it.
    #[diesel(sql_type = Nullable<Double>, deserialize_as = Span)]
    pub missing_for: Option<Duration>,
    /// How many of them in a row.
    #[diesel(deserialize_as = Count)]
    pub missing_polls: u32,
    /// How long ago the scheduler took it.
    #[diesel(sql_type = Nullable<Double>, deserialize_as = Span)]
    pub queued_ago: Option<Duration>,
    /// When it started.
    #[diesel(deserialize_as = NullableTimestamp)]
    pub started_on: Option<Timestamp>,
    /// Node.
    pub hostname: Option<String>,
    /// Tasks staged for it.
    #[diesel(deserialize_as = Count)]
    pub tasks: u32,
    /// It waits in the queue although every task that it was made for was cancelled.
    #[diesel(sql_type = Bool)]
    pub waits_for_nothing: bool,
}

/// What is to be changed of one job. Nothing happens to a job that is not in `from` any more.
#[derive(Clone, PartialEq, Debug)]
pub struct JobUpdate {
    /// The job.
    pub id: JobId,
    /// The state it was seen in.
    pub from: JobState,
    /// Its next state; never `ended`, which is [`Writer::end_job`]'s.
    pub to: Option<JobState>,
    /// The scheduler's reason.
    pub reason: Option<String>,
    /// The heartbeat seen.
    pub beat: Option<i64>,
    /// Node.
    pub hostname: Option<String>,
    /// Whether a poll lists it.
    pub listing: Listing,
    /// At least so many tasks it took.
    pub tasks: Option<u32>,
    /// The scheduler's id, where another copy of the job has the work.
    pub scheduler_job_id: Option<SchedulerJobId>,
}

/// What a poll said of a job's being there.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Listing {
    /// Nothing new.
    #[default]
    Unchanged,
    /// Listed: what was counted is forgotten.
    Found,
    /// Not listed (again): counted.
    Missing,
}

impl JobUpdate {
    /// An update of `job` that changes nothing yet.
    pub fn of(job: &JobRow) -> JobUpdate {
        JobUpdate::from_state(job.id, job.state)
    }

    /// An update of the job if it is in the state `from`, that changes nothing yet.
    pub fn from_state(id: JobId, from: JobState) -> JobUpdate {
        JobUpdate {
            id,
            from,
            to: None,
            reason: None,
            beat: None,
            hostname: None,
            listing: Listing::Unchanged,
            tasks: None,
            scheduler_job_id: None,
        }
    }

    /// And moves it to `state`; staying where it is is no move.
    pub fn to(mut self, state: JobState) -> JobUpdate {
        self.to = (state != self.from).then_some(state);
        self
    }

    /// And stores the scheduler's reason.
    pub fn reason(mut self, reason: impl Into<String>) -> JobUpdate {
        self.reason = Some(reason.into());
        self
    }

    /// And stores a heartbeat.
    pub fn beat(mut self, beat: i64) -> JobUpdate {
        self.beat = Some(beat);
        self
    }

    /// And stores its node.
    pub fn hostname(mut self, hostname: &str) -> JobUpdate {
        self.hostname = Some(hostname.to_owned());
        self
    }

    /// And stores that it took at least so many tasks.
    pub fn tasks(mut self, tasks: u32) -> JobUpdate {
        self.tasks = Some(tasks);
        self
    }

    /// And stores that the scheduler knows it by another id.
    pub fn scheduler_job_id(mut self, id: SchedulerJobId) -> JobUpdate {
        self.scheduler_job_id = Some(id);
        self
    }

    /// And forgets that polls did not list it.
    pub fn found(mut self) -> JobUpdate {
        self.listing = Listing::Found;
        self
    }

    /// And counts a poll that did not list it.
    pub fn missing(mut self) -> JobUpdate {
        self.listing = Listing::Missing;
        self
    }

    /// Whether there is anything to store.
    pub fn changes(&self) -> bool {
        self.to.is_some()
            || self.reason.is_some()
            || self.beat.is_some()
            || self.hostname.is_some()
            || self.scheduler_job_id.is_some()
            || self.tasks.is_some()
            || self.listing != Listing::Unchanged
    }

    fn is_legal_or_logged(&self) -> bool {
        let Some(to) = self.to else { return true };
        let legal = to != JobState::Ended && self.from.may_become(to);
        if !legal {
            tracing::error!(job = %self.id, from = self.from.as_str(), to = to.as_str(), "no job may change its state so; left out");
        }
        legal
    }
}

#[derive(diesel::QueryableByName)]
struct IdRow {
    #[diesel(sql_type = sql::JobId)]
    id: JobId,
}

/// Live jobs of one submission that stand alike.
#[derive(Clone, PartialEq, Debug, diesel::QueryableByName)]
#[diesel(table_name = super::schema::job)]
pub struct LiveJobs {
    /// Their pool.
    pub pool: PoolName,
    /// What each of them asked for.
    #[diesel(sql_type = Jsonb, deserialize_as = Json<JobResources>)]
    pub resources: JobResources,
    /// Their state.
    pub state: JobState,
    /// Whether they take tasks from their pool's chunks.
    pub pilot: bool,
    /// Whether they were asked to end.
    #[diesel(sql_type = Bool)]
    pub cancelling: bool,
    /// Tasks that they were seen to take, all together.
    #[diesel(sql_type = Integer, deserialize_as = Count)]
    pub tasks: u32,
    /// How long ago the first of them started.
    #[diesel(sql_type = Nullable<Double>, deserialize_as = Span)]
    pub started_ago: Option<Duration>,
    /// How long ago the scheduler took the first of them.
    #[diesel(sql_type = Nullable<Double>, deserialize_as = Span)]
    pub queued_ago: Option<Duration>,
    /// The jobs.
    #[diesel(sql_type = Array<BigInt>)]
    ids: Vec<i64>,
}

/// A job that waits for a person in its scheduler's queue.
#[derive(Clone, PartialEq, Debug, diesel::QueryableByName)]
#[diesel(table_name = super::schema::job)]
pub struct BlockedJob {
    /// The job.
    pub id: JobId,
    /// Its pool.
    pub pool: PoolName,
    /// The scheduler's id.
    pub scheduler_job_id: Option<SchedulerJobId>,
    /// What the scheduler says of it.
    pub scheduler_reason: Option<String>,
}

impl JobRow {
    /// How far the results of one of its nodes are stored, in bytes.
    pub fn offset(&self, node: NodeIndex) -> u64 {
        match node {
            NodeIndex::FIRST => self.results_offset,
            further => self.further_offsets.get(&further).copied().unwrap_or(0),
        }
    }

    /// The same after more of them were stored.
    pub fn set_offset(&mut self, node: NodeIndex, offset: u64) {
        match node {
            NodeIndex::FIRST => self.results_offset = offset,
            further => _ = self.further_offsets.insert(further, offset),
        }
    }
}

impl LiveJobs {
    /// The jobs.
    pub fn ids(&self) -> impl Iterator<Item = JobId> + '_ {
        self.ids.iter().copied().map(JobId)
    }

    /// How many there are.
    pub fn jobs(&self) -> u32 {
        u32::try_from(self.ids.len()).unwrap_or(u32::MAX)
    }
}

impl Store {
    /// The site's jobs that have not ended, oldest first; those of submissions that are still open among them.
    pub async fn live_jobs(&self, site: &str) -> Result<Vec<JobRow>, StoreError> {
        let mut conn = self.conn().await?;
        diesel::sql_query(
            "SELECT j.id, j.submission_id, s.tag, s.state AS submission_state, j.pool, j.array_index, s.array_size,
                coalesce((s.resources ->> 'nodes')::integer, 1) AS nodes,
                j.placement, j.pilot, s.cluster, j.state, j.scheduler_job_id, j.scheduler_reason, j.results_offset, j.further_offsets, j.beat,
                extract(epoch FROM clock_timestamp() - j.beat_on)::float8 AS beat_ago,
                extract(epoch FROM clock_timestamp() - j.missing_since)::float8 AS missing_for,
                extract(epoch FROM clock_timestamp() - j.queued_on)::float8 AS queued_ago,
                j.cancel_requested_on, j.missing_polls, j.started_on, j.hostname,
                j.tasks,
                j.state IN ('queued', 'blocked') AND NOT j.pilot
                    AND NOT EXISTS (SELECT FROM task t WHERE t.job_id = j.id) AS waits_for_nothing
             FROM job j JOIN submission s ON s.id = j.submission_id
             WHERE j.site = $1 AND j.state <> 'ended' ORDER BY j.id",
        )
        .bind::<Text, _>(site)
        .load(&mut conn)
        .await
        .doing("reading live jobs")
    }

    /// The site's jobs that wait for a person in their scheduler's queue, oldest first: pool, our id, the scheduler's id, and
    /// its reason.
    pub async fn blocked_jobs(&self, site: &str) -> Result<Vec<BlockedJob>, StoreError> {
        let mut conn = self.conn().await?;
        diesel::sql_query(
            "SELECT id, pool, scheduler_job_id, scheduler_reason FROM job WHERE site = $1 AND state = 'blocked'
             ORDER BY id",
        )
        .bind::<Text, _>(site)
        .load(&mut conn)
        .await
        .doing("reading blocked jobs")
    }

    /// The site's jobs that have not ended, planned ones included, those alike together.
    pub async fn live_jobs_together(&self, site: &str) -> Result<Vec<LiveJobs>, StoreError> {
        let mut conn = self.conn().await?;
        diesel::sql_query(
            "SELECT j.pool, s.resources, j.state, j.pilot, j.cancel_requested_on IS NOT NULL AS cancelling,
                least(sum(j.tasks), 2147483647)::integer AS tasks,
                extract(epoch FROM clock_timestamp() - min(j.started_on))::float8 AS started_ago,
                extract(epoch FROM clock_timestamp() - min(j.queued_on))::float8 AS queued_ago,
                array_agg(j.id ORDER BY j.id) AS ids
             FROM job j JOIN submission s ON s.id = j.submission_id WHERE j.site = $1 AND j.state <> 'ended'
             GROUP BY s.id, j.pool, j.state, j.pilot, cancelling ORDER BY s.id",
        )
        .bind::<Text, _>(site)
        .load(&mut conn)
        .await
        .doing("counting live jobs")
    }
}

const UPDATE: &str = "
    WITH given AS (
        SELECT * FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10)
            AS rows(id, from_state, to_state, reason, beat, hostname, listing, scheduler_job_id, tasks)
    ), locked AS (
        SELECT j.id FROM job j JOIN given ON given.id = j.id AND given.from_state::job_state = j.state
        WHERE j.site = $1 ORDER BY j.id FOR UPDATE OF j)
    UPDATE job SET
        state = coalesce(to_state::job_state, state),
        scheduler_reason = coalesce(reason, scheduler_reason),
        beat_on = CASE WHEN given.beat <> job.beat THEN clock_timestamp() ELSE beat_on END,
        beat = coalesce(given.beat, job.beat),
        hostname = coalesce(given.hostname, job.hostname),
        missing_since = CASE listing WHEN 'found' THEN NULL
            WHEN 'missing' THEN coalesce(missing_since, clock_timestamp()) ELSE missing_since END,
        missing_polls = CASE listing WHEN 'found' THEN 0 WHEN 'missing' THEN missing_polls + 1 ELSE missing_polls END,
        scheduler_job_id = coalesce(given.scheduler_job_id, job.scheduler_job_id),
        tasks = greatest(job.tasks, given.tasks),
        modified_on = now()
    FROM given, locked WHERE job.id = given.id AND job.id = locked.id
    RETURNING job.id";

impl Writer {
    /// Stores what was seen of jobs; returns those that were still in the state given. An update that is not legal is
    /// logged and left out: whoever asked for it has a fault. Records of a job that goes back to the queue wait again.
    pub async fn update_jobs(&self, mut updates: Vec<JobUpdate>) -> Result<Vec<JobId>, StoreError> {
        updates.retain(|update| update.changes() && update.is_legal_or_logged());
        if updates.is_empty() {
            return Ok(Vec::new());
        }
        let mut transaction = self.begin().await?;
        let conn = transaction.conn();
        let words = |word: fn(&JobUpdate) -> Option<String>| updates.iter().map(word).collect::<Vec<_>>();
        let listing = |update: &JobUpdate| match update.listing {
            Listing::Unchanged => None,
            Listing::Found => Some("found".to_owned()),
            Listing::Missing => Some("missing".to_owned()),
        };
        let rows: Vec<IdRow> = diesel::sql_query(UPDATE)
            .bind::<Text, _>(&self.site)
            .bind::<Array<BigInt>, _>(raw(updates.iter().map(|update| update.id)))
            .bind::<Array<Text>, _>(updates.iter().map(|update| update.from.as_str()).collect::<Vec<_>>())
            .bind::<Array<Nullable<Text>>, _>(words(|update| update.to.map(|to| to.as_str().to_owned())))
            .bind::<Array<Nullable<Text>>, _>(words(|update| update.reason.as_deref().map(storable)))
            .bind::<Array<Nullable<BigInt>>, _>(updates.iter().map(|update| update.beat).collect::<Vec<_>>())
            .bind::<Array<Nullable<Text>>, _>(words(|update| update.hostname.as_deref().map(storable)))
            .bind::<Array<Nullable<Text>>, _>(words(listing))
            .bind::<Array<Nullable<Text>>, _>(words(|update| {
                update.scheduler_job_id.as_ref().map(|id| id.0.clone())
            }))
            .bind::<Array<Nullable<Integer>>, _>(
                updates.iter().map(|update| update.tasks.map(integer)).collect::<Vec<_>>(),
            )
            .load(conn)
            .await
            .doing("updating jobs")?;
        let updated: Vec<JobId> = rows.into_iter().map(|row| row.id).collect();
        let stored: HashSet<JobId> = updated.iter().copied().collect();
        let moved = updates.iter().filter(|update| update.to.is_some() && stored.contains(&update.id));
        event::write(conn, &moved.clone().map(moved_event).collect::<Vec<_>>()).await?;
        let requeued: Vec<JobId> = moved
            .filter(|update| matches!(update.to, Some(JobState::Queued | JobState::Blocked)))
            .filter(|update| !matches!(update.from, JobState::Planned | JobState::Queued | JobState::Blocked))
            .map(|update| update.id)
            .collect();
        if !requeued.is_empty() {
            stop_records(conn, &requeued).await?;
        }
        transaction.commit().await?;
        Ok(updated)
    }

    /// Marks jobs as running, whatever live state they were in, and their records too. Harmless when repeated.
    pub async fn start_jobs(&self, ids: &[JobId]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let conn = transaction.conn();
        let started: Vec<IdRow> = diesel::sql_query(
            "WITH locked AS (
                SELECT id FROM job WHERE id = ANY($1) AND site = $2 AND state NOT IN ('ended', 'running')
                ORDER BY id FOR UPDATE)
             UPDATE job SET state = 'running', started_on = coalesce(started_on, clock_timestamp()),
                scheduler_reason = NULL, missing_since = NULL, missing_polls = 0, modified_on = now()
             FROM locked WHERE job.id = locked.id RETURNING job.id",
        )
        .bind::<Array<BigInt>, _>(raw(ids.iter().copied()))
        .bind::<Text, _>(&self.site)
        .load(conn)
        .await
        .doing("starting jobs")?;
        diesel::sql_query(
            "WITH locked AS (
                SELECT r.id, t.job_id FROM record r JOIN task t ON t.record_id = r.id
                    JOIN job j ON j.id = t.job_id AND j.state = 'running'
                WHERE t.job_id = ANY($1) AND r.status = ANY($2) ORDER BY r.id FOR UPDATE OF r)
             UPDATE record SET status = $3, last_job_id = locked.job_id, modified_on = now()
             FROM locked WHERE record.id = locked.id",
        )
        .bind::<Array<BigInt>, _>(raw(ids.iter().copied()))
        .bind::<Array<sql::RecordStatus>, _>(RecordChange::Start.from())
        .bind::<sql::RecordStatus, _>(RecordChange::Start.to())
        .execute(conn)
        .await
        .doing("starting records")?;
        let events: Vec<NewEvent> = started
            .iter()
            .map(|row| NewEvent {
                kind: "running",
                job_id: Some(row.id),
                message: format!("job {} runs", row.id),
                ..NewEvent::default()
            })
            .collect();
        event::write(conn, &events).await?;
        transaction.commit().await
    }

    /// Marks jobs as to be cancelled at the scheduler; returns those that were not marked before.
    pub async fn request_cancel(&self, ids: &[JobId]) -> Result<Vec<JobId>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut transaction = self.begin().await?;
        let conn = transaction.conn();
        let rows: Vec<IdRow> = diesel::sql_query(
            "WITH locked AS (
                SELECT id FROM job WHERE id = ANY($1) AND site = $2 AND state <> 'ended'
                    AND cancel_requested_on IS NULL ORDER BY id FOR UPDATE)
             UPDATE job SET cancel_requested_on = clock_timestamp(), modified_on = now()
             FROM locked WHERE job.id = locked.id RETURNING job.id",
        )
        .bind::<Array<BigInt>, _>(raw(ids.iter().copied()))
        .bind::<Text, _>(&self.site)
        .load(conn)
        .await
        .doing("marking jobs to be cancelled")?;
        let marked: Vec<JobId> = rows.into_iter().map(|row| row.id).collect();
        let events: Vec<NewEvent> = marked
            .iter()
            .map(|id| NewEvent {
                kind: "cancel_requested",
                job_id: Some(*id),
                message: format!("job {id} is to be cancelled"),
                ..NewEvent::default()
            })
            .collect();
        event::write(conn, &events).await?;
        transaction.commit().await?;
        Ok(marked)
    }
}

fn moved_event(update: &JobUpdate) -> NewEvent {
    let to = update.to.unwrap_or(update.from);
    let reason = update.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    NewEvent {
        kind: to.as_str(),
        job_id: Some(update.id),
        message: format!("job {} went from {} to {}{reason}", update.id, update.from.as_str(), to.as_str()),
        ..NewEvent::default()
    }
}

/// Records of jobs that do not run any more, but still hold their tasks.
async fn stop_records(conn: &mut AsyncPgConnection, jobs: &[JobId]) -> Result<(), StoreError> {
    diesel::sql_query(
        "WITH locked AS (
            SELECT r.id FROM record r JOIN task t ON t.record_id = r.id
            WHERE t.job_id = ANY($1) AND r.status = ANY($2) ORDER BY r.id FOR UPDATE OF r)
         UPDATE record SET status = $3, modified_on = now() FROM locked WHERE record.id = locked.id",
    )
    .bind::<Array<BigInt>, _>(raw(jobs.iter().copied()))
    .bind::<Array<sql::RecordStatus>, _>(RecordChange::Release.from())
    .bind::<sql::RecordStatus, _>(RecordChange::Release.to())
    .execute(conn)
    .await
    .doing("putting records back to waiting")?;
    Ok(())
}
