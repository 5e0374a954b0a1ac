//! Chunks of a pool: tasks that lie together in one file until a job claims it. Touches `chunk`, `task`, and the status
//! of records whose task a job was seen to have claimed.
//!
//! Chunks are locked before tasks, tasks before records, each in the order of their ids.

use std::collections::HashMap;

use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, SmallInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::connect::Store;
use super::error::{Doing, StoreError};
use super::queue::DemandId;
use super::types::{Count, Offset, bigint, integer, raw, sql, storable};
use super::write::Writer;
use crate::model::chunk::{ChunkName, ChunkNeed};
use crate::model::ids::{ChunkId, JobId, PoolName, TaskId};
use crate::model::record::RecordChange;

/// Tasks that are to lie in one file.
#[derive(Clone, PartialEq, Debug)]
pub struct PlannedChunk {
    /// 0 low, 1 normal, 2 high: that of each of its tasks.
    pub compute_priority: u8,
    /// What each of its tasks needs.
    pub need: ChunkNeed,
    /// How long all of them take, one after the other.
    pub expected_seconds: f64,
    /// Its tasks.
    pub tasks: Vec<TaskId>,
}

/// A chunk that no job was seen to have claimed.
#[derive(Clone, PartialEq, Debug)]
pub struct UnclaimedChunk {
    /// Its pool.
    pub pool: PoolName,
    /// The name of its file.
    pub name: ChunkName,
    /// Whether its file is written.
    pub stage: Stage,
    /// How long all of its tasks take, one after the other.
    pub expected_seconds: f64,
}

/// How far the file of a chunk has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// It is to be written, once more if it was.
    Planned,
    /// It is written, and published or to be published.
    Ready,
}

#[derive(diesel::QueryableByName)]
#[diesel(table_name = super::schema::chunk)]
struct ChunkRow {
    id: ChunkId,
    pool: PoolName,
    compute_priority: i16,
    #[diesel(deserialize_as = Count)]
    tasks: u32,
    #[diesel(deserialize_as = Count)]
    cores: u32,
    #[diesel(deserialize_as = Offset)]
    memory_bytes: u64,
    #[diesel(deserialize_as = Count)]
    gpus: u32,
    #[diesel(deserialize_as = Offset)]
    walltime_seconds: u64,
    expected_seconds: f64,
    #[diesel(sql_type = Bool)]
    is_ready: bool,
}

impl From<ChunkRow> for UnclaimedChunk {
    fn from(row: ChunkRow) -> UnclaimedChunk {
        let ChunkRow { cores, memory_bytes, gpus, walltime_seconds, .. } = row;
        UnclaimedChunk {
            pool: row.pool,
            name: ChunkName {
                compute_priority: u8::try_from(row.compute_priority).unwrap_or_default(),
                chunk_id: row.id,
                tasks: row.tasks,
                need: ChunkNeed { cores, memory_bytes, gpus, walltime_seconds },
            },
            stage: if row.is_ready { Stage::Ready } else { Stage::Planned },
            expected_seconds: row.expected_seconds,
        }
    }
}

/// Tasks of one chunk that are not reported yet and demand the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, diesel::QueryableByName)]
#[diesel(table_name = super::schema::task)]
pub struct OpenTasks {
    /// The chunk.
    #[diesel(sql_type = sql::ChunkId)]
    pub chunk_id: ChunkId,
    /// What they demand.
    #[diesel(sql_type = BigInt)]
    demand_id: i64,
    /// How many.
    #[diesel(sql_type = Integer, deserialize_as = Count)]
    pub tasks: u32,
}

impl OpenTasks {
    /// What they demand.
    pub fn demand(&self) -> DemandId {
        DemandId(self.demand_id)
    }
}

#[derive(diesel::QueryableByName)]
struct IdRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(diesel::QueryableByName)]
struct TakenRow {
    #[diesel(sql_type = sql::ChunkId)]
    chunk_id: ChunkId,
    #[diesel(sql_type = Integer, deserialize_as = Count)]
    tasks: u32,
}

const COLUMNS: &str = "
    SELECT c.id, c.pool, c.compute_priority, c.tasks, c.cores, c.memory_bytes, c.gpus, c.walltime_seconds,
        c.expected_seconds, c.state = 'ready' AS is_ready
    FROM chunk c";

impl Store {
    /// The site's chunks that no job was seen to have claimed.
    pub async fn unclaimed_chunks(&self, site: &str) -> Result<Vec<UnclaimedChunk>, StoreError> {
        let statement =
            format!("{COLUMNS} WHERE c.site = $1 AND c.state IN ('planned', 'ready') ORDER BY c.id");
        self.chunks(&statement, site).await
    }

