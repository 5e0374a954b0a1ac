//! From the lines of a submission to batches of checked calculations, and the problems of those that are refused.
//! Documents are parsed on a blocking thread, beside the transaction that stores the batch before.

use std::borrow::Cow;

use axum::body::Body;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::task::spawn_blocking;

use crate::api::local::body::BodyLines;
use crate::api::local::error::{ApiError, refusal_message};
use crate::api::wire::{ErrorCode, Problem, SubmitOptions};
use crate::model::calculation::Calculation;
use crate::model::json_size::DocumentLimits;
use crate::model::qcschema::{self, InputDefaults};

/// Documents parsed and stored together.
const BATCH: usize = 1000;

/// A batch is also full at so many bytes.
const BATCH_BYTES: usize = 8 << 20;

/// Problems told at once; further documents are not looked at.
const MOST_PROBLEMS: usize = 20;

/// One batch, checked.
pub(in crate::api::local) enum Checked {
    /// All of it is fine.
    Good(Vec<Calculation>),
    /// Some of it is refused; `Batches::refusal` says what.
    Refused,
}

/// A submission on its way in.
pub(in crate::api::local) struct Batches {
    limits: DocumentLimits,
    lines: Option<BodyLines>,
    options: SubmitOptions,
    problems: Vec<Problem>,
    documents: u64,
}

impl Batches {
    /// Reads the line of options.
    pub(in crate::api::local) async fn begin(
        body: Body,
        limits: DocumentLimits,
    ) -> Result<Batches, ApiError> {
        let mut lines = BodyLines::new(body);
        let first = lines.next().await?.unwrap_or_default();
        let options: SubmitOptions = serde_json::from_slice(&first).map_err(|error| {
            ApiError::new(ErrorCode::BadRequest, format!("the first line must hold the options: {error}"))
        })?;
        Ok(Batches { limits, lines: Some(lines), options, problems: Vec::new(), documents: 0 })
    }

    /// What was asked for.
    pub(in crate::api::local) fn options(&self) -> &SubmitOptions {
        &self.options
    }

    /// The next batch; `None` after the last.
    pub(in crate::api::local) async fn next(&mut self) -> Result<Option<Checked>, ApiError> {
        let lines = self.read_batch().await?;
        if lines.is_empty() {
            return Ok(None);
        }
        self.documents += lines.len() as u64;
        let defaults = self.options.defaults.clone();
        let (limits, room) = (self.limits, MOST_PROBLEMS - self.problems.len());
        let (calculations, problems) =
            spawn_blocking(move || check(lines, &defaults, limits, room)).await??;
        self.problems.extend(problems);
        Ok(Some(if self.problems.is_empty() { Checked::Good(calculations) } else { Checked::Refused }))
    }

    /// After the last batch, or after a refused one: checks what is left and gives the error, if there is a reason.
    pub(in crate::api::local) async fn refusal(&mut self) -> Result<Option<ApiError>, ApiError> {
        if self.problems.is_empty() {
            return Ok(match self.documents {
                0 => Some(ApiError::bad_input("there is no document in it", Vec::new())),
                _ => None,
            });
        }
        while self.problems.len() < MOST_PROBLEMS {
            if self.next().await?.is_none() {
                break;
            }
        }
        self.drain().await;
        let problems = std::mem::take(&mut self.problems);
        Ok(Some(ApiError::bad_input(refusal_message(problems.len(), MOST_PROBLEMS), problems)))
    }

    /// Reads what is left, so that the client sees the answer instead of a broken connection.
    pub(in crate::api::local) async fn drain(&mut self) {
        if let Some(lines) = self.lines.take() {
            lines.drain().await;
        }
    }

    async fn read_batch(&mut self) -> Result<Vec<Vec<u8>>, ApiError> {
        let Some(lines) = &mut self.lines else { return Ok(Vec::new()) };
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            match lines.next().await? {
                Some(line) => {
                    bytes += line.len();
                    batch.push(line);
                }
                None => break,
            }
        }
        Ok(batch)
    }
}

/// A [`DocumentLine`](crate::api::wire::DocumentLine) as it lies in the request.
#[derive(Deserialize)]
struct BorrowedLine<'a> {
    #[serde(borrow)]
    source: Cow<'a, str>,
    line: u64,
    #[serde(borrow)]
    document: &'a RawValue,
}

/// Parses the lines of one batch; stops at `room` problems.
fn check(
    lines: Vec<Vec<u8>>,
    defaults: &InputDefaults,
    limits: DocumentLimits,
    room: usize,
) -> Result<(Vec<Calculation>, Vec<Problem>), ApiError> {
    let (mut calculations, mut problems) = (Vec::with_capacity(lines.len()), Vec::new());
    for line in lines {
        // Borrowed: a document that is too large is not copied first.
        let line: BorrowedLine<'_> = serde_json::from_slice(&line).map_err(|error| {
            ApiError::new(ErrorCode::BadRequest, format!("a line of the request holds no document: {error}"))
        })?;
        let parsed = limits.check(line.document.get()).and_then(|()| {
            // Carriage returns stand for the document's own line ends (see `DocumentLine`).
            qcschema::parse(&line.document.get().replace('\r', "\n"), defaults)
        });
        match parsed {
            Ok(calculation) => calculations.push(calculation),
            Err(error) => {
                problems.push(Problem::of_document(line.source, line.line + error.line_offset, &error))
            }
        }
        if problems.len() >= room {
            break;
        }
    }
    Ok((calculations, problems))
}
