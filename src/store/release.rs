//! The end of a job: its unfinished tasks come back, or fail where they have been lost too often.
//! Touches `job`, `task`, `record`, `compute_history`, `event`, in one transaction.

use std::collections::HashSet;

use diesel::OptionalExtension;
use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;

use super::count::fold;
use super::error::{Doing, StoreError};
use super::event::{self, NewEvent};
use super::history::{self, NewAttempt};
use super::output;
use super::types::{Count, raw, sql, storable};
use super::write::Writer;
use crate::model::failure::{FailureClass, RetryDecision, TaskTally};
use crate::model::ids::{ChunkId, JobId, NodeIndex, RecordId, TaskId};
use crate::model::job::JobOutcome;
use crate::model::record::{RecordChange, RecordStatus};

/// What becomes of a task whose attempt failed, given what it had gone through *before* that failure.
pub type Decide<'a> = &'a (dyn Fn(&TaskTally, FailureClass) -> RetryDecision + Send + Sync);

/// How a job ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobEnd {
    /// The job.
    pub id: JobId,
    /// How.
    pub outcome: JobOutcome,
    /// Exit code of its script.
    pub exit_code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// For people.
    pub reason: Option<String>,
    /// Node.
    pub hostname: Option<String>,
    /// What the tasks that it did not report are charged with.
    pub charge: Charge,
    /// Which of them; the others come back untouched.
    pub charged: Charged,
    /// Chunks of the pool whose files lie in its directory: it holds their tasks, noted or not.
    pub chunks: Vec<ChunkId>,
}

/// Which unreported tasks are charged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Charged {
    /// Each of them.
    All,
    /// Those that the job was at work on.
    Only(HashSet<TaskId>),
    /// Those that the job was at work on when it was last heard of; each of them where these were all reported since.
    LastSeen(HashSet<TaskId>),
}

impl Charged {
    /// Which of the `held` tasks are charged, and with what. Where it is not known which of them had a part in the end, it
    /// costs none of them a try of its own.
    fn of(&self, held: &[HeldRow], charge: Charge) -> (HashSet<TaskId>, Charge) {
        let all = || held.iter().map(|task| task.id).collect::<HashSet<_>>();
        match self {
            Charged::All => (all(), charge),
            Charged::Only(tasks) => (tasks.clone(), charge),
            Charged::LastSeen(tasks) if held.iter().any(|task| tasks.contains(&task.id)) => {
                (tasks.clone(), charge)
            }
            Charged::LastSeen(_) => match charge {
                Charge::Failure(_) | Charge::NodesFault => {
                    (all(), Charge::Failure(FailureClass::Infrastructure))
                }
                Charge::Nothing => (all(), Charge::Nothing),
            },
        }
    }
}

/// What an unreported task is charged with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Charge {
    /// A failure of this class: a loss for `infrastructure`, a try of its own for any other.
    Failure(FailureClass),
    /// A failure that was its node's: a loss, and no try of its own.
    NodesFault,
    /// Nothing: the job gave it back untouched.
    Nothing,
}

/// What became of a job's unreported tasks.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct ReleasedTasks {
    /// Waiting again.
    pub returned: usize,
    /// Ended in error.
    pub failed: usize,
}

/// What has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// The job.
    Job,
    /// One of its node runners.
    Node(NodeIndex),
}

/// A task that the ended job held.
#[derive(diesel::QueryableByName)]
#[diesel(table_name = super::schema::task)]
struct HeldRow {
    id: TaskId,
    record_id: RecordId,
    attempt: i32,
    #[diesel(deserialize_as = Count)]
    tries: u32,
    #[diesel(deserialize_as = Count)]
    losses: u32,
}

/// A held task and what was decided about it.
pub(crate) struct Settled {
    pub(crate) task_id: TaskId,
    pub(crate) charge: Charge,
    pub(crate) decision: RetryDecision,
    /// For `show`, while it waits again.
    pub(crate) reason: String,
}

#[derive(diesel::QueryableByName)]
struct EndedRow {
    #[diesel(sql_type = sql::JobId)]
    id: JobId,
}

impl Writer {
    /// Ends a job: its state becomes `ended` and its unreported tasks are free again or, where `decide` says so, end in
    /// error with a row of history that says why. Nothing happens to a job that had ended before.
    pub async fn end_job(&self, end: JobEnd, decide: Decide<'_>) -> Result<ReleasedTasks, StoreError> {
        let mut transaction = self.begin().await?;
        let conn = transaction.conn();
        if !self.mark_ended(conn, &end).await? {
            transaction.roll_back().await?;
            return Ok(ReleasedTasks::default());
        }
        let (released, mut events) = self.release(conn, &end, Part::Job, decide).await?;
        events.push(ended_event(&end, released));
        event::write(conn, &events).await?;
        fold(conn).await?;
        transaction.commit().await?;
        Ok(released)
    }

