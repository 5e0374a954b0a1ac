//! What jobs and chunks are to work on: tasks with their whole calculations, page by page. Reads only.

use std::collections::HashMap;

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Integer};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use super::connect::Store;
use super::error::{Doing, StoreError};
use super::queue::Asks;
use super::types::{Count, integer, raw};
use super::{identity, molecule, restart, specification};
use crate::model::calculation::Calculation;
use crate::model::chunk::ChunkNeed;
use crate::model::failure::FailureClass;
use crate::model::identity::{CalculationHash, DatabaseId, Issue, SPOOL_FORMAT};
use crate::model::ids::{ChunkId, JobId, MoleculeId, RecordId, SpecificationId, SubmissionId, TaskId};
use crate::model::resources::TaskResources;
use crate::model::task::{Placement, TaskOrder};

/// What one job is to work on.
#[derive(Clone, PartialEq, Debug)]
pub struct JobOrders {
    /// The job.
    pub job_id: JobId,
    /// Its place in the submission.
    pub array_index: u32,
    /// Whether it was made for one task.
    pub placement: Placement,
    /// Whether it takes tasks from its pool's chunks.
    pub pilot: bool,
    /// Its tasks: by priority, then age. None where all were cancelled, and for a pilot.
    pub orders: Vec<StagedTask>,
}

/// One task with its calculation; what it gets is still to be decided.
#[derive(Clone, PartialEq, Debug)]
pub struct StagedTask {
    /// The task.
    pub task_id: TaskId,
    /// Its record.
    pub record_id: RecordId,
    /// How many times it was handed out before.
    pub attempt: u32,
    /// Which database hands it out and what it asks.
    pub issue: Option<Issue>,
    /// Whether it may share its job.
    pub placement: Placement,
    /// What it asks for.
    pub resources: TaskResources,
    /// Own tries spent.
    pub tries: u32,
    /// Attempts lost without fault of its own.
    pub losses: u32,
    /// Why the last attempt failed.
    pub last_failure: Option<FailureClass>,
    /// What is asked.
    pub calculation: Calculation,
}

impl StagedTask {
    /// The order, with what the task gets on one node.
    pub fn into_order(self, given: ChunkNeed) -> TaskOrder {
        let ChunkNeed { cores, memory_bytes, gpus, walltime_seconds } = given;
        TaskOrder {
            format: SPOOL_FORMAT,
            issue: self.issue,
            task_id: self.task_id,
            record_id: self.record_id,
            attempt: self.attempt,
            calculation: self.calculation,
            cores,
            memory_bytes,
            gpus,
            nodes: 1,
            walltime_seconds,
            expected_seconds: None,
        }
    }
}

#[derive(QueryableByName)]
#[diesel(table_name = super::schema::job)]
struct JobRow {
    id: JobId,
    #[diesel(deserialize_as = Count)]
    array_index: u32,
    placement: Placement,
    pilot: bool,
}

#[derive(QueryableByName)]
#[diesel(table_name = super::schema::task)]
struct TaskRow {
    id: TaskId,
    record_id: RecordId,
    #[diesel(sql_type = BigInt)]
    held_by: i64,
    #[diesel(deserialize_as = Count)]
    attempt: u32,
    placement: Placement,
    #[diesel(deserialize_as = Count)]
    tries: u32,
    #[diesel(deserialize_as = Count)]
    losses: u32,
    last_failure: Option<FailureClass>,
    restart: Option<Value>,
    calculation_hash: Option<CalculationHash>,
    #[diesel(embed)]
    asks: Asks,
    #[diesel(embed)]
    record: RecordPart,
}

#[derive(QueryableByName)]
#[diesel(table_name = super::schema::record)]
struct RecordPart {
    specification_id: SpecificationId,
    molecule_id: MoleculeId,
    extras: Value,
}

