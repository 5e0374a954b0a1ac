//! Compute history: one row per attempt that was reported or given up, with its result and its outputs.
//! Touches `compute_history` only, and only adds to it.

use std::borrow::Cow;

use diesel::sql_types::{Array, BigInt, Binary, Double, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use jiff::Timestamp;

use super::error::{Doing, StoreError};
use super::output::{Blob, runs};
use super::types::{bigint, integer, raw, sql, storable_text};
use crate::model::failure::FailureClass;
use crate::model::ids::{JobId, RecordId};
use crate::model::record::RecordStatus;
use crate::model::task::NATIVE_ROUTINE;
use crate::model::view::AttemptLine;

/// Blobs sent in one statement, in bytes.
const BYTES_AT_ONCE: usize = 16 << 20;

/// A row to be written. Texts may hold what PostgreSQL refuses; it is replaced on the way. Documents are JSON text that
/// it takes.
#[derive(Clone, Debug)]
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
    pub(crate) peak_memory_bytes: Option<u64>,
    /// Seconds since the epoch by the node's clock.
    pub(crate) started_on: Option<f64>,
    pub(crate) program: Option<String>,
    pub(crate) program_version: Option<String>,
    /// The result's provenance.
    pub(crate) provenance: Option<String>,
    /// The result's properties, `return_result` among them, as QCArchive keeps them.
    pub(crate) properties: Option<String>,
    /// The result's extras.
    pub(crate) extras: Option<String>,
    pub(crate) stdout: Option<Blob>,
    pub(crate) stderr: Option<Blob>,
    pub(crate) error: Option<Blob>,
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
            peak_memory_bytes: None,
            started_on: None,
            program: None,
            program_version: None,
            provenance: None,
            properties: None,
            extras: None,
            stdout: None,
            stderr: None,
            error: None,
        }
    }

    /// Bytes of its blobs.
    fn size(&self) -> usize {
        [&self.stdout, &self.stderr, &self.error].into_iter().flatten().map(Vec::len).sum()
    }
}

/// The arrays are taken apart in the list of what is selected: `FROM unnest($1, $2, …)` would first write each of them out
/// as a table of its own, which takes a quarter of the statement's time.
const INSERT: &str = "
    INSERT INTO compute_history (record_id, job_id, attempt, status, failure, error_type, hostname, cores,
        memory_bytes, wall_seconds, cpu_seconds, program, program_version, provenance, properties, extras, stdout,
        stderr, error, peak_memory_bytes, started_on)
    SELECT record_id, job_id, attempt, status::record_status, failure::failure_class, error_type, hostname, cores,
        memory_bytes, wall_seconds, cpu_seconds, program, program_version, provenance::json, properties::json,
        extras::json, stdout, stderr, error, peak_memory_bytes, to_timestamp(started_on)
    FROM (SELECT unnest($1) AS record_id, unnest($2) AS job_id, unnest($3) AS attempt, unnest($4) AS status,
            unnest($5) AS failure, unnest($6) AS error_type, unnest($7) AS hostname, unnest($8) AS cores,
            unnest($9) AS memory_bytes, unnest($10) AS wall_seconds, unnest($11) AS cpu_seconds,
            unnest($12) AS program, unnest($13) AS program_version, unnest($14) AS provenance,
            unnest($15) AS properties, unnest($16) AS extras, unnest($17) AS stdout, unnest($18) AS stderr,
            unnest($19) AS error, unnest($20) AS peak_memory_bytes, unnest($21) AS started_on) AS given";

/// Writes `attempts`.
pub(crate) async fn insert(conn: &mut AsyncPgConnection, attempts: &[NewAttempt]) -> Result<(), StoreError> {
    for run in runs(attempts, BYTES_AT_ONCE, NewAttempt::size) {
        insert_run(conn, run).await?;
    }
    Ok(())
}

