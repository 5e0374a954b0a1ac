//! The queue of waiting tasks: who may go next, who may not and why, and how held tasks come back.
//! Touches `task` and `demand`, and `record` where a task coming back changes its record's status.
//!
//! Whoever locks several tasks does it in the order of their ids, and before their records: no two wait in a circle.

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use super::connect::Store;
use super::error::{Doing, StoreError};
use super::types::{Count, bigint, integer, raw, sql, storable};
use super::write::Writer;
use crate::model::failure::FailureClass;
use crate::model::ids::{JobId, PoolName, RecordId, TaskId};
use crate::model::record::RecordChange;
use crate::model::resources::TaskResources;
use crate::model::task::Placement;

/// Which waiting tasks a pool may run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CandidateFilter {
    /// The pool: tasks that asked for another one are left out.
    pub pool: PoolName,
    /// Programs it has, lower case; `None` means any.
    pub programs: Option<Vec<String>>,
    /// Compute tags it serves; `*` means any. A task with the tag `*` fits every pool.
    pub compute_tags: Vec<String>,
    /// The most that one of its jobs can have; tasks that ask for more are left out. `None` means no limit.
    pub most: TaskResources,
    /// What tasks get that say nothing, to compare with `most`.
    pub defaults: TaskResources,
}

/// Tasks that need the same programs, pool and resources have the same one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DemandId(pub i64);

/// A task that may be handed out now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// The task.
    pub task_id: TaskId,
    /// What decides which pools may run it, shared by all tasks like it.
    pub demand: DemandId,
    /// Its record.
    pub record_id: RecordId,
    /// Whether it may share its job.
    pub placement: Placement,
    /// What it asks for.
    pub resources: TaskResources,
    /// 0 low, 1 normal, 2 high.
    pub compute_priority: i16,
    /// Own tries spent.
    pub tries: u32,
    /// Attempts lost without fault of its own.
    pub losses: u32,
    /// Why the last attempt failed.
    pub last_failure: Option<FailureClass>,
    /// The program it needs, where it is one alone.
    pub required_program: Option<String>,
    /// Number of the last hand-out; -1 before the first.
    pub attempt: i32,
}

#[derive(QueryableByName)]
#[diesel(table_name = super::schema::task)]
struct CandidateRow {
    id: TaskId,
    demand_id: i64,
    record_id: RecordId,
    placement: Placement,
    compute_priority: i16,
    attempt: i32,
    #[diesel(deserialize_as = Count)]
    tries: u32,
    #[diesel(deserialize_as = Count)]
    losses: u32,
    last_failure: Option<FailureClass>,
    #[diesel(sql_type = Nullable<Text>)]
    required_program: Option<String>,
    #[diesel(embed)]
    asks: Asks,
}

#[derive(QueryableByName)]
struct BacklogRow {
    #[diesel(sql_type = BigInt)]
    tasks: i64,
}

#[derive(QueryableByName)]
struct HasWaiting {
    #[diesel(sql_type = Bool)]
    has_waiting: bool,
}

/// What a task asks for, in the columns of its demand.
#[derive(QueryableByName)]
#[diesel(table_name = super::schema::demand)]
pub(crate) struct Asks {
    cores: Option<i32>,
    memory_bytes: Option<i64>,
    walltime_seconds: Option<i64>,
    gpus: Option<i32>,
    nodes: Option<i32>,
}

impl From<Asks> for TaskResources {
    fn from(asks: Asks) -> TaskResources {
        TaskResources {
            cores: asks.cores.and_then(|cores| u32::try_from(cores).ok()),
            memory_bytes: asks.memory_bytes.and_then(|bytes| u64::try_from(bytes).ok()),
            walltime_seconds: asks.walltime_seconds.and_then(|seconds| u64::try_from(seconds).ok()),
            gpus: asks.gpus.and_then(|gpus| u32::try_from(gpus).ok()),
            nodes: asks.nodes.and_then(|nodes| u32::try_from(nodes).ok()),
        }
    }
}

