//! Writes judged reports: records, history, outputs, trajectories, events. Everything in bulk.

use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;

use super::answer::{Answer, OptimizationAnswer, TrajectoryPoint};
use super::judge::{NO_RECORD, Verdict};
use super::parts::Parts;
use super::prepare::{Body, Prepared};
use crate::model::failure::{Blame, RetryDecision};
use crate::model::ids::{JobId, MoleculeId, RecordId, SpecificationId, TaskId};
use crate::model::record::{RecordChange, RecordStatus};
use crate::store::error::{Doing, StoreError};
use crate::store::event::{self, NewEvent};
use crate::store::history::{self, NewAttempt};
use crate::store::output::{self, Blob};
use crate::store::release::{self, Charge, Settled};
use crate::store::restart;
use crate::store::runtime::{self, FinishedRun};
use crate::store::types::{raw, sql};

/// Everything that the reports of one batch lead to.
#[derive(Default)]
struct Batch {
    attempts: Vec<NewAttempt>,
    completed: Vec<CompletedRecord>,
    optimizations: Vec<CompletedOptimization>,
    native_files: Vec<(RecordId, String, Blob)>,
    wavefunctions: Vec<(RecordId, Blob)>,
    points: Vec<(RecordId, i32, TrajectoryPoint)>,
    settled: Vec<Settled>,
    /// Tasks whose next attempt begins where the first one did.
    anew: Vec<TaskId>,
    events: Vec<NewEvent>,
    /// Runs on one node: what several took says nothing of what one takes.
    runs: Vec<FinishedRun>,
}

/// The new values of a complete record.
struct CompletedRecord {
    id: RecordId,
    return_energy: Option<f64>,
}

/// What an optimization's record has besides.
#[derive(Serialize)]
struct CompletedOptimization {
    id: RecordId,
    energies: Vec<f64>,
    final_molecule_id: MoleculeId,
}

/// Writes what `verdicts` say of `prepared`.
pub(super) async fn write(
    conn: &mut AsyncPgConnection,
    job_id: JobId,
    prepared: Vec<Prepared>,
    verdicts: Vec<Verdict>,
    parts: &Parts,
) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    for (report, verdict) in prepared.into_iter().zip(verdicts) {
        batch.take(job_id, report, verdict, parts)?;
    }
    history::insert(conn, &batch.attempts).await?;
    complete(conn, job_id, &batch.completed).await?;
    complete_optimizations(conn, &batch.optimizations).await?;
    output::put_native_files(conn, &batch.native_files).await?;
    output::put_wavefunctions(conn, &batch.wavefunctions).await?;
    store_points(conn, job_id, batch.points, parts).await?;
    restart::forget(conn, &batch.anew).await?;
    release::apply(conn, &batch.settled).await?;
    event::write(conn, &batch.events).await?;
    // Last: what it locks is locked for the shortest time, and after everything else.
    runtime::learn(conn, job_id, batch.runs).await
}

impl Batch {
    fn take(
        &mut self,
        job_id: JobId,
        report: Prepared,
        verdict: Verdict,
        parts: &Parts,
    ) -> Result<(), StoreError> {
        let (record_id, attempt) = (report.record_id, report.attempt);
        let event = |kind, message| NewEvent {
            kind,
            record_id: Some(record_id),
            job_id: Some(job_id),
            message,
            ..NewEvent::default()
        };
        match (verdict, report.body) {
            (Verdict::Complete, Body::Complete(answer)) => {
                let run = FinishedRun::completed(&report.row, answer.basis_functions());
                self.runs.extend(run.filter(|_| report.nodes == 1));
                self.attempts.push(report.row);
                self.complete(record_id, *answer, parts)?;
            }
            (Verdict::Failed { task_id, class, blame, decision }, Body::Error { summary, .. }) => {
                self.runs.extend(FinishedRun::failed(&report.row, class).filter(|_| report.nodes == 1));
                let (charge, where_to) = match (blame, &report.row.hostname) {
                    (Blame::Task, _) => (Charge::Failure(class), String::new()),
                    (Blame::Node, None) => (Charge::NodesFault, String::new()),
                    (Blame::Node, Some(node)) => {
                        (Charge::NodesFault, format!("node {node} is to blame, it costs no try: "))
                    }
                };
                let summary = where_to + &summary;
                let reason = match decision {
                    RetryDecision::Retry { .. } => {
                        format!("attempt {attempt} failed, it is tried again: {summary}")
                    }
                    RetryDecision::Fail => format!("attempt {attempt} failed: {summary}"),
                };
                self.attempts.push(report.row);
                if !class.keeps_progress() {
                    self.anew.push(task_id);
                }
                let kind = if decision == RetryDecision::Fail { "failed" } else { "retried" };
                self.events.push(event(kind, reason.clone()));
                self.settled.push(Settled { task_id, charge, decision, reason });
            }
            (Verdict::Duplicate, _) => {
                let message =
                    format!("attempt {attempt} was reported again by job {job_id}; nothing was stored");
                self.events.push(event("duplicate", message));
            }
            (Verdict::Dropped(NO_RECORD) | Verdict::Aside(_), _) => {}
            (Verdict::Dropped(why), _) => {
                let message = format!("a report of attempt {attempt} by job {job_id} was dropped: {why}");
                self.events.push(event("dropped", message));
            }
            // `judge` pairs completeness with answers and failure with errors.
            (Verdict::Complete | Verdict::Failed { .. }, _) => {}
        }
        Ok(())
    }

