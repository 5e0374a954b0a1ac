//! Bringing results in, exactly once: a job's position in its result file moves in the transaction that stores what lies
//! before it. Touches records, tasks, history and outputs; a batch of hundreds of reports takes a few statements.

mod answer;
mod apart;
mod aside;
mod judge;
mod parts;
mod prepare;
mod write;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use diesel::OptionalExtension;
use diesel::sql_types::{Array, BigInt, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

pub use self::apart::Suspicion;
use self::judge::{Court, Standing, StandingTask, Verdict};
use self::parts::Parts;
use self::prepare::{Body, Prepared};
use super::error::{Doing, StoreError};
use super::history;
use super::release::Decide;
use super::restart::Underway;
use super::types::{Count, bigint, raw, sql};
use super::write::{Weight, Writer};
use crate::model::failure::{Blame, RetryDecision, TaskTally};
use crate::model::identity::CalculationHash;
use crate::model::ids::{ChunkId, JobId, NodeIndex, RecordId, TaskId};
use crate::model::record::{RecordStatus, RecordType};
use crate::model::task::TaskReport;

/// What became of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IngestOutcome {
    /// It is stored and the position moved.
    Stored(Stored),
    /// The job's position was not the one given: nothing was stored.
    Moved {
        /// Where it is.
        offset: u64,
    },
}

/// What became of the reports of a batch.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Records that are complete now.
    pub completed: usize,
    /// Records that ended in error.
    pub failed: usize,
    /// Tasks that failed and wait again.
    pub retried: usize,
    /// Reports of what was stored before.
    pub duplicates: usize,
    /// Reports of what nobody waits for any more.
    pub dropped: usize,
    /// Reports that fit no task: kept, not stored as results.
    pub aside: usize,
    /// Tasks that were given back unbegun.
    pub returned: usize,
}

/// A batch is a few thousand rows of millions: each is found by its key, whatever the planner believes of tables that were
/// never analysed.
const BY_INDEX: &str =
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";

/// Reports that lie between two positions of a job's result file, with everything computed that needs no database.
pub struct Batch {
    way: Span,
    underway: Underway,
    reports: Arc<Vec<TaskReport>>,
    prepared: Vec<Prepared>,
    /// Length of the reports as JSON.
    report_bytes: usize,
}

/// After a batch beyond this the connection is given up: its buffers, and the server's, stay as large as they were.
const HEAVY_BYTES: usize = 16 << 20;

impl Batch {
    /// Prepares `reports` on a thread of its own: it takes processor time, which the batch before need not wait for.
    pub async fn prepare(
        job_id: JobId,
        from_offset: u64,
        to_offset: u64,
        reports: Vec<TaskReport>,
    ) -> Result<Batch, StoreError> {
        let (underway, reports) = Underway::split(job_id, reports);
        let reports = Arc::new(reports);
        let prepared = prepare::prepare(job_id, Arc::clone(&reports)).await?;
        let way = Span { job_id, node: NodeIndex::FIRST, from: from_offset, to: to_offset };
        Ok(Batch { way, underway, reports, prepared, report_bytes: 0 })
    }

    /// The same, of the result file of another node than the first.
    pub fn of_node(mut self, node: NodeIndex) -> Batch {
        self.way.node = node;
        self
    }

    /// Failures of these tasks were their node's: they cost no tries.
    pub fn excuse(&mut self, tasks: &HashSet<TaskId>) {
        for report in &mut self.prepared {
            if let Body::Error { blame, .. } = &mut report.body
                && tasks.contains(&report.said.task_id)
            {
                *blame = Blame::Node;
            }
        }
    }

    /// The same, its reports so long as JSON.
    pub fn of_bytes(mut self, report_bytes: usize) -> Batch {
        self.report_bytes = report_bytes;
        self
    }

    /// The ends of attempts that it holds.
    pub fn reports(&self) -> Arc<Vec<TaskReport>> {
        Arc::clone(&self.reports)
    }
}