    /// The site's chunks none of whose tasks is left: reported, or cancelled.
    pub async fn empty_chunks(&self, site: &str) -> Result<Vec<UnclaimedChunk>, StoreError> {
        let statement = format!(
            "{COLUMNS} WHERE c.site = $1 AND NOT EXISTS (SELECT FROM task t WHERE t.chunk_id = c.id) ORDER BY c.id"
        );
        self.chunks(&statement, site).await
    }

    /// Chunks that jobs which have ended were seen to have claimed, and that still have tasks: none, usually.
    pub async fn chunks_of_ended_jobs(&self, site: &str) -> Result<Vec<UnclaimedChunk>, StoreError> {
        let statement = format!(
            "{COLUMNS} JOIN job j ON j.id = c.job_id AND j.state = 'ended' WHERE c.site = $1 ORDER BY c.id"
        );
        self.chunks(&statement, site).await
    }

    /// Tasks of these chunks that are not reported yet.
    pub async fn open_tasks(&self, chunks: &[ChunkId]) -> Result<Vec<OpenTasks>, StoreError> {
        let mut conn = self.conn().await?;
        diesel::sql_query(
            "SELECT chunk_id, demand_id, count(*)::integer AS tasks FROM task WHERE chunk_id = ANY($1)
             GROUP BY chunk_id, demand_id",
        )
        .bind::<Array<BigInt>, _>(raw(chunks.iter().copied()))
        .load(&mut conn)
        .await
        .doing("counting what is left of chunks")
    }

    async fn chunks(&self, statement: &str, site: &str) -> Result<Vec<UnclaimedChunk>, StoreError> {
        let mut conn = self.conn().await?;
        let rows: Vec<ChunkRow> = diesel::sql_query(statement)
            .bind::<Text, _>(site)
            .load(&mut conn)
            .await
            .doing("reading chunks")?;
        Ok(rows.into_iter().map(UnclaimedChunk::from).collect())
    }
}

/// `available` is hidden from the planner: it would look tasks up by `task_queue`, whose order knows no ids.
const TAKE: &str = "
    WITH given AS (SELECT * FROM unnest($1, $2) AS rows(task_id, chunk_id)), locked AS (
        SELECT t.id, given.chunk_id FROM given JOIN task t ON t.id = given.task_id
        WHERE coalesce(t.available, false) ORDER BY t.id FOR UPDATE OF t SKIP LOCKED
    ), taken AS (
        UPDATE task SET available = false, chunk_id = locked.chunk_id, attempt = attempt + 1, waiting_reason = NULL,
            not_before = NULL
        FROM locked WHERE task.id = locked.id RETURNING task.chunk_id)
    SELECT chunk_id, count(*)::integer AS tasks FROM taken GROUP BY chunk_id";

const INSERT: &str = "
    INSERT INTO chunk (id, site, pool, state, compute_priority, tasks, cores, memory_bytes, gpus, walltime_seconds,
        expected_seconds)
    SELECT given.id, $1, $2, 'planned', given.priority, given.tasks, given.cores, given.memory, given.gpus,
        given.walltime, given.expected
    FROM unnest($3, $4, $5, $6, $7, $8, $9, $10)
        AS given(id, priority, tasks, cores, memory, gpus, walltime, expected)";

impl Writer {
    /// Stores chunks of a pool and takes their tasks. Tasks that are no longer available are left out, and chunks that
    /// would have none. The attempt of each task grows by one.
    pub async fn plan_chunks(
        &self,
        pool: &PoolName,
        planned: &[PlannedChunk],
    ) -> Result<Vec<UnclaimedChunk>, StoreError> {
        if planned.is_empty() {
            return Ok(Vec::new());
        }
        let mut transaction = self.begin().await?;
        let conn = transaction.conn();
        let ids = new_ids(conn, planned.len()).await?;
        let taken = take(conn, planned, &ids).await?;
        let mut chunks = Vec::with_capacity(taken.len());
        for (chunk, id) in planned.iter().zip(ids) {
            let Some(tasks) = taken.get(&id).copied() else { continue };
            let PlannedChunk { compute_priority, need, .. } = *chunk;
            chunks.push(UnclaimedChunk {
                pool: pool.clone(),
                name: ChunkName { compute_priority, chunk_id: id, tasks, need },
                stage: Stage::Planned,
                expected_seconds: chunk.expected_seconds,
            });
        }
        self.insert_chunks(conn, pool, &chunks).await?;
        transaction.commit().await?;
        Ok(chunks)
    }