    fn complete(&mut self, id: RecordId, answer: Answer, parts: &Parts) -> Result<(), StoreError> {
        self.native_files.extend(answer.native_files.into_iter().map(|(name, blob)| (id, name, blob)));
        self.wavefunctions.extend(answer.wavefunction.map(|blob| (id, blob)));
        self.completed.push(CompletedRecord { id, return_energy: answer.return_energy });
        if let Some(OptimizationAnswer { energies, final_molecule, trajectory }) = answer.optimization {
            let molecule = parts.molecule(&final_molecule);
            let final_molecule_id = molecule.ok_or_else(|| missing("final molecule", id))?;
            self.optimizations.push(CompletedOptimization { id, energies, final_molecule_id });
            self.points.extend((0..).zip(trajectory).map(|(position, point)| (id, position, point)));
        }
        Ok(())
    }
}

fn missing(what: &str, id: RecordId) -> StoreError {
    StoreError::Stored {
        what: format!("{what} of record {id}"),
        source: "not found after it was stored".into(),
    }
}

fn json_rows<T: Serialize>(rows: &[T]) -> Result<String, StoreError> {
    serde_json::to_string(rows)
        .map_err(|error| StoreError::Stored { what: "batch of results".to_owned(), source: Box::new(error) })
}

const COMPLETE: &str = "
    UPDATE record SET status = $5, last_job_id = $3, return_energy = given.return_energy, modified_on = now()
    FROM unnest($1, $2) AS given(id, return_energy) WHERE record.id = given.id AND record.status = ANY($4)";

const COMPLETE_OPTIMIZATIONS: &str = "
    UPDATE record SET energies = given.energies, final_molecule_id = given.final_molecule_id
    FROM json_to_recordset($1::json) AS given(id bigint, energies double precision[], final_molecule_id bigint)
    WHERE record.id = given.id";

/// Stores the values of complete records and removes their tasks.
async fn complete(
    conn: &mut AsyncPgConnection,
    job_id: JobId,
    completed: &[CompletedRecord],
) -> Result<(), StoreError> {
    if completed.is_empty() {
        return Ok(());
    }
    let ids = raw(completed.iter().map(|record| record.id));
    let energies: Vec<Option<f64>> = completed.iter().map(|record| record.return_energy).collect();
    let stored = diesel::sql_query(COMPLETE)
        .bind::<Array<BigInt>, _>(&ids)
        .bind::<Array<Nullable<Double>>, _>(energies)
        .bind::<BigInt, _>(job_id.0)
        .bind::<Array<sql::RecordStatus>, _>(RecordChange::Complete.from())
        .bind::<sql::RecordStatus, _>(RecordChange::Complete.to())
        .execute(conn)
        .await
        .doing("storing results")?;
    // They were judged under the same lock.
    if stored != completed.len() {
        return Err(StoreError::Stored {
            what: format!("{stored} of {} results", completed.len()),
            source: "a record among them cannot become complete as it stands".into(),
        });
    }
    diesel::sql_query("DELETE FROM task WHERE record_id = ANY($1)")
        .bind::<Array<BigInt>, _>(&ids)
        .execute(conn)
        .await
        .doing("removing finished tasks")?;
    Ok(())
}

