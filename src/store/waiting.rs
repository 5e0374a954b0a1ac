//! Why a record waits, in words. Reads only.

use std::collections::HashMap;

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use jiff_diesel::NullableTimestamp;

use super::connect::Store;
use super::error::{Doing, StoreError};
use super::queue::Asks;
use super::types::{raw, sql};
use crate::model::ids::{JobId, PoolName, RecordId, SchedulerJobId};
use crate::model::job::JobState;
use crate::model::resources::TaskResources;

/// What the reason is made of.
#[derive(QueryableByName, Debug)]
pub(crate) struct Waiting {
    #[diesel(sql_type = sql::RecordId)]
    record_id: RecordId,
    #[diesel(sql_type = Nullable<Text>)]
    stored_reason: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>, deserialize_as = NullableTimestamp)]
    not_before: Option<Timestamp>,
    #[diesel(sql_type = Array<Text>)]
    required_programs: Vec<String>,
    #[diesel(sql_type = Text)]
    compute_tag: String,
    #[diesel(sql_type = Nullable<sql::PoolName>)]
    asked_pool: Option<PoolName>,
    #[diesel(sql_type = Nullable<sql::JobId>)]
    job_id: Option<JobId>,
    #[diesel(sql_type = Nullable<sql::PoolName>)]
    job_pool: Option<PoolName>,
    #[diesel(sql_type = Nullable<sql::JobState>)]
    job_state: Option<JobState>,
    #[diesel(sql_type = Nullable<sql::SchedulerJobId>)]
    scheduler_job_id: Option<SchedulerJobId>,
    #[diesel(sql_type = Nullable<Text>)]
    scheduler_reason: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    submission_error: Option<String>,
    /// Pool of the chunk that it lies in.
    #[diesel(sql_type = Nullable<sql::PoolName>)]
    chunk_pool: Option<PoolName>,
    /// Of the oldest job that waits in that pool's queue: its id, and the scheduler's reason.
    #[diesel(sql_type = Nullable<Text>)]
    queued_job: Option<String>,
}

/// Why a record waits; `None` where it does not.
pub(crate) async fn reason_of(
    conn: &mut AsyncPgConnection,
    record_id: RecordId,
) -> Result<Option<String>, StoreError> {
    Ok(reasons_of(conn, &[record_id]).await?.remove(&record_id))
}

/// Why records wait; of those that do.
pub(crate) async fn reasons_of(
    conn: &mut AsyncPgConnection,
    records: &[RecordId],
) -> Result<HashMap<RecordId, String>, StoreError> {
    let waiting: Vec<Waiting> = diesel::sql_query(
        "SELECT t.record_id, t.waiting_reason AS stored_reason, CASE WHEN t.not_before > now() THEN t.not_before END AS not_before,
            d.required_programs, d.compute_tag, d.pool AS asked_pool, j.id AS job_id, j.pool AS job_pool,
            j.state AS job_state, j.scheduler_job_id, j.scheduler_reason, s.last_error AS submission_error, c.pool AS chunk_pool, q.line AS queued_job
         FROM record r JOIN task t ON t.record_id = r.id JOIN demand d ON d.id = t.demand_id
            LEFT JOIN job j ON j.id = t.job_id LEFT JOIN submission s ON s.id = j.submission_id
            LEFT JOIN chunk c ON c.id = t.chunk_id LEFT JOIN LATERAL (
                SELECT 'job ' || w.id || coalesce(' (' || w.scheduler_job_id || ')', '') || ' is in its queue'
                    || coalesce(': ' || w.scheduler_reason, '') AS line
                FROM job w WHERE w.site = c.site AND w.pool = c.pool AND w.pilot AND w.state IN ('queued', 'blocked')
                ORDER BY w.id LIMIT 1) q ON true
         WHERE r.id = ANY($1) AND r.status = 'waiting'",
    )
    .bind::<Array<BigInt>, _>(raw(records.iter().copied()))
    .load(conn)
    .await
    .doing("reading why records wait")?;
    Ok(waiting.iter().map(|waiting| (waiting.record_id, waiting.reason())).collect())
}

