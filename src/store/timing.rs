//! What `qcbatch bench` reads: times of its records, which of them are open, its jobs, the size of the database.
//! Reads only.

use std::collections::BTreeMap;

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use jiff_diesel::NullableTimestamp;

use super::connect::Store;
use super::error::{Doing, StoreError};
use super::types::{Count, Offset, raw, sql};
use crate::model::ids::{JobId, PoolName, RecordId, Tag};
use crate::model::record::RecordStatus;
use crate::model::timing::TaskTiming;

#[derive(QueryableByName)]
struct TimingRow {
    #[diesel(sql_type = sql::RecordId)]
    id: RecordId,
    #[diesel(sql_type = sql::RecordStatus)]
    status: RecordStatus,
    #[diesel(sql_type = Timestamptz, deserialize_as = jiff_diesel::Timestamp)]
    created_on: Timestamp,
    #[diesel(sql_type = Nullable<Timestamptz>, deserialize_as = NullableTimestamp)]
    stored_on: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Double>)]
    started_on: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    wall_seconds: Option<f64>,
    #[diesel(sql_type = Nullable<sql::JobId>)]
    job_id: Option<JobId>,
    #[diesel(sql_type = Nullable<Integer>)]
    cores: Option<i32>,
}

impl From<TimingRow> for TaskTiming {
    fn from(row: TimingRow) -> TaskTiming {
        TaskTiming {
            record_id: row.id,
            status: row.status,
            created_on: row.created_on,
            stored_on: row.stored_on,
            started_on: row.started_on,
            wall_seconds: row.wall_seconds,
            job_id: row.job_id,
            cores: row.cores.and_then(|cores| u32::try_from(cores).ok()),
        }
    }
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = sql::RecordStatus)]
    status: RecordStatus,
    #[diesel(sql_type = BigInt)]
    records: i64,
}

/// A job as a benchmark sees it.
#[derive(Clone, PartialEq, Eq, Debug, QueryableByName)]
#[diesel(table_name = super::schema::job)]
pub struct JobGround {
    /// The job.
    pub id: JobId,
    /// Its pool.
    pub pool: PoolName,
    /// The tag of its submission.
    #[diesel(sql_type = sql::Tag)]
    pub tag: Tag,
    /// Its place in the submission.
    #[diesel(deserialize_as = Count)]
    pub array_index: u32,
    /// Its cores.
    #[diesel(sql_type = Integer, deserialize_as = Count)]
    pub cores: u32,
    /// When it was found to have ended.
    #[diesel(deserialize_as = NullableTimestamp)]
    pub ended_on: Option<Timestamp>,
}

#[derive(QueryableByName)]
struct SizeRow {
    #[diesel(sql_type = BigInt, deserialize_as = Offset)]
    bytes: u64,
}

impl Store {
    /// The records with `compute_tag` and their last attempts, oldest first: those from `from` on, at most `limit`.
    pub async fn timings(
        &self,
        compute_tag: &str,
        from: RecordId,
        limit: u32,
    ) -> Result<Vec<TaskTiming>, StoreError> {
        let mut conn = self.conn().await?;
        let rows: Vec<TimingRow> = diesel::sql_query(
            "SELECT r.id, r.status, r.created_on, h.modified_on AS stored_on,
                extract(epoch FROM h.started_on)::double precision AS started_on,
                h.wall_seconds, h.job_id, h.cores
             FROM record r LEFT JOIN LATERAL (
                SELECT modified_on, started_on, wall_seconds, job_id, cores FROM compute_history c WHERE c.record_id = r.id ORDER BY c.id DESC LIMIT 1) h ON true
             WHERE r.compute_tag = $1 AND r.id >= $2 ORDER BY r.id LIMIT $3",
        )
        .bind::<Text, _>(compute_tag)
        .bind::<BigInt, _>(from.0)
        .bind::<BigInt, _>(i64::from(limit))
        .load(&mut conn)
        .await
        .doing("reading times")?;
        Ok(rows.into_iter().map(TaskTiming::from).collect())
    }

    /// The records with `compute_tag`, from `from` on, that are not complete, by status. Looks at tasks only, which
    /// complete records no longer have.
    pub async fn open_by_status(
        &self,
        compute_tag: &str,
        from: RecordId,
    ) -> Result<BTreeMap<RecordStatus, i64>, StoreError> {
        let mut conn = self.conn().await?;
        let rows: Vec<CountRow> = diesel::sql_query(
            "SELECT r.status, count(*) AS records FROM task t JOIN record r ON r.id = t.record_id
             WHERE t.record_id >= $2 AND r.compute_tag = $1 GROUP BY r.status",
        )
        .bind::<Text, _>(compute_tag)
        .bind::<BigInt, _>(from.0)
        .load(&mut conn)
        .await
        .doing("counting open records")?;
        Ok(rows.into_iter().map(|row| (row.status, row.records)).collect())
    }

    /// Where the files of jobs are, how many cores they have, and whether they ended.
    pub async fn job_grounds(&self, jobs: &[JobId]) -> Result<Vec<JobGround>, StoreError> {
        let mut conn = self.conn().await?;
        diesel::sql_query(
            "SELECT j.id, j.pool, s.tag, j.array_index, j.ended_on,
                (s.resources->>'cores')::integer * (s.resources->>'tasks')::integer AS cores
             FROM job j JOIN submission s ON s.id = j.submission_id WHERE j.id = ANY($1) ORDER BY j.id",
        )
        .bind::<Array<BigInt>, _>(raw(jobs.iter().copied()))
        .load(&mut conn)
        .await
        .doing("reading jobs")
    }

    /// Size of the whole database on disk, indexes included.
    pub async fn size_bytes(&self) -> Result<u64, StoreError> {
        let mut conn = self.conn().await?;
        let row: SizeRow = diesel::sql_query("SELECT pg_database_size(current_database()) AS bytes")
            .get_result(&mut conn)
            .await
            .doing("asking for the database's size")?;
        Ok(row.bytes)
    }
}
