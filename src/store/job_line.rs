//! Jobs as people see them. Reads only.

use std::collections::HashMap;

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use jiff_diesel::NullableTimestamp;

use super::connect::Store;
use super::error::{Doing, StoreError};
use super::types::{Count, raw, sql};
use super::waiting;
use crate::model::ids::{JobId, PoolName, RecordId, SchedulerJobId, SubmissionId, Tag};
use crate::model::job::{JobOutcome, JobState, SubmissionState};
use crate::model::record::RecordStatus;
use crate::model::view::JobLine;

/// The job that holds a record, or held it last.
#[derive(Clone, PartialEq, Debug)]
pub struct JobOfRecord {
    /// The record.
    pub record_id: RecordId,
    /// Its status.
    pub status: RecordStatus,
    /// Why it waits, in words; none where it does not.
    pub waiting_reason: Option<String>,
    /// Whether the job holds it now.
    pub hold: Hold,
    /// The job; none where no job was ever planned for it.
    pub job: Option<JobLine>,
    /// The job's place in its submission.
    pub array_index: Option<u32>,
}

/// Whether a job still holds a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hold {
    /// It does.
    Now,
    /// It did, or there is none.
    Before,
}

#[derive(QueryableByName)]
#[diesel(table_name = super::schema::job)]
pub(crate) struct Row {
    id: JobId,
    submission_id: SubmissionId,
    #[diesel(sql_type = sql::Tag)]
    tag: Tag,
    #[diesel(sql_type = sql::SubmissionState)]
    submission_state: SubmissionState,
    pool: PoolName,
    #[diesel(deserialize_as = Count)]
    array_index: u32,
    scheduler_job_id: Option<SchedulerJobId>,
    state: JobState,
    outcome: Option<JobOutcome>,
    scheduler_reason: Option<String>,
    exit_code: Option<i32>,
    hostname: Option<String>,
    tasks: i32,
    #[diesel(sql_type = BigInt)]
    open_tasks: i64,
    #[diesel(deserialize_as = NullableTimestamp)]
    queued_on: Option<Timestamp>,
    #[diesel(deserialize_as = NullableTimestamp)]
    started_on: Option<Timestamp>,
    #[diesel(deserialize_as = NullableTimestamp)]
    ended_on: Option<Timestamp>,
}

impl From<Row> for JobLine {
    fn from(row: Row) -> JobLine {
        JobLine {
            id: row.id,
            submission_id: row.submission_id,
            tag: row.tag,
            submission_state: row.submission_state,
            pool: row.pool,
            scheduler_job_id: row.scheduler_job_id,
            state: row.state,
            outcome: row.outcome,
            // What runs waits for nothing any more.
            reason: row
                .scheduler_reason
                .filter(|_| !matches!(row.state, JobState::Running | JobState::Ending)),
            exit_code: row.exit_code,
            hostname: row.hostname,
            tasks: row.tasks,
            open_tasks: row.open_tasks,
            queued_on: row.queued_on,
            started_on: row.started_on,
            ended_on: row.ended_on,
        }
    }
}

const COLUMNS: &str = "
    SELECT j.id, j.submission_id, s.tag, s.state AS submission_state, j.pool, j.array_index, j.scheduler_job_id,
        j.state, j.outcome, j.scheduler_reason, j.exit_code, j.hostname, j.tasks, j.queued_on, j.started_on, j.ended_on,
        (SELECT count(*) FROM task t WHERE t.job_id = j.id) AS open_tasks
    FROM job j JOIN submission s ON s.id = j.submission_id";

/// Jobs by id, each with its place in its submission.
async fn by_id(
    conn: &mut AsyncPgConnection,
    ids: Vec<i64>,
) -> Result<HashMap<JobId, (JobLine, u32)>, StoreError> {
    let rows: Vec<Row> = diesel::sql_query(format!("{COLUMNS} WHERE j.id = ANY($1)"))
        .bind::<Array<BigInt>, _>(ids)
        .load(conn)
        .await
        .doing("reading jobs")?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let array_index = row.array_index;
            (row.id, (row.into(), array_index))
        })
        .collect())
}

/// One job, and its place in its submission.
pub(crate) async fn one(
    conn: &mut AsyncPgConnection,
    id: JobId,
) -> Result<Option<(JobLine, u32)>, StoreError> {
    Ok(by_id(conn, vec![id.0]).await?.remove(&id))
}