/// Waiting tasks of one demand are counted up to so many.
pub const MOST_COUNTED: i64 = 1000;

/// What waiting tasks demand.
#[derive(Clone, PartialEq, Debug)]
pub struct WaitingDemand {
    /// Programs they need.
    pub required_programs: Vec<String>,
    /// Their compute tag.
    pub compute_tag: String,
    /// The pool they were asked to run in.
    pub pool: Option<PoolName>,
    /// What they ask for.
    pub asks: TaskResources,
    /// How many there are; one more than [`MOST_COUNTED`] stands for more.
    pub tasks: i64,
}

#[derive(QueryableByName)]
#[diesel(table_name = super::schema::demand)]
struct DemandRow {
    #[diesel(sql_type = Array<Text>)]
    required_programs: Vec<String>,
    compute_tag: String,
    #[diesel(sql_type = Nullable<sql::PoolName>)]
    pool: Option<PoolName>,
    #[diesel(embed)]
    asks: Asks,
    #[diesel(sql_type = BigInt)]
    tasks: i64,
}

impl Store {
    /// What the tasks demand that wait to be handed out. As cheap as there are demands.
    pub async fn waiting_demands(&self) -> Result<Vec<WaitingDemand>, StoreError> {
        let mut conn = self.conn().await?;
        let rows: Vec<DemandRow> = diesel::sql_query(
            "SELECT d.required_programs, d.compute_tag, d.pool, d.cores, d.memory_bytes, d.walltime_seconds, d.gpus,
                d.nodes, t.tasks
             FROM demand d CROSS JOIN LATERAL (
                SELECT count(*) AS tasks FROM (
                    SELECT FROM task WHERE available AND demand_id = d.id LIMIT $1) AS counted) t
             WHERE t.tasks > 0 ORDER BY d.id",
        )
        .bind::<BigInt, _>(MOST_COUNTED + 1)
        .load(&mut conn)
        .await
        .doing("reading what waiting tasks demand")?;
        let demand = |row: DemandRow| WaitingDemand {
            required_programs: row.required_programs,
            compute_tag: row.compute_tag,
            pool: row.pool,
            asks: row.asks.into(),
            tasks: row.tasks,
        };
        Ok(rows.into_iter().map(demand).collect())
    }
}

impl Waiting {
    fn reason(&self) -> String {
        if let (Some(job), Some(pool), Some(state)) = (self.job_id, &self.job_pool, self.job_state) {
            return self.held_reason(job, pool, state);
        }
        if let Some(pool) = &self.chunk_pool {
            let queued = self.queued_job.as_ref().map(|line| format!("; {line}")).unwrap_or_default();
            return format!("staged, waits for a job of pool {pool}{queued}");
        }
        let stored = self.stored_reason.as_deref();
        match (self.not_before, stored) {
            (Some(time), Some(reason)) => format!("not before {time:.0}: {reason}"),
            (Some(time), None) => format!("not before {time:.0}"),
            (None, Some(reason)) => reason.to_owned(),
            (None, None) => self.queue_reason(),
        }
    }

    fn held_reason(&self, job: JobId, pool: &PoolName, state: JobState) -> String {
        let id = self.scheduler_job_id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
        let reason = match state {
            JobState::Planned => self.submission_error.as_deref(),
            _ => self.scheduler_reason.as_deref(),
        };
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let state = match state {
            JobState::Planned => "is being submitted to",
            JobState::Queued => "waits in the queue of",
            JobState::Blocked => "is blocked in the queue of",
            JobState::Running | JobState::Ending => "is starting in",
            JobState::Suspended => "is suspended in",
            JobState::Missing => "is not listed any more in",
            JobState::Ended => "has ended in",
        };
        format!("held by job {job}{id}, which {state} pool {pool}{reason}")
    }

    fn queue_reason(&self) -> String {
        if let Some(pool) = &self.asked_pool {
            return format!("waits for a free job slot in pool {pool}");
        }
        let programs = self.required_programs.join(" and ");
        let tag = match self.compute_tag.as_str() {
            "*" => String::new(),
            tag => format!(" that serves the compute tag {tag}"),
        };
        format!("waits for a free job slot in a pool with {programs}{tag}")
    }
}