/// The part of a job's result file that a batch comes from, in bytes.
#[derive(Clone, Copy)]
struct Span {
    job_id: JobId,
    node: NodeIndex,
    from: u64,
    to: u64,
}

#[derive(diesel::QueryableByName)]
struct OffsetRow {
    #[diesel(sql_type = BigInt)]
    results_offset: i64,
}

/// Tasks that stand alike. Most of a batch do: a row for each would cost more to send and read than to lock.
#[derive(diesel::QueryableByName)]
#[diesel(table_name = super::schema::task)]
struct TasksRow {
    #[diesel(sql_type = Array<sql::TaskId>)]
    ids: Vec<TaskId>,
    #[diesel(sql_type = Array<sql::RecordId>)]
    record_ids: Vec<RecordId>,
    attempt: i32,
    #[diesel(deserialize_as = Count)]
    tries: u32,
    #[diesel(deserialize_as = Count)]
    losses: u32,
    job_id: Option<JobId>,
    chunk_id: Option<ChunkId>,
    #[diesel(sql_type = Array<Nullable<sql::CalculationHash>>)]
    hashes: Vec<Option<CalculationHash>>,
}

/// Records that stand alike.
#[derive(diesel::QueryableByName)]
#[diesel(table_name = super::schema::record)]
struct RecordsRow {
    #[diesel(sql_type = Array<sql::RecordId>)]
    ids: Vec<RecordId>,
    record_type: RecordType,
    status: RecordStatus,
}

impl Writer {
    /// Stores `reports`, which lie between two positions of a job's result file, as [`Writer::ingest_batch`] does.
    pub async fn ingest(
        &self,
        job_id: JobId,
        from_offset: u64,
        to_offset: u64,
        reports: Vec<TaskReport>,
        decide: Decide<'_>,
    ) -> Result<IngestOutcome, StoreError> {
        let batch = Batch::prepare(job_id, from_offset, to_offset, reports).await?;
        self.ingest_batch(batch, decide).await
    }

    /// Stores a batch and moves the position. `decide` is asked about each failure of a current attempt; it is given what
    /// the task had gone through before.
    ///
    /// A good result of an earlier attempt counts as well, as long as it answers what its record asks and that is not
    /// complete. A result that cannot be read ends its own record in error and stops no other. What fits no task is kept
    /// aside.
    pub async fn ingest_batch(&self, batch: Batch, decide: Decide<'_>) -> Result<IngestOutcome, StoreError> {
        let Batch { way, underway, reports, prepared, report_bytes } = batch;
        let weight = if report_bytes > HEAVY_BYTES { Weight::Heavy } else { Weight::Light };
        // In a transaction of its own, which changes nothing when it is repeated: one that locks tasks twice could wait in a
        // circle with another.
        let returned = self.take_back(&underway).await?;
        let outcome = self.ingest_ends(way, &underway, &reports, prepared, weight, decide).await?;
        Ok(match outcome {
            IngestOutcome::Stored(stored) => IngestOutcome::Stored(Stored { returned, ..stored }),
            moved @ IngestOutcome::Moved { .. } => moved,
        })
    }

    async fn take_back(&self, underway: &Underway) -> Result<usize, StoreError> {
        if !underway.gives_back() {
            return Ok(0);
        }
        let lineage = self.lineage().await?;
        let mut transaction = self.begin().await?;
        let returned = underway.give_back(transaction.conn(), lineage).await?;
        transaction.commit().await?;
        Ok(returned)
    }

    async fn ingest_ends(
        &self,
        way: Span,
        underway: &Underway,
        reports: &Arc<Vec<TaskReport>>,
        prepared: Vec<Prepared>,
        weight: Weight,
        decide: Decide<'_>,
    ) -> Result<IngestOutcome, StoreError> {
        match self.ingest_together(way, underway, prepared, reports, weight, decide).await {
            // Not the network, not the disk, not the lease: something in the batch is refused. Find out which.
            Err(error @ StoreError::Query { .. }) if !error.is_away() => {
                tracing::warn!(job.id = way.job_id.0, error = ?error, "a batch of results is refused: one by one then");
                self.ingest_apart(way, underway, reports, Suspicion::IsTrouble, decide).await
            }
            outcome => outcome,
        }
    }