    async fn insert_chunks(
        &self,
        conn: &mut AsyncPgConnection,
        pool: &PoolName,
        chunks: &[UnclaimedChunk],
    ) -> Result<(), StoreError> {
        let names = || chunks.iter().map(|chunk| &chunk.name);
        let priorities = names().map(|name| i16::from(name.compute_priority));
        diesel::sql_query(INSERT)
            .bind::<Text, _>(&self.site)
            .bind::<Text, _>(&pool.0)
            .bind::<Array<BigInt>, _>(raw(names().map(|name| name.chunk_id)))
            .bind::<Array<SmallInt>, _>(priorities.collect::<Vec<_>>())
            .bind::<Array<Integer>, _>(names().map(|name| integer(name.tasks)).collect::<Vec<_>>())
            .bind::<Array<Integer>, _>(names().map(|name| integer(name.need.cores)).collect::<Vec<_>>())
            .bind::<Array<BigInt>, _>(names().map(|name| bigint(name.need.memory_bytes)).collect::<Vec<_>>())
            .bind::<Array<Integer>, _>(names().map(|name| integer(name.need.gpus)).collect::<Vec<_>>())
            .bind::<Array<BigInt>, _>(
                names().map(|name| bigint(name.need.walltime_seconds)).collect::<Vec<_>>(),
            )
            .bind::<Array<Double>, _>(chunks.iter().map(|chunk| chunk.expected_seconds).collect::<Vec<_>>())
            .execute(conn)
            .await
            .doing("storing chunks")?;
        Ok(())
    }

    /// Notes that the files of these chunks are written whole: from now on they are published, never written again.
    /// Returns those that still exist.
    pub async fn ready_chunks(&self, ids: &[ChunkId]) -> Result<Vec<ChunkId>, StoreError> {
        let mut transaction = self.begin().await?;
        let rows: Vec<IdRow> = diesel::sql_query(
            "UPDATE chunk SET state = 'ready', modified_on = now()
             WHERE id = ANY($1) AND site = $2 AND state = 'planned' RETURNING id",
        )
        .bind::<Array<BigInt>, _>(raw(ids.iter().copied()))
        .bind::<Text, _>(&self.site)
        .load(transaction.conn())
        .await
        .doing("noting written chunks")?;
        transaction.commit().await?;
        Ok(rows.into_iter().map(|row| ChunkId(row.id)).collect())
    }

    /// Notes which job has claimed which chunk: it holds the tasks from now on, and their records run. Harmless when
    /// repeated.
    pub async fn note_claims(&self, claims: &[(ChunkId, JobId)]) -> Result<(), StoreError> {
        if claims.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        let conn = transaction.conn();
        let rows: Vec<IdRow> = diesel::sql_query(
            "WITH given AS (SELECT * FROM unnest($1, $2) AS rows(chunk_id, job_id)), locked AS (
                SELECT c.id, given.job_id FROM given JOIN chunk c ON c.id = given.chunk_id
                    JOIN job j ON j.id = given.job_id AND j.state <> 'ended' AND j.site = $3
                WHERE c.site = $3 AND c.job_id IS NULL ORDER BY c.id FOR UPDATE OF c)
             UPDATE chunk SET state = 'claimed', job_id = locked.job_id, modified_on = now()
             FROM locked WHERE chunk.id = locked.id RETURNING chunk.id",
        )
        .bind::<Array<BigInt>, _>(raw(claims.iter().map(|(chunk, _)| *chunk)))
        .bind::<Array<BigInt>, _>(raw(claims.iter().map(|(_, job)| *job)))
        .bind::<Text, _>(&self.site)
        .load(conn)
        .await
        .doing("noting claimed chunks")?;
        let claimed: Vec<i64> = rows.into_iter().map(|row| row.id).collect();
        if !claimed.is_empty() {
            hold_tasks(conn, &claimed).await?;
        }
        transaction.commit().await
    }

    /// Deletes those of these chunks that have no task any more.
    pub async fn close_chunks(&self, ids: &[ChunkId]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        diesel::sql_query(
            "DELETE FROM chunk WHERE id = ANY($1) AND site = $2
                AND NOT EXISTS (SELECT FROM task WHERE task.chunk_id = chunk.id)",
        )
        .bind::<Array<BigInt>, _>(raw(ids.iter().copied()))
        .bind::<Text, _>(&self.site)
        .execute(transaction.conn())
        .await
        .doing("closing chunks")?;
        transaction.commit().await
    }

    /// Gives back the tasks of chunks that nobody can claim any more, at no cost to them. Returns how many there were.
    pub async fn release_chunks(&self, ids: &[ChunkId], reason: &str) -> Result<usize, StoreError> {
        if ids.is_empty() {
            return Ok(0);
        }
        let mut transaction = self.begin().await?;
        let conn = transaction.conn();
        diesel::sql_query("DELETE FROM chunk WHERE id = ANY($1) AND site = $2")
            .bind::<Array<BigInt>, _>(raw(ids.iter().copied()))
            .bind::<Text, _>(&self.site)
            .execute(conn)
            .await
            .doing("closing chunks")?;
        let freed: Vec<IdRow> = diesel::sql_query(
            "WITH locked AS (SELECT id FROM task WHERE chunk_id = ANY($1) ORDER BY id FOR UPDATE), freed AS (
                UPDATE task SET available = true, job_id = NULL, chunk_id = NULL, waiting_reason = $2 FROM locked
                WHERE task.id = locked.id RETURNING record_id
             ), stopped AS (
                UPDATE record SET status = $4, modified_on = now()
                FROM freed WHERE record.id = freed.record_id AND record.status = ANY($3))
             SELECT record_id AS id FROM freed",
        )
        .bind::<Array<BigInt>, _>(raw(ids.iter().copied()))
        .bind::<Text, _>(storable(reason))
        .bind::<Array<sql::RecordStatus>, _>(RecordChange::Release.from())
        .bind::<sql::RecordStatus, _>(RecordChange::Release.to())
        .load(conn)
        .await
        .doing("giving tasks of chunks back")?;
        transaction.commit().await?;
        Ok(freed.len())
    }
}