    /// The runner of one node of a job has ended while others go on: tasks of the chunks in its directory are free as at the
    /// end of a job.
    pub async fn end_runner(
        &self,
        end: JobEnd,
        node: NodeIndex,
        decide: Decide<'_>,
    ) -> Result<ReleasedTasks, StoreError> {
        let mut transaction = self.begin().await?;
        let conn = transaction.conn();
        let (released, events) = self.release(conn, &end, Part::Node(node), decide).await?;
        event::write(conn, &events).await?;
        fold(conn).await?;
        transaction.commit().await?;
        Ok(released)
    }

    /// Frees the tasks of what has ended, and closes its chunks.
    async fn release(
        &self,
        conn: &mut AsyncPgConnection,
        end: &JobEnd,
        part: Part,
        decide: Decide<'_>,
    ) -> Result<(ReleasedTasks, Vec<NewEvent>), StoreError> {
        let all_of = match part {
            Part::Job => Some(end.id.0),
            Part::Node(_) => None,
        };
        // Names in a directory are what somebody wrote there: a chunk that another job is known to have is not this one's.
        diesel::sql_query(
            "DELETE FROM chunk WHERE (job_id = $1 OR id = ANY($2) AND coalesce(job_id = $4, true)) AND site = $3",
        )
            .bind::<Nullable<BigInt>, _>(all_of)
            .bind::<Array<BigInt>, _>(raw(end.chunks.iter().copied()))
            .bind::<Text, _>(&self.site)
            .bind::<BigInt, _>(end.id.0)
            .execute(conn)
            .await
            .doing("closing a job's chunks")?;
        let held: Vec<HeldRow> = diesel::sql_query(
            "SELECT id, record_id, attempt, tries, losses FROM task
             WHERE job_id = $1 OR chunk_id = ANY($2) AND coalesce(job_id = $3, true) ORDER BY id FOR UPDATE",
        )
        .bind::<Nullable<BigInt>, _>(all_of)
        .bind::<Array<BigInt>, _>(raw(end.chunks.iter().copied()))
        .bind::<BigInt, _>(end.id.0)
        .load(conn)
        .await
        .doing("reading a job's tasks")?;
        let (charged, charge_of_charged) = end.charged.of(&held, end.charge);
        let mut released = ReleasedTasks::default();
        let (mut settled, mut attempts, mut events) = (Vec::new(), Vec::new(), Vec::new());
        for task in held {
            let charge = if charged.contains(&task.id) { charge_of_charged } else { Charge::Nothing };
            let decision = decision(&task, charge, decide);
            let kind = match decision {
                RetryDecision::Retry { .. } => {
                    released.returned += 1;
                    "released"
                }
                RetryDecision::Fail => {
                    released.failed += 1;
                    attempts.push(given_up(&task, end, part, charge)?);
                    "failed"
                }
            };
            events.push(NewEvent {
                kind,
                record_id: Some(task.record_id),
                job_id: Some(end.id),
                message: explain(end, part),
                ..NewEvent::default()
            });
            let reason = explain(end, part);
            settled.push(Settled { task_id: task.id, charge, decision, reason });
        }
        apply(conn, &settled).await?;
        history::insert(conn, &attempts).await?;
        Ok((released, events))
    }

    async fn mark_ended(&self, conn: &mut AsyncPgConnection, end: &JobEnd) -> Result<bool, StoreError> {
        let row: Option<EndedRow> = diesel::sql_query(
            "UPDATE job SET state = 'ended', outcome = $3::job_outcome, exit_code = $4, signal = $5,
                scheduler_reason = coalesce($6, scheduler_reason), hostname = coalesce($7, hostname),
                ended_on = clock_timestamp(), modified_on = now()
             WHERE id = $1 AND site = $2 AND state <> 'ended' RETURNING id",
        )
        .bind::<BigInt, _>(end.id.0)
        .bind::<Text, _>(&self.site)
        .bind::<Text, _>(end.outcome.as_str())
        .bind::<Nullable<Integer>, _>(end.exit_code)
        .bind::<Nullable<Integer>, _>(end.signal)
        .bind::<Nullable<Text>, _>(end.reason.as_deref().map(storable))
        .bind::<Nullable<Text>, _>(end.hostname.as_deref().map(storable))
        .get_result(conn)
        .await
        .optional()
        .doing("ending a job")?;
        Ok(row.is_some_and(|row| row.id == end.id))
    }
}

fn decision(task: &HeldRow, charge: Charge, decide: Decide<'_>) -> RetryDecision {
    match charge {
        Charge::Nothing => RetryDecision::Retry { after: std::time::Duration::ZERO },
        Charge::Failure(class) => decide(&TaskTally { tries: task.tries, losses: task.losses }, class),
        Charge::NodesFault => {
            decide(&TaskTally { tries: task.tries, losses: task.losses }, FailureClass::Infrastructure)
        }
    }
}

fn explain(end: &JobEnd, part: Part) -> String {
    let reason = end.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let what = match part {
        Part::Job => format!("job {}", end.id),
        Part::Node(node) => format!("the runner on node {} of job {}", node.0 + 1, end.id),
    };
    format!("{what} ended ({}) before this task was reported{reason}", end.outcome.as_str())
}