/// Every fitting demand leads into the index `task_queue`, so that the cost depends on `limit` alone.
const CANDIDATES: &str = "
    SELECT t.*, d.cores, d.memory_bytes, d.walltime_seconds, d.gpus, d.nodes,
        CASE WHEN cardinality(d.required_programs) = 1 THEN d.required_programs[1] END AS required_program
    FROM demand d CROSS JOIN LATERAL (
        SELECT id, demand_id, record_id, placement, compute_priority, attempt, tries, losses, last_failure, sort_date
        FROM task
        WHERE available AND demand_id = d.id AND (not_before IS NULL OR not_before <= now())
        ORDER BY compute_priority DESC, sort_date, id LIMIT $4) t
    WHERE {suits}
    ORDER BY t.compute_priority DESC, t.sort_date, t.id LIMIT $4";

/// How many there are, up to a number.
const BACKLOG: &str = "
    SELECT count(*) AS tasks FROM (
        SELECT FROM demand d CROSS JOIN LATERAL (
            SELECT FROM task
            WHERE available AND demand_id = d.id AND (not_before IS NULL OR not_before <= now()) LIMIT $4) t
        WHERE {suits} LIMIT $4) counted";

/// Which demands suit a pool. A task over several nodes has whole ones, and no default is too large for it.
const SUITS: &str = "
        (d.pool IS NULL OR d.pool = $1)
        AND ($2 IS NULL OR d.required_programs <@ $2 OR (d.pool = $1 AND d.required_programs = '{synthetic}'))
        AND (d.compute_tag = '*' OR '*' = ANY($3) OR d.compute_tag = ANY($3)
            OR (d.pool = $1 AND d.required_programs = '{synthetic}'))
        AND ($5 IS NULL OR coalesce(d.cores, CASE WHEN d.nodes > 1 THEN 0 ELSE $6 END, 0) <= $5)
        AND ($7 IS NULL OR coalesce(d.memory_bytes, CASE WHEN d.nodes > 1 THEN 0 ELSE $8 END, 0) <= $7)
        AND ($9 IS NULL OR coalesce(d.walltime_seconds, $10, 0) <= $9)
        AND ($11 IS NULL OR coalesce(d.gpus, 0) <= $11)
        AND ($12 IS NULL OR coalesce(d.nodes, 1) <= $12)";

/// Just after a large intake there are no statistics yet, and the planner would read and sort whole demands.
const BY_INDEX: &str = "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off";

impl Store {
    /// The next `limit` tasks that a pool may run: by priority, then age.
    pub async fn candidates(
        &self,
        filter: &CandidateFilter,
        limit: usize,
    ) -> Result<Vec<Candidate>, StoreError> {
        let mut conn = self.conn().await?;
        let query = bound(CANDIDATES, filter, limit);
        let rows = conn
            .transaction::<Vec<CandidateRow>, diesel::result::Error, _>(async |conn| {
                conn.batch_execute(BY_INDEX).await?;
                query.load(conn).await
            })
            .await
            .doing("reading the queue")?;
        Ok(rows.into_iter().map(candidate).collect())
    }

    /// How many tasks a pool may run, counted up to `most`.
    pub async fn backlog(&self, filter: &CandidateFilter, most: usize) -> Result<usize, StoreError> {
        let mut conn = self.conn().await?;
        let query = bound(BACKLOG, filter, most);
        let row = conn
            .transaction::<BacklogRow, diesel::result::Error, _>(async |conn| {
                conn.batch_execute(BY_INDEX).await?;
                query.get_result(conn).await
            })
            .await
            .doing("counting the queue")?;
        Ok(usize::try_from(row.tasks).unwrap_or(0))
    }

    /// Whether any task may be handed out now.
    pub async fn has_waiting_tasks(&self) -> Result<bool, StoreError> {
        let mut conn = self.conn().await?;
        let row: HasWaiting = diesel::sql_query(
            "SELECT EXISTS (SELECT FROM task WHERE available AND (not_before IS NULL OR not_before <= now()))
                AS has_waiting",
        )
        .get_result(&mut conn)
        .await
        .doing("looking into the queue")?;
        Ok(row.has_waiting)
    }
}

