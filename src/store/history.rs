//! Compute history: one row per attempt that was reported or given up, with its outputs.
//! Touches `compute_history` and, for the outputs, `output_store`.

use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::error::{Doing, StoreError};
use super::output::{self, Blob, OutputType};
use super::types::{make_storable, raw};
use crate::model::failure::FailureClass;
use crate::model::ids::{JobId, RecordId};
use crate::model::record::RecordStatus;
use crate::model::task::NATIVE_ROUTINE;
use crate::model::view::AttemptLine;

/// A row to be written. Texts may hold what PostgreSQL refuses; it is replaced on the way.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct NewAttempt {
    pub(crate) record_id: RecordId,
    pub(crate) job_id: Option<JobId>,
    pub(crate) attempt: i32,
    pub(crate) status: RecordStatus,
    pub(crate) failure: Option<FailureClass>,
    pub(crate) error_type: Option<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) cores: Option<u32>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) wall_seconds: Option<f64>,
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) program: Option<String>,
    pub(crate) program_version: Option<String>,
    pub(crate) provenance: Option<Value>,
    #[serde(skip)]
    pub(crate) outputs: Vec<(OutputType, Blob)>,
}

impl NewAttempt {
    /// An attempt of which nothing is known but how it ended.
    pub(crate) fn bare(record_id: RecordId, attempt: i32, status: RecordStatus) -> NewAttempt {
        NewAttempt {
            record_id,
            job_id: None,
            attempt,
            status,
            failure: None,
            error_type: None,
            hostname: None,
            cores: None,
            memory_bytes: None,
            wall_seconds: None,
            cpu_seconds: None,
            program: None,
            program_version: None,
            provenance: None,
            outputs: Vec::new(),
        }
    }
}

#[derive(diesel::QueryableByName)]
struct IdRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

const INSERT: &str = "
    WITH given AS MATERIALIZED (
        SELECT nextval(pg_get_serial_sequence('compute_history', 'id')) AS id, rows.*
        FROM ROWS FROM (json_to_recordset($1::json) AS (record_id bigint, job_id bigint, attempt integer,
            status record_status, failure failure_class, error_type text, hostname text, cores bigint,
            memory_bytes numeric, wall_seconds double precision, cpu_seconds double precision, program text,
            program_version text, provenance jsonb)) WITH ORDINALITY AS rows(record_id, job_id, attempt, status,
            failure, error_type, hostname, cores, memory_bytes, wall_seconds, cpu_seconds, program,
            program_version, provenance, place)
    ), made AS (
        INSERT INTO compute_history (id, record_id, job_id, attempt, status, failure, error_type, hostname, cores,
            memory_bytes, wall_seconds, cpu_seconds, program, program_version, provenance)
        SELECT id, record_id, job_id, attempt, status, failure, error_type, hostname, least(cores, 2147483647),
            least(memory_bytes, 9223372036854775807), wall_seconds, cpu_seconds, program, program_version, provenance
        FROM given
    )
    SELECT id FROM given ORDER BY place";

/// Writes `attempts` and their outputs.
pub(crate) async fn insert(
    conn: &mut AsyncPgConnection,
    attempts: Vec<NewAttempt>,
) -> Result<(), StoreError> {
    if attempts.is_empty() {
        return Ok(());
    }
    let mut rows = serde_json::to_value(&attempts).map_err(|error| StoreError::Stored {
        what: "provenance of an attempt".to_owned(),
        source: Box::new(error),
    })?;
    make_storable(&mut rows);
    let ids: Vec<IdRow> = diesel::sql_query(INSERT)
        .bind::<Text, _>(rows.to_string())
        .load(conn)
        .await
        .doing("storing attempts")?;
    let outputs: Vec<(i64, OutputType, Blob)> = attempts
        .into_iter()
        .zip(ids)
        .flat_map(|(attempt, row)| {
            attempt.outputs.into_iter().map(move |(output, blob)| (row.id, output, blob))
        })
        .collect();
    output::insert_outputs(conn, &outputs).await
}

