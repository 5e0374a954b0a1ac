//! Records as people see them: lists and single ones. Reads only.

use std::collections::BTreeMap;

use diesel::OptionalExtension;
use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Double, Json, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use jiff_diesel::NullableTimestamp;
use serde_json::{Value, json};

use super::connect::Store;
use super::error::{Doing, StoreError};
use super::filter::filtered;
use super::queue::Asks;
use super::types::{members, sql};
use super::{event, history, job_line, molecule, specification, waiting};
use crate::model::calculation::{Driver, Specification};
use crate::model::ids::{JobId, MoleculeId, PoolName, RecordId, SpecificationId};
use crate::model::record::{RecordStatus, RecordType};
use crate::model::resources::TaskResources;
use crate::model::view::{RecordDetail, RecordFilter, RecordLine, RecordPage, TaskLine};

#[derive(QueryableByName)]
#[diesel(table_name = super::schema::record)]
struct LineRow {
    id: RecordId,
    record_type: RecordType,
    status: RecordStatus,
    #[diesel(sql_type = Text)]
    program: String,
    #[diesel(sql_type = sql::Driver)]
    driver: Driver,
    #[diesel(sql_type = Text)]
    method: String,
    #[diesel(sql_type = Text)]
    basis: String,
    #[diesel(sql_type = Text)]
    formula: String,
    compute_tag: String,
    return_energy: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    wall_seconds: Option<f64>,
    #[diesel(sql_type = Nullable<sql::PoolName>)]
    pool: Option<PoolName>,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    created_on: Timestamp,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    modified_on: Timestamp,
}

impl From<LineRow> for RecordLine {
    fn from(row: LineRow) -> RecordLine {
        RecordLine {
            id: row.id,
            record_type: row.record_type,
            status: row.status,
            program: row.program,
            driver: row.driver,
            method: row.method,
            basis: row.basis,
            formula: row.formula,
            compute_tag: row.compute_tag,
            return_energy: row.return_energy,
            wall_seconds: row.wall_seconds,
            pool: row.pool,
            created_on: row.created_on,
            modified_on: row.modified_on,
        }
    }
}

const LINES: &str = "
    SELECT r.id, r.record_type, r.status, coalesce(q.program, s.program) AS program,
        coalesce(q.driver, s.driver) AS driver, coalesce(q.method, s.method) AS method,
        coalesce(q.basis, s.basis) AS basis, m.formula, r.compute_tag, r.return_energy, last.wall_seconds,
        coalesce(held.pool, ran.pool) AS pool, r.created_on, r.modified_on
    FROM (
        SELECT * FROM record r WHERE {filter} AND ($9 IS NULL OR r.id < $9) ORDER BY r.id DESC LIMIT $10
    ) r
    JOIN specification s ON s.id = r.specification_id LEFT JOIN specification q ON q.id = s.qc_specification_id
    JOIN molecule m ON m.id = r.molecule_id
    LEFT JOIN LATERAL (
        SELECT h.wall_seconds FROM compute_history h WHERE h.record_id = r.id ORDER BY h.id DESC LIMIT 1) last ON true
    LEFT JOIN task t ON t.record_id = r.id LEFT JOIN job held ON held.id = t.job_id
    LEFT JOIN job ran ON ran.id = r.last_job_id
    ORDER BY r.id DESC";

async fn lines(
    conn: &mut AsyncPgConnection,
    filter: &RecordFilter,
    before: Option<RecordId>,
    limit: i64,
) -> Result<Vec<RecordLine>, StoreError> {
    let rows: Vec<LineRow> = filtered(LINES, filter)
        .bind::<Nullable<BigInt>, _>(before.map(|id| id.0))
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await
        .doing("listing records")?;
    Ok(rows.into_iter().map(RecordLine::from).collect())
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = sql::RecordStatus)]
    status: RecordStatus,
    #[diesel(sql_type = BigInt)]
    records: i64,
}

#[derive(QueryableByName)]
#[diesel(table_name = super::schema::record)]
struct DetailRow {
    specification_id: SpecificationId,
    molecule_id: MoleculeId,
    final_molecule_id: Option<MoleculeId>,
    #[diesel(sql_type = Nullable<Json>)]
    properties: Option<Value>,
    energies: Option<Vec<f64>>,
    extras: Value,
    #[diesel(sql_type = Nullable<Json>)]
    result_extras: Option<Value>,
    #[diesel(sql_type = Array<BigInt>)]
    trajectory: Vec<i64>,
    #[diesel(sql_type = Array<Text>)]
    native_files: Vec<String>,
}

#[derive(QueryableByName)]
#[diesel(table_name = super::schema::task)]
struct TaskRow {
    compute_priority: i16,
    tries: i32,
    losses: i32,
    job_id: Option<JobId>,
    #[diesel(deserialize_as = NullableTimestamp)]
    #[diesel(sql_type = Nullable<Timestamptz>)]
    not_before: Option<Timestamp>,
    #[diesel(sql_type = Array<Text>)]
    required_programs: Vec<String>,
    #[diesel(sql_type = Nullable<sql::PoolName>)]
    pool: Option<PoolName>,
    #[diesel(embed)]
    asks: Asks,
}