fn ended_event(end: &JobEnd, released: ReleasedTasks) -> NewEvent {
    let reason = end.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    NewEvent {
        kind: "ended",
        job_id: Some(end.id),
        message: format!(
            "job {} ended ({}){reason}; {} tasks given back, {} given up",
            end.id,
            end.outcome.as_str(),
            released.returned,
            released.failed
        ),
        ..NewEvent::default()
    }
}

/// The row of history of a task that was lost once too often.
fn given_up(task: &HeldRow, end: &JobEnd, part: Part, charge: Charge) -> Result<NewAttempt, StoreError> {
    let class = match charge {
        Charge::Failure(class) => class,
        Charge::NodesFault => FailureClass::Node,
        Charge::Nothing => FailureClass::Infrastructure,
    };
    let error_type = format!("job_{}", end.outcome.as_str());
    let message =
        format!("{}; {} tries and {} losses before that", explain(end, part), task.tries, task.losses);
    let error = json!({ "error_type": error_type, "error_message": message, "extras": null });
    let blob = output::pack(&error).map_err(|error| StoreError::Stored {
        what: format!("error of record {}", task.record_id),
        source: Box::new(error),
    })?;
    Ok(NewAttempt {
        job_id: Some(end.id),
        failure: Some(class),
        error_type: Some(error_type),
        hostname: end.hostname.clone(),
        error: Some(blob),
        ..NewAttempt::bare(task.record_id, task.attempt, RecordStatus::Error)
    })
}

const APPLY: &str = "
    WITH given AS (
        SELECT * FROM unnest($1, $2, $3, $4, $5, $6) AS rows(id, failure, tries, losses, delay, reason)
    ), changed AS (
        UPDATE task SET job_id = NULL, chunk_id = NULL, available = given.delay IS NOT NULL,
            tries = task.tries + given.tries, losses = task.losses + given.losses,
            last_failure = CASE WHEN given.failure = 'infrastructure' THEN coalesce(task.last_failure, 'infrastructure'::failure_class)
                ELSE coalesce(given.failure::failure_class, task.last_failure) END,
            not_before = clock_timestamp() + make_interval(secs => nullif(given.delay, 0)),
            waiting_reason = given.reason
        FROM given WHERE task.id = given.id RETURNING task.record_id, task.available
    ), locked AS (
        SELECT r.id, r.status, changed.available FROM record r JOIN changed ON changed.record_id = r.id
        ORDER BY r.id FOR UPDATE OF r)
    UPDATE record SET modified_on = now(),
        status = CASE WHEN locked.available THEN $8 ELSE $10 END
    FROM locked WHERE record.id = locked.id
        AND record.status = ANY(CASE WHEN locked.available THEN $7 ELSE $9 END)";

/// Frees locked tasks as decided: those to be retried wait again, after their delay; the others stay, unavailable, for a
/// person's `retry`.
pub(crate) async fn apply(conn: &mut AsyncPgConnection, settled: &[Settled]) -> Result<(), StoreError> {
    if settled.is_empty() {
        return Ok(());
    }
    let class = |settled: &Settled| match settled.charge {
        Charge::Failure(class) => Some(class),
        Charge::NodesFault => Some(FailureClass::Node),
        Charge::Nothing => None,
    };
    let is_loss = |settled: &Settled| {
        matches!(settled.charge, Charge::NodesFault | Charge::Failure(FailureClass::Infrastructure))
    };
    let is_try = |settled: &Settled| matches!(settled.charge, Charge::Failure(_)) && !is_loss(settled);
    let tries = settled.iter().map(|task| i32::from(is_try(task)));
    let losses = settled.iter().map(|task| i32::from(is_loss(task)));
    let delays = settled.iter().map(|task| match task.decision {
        RetryDecision::Retry { after } => Some(after.as_secs_f64()),
        RetryDecision::Fail => None,
    });
    diesel::sql_query(APPLY)
        .bind::<Array<BigInt>, _>(raw(settled.iter().map(|task| task.task_id)))
        .bind::<Array<Nullable<Text>>, _>(
            settled.iter().map(|task| class(task).map(FailureClass::as_str)).collect::<Vec<_>>(),
        )
        .bind::<Array<Integer>, _>(tries.collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(losses.collect::<Vec<_>>())
        .bind::<Array<Nullable<Double>>, _>(delays.collect::<Vec<_>>())
        .bind::<Array<Text>, _>(settled.iter().map(|task| storable(&task.reason)).collect::<Vec<_>>())
        .bind::<Array<sql::RecordStatus>, _>(RecordChange::Release.from())
        .bind::<sql::RecordStatus, _>(RecordChange::Release.to())
        .bind::<Array<sql::RecordStatus>, _>(RecordChange::Fail.from())
        .bind::<sql::RecordStatus, _>(RecordChange::Fail.to())
        .execute(conn)
        .await
        .doing("freeing tasks")?;
    Ok(())
}