/// A statement over the demands that suit a pool.
fn bound<'a>(
    statement: &str,
    filter: &'a CandidateFilter,
    limit: usize,
) -> diesel::query_builder::BoxedSqlQuery<'a, diesel::pg::Pg, diesel::query_builder::SqlQuery> {
    let (most, defaults) = (&filter.most, &filter.defaults);
    diesel::sql_query(statement.replace("{suits}", SUITS))
        .into_boxed()
        .bind::<Text, _>(&filter.pool.0)
        .bind::<Nullable<Array<Text>>, _>(&filter.programs)
        .bind::<Array<Text>, _>(&filter.compute_tags)
        .bind::<BigInt, _>(bigint(limit as u64))
        .bind::<Nullable<Integer>, _>(most.cores.map(integer))
        .bind::<Nullable<Integer>, _>(defaults.cores.map(integer))
        .bind::<Nullable<BigInt>, _>(most.memory_bytes.map(bigint))
        .bind::<Nullable<BigInt>, _>(defaults.memory_bytes.map(bigint))
        .bind::<Nullable<BigInt>, _>(most.walltime_seconds.map(bigint))
        .bind::<Nullable<BigInt>, _>(defaults.walltime_seconds.map(bigint))
        .bind::<Nullable<Integer>, _>(most.gpus.map(integer))
        .bind::<Nullable<Integer>, _>(most.nodes.map(integer))
}

fn candidate(row: CandidateRow) -> Candidate {
    Candidate {
        task_id: row.id,
        demand: DemandId(row.demand_id),
        record_id: row.record_id,
        placement: row.placement,
        resources: row.asks.into(),
        compute_priority: row.compute_priority,
        tries: row.tries,
        losses: row.losses,
        last_failure: row.last_failure,
        required_program: row.required_program,
        attempt: row.attempt,
    }
}

impl Writer {
    /// Notes why tasks wait, for `show`; those that are no longer waiting are left alone.
    pub async fn note_waiting(&self, reasons: Vec<(TaskId, String)>) -> Result<(), StoreError> {
        if reasons.is_empty() {
            return Ok(());
        }
        let (ids, reasons): (Vec<TaskId>, Vec<String>) =
            reasons.into_iter().map(|(id, reason)| (id, storable(&reason))).unzip();
        let mut transaction = self.begin().await?;
        diesel::sql_query(
            "WITH given AS (SELECT * FROM unnest($1, $2) AS rows(id, reason)), locked AS (
                SELECT t.id, given.reason FROM task t JOIN given ON given.id = t.id
                WHERE t.available AND t.waiting_reason IS DISTINCT FROM given.reason
                ORDER BY t.id FOR UPDATE OF t)
             UPDATE task SET waiting_reason = locked.reason FROM locked WHERE task.id = locked.id",
        )
        .bind::<Array<BigInt>, _>(raw(ids))
        .bind::<Array<Text>, _>(reasons)
        .execute(transaction.conn())
        .await
        .doing("noting why tasks wait")?;
        transaction.commit().await
    }
}

/// Gives back the tasks that `jobs` hold, at no cost to them; their records wait again.
pub(crate) async fn hand_back(
    conn: &mut AsyncPgConnection,
    jobs: &[JobId],
    reason: &str,
) -> Result<(), StoreError> {
    diesel::sql_query(
        "WITH locked AS (SELECT id FROM task WHERE job_id = ANY($1) ORDER BY id FOR UPDATE), freed AS (
            UPDATE task SET available = true, job_id = NULL, chunk_id = NULL, waiting_reason = $2 FROM locked
            WHERE task.id = locked.id RETURNING record_id)
         UPDATE record SET status = $4, modified_on = now()
         FROM freed WHERE record.id = freed.record_id AND record.status = ANY($3)",
    )
    .bind::<Array<BigInt>, _>(raw(jobs.iter().copied()))
    .bind::<Text, _>(storable(reason))
    .bind::<Array<sql::RecordStatus>, _>(RecordChange::Release.from())
    .bind::<sql::RecordStatus, _>(RecordChange::Release.to())
    .execute(conn)
    .await
    .doing("handing tasks back")?;
    Ok(())
}
