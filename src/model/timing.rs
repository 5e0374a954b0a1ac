//! When what happened to one task, as `qcbatch bench` reads it. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{JobId, RecordId};
use super::record::RecordStatus;

/// What the compute tag of a benchmark's records begins with. Only such records are ever removed.
pub const BENCH_TAG_PREFIX: &str = "bench-";

/// The program that a benchmark's tasks ask for.
pub const SYNTHETIC: &str = "synthetic";

/// Whether the node runner answers for this program itself: size and history say nothing of such tasks.
pub fn is_synthetic(program: &str) -> bool {
    program == SYNTHETIC
}

/// One record and its last attempt. Times of the database and of the node are of two clocks and never compared.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TaskTiming {
    /// The record.
    pub record_id: RecordId,
    /// How it stands.
    pub status: RecordStatus,
    /// When its intake began, by the database's clock.
    pub created_on: Timestamp,
    /// When its result was stored, by the database's clock.
    pub stored_on: Option<Timestamp>,
    /// When it started, by its node's clock, in seconds since the epoch.
    pub started_on: Option<f64>,
    /// Elapsed time on the node.
    pub wall_seconds: Option<f64>,
    /// The job that ran it.
    pub job_id: Option<JobId>,
    /// Cores that it was given.
    pub cores: Option<u32>,
}
