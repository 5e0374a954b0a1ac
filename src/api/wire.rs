//! What travels over the Unix socket beside the types of `model::view`: requests, receipts and the error envelope.
//! Pure data, used by the server and the client alike.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::ids::{PoolName, RecordId};
use crate::model::job::JobState;
use crate::model::record::RecordStatus;
use crate::model::view::{JobLine, PoolSummary, RecordFilter};

mod aside;
mod bench;
mod error;
mod predict;
mod submit;

pub use aside::{AsideChange, AsideQuery, AsideReceipt, RefusedAside};
pub use bench::{BenchQuery, JobMeter, MeterQuery, Meters, ProcessMeter, RemovalReceipt};
pub use error::{ErrorBody, ErrorCode, ErrorEnvelope, Problem};
pub use predict::{PredictedCalculation, PredictedInPool, Scarce, UnfitPool};
pub use submit::{
    ComputePriority, DocumentLine, PreviewedSubmission, Reuse, SubmitOptions, SubmitReceipt, SubmitWarning,
    Unrunnable,
};

/// The media type of a stream of JSON lines.
pub const NDJSON: &str = "application/x-ndjson";

/// `POST /v1/records/query`.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordQuery {
    /// Which records.
    #[serde(default)]
    pub filter: RecordFilter,
    /// The `next` of the page before.
    pub before: Option<RecordId>,
    /// Lines of a page, at most 1000.
    pub limit: u32,
}

/// `POST /v1/records/wait`: answered when the counts differ from `seen`, when no record is open, or after the timeout.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitQuery {
    /// Which records.
    pub filter: RecordFilter,
    /// The counts the caller knows; none asks for an answer at once.
    pub seen: Option<StatusCounts>,
    /// How long the answer may be held back, at most 60 seconds.
    pub timeout_seconds: u64,
}

/// Records by status; a status without records is left out.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StatusCounts(pub BTreeMap<RecordStatus, i64>);

impl StatusCounts {
    /// Records that something may still happen to by itself.
    pub fn open(&self) -> i64 {
        self.0.iter().filter(|(status, _)| !status.is_ended()).map(|(_, count)| count).sum()
    }

    /// Records with `status`.
    pub fn of(&self, status: RecordStatus) -> i64 {
        self.0.get(&status).copied().unwrap_or(0)
    }

    /// All of them.
    pub fn total(&self) -> i64 {
        self.0.values().sum()
    }
}

/// `POST /v1/records/jobs`: the job that holds each record, or held it last.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordJobsQuery {
    /// The records, at most 10 000.
    pub ids: Vec<RecordId>,
}

/// One record's job.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RecordJob {
    /// The record.
    pub record_id: RecordId,
    /// Its status.
    pub status: RecordStatus,
    /// Why no job holds it, if the daemon knows.
    pub waiting_reason: Option<String>,
    /// The job; none while the record waits for one.
    pub job: Option<JobLine>,
}

/// `POST /v1/records/cancel` and `/v1/records/retry`. An empty filter needs `everything`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeQuery {
    /// Which records.
    #[serde(default)]
    pub filter: RecordFilter,
    /// How much an empty filter means.
    #[serde(default)]
    pub reach: Reach,
}

/// Whether a change may touch every record.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Only what a filter names; an empty filter is refused.
    #[default]
    Filtered,
    /// An empty filter means every record.
    Everything,
}

/// What a cancel or retry did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChangeReceipt {
    /// How many records changed.
    pub changed: u64,
    /// Records named by id that did not change, the first twenty.
    pub refused: Vec<RefusedChange>,
}

/// A record that was named and did not change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefusedChange {
    /// The record.
    pub record_id: RecordId,
    /// Why.
    pub reason: String,
}

/// `POST /v1/jobs/query`.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobQuery {
    /// Any of these pools; none means any.
    #[serde(default)]
    pub pool: Vec<PoolName>,
    /// Any of these states; none means every live one.
    #[serde(default)]
    pub state: Vec<JobState>,
    /// Lines, at most 10 000.
    pub limit: u32,
}

/// One piece of a running job's log: a line of `GET /v1/records/{id}/live-log`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LiveLogPiece {
    /// `runner.log`, `worker.stderr` or `scheduler.log`.
    pub file: String,
    /// What was appended to it.
    pub text: String,
}

/// What the daemon's loops know and the database does not; the status page is made of both.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// The site.
    pub site: String,
    /// Version of the program.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Its host.
    pub hostname: String,
    /// Since when it runs.
    pub started_on: Timestamp,
    /// Each pool; the counts of jobs are filled in from the store.
    pub pools: Vec<PoolSummary>,
    /// What is paused or failing, one line each.
    pub troubles: Vec<String>,
}