impl Store {
    /// What the next `jobs` jobs of a submission, after the one with index `after_index`, are to work on.
    pub async fn orders(
        &self,
        submission: SubmissionId,
        after_index: Option<u32>,
        jobs: usize,
    ) -> Result<Vec<JobOrders>, StoreError> {
        let mut conn = self.conn().await?;
        let job_rows: Vec<JobRow> = diesel::sql_query(
            "SELECT id, array_index, placement, pilot FROM job WHERE submission_id = $1 AND array_index > $2
             ORDER BY array_index LIMIT $3",
        )
        .bind::<BigInt, _>(submission.0)
        .bind::<Integer, _>(after_index.map_or(-1, integer))
        .bind::<BigInt, _>(i64::try_from(jobs).unwrap_or(i64::MAX))
        .load(&mut conn)
        .await
        .doing("reading a submission's jobs")?;
        let held = raw(job_rows.iter().map(|job| job.id));
        let mut by_job = tasks_of(&mut conn, Holder::Job, held).await?;
        let mut orders = Vec::with_capacity(job_rows.len());
        for JobRow { id: job_id, array_index, placement, pilot } in job_rows {
            let tasks = by_job.remove(&job_id.0).unwrap_or_default();
            orders.push(JobOrders { job_id, array_index, placement, pilot, orders: tasks });
        }
        Ok(orders)
    }

    /// The tasks of each of these chunks: by priority, then age. One whose tasks were all cancelled is left out.
    pub async fn chunk_orders(
        &self,
        chunks: &[ChunkId],
    ) -> Result<HashMap<ChunkId, Vec<StagedTask>>, StoreError> {
        let mut conn = self.conn().await?;
        let tasks = tasks_of(&mut conn, Holder::Chunk, raw(chunks.iter().copied())).await?;
        Ok(tasks.into_iter().map(|(id, tasks)| (ChunkId(id), tasks)).collect())
    }
}

/// Who has a task.
#[derive(Clone, Copy)]
enum Holder {
    Job,
    Chunk,
}

/// The tasks that each of `holders` has, with their calculations.
async fn tasks_of(
    conn: &mut AsyncPgConnection,
    holder: Holder,
    holders: Vec<i64>,
) -> Result<HashMap<i64, Vec<StagedTask>>, StoreError> {
    let held_by = match holder {
        Holder::Job => "t.job_id",
        Holder::Chunk => "t.chunk_id",
    };
    let tasks: Vec<TaskRow> = diesel::sql_query(format!(
        "SELECT t.id, t.record_id, {held_by} AS held_by, t.attempt, t.placement, t.tries, t.losses,
            t.last_failure, t.restart, t.calculation_hash, d.cores, d.memory_bytes, d.walltime_seconds, d.gpus, d.nodes,
            r.specification_id, r.molecule_id, r.extras
         FROM task t JOIN demand d ON d.id = t.demand_id JOIN record r ON r.id = t.record_id
         WHERE {held_by} = ANY($1) ORDER BY t.compute_priority DESC, t.sort_date, t.id"
    ))
    .bind::<Array<BigInt>, _>(holders)
    .load(conn)
    .await
    .doing("reading staged tasks")?;
    if tasks.is_empty() {
        return Ok(HashMap::new());
    }
    let database = identity::current(conn).await?;
    let molecule_ids = raw(tasks.iter().map(|task| task.record.molecule_id));
    let mut molecules = HashMap::new();
    for (id, document) in molecule::documents(conn, molecule_ids).await? {
        molecules.insert(id, molecule::read(id, document)?);
    }
    let specification_ids = raw(tasks.iter().map(|task| task.record.specification_id));
    let specifications = specification::read(conn, specification_ids).await?;
    let mut by_holder: HashMap<i64, Vec<StagedTask>> = HashMap::new();
    for task in tasks {
        let missing = |what: &str| StoreError::Stored {
            what: format!("{what} of record {}", task.record_id),
            source: "there is no such row".into(),
        };
        let molecule = molecules.get(&task.record.molecule_id).ok_or_else(|| missing("molecule"))?;
        let specification = specifications.get(&task.record.specification_id);
        let calculation = Calculation {
            specification: specification.ok_or_else(|| missing("specification"))?.clone(),
            molecule: molecule.clone(),
            extras: task.record.extras.as_object().cloned().unwrap_or_default(),
        };
        by_holder.entry(task.held_by).or_default().push(staged(task, database, calculation));
    }
    Ok(by_holder)
}

fn staged(mut task: TaskRow, database: DatabaseId, calculation: Calculation) -> StagedTask {
    let calculation = restart::go_on(calculation, task.restart.take());
    StagedTask {
        task_id: task.id,
        record_id: task.record_id,
        attempt: task.attempt,
        issue: Some(Issue { database, calculation: task.calculation_hash }),
        placement: task.placement,
        resources: task.asks.into(),
        tries: task.tries,
        losses: task.losses,
        last_failure: task.last_failure,
        calculation,
    }
}