    /// The usual way: all reports in a few statements.
    async fn ingest_together(
        &self,
        way: Span,
        underway: &Underway,
        prepared: Vec<Prepared>,
        reports: &[TaskReport],
        weight: Weight,
        decide: Decide<'_>,
    ) -> Result<IngestOutcome, StoreError> {
        let lineage = self.lineage().await?;
        let court = Court { job_id: way.job_id, lineage, decide };
        let parts = parts::store(&self.store, &prepared, weight).await?;
        let mut transaction = self.begin().await?;
        transaction.carries(weight);
        let conn = transaction.conn();
        conn.batch_execute(BY_INDEX).await.doing("preparing a transaction")?;
        if let Some(offset) = self.move_offset(conn, way).await? {
            transaction.roll_back().await?;
            return Ok(IngestOutcome::Moved { offset });
        }
        let judged = Judged { site: &self.site, court, reports };
        let stored = store(conn, judged, prepared, &parts).await?;
        underway.remember(conn, lineage).await?;
        transaction.commit().await?;
        Ok(IngestOutcome::Stored(stored))
    }

    /// Moves the position; where it stands instead, if it is not `from`.
    async fn move_offset(
        &self,
        conn: &mut AsyncPgConnection,
        Span { job_id, node, from, to }: Span,
    ) -> Result<Option<u64>, StoreError> {
        let moved = diesel::sql_query(match node {
            NodeIndex::FIRST => MOVE_FIRST,
            _ => MOVE_FURTHER,
        })
        .bind::<BigInt, _>(job_id.0)
        .bind::<Text, _>(&self.site)
        .bind::<BigInt, _>(bigint(from))
        .bind::<BigInt, _>(bigint(to))
        .bind::<Text, _>(node.0.to_string())
        .execute(conn)
        .await
        .doing("moving a job's position")?;
        if moved > 0 {
            return Ok(None);
        }
        let row: Option<OffsetRow> = diesel::sql_query(POSITION)
            .bind::<BigInt, _>(job_id.0)
            .bind::<Text, _>(&self.site)
            .bind::<Text, _>(node.0.to_string())
            .get_result(conn)
            .await
            .optional()
            .doing("reading a job's position")?;
        let row = row.ok_or_else(|| StoreError::Stored {
            what: format!("job {job_id}"),
            source: format!("site `{}` has no such job", self.site).into(),
        })?;
        Ok(Some(row.results_offset.unsigned_abs()))
    }
}

const MOVE_FIRST: &str = "
    UPDATE job SET results_offset = $4, modified_on = now()
    WHERE id = $1 AND site = $2 AND results_offset = $3 AND $5 = '0'";

const MOVE_FURTHER: &str = "
    UPDATE job SET further_offsets = further_offsets || jsonb_build_object($5, $4), modified_on = now()
    WHERE id = $1 AND site = $2 AND coalesce((further_offsets ->> $5)::bigint, 0) = $3";

const POSITION: &str = "
    SELECT CASE $3 WHEN '0' THEN results_offset ELSE coalesce((further_offsets ->> $3)::bigint, 0) END
        AS results_offset
    FROM job WHERE id = $1 AND site = $2";

/// Judges reports and stores what follows.
async fn store(
    conn: &mut AsyncPgConnection,
    Judged { site, court, reports }: Judged<'_>,
    prepared: Vec<Prepared>,
    parts: &Parts,
) -> Result<Stored, StoreError> {
    let mut standings = standings(conn, &prepared).await?;
    let mut settled = settled_failures(conn, court.job_id, &prepared, &standings).await?;
    let verdicts = judge::judge(court, &prepared, &mut standings, &mut settled);
    let stored = tally(&verdicts);
    aside::keep(conn, site, court.job_id, reports, &verdicts, &standings).await?;
    write::write(conn, court.job_id, prepared, verdicts, parts).await?;
    Ok(stored)
}

