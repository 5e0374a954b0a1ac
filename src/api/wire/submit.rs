//! A submission on the wire: one line of options, then one line for each document; the receipt. Pure data.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::ids::{PoolName, RecordId};
use crate::model::qcschema::InputDefaults;
use crate::model::resources::TaskResources;
use crate::model::task::Placement;

/// The first line of `POST /v1/submit` and of `POST /v1/preview`.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SubmitOptions {
    /// Compute tag; the configured default where not given.
    pub compute_tag: Option<String>,
    /// Priority; the configured default where not given.
    pub compute_priority: Option<ComputePriority>,
    /// The pool to run in; any that fits where not given.
    pub pool: Option<PoolName>,
    /// What each task may use; the configured defaults where not given.
    pub resources: TaskResources,
    /// Jobs of their own or not.
    pub placement: Placement,
    /// Whether an identical record will do.
    pub reuse: Reuse,
    /// What becomes of tasks that no pool can run.
    pub unrunnable: Unrunnable,
    /// What a document that does not say is given.
    pub defaults: InputDefaults,
}

/// QCArchive's compute priority.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComputePriority {
    /// After everything else.
    Low,
    /// As usual.
    #[default]
    Normal,
    /// Before everything else.
    High,
}

impl ComputePriority {
    /// QCArchive's number: 0 low, 1 normal, 2 high.
    pub const fn number(self) -> i16 {
        match self {
            ComputePriority::Low => 0,
            ComputePriority::Normal => 1,
            ComputePriority::High => 2,
        }
    }

    /// The word for a number; numbers in between are read downwards.
    pub const fn word(number: i16) -> &'static str {
        match number {
            i16::MIN..=0 => "low",
            1 => "normal",
            _ => "high",
        }
    }
}

/// Whether a request that equals an existing record finds it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reuse {
    /// The existing record is the answer.
    #[default]
    Existing,
    /// Always a new record (`--new`).
    Never,
}

/// What becomes of a submission with tasks that no pool can ever run, as the pools are configured now.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unrunnable {
    /// It is stored and its tasks wait, with a warning: pools can be changed.
    #[default]
    Wait,
    /// It is refused (`--strict`).
    Refuse,
}

/// Every further line. A document of several lines travels with its line ends as carriage returns, which JSON allows
/// between tokens only, so that the daemon can still name the line of a fault.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentLine {
    /// The file it comes from, or `-`.
    pub source: String,
    /// Line in it, from 1.
    pub line: u64,
    /// The document.
    pub document: Box<RawValue>,
}

/// What became of a submission. Positions are those of the documents as they were sent.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SubmitReceipt {
    /// The record of each document.
    pub ids: Vec<RecordId>,
    /// Positions, from 0, whose record existed before.
    pub existing: Vec<usize>,
    /// What stands in the way of new records.
    #[serde(default)]
    pub warnings: Vec<SubmitWarning>,
}

/// Something that the submitter should know of some records.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SubmitWarning {
    /// What it is.
    pub message: String,
    /// How many records it is about.
    pub records: u64,
    /// The first of them.
    pub first: RecordId,
}

/// One call of a submit command as `--dry-run` shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PreviewedSubmission {
    /// The pool.
    pub pool: PoolName,
    /// The scheduler's submit command, argument by argument.
    pub argv: Vec<String>,
    /// The job script, byte by byte.
    pub script: String,
    /// Jobs that the call makes: the size of its array.
    pub jobs: u32,
    /// Tasks that they would run.
    pub tasks: u32,
}