#[derive(diesel::QueryableByName)]
struct SettledRow {
    #[diesel(sql_type = BigInt)]
    record_id: RecordId,
    #[diesel(sql_type = Integer)]
    attempt: i32,
}

/// Attempts of `records` that have a row.
pub(crate) async fn settled(
    conn: &mut AsyncPgConnection,
    records: &[RecordId],
) -> Result<std::collections::HashSet<(RecordId, i32)>, StoreError> {
    let rows: Vec<SettledRow> =
        diesel::sql_query("SELECT record_id, attempt FROM compute_history WHERE record_id = ANY($1)")
            .bind::<Array<BigInt>, _>(raw(records.iter().copied()))
            .load(conn)
            .await
            .doing("reading attempts")?;
    Ok(rows.into_iter().map(|row| (row.record_id, row.attempt)).collect())
}

#[derive(diesel::QueryableByName)]
#[diesel(table_name = super::schema::compute_history)]
struct Row {
    id: i64,
    attempt: i32,
    status: RecordStatus,
    failure: Option<FailureClass>,
    error_type: Option<String>,
    job_id: Option<JobId>,
    hostname: Option<String>,
    cores: Option<i32>,
    memory_bytes: Option<i64>,
    wall_seconds: Option<f64>,
    cpu_seconds: Option<f64>,
    program: Option<String>,
    program_version: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    routine: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    qcengine_version: Option<String>,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    modified_on: Timestamp,
    #[diesel(sql_type = Array<Text>)]
    outputs: Vec<String>,
}

/// Every attempt of a record, oldest first.
pub(crate) async fn of_record(
    conn: &mut AsyncPgConnection,
    record_id: RecordId,
) -> Result<Vec<AttemptLine>, StoreError> {
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT h.id, h.attempt, h.status, h.failure, h.error_type, h.job_id, h.hostname, h.cores, h.memory_bytes,
            h.wall_seconds, h.cpu_seconds, h.program, h.program_version, h.provenance->>'routine' AS routine,
            h.provenance->>'qcengine_version' AS qcengine_version, h.modified_on,
            ARRAY(SELECT o.output_type::text FROM output_store o WHERE o.history_id = h.id ORDER BY o.output_type)
                AS outputs
         FROM compute_history h WHERE h.record_id = $1 ORDER BY h.id",
    )
    .bind::<BigInt, _>(record_id.0)
    .load(conn)
    .await
    .doing("reading attempts")?;
    Ok(rows.into_iter().map(line).collect())
}

/// Whether QCEngine ran the program, or the node runner itself did.
fn through(qcengine_version: Option<&str>, routine: Option<&str>) -> Option<String> {
    match (qcengine_version, routine) {
        (Some(version), _) => Some(format!("QCEngine {}", version.trim_start_matches('v'))),
        (None, Some(routine)) if routine.starts_with(NATIVE_ROUTINE) => Some("native".to_owned()),
        _ => None,
    }
}

fn line(row: Row) -> AttemptLine {
    AttemptLine {
        history_id: row.id,
        attempt: row.attempt,
        status: row.status,
        failure: row.failure,
        error_type: row.error_type,
        job_id: row.job_id,
        hostname: row.hostname,
        cores: row.cores,
        memory_bytes: row.memory_bytes,
        wall_seconds: row.wall_seconds,
        cpu_seconds: row.cpu_seconds,
        program: row.program,
        program_version: row.program_version,
        through: through(row.qcengine_version.as_deref(), row.routine.as_deref()),
        modified_on: row.modified_on,
        outputs: row.outputs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_way_a_result_came_is_read_from_its_provenance() {
        assert_eq!(through(Some("v0.29.0"), Some("")).as_deref(), Some("QCEngine 0.29.0"));
        assert_eq!(through(None, Some("qcbatch.node.native.mopac")).as_deref(), Some("native"));
        assert_eq!(through(None, Some("somebody.else")), None);
        assert_eq!(through(None, None), None);
    }
}