/// Reports as they came, where they are stored and by what they are judged.
#[derive(Clone, Copy)]
struct Judged<'a> {
    site: &'a str,
    court: Court<'a>,
    reports: &'a [TaskReport],
}

const LOCK_TASKS: &str = "
    WITH locked AS (
        SELECT id, record_id, attempt, tries, losses, job_id, chunk_id, calculation_hash FROM task WHERE record_id = ANY($1)
        ORDER BY id FOR UPDATE)
    SELECT array_agg(id) AS ids, array_agg(record_id) AS record_ids, array_agg(calculation_hash) AS hashes, attempt,
        tries, losses, job_id, chunk_id
    FROM locked GROUP BY attempt, tries, losses, job_id, chunk_id";

const LOCK_RECORDS: &str = "
    WITH locked AS (
        SELECT id, record_type, status FROM record WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE)
    SELECT array_agg(id) AS ids, record_type, status FROM locked GROUP BY record_type, status";

/// Locks the tasks and records of the reports, in the order that all writers keep.
async fn standings(
    conn: &mut AsyncPgConnection,
    prepared: &[Prepared],
) -> Result<HashMap<RecordId, Standing>, StoreError> {
    let ids = raw(prepared.iter().map(|report| report.record_id));
    let tasks: Vec<TasksRow> = diesel::sql_query(LOCK_TASKS)
        .bind::<Array<BigInt>, _>(&ids)
        .load(conn)
        .await
        .doing("reading tasks")?;
    let records: Vec<RecordsRow> = diesel::sql_query(LOCK_RECORDS)
        .bind::<Array<BigInt>, _>(&ids)
        .load(conn)
        .await
        .doing("reading records")?;
    let mut standings = HashMap::with_capacity(ids.len());
    for row in &records {
        let standing = Standing { record_type: row.record_type, status: row.status, task: None };
        standings.extend(row.ids.iter().map(|id| (*id, standing.clone())));
    }
    for row in &tasks {
        for ((id, record_id), hash) in row.ids.iter().zip(&row.record_ids).zip(&row.hashes) {
            if let Some(standing) = standings.get_mut(record_id) {
                standing.task = Some(standing_task(*id, *hash, row));
            }
        }
    }
    Ok(standings)
}

fn standing_task(id: TaskId, calculation: Option<CalculationHash>, row: &TasksRow) -> StandingTask {
    StandingTask {
        id,
        attempt: row.attempt,
        tally: TaskTally { tries: row.tries, losses: row.losses },
        job_id: row.job_id,
        chunk_id: row.chunk_id,
        calculation,
    }
}

/// Attempts that have a row of history, of those failures whose task is no longer held by the job. Usually none is
/// asked for.
async fn settled_failures(
    conn: &mut AsyncPgConnection,
    job_id: JobId,
    prepared: &[Prepared],
    standings: &HashMap<RecordId, Standing>,
) -> Result<HashSet<(RecordId, i32)>, StoreError> {
    let held = |report: &&Prepared| {
        let task = standings.get(&report.record_id).and_then(|standing| standing.task.as_ref());
        task.is_some_and(|task| task.held_by(job_id))
    };
    let late: Vec<RecordId> = prepared
        .iter()
        .filter(|report| matches!(report.body, Body::Error { .. }) && !held(report))
        .map(|report| report.record_id)
        .collect();
    if late.is_empty() { Ok(HashSet::new()) } else { history::settled(conn, &late).await }
}

fn tally(verdicts: &[Verdict]) -> Stored {
    let mut stored = Stored::default();
    for verdict in verdicts {
        match verdict {
            Verdict::Complete => stored.completed += 1,
            Verdict::Failed { decision: RetryDecision::Fail, .. } => stored.failed += 1,
            Verdict::Failed { .. } => stored.retried += 1,
            Verdict::Duplicate => stored.duplicates += 1,
            Verdict::Dropped(_) => stored.dropped += 1,
            Verdict::Aside(_) => stored.aside += 1,
        }
    }
    stored
}
