//! Attempts that were cancelled while somebody had them: `cancel` notes them in its own transaction, and they are kept until
//! nobody can have them any more. Touches `recall`.

use std::collections::BTreeMap;

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::connect::Store;
use super::error::{Doing, StoreError};
use super::types::{Count, raw, sql};
use super::write::Writer;
use crate::model::ids::{ChunkId, JobId, PoolName, TaskId};
use crate::model::notice::{Attempt, Holder};

#[derive(QueryableByName)]
#[diesel(table_name = super::schema::recall)]
struct RecallRow {
    task_id: TaskId,
    #[diesel(deserialize_as = Count)]
    attempt: u32,
    pool: PoolName,
    #[diesel(sql_type = Nullable<sql::ChunkId>)]
    chunk_id: Option<ChunkId>,
    #[diesel(sql_type = Nullable<sql::JobId>)]
    job_id: Option<JobId>,
}

/// Recalled attempts by who may have them.
pub type Recalls = BTreeMap<(PoolName, Holder), Vec<Attempt>>;

impl Store {
    /// The site's recalled attempts, each holder's in the order of their tasks.
    pub async fn recalls(&self, site: &str) -> Result<Recalls, StoreError> {
        let mut conn = self.conn().await?;
        let rows: Vec<RecallRow> = diesel::sql_query(
            "SELECT task_id, attempt, pool, chunk_id, job_id FROM recall WHERE site = $1 ORDER BY task_id, attempt",
        )
        .bind::<Text, _>(site)
        .load(&mut conn)
        .await
        .doing("reading recalled tasks")?;
        let mut recalls = Recalls::new();
        for RecallRow { task_id, attempt, pool, chunk_id, job_id } in rows {
            let Some(holder) = chunk_id.map(Holder::Chunk).or(job_id.map(Holder::Job)) else { continue };
            recalls.entry((pool, holder)).or_default().push(Attempt { task_id, attempt });
        }
        Ok(recalls)
    }

    /// Those of these jobs that have ended, or that there are not.
    pub async fn ended_jobs(&self, jobs: &[JobId]) -> Result<Vec<JobId>, StoreError> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let mut conn = self.conn().await?;
        let rows: Vec<IdRow> = diesel::sql_query(
            "SELECT given.id FROM unnest($1) AS given(id) LEFT JOIN job j ON j.id = given.id
             WHERE j.id IS NULL OR j.state = 'ended'",
        )
        .bind::<Array<BigInt>, _>(raw(jobs.iter().copied()))
        .load(&mut conn)
        .await
        .doing("looking for ended jobs")?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = sql::JobId)]
    id: JobId,
}

impl Writer {
    /// Forgets what was recalled from these: nobody has it any more.
    pub async fn forget_recalls(&self, holders: &[Holder]) -> Result<(), StoreError> {
        let (mut chunks, mut jobs) = (Vec::new(), Vec::new());
        for holder in holders {
            match holder {
                Holder::Chunk(id) => chunks.push(id.0),
                Holder::Job(id) => jobs.push(id.0),
            }
        }
        if chunks.is_empty() && jobs.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        diesel::sql_query("DELETE FROM recall WHERE site = $1 AND (chunk_id = ANY($2) OR job_id = ANY($3))")
            .bind::<Text, _>(&self.site)
            .bind::<Array<BigInt>, _>(chunks)
            .bind::<Array<BigInt>, _>(jobs)
            .execute(transaction.conn())
            .await
            .doing("forgetting recalled tasks")?;
        transaction.commit().await
    }
}

/// Notes the attempts of these records' tasks that lie in a chunk or are held by a job, before they are freed.
pub(super) async fn note(conn: &mut AsyncPgConnection, records: &[i64]) -> Result<(), StoreError> {
    diesel::sql_query(
        "INSERT INTO recall (task_id, attempt, site, pool, chunk_id, job_id)
         SELECT t.id, t.attempt, coalesce(c.site, j.site), coalesce(c.pool, j.pool), c.id,
            CASE WHEN c.id IS NULL THEN j.id END
         FROM task t LEFT JOIN chunk c ON c.id = t.chunk_id LEFT JOIN job j ON j.id = t.job_id AND j.state <> 'ended'
         WHERE t.record_id = ANY($1) AND (c.id IS NOT NULL OR j.id IS NOT NULL)
         ON CONFLICT DO NOTHING",
    )
    .bind::<Array<BigInt>, _>(records)
    .execute(conn)
    .await
    .doing("recalling tasks")?;
    Ok(())
}