#[derive(QueryableByName)]
struct HolderRow {
    #[diesel(sql_type = sql::RecordId)]
    id: RecordId,
    #[diesel(sql_type = sql::RecordStatus)]
    status: RecordStatus,
    #[diesel(sql_type = Nullable<sql::JobId>)]
    held_by: Option<JobId>,
    #[diesel(sql_type = Nullable<sql::JobId>)]
    ran_by: Option<JobId>,
}

impl Store {
    /// Jobs of every site, newest first: of these pools (none means any) and in these states (none means every live
    /// one).
    pub async fn jobs(
        &self,
        pools: &[PoolName],
        states: &[JobState],
        limit: u32,
    ) -> Result<Vec<JobLine>, StoreError> {
        let mut conn = self.conn().await?;
        let statement = format!(
            "{COLUMNS}
             WHERE (cardinality($1::text[]) = 0 OR j.pool = ANY($1))
                AND (CASE WHEN cardinality($2::text[]) = 0 THEN j.state <> 'ended'
                    ELSE j.state = ANY($2::text[]::job_state[]) END)
             ORDER BY j.id DESC LIMIT $3"
        );
        let rows: Vec<Row> = diesel::sql_query(statement)
            .bind::<Array<Text>, _>(pools.iter().map(|pool| pool.0.as_str()).collect::<Vec<_>>())
            .bind::<Array<Text>, _>(states.iter().map(|state| state.as_str()).collect::<Vec<_>>())
            .bind::<BigInt, _>(i64::from(limit))
            .load(&mut conn)
            .await
            .doing("reading jobs")?;
        Ok(rows.into_iter().map(JobLine::from).collect())
    }

    /// The job that holds a record, or held it last. `None` when there is no such record.
    pub async fn job_of_record(&self, id: RecordId) -> Result<Option<JobOfRecord>, StoreError> {
        Ok(self.jobs_of_records(&[id]).await?.pop())
    }

    /// The jobs that hold records, or held them last, in a few statements for all; in the order of the records' ids, those
    /// that there are.
    pub async fn jobs_of_records(&self, ids: &[RecordId]) -> Result<Vec<JobOfRecord>, StoreError> {
        let mut conn = self.conn().await?;
        let rows: Vec<HolderRow> = diesel::sql_query(
            "SELECT r.id, r.status, t.job_id AS held_by, coalesce(r.last_job_id, (SELECT h.job_id FROM compute_history h
                WHERE h.record_id = r.id AND h.job_id IS NOT NULL ORDER BY h.id DESC LIMIT 1)) AS ran_by
             FROM record r LEFT JOIN task t ON t.record_id = r.id WHERE r.id = ANY($1) ORDER BY r.id",
        )
        .bind::<Array<BigInt>, _>(raw(ids.iter().copied()))
        .load(&mut conn)
        .await
        .doing("reading records' jobs")?;
        let mut jobs = raw(rows.iter().filter_map(HolderRow::job));
        jobs.sort_unstable();
        jobs.dedup();
        let jobs = by_id(&mut conn, jobs).await?;
        let mut reasons = waiting::reasons_of(&mut conn, ids).await?;
        let answer = |row: HolderRow| {
            let (job, array_index) = row.job().and_then(|job| jobs.get(&job)).cloned().unzip();
            JobOfRecord {
                record_id: row.id,
                status: row.status,
                waiting_reason: reasons.remove(&row.id),
                hold: if row.held_by.is_some() { Hold::Now } else { Hold::Before },
                job,
                array_index,
            }
        };
        Ok(rows.into_iter().map(answer).collect())
    }
}

impl HolderRow {
    fn job(&self) -> Option<JobId> {
        self.held_by.or(self.ran_by)
    }
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = sql::JobId)]
    id: JobId,
}

/// Jobs that hold none of their tasks any more and have not ended: every task of theirs was cancelled or reported. Not those
/// that run and can take other tasks, while any wait.
pub(crate) async fn without_work(
    conn: &mut AsyncPgConnection,
    ids: &[JobId],
) -> Result<Vec<JobId>, StoreError> {
    let rows: Vec<IdRow> = diesel::sql_query(
        "SELECT id FROM job WHERE id = ANY($1) AND state <> 'ended'
            AND NOT EXISTS (SELECT FROM task WHERE task.job_id = job.id)
            AND NOT (pilot AND state = 'running' AND EXISTS (SELECT FROM task WHERE available)) ORDER BY id",
    )
    .bind::<Array<BigInt>, _>(raw(ids.iter().copied()))
    .load(conn)
    .await
    .doing("looking for jobs without work")?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}