async fn new_ids(conn: &mut AsyncPgConnection, count: usize) -> Result<Vec<ChunkId>, StoreError> {
    let rows: Vec<IdRow> = diesel::sql_query(
        "SELECT nextval(pg_get_serial_sequence('chunk', 'id')) AS id FROM generate_series(1, $1)",
    )
    .bind::<BigInt, _>(bigint(count as u64))
    .load(conn)
    .await
    .doing("numbering chunks")?;
    let mut ids: Vec<ChunkId> = rows.into_iter().map(|row| ChunkId(row.id)).collect();
    ids.sort();
    Ok(ids)
}

async fn take(
    conn: &mut AsyncPgConnection,
    planned: &[PlannedChunk],
    ids: &[ChunkId],
) -> Result<HashMap<ChunkId, u32>, StoreError> {
    let (mut tasks, mut chunks) = (Vec::new(), Vec::new());
    for (chunk, id) in planned.iter().zip(ids) {
        tasks.extend(raw(chunk.tasks.iter().copied()));
        chunks.extend(std::iter::repeat_n(id.0, chunk.tasks.len()));
    }
    let rows: Vec<TakenRow> = diesel::sql_query(TAKE)
        .bind::<Array<BigInt>, _>(tasks)
        .bind::<Array<BigInt>, _>(chunks)
        .load(conn)
        .await
        .doing("taking tasks")?;
    Ok(rows.into_iter().map(|row| (row.chunk_id, row.tasks)).collect())
}

/// Gives the tasks of claimed chunks to the job that has them.
async fn hold_tasks(conn: &mut AsyncPgConnection, chunks: &[i64]) -> Result<(), StoreError> {
    diesel::sql_query(
        "WITH locked AS (
            SELECT t.id, c.job_id FROM task t JOIN chunk c ON c.id = t.chunk_id
            WHERE t.chunk_id = ANY($1) ORDER BY t.id FOR UPDATE OF t
         ), held AS (
            UPDATE task SET job_id = locked.job_id FROM locked WHERE task.id = locked.id
            RETURNING task.record_id, task.job_id
         ), records AS (
            SELECT r.id, held.job_id FROM record r JOIN held ON held.record_id = r.id
            WHERE r.status = ANY($2) ORDER BY r.id FOR UPDATE OF r)
         UPDATE record SET status = $3, last_job_id = records.job_id, modified_on = now()
         FROM records WHERE record.id = records.id",
    )
    .bind::<Array<BigInt>, _>(chunks)
    .bind::<Array<sql::RecordStatus>, _>(RecordChange::Start.from())
    .bind::<sql::RecordStatus, _>(RecordChange::Start.to())
    .execute(conn)
    .await
    .doing("giving tasks to their job")?;
    diesel::sql_query(
        "UPDATE job SET tasks = job.tasks + more.tasks, modified_on = now()
         FROM (SELECT job_id, sum(tasks)::integer AS tasks FROM chunk WHERE id = ANY($1) GROUP BY job_id) more
         WHERE job.id = more.job_id",
    )
    .bind::<Array<BigInt>, _>(chunks)
    .execute(conn)
    .await
    .doing("counting a job's tasks")?;
    Ok(())
}
