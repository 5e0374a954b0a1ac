//! From a report of a node runner to what is stored of it: parsed, sanitised, hashed, compressed. No SQL.
//!
//! A result that cannot be read becomes an error of its own task; it never stops the others.

use std::sync::Arc;

use serde_json::json;

use super::answer::{Answer, read_answer};
use crate::model::failure::FailureClass;
use crate::model::identity::Said;
use crate::model::ids::{JobId, RecordId};
use crate::model::record::RecordStatus;
use crate::model::task::{TaskOutcome, TaskReport};
use crate::store::error::StoreError;
use crate::store::history::NewAttempt;
use crate::store::output::{PackError, pack};
use crate::store::types::storable;

/// `error_type` of a result that cannot be read.
const UNREADABLE: &str = "unreadable_result";

/// A report, ready to be stored.
pub(super) struct Prepared {
    /// What it says of itself.
    pub(super) said: Said,
    pub(super) record_id: RecordId,
    pub(super) attempt: i32,
    /// Nodes that it ran on.
    pub(super) nodes: u32,
    /// The row of history, outputs included.
    pub(super) row: NewAttempt,
    pub(super) body: Body,
}

/// What the report says.
pub(super) enum Body {
    /// The program's answer.
    Complete(Box<Answer>),
    /// No answer.
    Error {
        class: FailureClass,
        /// Whether the policy of retries is asked at all.
        retry: Retry,
        /// One line for people.
        summary: String,
    },
}

/// Whether a failure may be retried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Retry {
    /// As the caller decides.
    Ask,
    /// Never by itself.
    Never,
}

/// Prepares reports on a thread of its own: it takes processor time.
pub(super) async fn prepare(
    job_id: JobId,
    reports: Arc<Vec<TaskReport>>,
) -> Result<Vec<Prepared>, StoreError> {
    let work =
        move || reports.iter().map(|report| prepare_one(job_id, report)).collect::<Result<Vec<_>, _>>();
    let failed = |source| StoreError::Stored { what: "batch of results".to_owned(), source };
    match tokio::task::spawn_blocking(work).await {
        Ok(prepared) => prepared.map_err(|error| failed(Box::new(error))),
        Err(error) => Err(failed(Box::new(error))),
    }
}

fn prepare_one(job_id: JobId, report: &TaskReport) -> Result<Prepared, PackError> {
    let mut row = row_of(job_id, report)?;
    let body = match &report.outcome {
        TaskOutcome::Complete { result } => match read_answer(result.get(), &report.native_files)? {
            Ok(mut answer) => {
                let provenance = std::mem::take(&mut answer.provenance);
                row.provenance = provenance.document;
                row.program = row.program.or(provenance.creator);
                row.program_version = row.program_version.or(provenance.version);
                row.properties = answer.properties.take();
                row.extras = answer.extras.take();
                Body::Complete(Box::new(answer))
            }
            Err(why) => unreadable(&mut row, &why)?,
        },
        TaskOutcome::Error { class, error_type, message } => {
            let summary = summarise(*class, error_type, message);
            fail(&mut row, *class, error_type.clone(), message)?;
            Body::Error { class: *class, retry: Retry::Ask, summary }
        }
        // Taken out before: it ends nothing.
        TaskOutcome::Progress(_) | TaskOutcome::Returned => {
            unreadable(&mut row, "it is no end of an attempt")?
        }
    };
    let (record_id, attempt, nodes) = (report.record_id, row.attempt, report.provenance.nodes);
    Ok(Prepared { said: said(report), record_id, attempt, nodes, row, body })
}

/// What is stored of a report that was refused as it is: that it was, and why.
pub(super) fn refused(job_id: JobId, report: &TaskReport, why: &str) -> Result<Prepared, PackError> {
    let attempt = i32::try_from(report.attempt).unwrap_or(i32::MAX);
    let mut row = NewAttempt {
        job_id: Some(job_id),
        ..NewAttempt::bare(report.record_id, attempt, RecordStatus::Error)
    };
    let body = unreadable(&mut row, why)?;
    Ok(Prepared { said: said(report), record_id: report.record_id, attempt, nodes: 1, row, body })
}

/// What `report` says of itself.
pub(super) fn said(report: &TaskReport) -> Said {
    Said {
        issue: report.issue,
        job_id: report.provenance.job_id,
        task_id: report.task_id,
        attempt: report.attempt,
    }
}

fn unreadable(row: &mut NewAttempt, why: &str) -> Result<Body, PackError> {
    fail(row, FailureClass::Program, UNREADABLE.to_owned(), why)?;
    let summary = format!("the result cannot be read: {why}");
    Ok(Body::Error { class: FailureClass::Program, retry: Retry::Never, summary })
}

fn row_of(job_id: JobId, report: &TaskReport) -> Result<NewAttempt, PackError> {
    let ran = &report.provenance;
    let output =
        |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(pack).transpose();
    Ok(NewAttempt {
        job_id: Some(job_id),
        hostname: Some(ran.hostname.clone()),
        cores: Some(ran.cores),
        memory_bytes: Some(ran.memory_bytes),
        wall_seconds: Some(ran.wall_seconds).filter(|seconds| seconds.is_finite()),
        cpu_seconds: Some(ran.cpu_seconds).filter(|seconds| seconds.is_finite()),
        peak_memory_bytes: ran.peak_memory_bytes,
        // PostgreSQL refuses times beyond its calendar.
        started_on: ran.started_on.filter(|seconds| (0.0..1e11).contains(seconds)),
        program: ran.program.clone(),
        program_version: ran.program_version.clone(),
        stdout: output(&report.stdout)?,
        stderr: output(&report.stderr)?,
        ..NewAttempt::bare(
            report.record_id,
            i32::try_from(report.attempt).unwrap_or(i32::MAX),
            RecordStatus::Complete,
        )
    })
}

/// Makes `row` one of a failure.
fn fail(
    row: &mut NewAttempt,
    class: FailureClass,
    error_type: String,
    message: &str,
) -> Result<(), PackError> {
    let error = json!({ "error_type": error_type, "error_message": message, "extras": null });
    row.error = Some(pack(&error)?);
    row.status = RecordStatus::Error;
    row.failure = Some(class);
    row.error_type = Some(error_type);
    Ok(())
}

/// The failure on one line, shortened: the whole text is among the outputs.
fn summarise(class: FailureClass, error_type: &str, message: &str) -> String {
    const MOST: usize = 300;
    // The node runner puts the sentence for a person before everything else.
    let first = message.lines().map(str::trim).find(|line| line.contains(char::is_alphanumeric));
    let first = first.unwrap_or_default();
    let shown: String = first.chars().take(MOST).collect();
    storable(&format!("{} failure ({error_type}): {shown}", class.as_str()))
}