async fn insert_run(conn: &mut AsyncPgConnection, run: &[NewAttempt]) -> Result<(), StoreError> {
    let ids = |id: fn(&NewAttempt) -> Option<i64>| -> Vec<Option<i64>> { run.iter().map(id).collect() };
    let seconds =
        |time: fn(&NewAttempt) -> Option<f64>| -> Vec<Option<f64>> { run.iter().map(time).collect() };
    let words = |word: fn(&NewAttempt) -> &Option<String>| -> Vec<Option<Cow<'_, str>>> {
        run.iter().map(|row| word(row).as_deref().map(storable_text)).collect()
    };
    let documents = |document: fn(&NewAttempt) -> &Option<String>| -> Vec<Option<&str>> {
        run.iter().map(|row| document(row).as_deref()).collect()
    };
    let blobs = |blob: fn(&NewAttempt) -> &Option<Blob>| -> Vec<Option<&[u8]>> {
        run.iter().map(|row| blob(row).as_deref()).collect()
    };
    let failures = run.iter().map(|row| row.failure.map(FailureClass::as_str));
    diesel::sql_query(INSERT)
        .bind::<Array<BigInt>, _>(raw(run.iter().map(|row| row.record_id)))
        .bind::<Array<Nullable<BigInt>>, _>(ids(|row| row.job_id.map(|id| id.0)))
        .bind::<Array<Integer>, _>(run.iter().map(|row| row.attempt).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(run.iter().map(|row| row.status.as_str()).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(failures.collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(words(|row| &row.error_type))
        .bind::<Array<Nullable<Text>>, _>(words(|row| &row.hostname))
        .bind::<Array<Nullable<Integer>>, _>(run.iter().map(|row| row.cores.map(integer)).collect::<Vec<_>>())
        .bind::<Array<Nullable<BigInt>>, _>(ids(|row| row.memory_bytes.map(bigint)))
        .bind::<Array<Nullable<Double>>, _>(seconds(|row| row.wall_seconds))
        .bind::<Array<Nullable<Double>>, _>(seconds(|row| row.cpu_seconds))
        .bind::<Array<Nullable<Text>>, _>(words(|row| &row.program))
        .bind::<Array<Nullable<Text>>, _>(words(|row| &row.program_version))
        .bind::<Array<Nullable<Text>>, _>(documents(|row| &row.provenance))
        .bind::<Array<Nullable<Text>>, _>(documents(|row| &row.properties))
        .bind::<Array<Nullable<Text>>, _>(documents(|row| &row.extras))
        .bind::<Array<Nullable<Binary>>, _>(blobs(|row| &row.stdout))
        .bind::<Array<Nullable<Binary>>, _>(blobs(|row| &row.stderr))
        .bind::<Array<Nullable<Binary>>, _>(blobs(|row| &row.error))
        .bind::<Array<Nullable<BigInt>>, _>(ids(|row| row.peak_memory_bytes.map(bigint)))
        .bind::<Array<Nullable<Double>>, _>(seconds(|row| row.started_on))
        .execute(conn)
        .await
        .doing("storing attempts")?;
    Ok(())
}

#[derive(diesel::QueryableByName)]
struct SettledRow {
    #[diesel(sql_type = sql::RecordId)]
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
    peak_memory_bytes: Option<i64>,
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    started_on: Option<Timestamp>,
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
            h.wall_seconds, h.cpu_seconds, h.peak_memory_bytes, h.started_on, h.program, h.program_version,
            h.provenance->>'routine' AS routine,
            h.provenance->>'qcengine_version' AS qcengine_version, h.modified_on,
            array_remove(ARRAY[CASE WHEN h.stdout IS NOT NULL THEN 'stdout' END,
                CASE WHEN h.stderr IS NOT NULL THEN 'stderr' END,
                CASE WHEN h.error IS NOT NULL THEN 'error' END], NULL) AS outputs
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
        peak_memory_bytes: row.peak_memory_bytes,
        started_on: row.started_on,
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