async fn complete_optimizations(
    conn: &mut AsyncPgConnection,
    optimizations: &[CompletedOptimization],
) -> Result<(), StoreError> {
    if optimizations.is_empty() {
        return Ok(());
    }
    diesel::sql_query(COMPLETE_OPTIMIZATIONS)
        .bind::<Text, _>(json_rows(optimizations)?)
        .execute(conn)
        .await
        .doing("storing optimizations")?;
    Ok(())
}

/// A single point of a trajectory as a record.
#[derive(Serialize)]
struct PointRecord {
    optimization_id: RecordId,
    position: i32,
    specification_id: SpecificationId,
    molecule_id: MoleculeId,
    return_energy: Option<f64>,
}

#[derive(diesel::QueryableByName)]
struct PointRow {
    #[diesel(sql_type = sql::RecordId)]
    id: RecordId,
    #[diesel(sql_type = sql::RecordId)]
    optimization_id: RecordId,
    #[diesel(sql_type = Integer)]
    position: i32,
}

const POINTS: &str = "
    WITH given AS MATERIALIZED (
        SELECT nextval('record_id_seq') AS id, rows.*
        FROM json_to_recordset($1::json) AS rows(optimization_id bigint, position integer, specification_id bigint,
            molecule_id bigint, return_energy double precision)
    ), made AS (
        INSERT INTO record (id, record_type, status, specification_id, molecule_id, last_job_id, requested,
            compute_tag, owner_user, return_energy)
        SELECT given.id, 'singlepoint', $3, given.specification_id, given.molecule_id, $2, false,
            o.compute_tag, o.owner_user, given.return_energy
        FROM given JOIN record o ON o.id = given.optimization_id
    ), linked AS (
        INSERT INTO optimization_trajectory (optimization_id, position, singlepoint_id)
        SELECT optimization_id, position, id FROM given
    )
    SELECT id, optimization_id, position FROM given";

/// Stores the points of trajectories as complete records of their own, as QCArchive does.
async fn store_points(
    conn: &mut AsyncPgConnection,
    job_id: JobId,
    points: Vec<(RecordId, i32, TrajectoryPoint)>,
    parts: &Parts,
) -> Result<(), StoreError> {
    if points.is_empty() {
        return Ok(());
    }
    let mut records = Vec::with_capacity(points.len());
    let mut rests = std::collections::HashMap::new();
    for (optimization_id, position, point) in points {
        let molecule_id = parts.molecule(&point.molecule);
        let specification_id = parts.specification(&point.key);
        records.push(PointRecord {
            optimization_id,
            position,
            specification_id: specification_id
                .ok_or_else(|| missing("specification of a point", optimization_id))?,
            molecule_id: molecule_id.ok_or_else(|| missing("molecule of a point", optimization_id))?,
            return_energy: point.answer.return_energy,
        });
        rests.insert((optimization_id, position), point);
    }
    let rows: Vec<PointRow> = diesel::sql_query(POINTS)
        .bind::<Text, _>(json_rows(&records)?)
        .bind::<BigInt, _>(job_id.0)
        .bind::<sql::RecordStatus, _>(RecordStatus::Complete)
        .load(conn)
        .await
        .doing("storing trajectories")?;
    let (mut attempts, mut wavefunctions) = (Vec::new(), Vec::new());
    for row in rows {
        let Some(point) = rests.remove(&(row.optimization_id, row.position)) else { continue };
        let answer = point.answer;
        attempts.push(NewAttempt {
            job_id: Some(job_id),
            program: answer.provenance.creator,
            program_version: answer.provenance.version,
            provenance: answer.provenance.document,
            properties: answer.properties,
            extras: answer.extras,
            stdout: point.stdout,
            stderr: point.stderr,
            ..NewAttempt::bare(row.id, 0, RecordStatus::Complete)
        });
        wavefunctions.extend(answer.wavefunction.map(|blob| (row.id, blob)));
    }
    history::insert(conn, &attempts).await?;
    output::put_wavefunctions(conn, &wavefunctions).await
}