impl Store {
    /// Records, newest first.
    pub async fn list(
        &self,
        filter: &RecordFilter,
        before: Option<RecordId>,
        limit: u32,
    ) -> Result<RecordPage, StoreError> {
        let mut conn = self.conn().await?;
        let wanted = limit as usize;
        let mut records = lines(&mut conn, filter, before, i64::from(limit) + 1).await?;
        let next = if records.len() > wanted {
            records.truncate(wanted);
            records.last().map(|line| line.id)
        } else {
            None
        };
        Ok(RecordPage { records, next })
    }

    /// How many of the records that `filter` means there are of each status; those without any are left out.
    pub async fn count_by_status(
        &self,
        filter: &RecordFilter,
    ) -> Result<BTreeMap<RecordStatus, i64>, StoreError> {
        let mut conn = self.conn().await?;
        if *filter == RecordFilter::default() {
            return super::count::by_status(&mut conn).await;
        }
        let statement = "SELECT r.status, count(*) AS records FROM record r WHERE {filter} GROUP BY r.status";
        let rows: Vec<CountRow> =
            filtered(statement, filter).load(&mut conn).await.doing("counting records")?;
        Ok(rows.into_iter().map(|row| (row.status, row.records)).collect())
    }

    /// Everything about one record.
    pub async fn detail(&self, id: RecordId) -> Result<Option<RecordDetail>, StoreError> {
        let mut conn = self.conn().await?;
        let conn = &mut *conn;
        let only = RecordFilter { ids: vec![id], ..RecordFilter::default() };
        let Some(line) = lines(conn, &only, None, 1).await?.pop() else { return Ok(None) };
        let row: DetailRow = diesel::sql_query(
            "SELECT r.specification_id, r.molecule_id, r.final_molecule_id, h.properties, r.energies, r.extras,
                h.extras AS result_extras,
                ARRAY(SELECT singlepoint_id FROM optimization_trajectory WHERE optimization_id = r.id ORDER BY position)
                    AS trajectory,
                ARRAY(SELECT name FROM native_file WHERE record_id = r.id ORDER BY name) AS native_files
             FROM record r LEFT JOIN LATERAL (
                SELECT properties, extras FROM compute_history WHERE record_id = r.id AND status = 'complete'
                ORDER BY id DESC LIMIT 1) h ON true
             WHERE r.id = $1",
        )
        .bind::<BigInt, _>(id.0)
        .get_result(conn)
        .await
        .doing("reading a record")?;
        let specification = specification::read(conn, vec![row.specification_id.0]).await?;
        let specification = specification.get(&row.specification_id).map(document).unwrap_or_default();
        let ids = std::iter::once(row.molecule_id).chain(row.final_molecule_id).map(|id| id.0).collect();
        let mut molecules = molecule::documents(conn, ids).await?;
        // Taken first: both may be the same.
        let final_molecule = row.final_molecule_id.and_then(|id| molecules.get(&id).cloned());
        let mut extras = members(Some(row.extras));
        extras.extend(members(row.result_extras));
        Ok(Some(RecordDetail {
            line,
            specification,
            molecule: molecules.remove(&row.molecule_id).unwrap_or_default(),
            final_molecule,
            properties: row.properties,
            energies: row.energies,
            trajectory: row.trajectory.into_iter().map(RecordId).collect(),
            extras,
            history: history::of_record(conn, id).await?,
            task: task(conn, id).await?,
            events: event::of_record(conn, id).await?,
            native_files: row.native_files,
        }))
    }
}

/// A specification as QCArchive writes it.
fn document(specification: &Specification) -> Value {
    match specification {
        Specification::Singlepoint(qc) => json!(qc),
        Specification::Optimization(optimization) => json!(optimization),
    }
}

async fn task(conn: &mut AsyncPgConnection, id: RecordId) -> Result<Option<TaskLine>, StoreError> {
    let row: Option<TaskRow> = diesel::sql_query(
        "SELECT t.compute_priority, t.tries, t.losses, t.job_id, d.required_programs, d.pool, d.cores, d.memory_bytes,
            d.walltime_seconds, d.gpus, d.nodes,
            CASE WHEN t.not_before > now() THEN t.not_before END AS not_before
         FROM task t JOIN demand d ON d.id = t.demand_id WHERE t.record_id = $1",
    )
    .bind::<BigInt, _>(id.0)
    .get_result(conn)
    .await
    .optional()
    .doing("reading a task")?;
    let Some(row) = row else { return Ok(None) };
    let job = match row.job_id {
        Some(job) => job_line::one(conn, job).await?.map(|(line, _)| line),
        None => None,
    };
    let asks = TaskResources::from(row.asks);
    Ok(Some(TaskLine {
        required_programs: row.required_programs,
        compute_priority: row.compute_priority,
        pool: row.pool,
        cores: asks.cores.and_then(|cores| i32::try_from(cores).ok()),
        memory_bytes: asks.memory_bytes.and_then(|bytes| i64::try_from(bytes).ok()),
        walltime_seconds: asks.walltime_seconds.and_then(|seconds| i64::try_from(seconds).ok()),
        gpus: asks.gpus,
        nodes: asks.nodes,
        tries: row.tries,
        losses: row.losses,
        job,
        waiting_reason: waiting::reason_of(conn, id).await?,
        not_before: row.not_before,
    }))
}
