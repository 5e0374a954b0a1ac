//! What people and programs are shown: the stable JSON of the CLI and of the local API, filled by `store`. Pure.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::calculation::Driver;
use super::failure::FailureClass;
use super::ids::{AsideId, JobId, PoolName, RecordId, SchedulerJobId, SubmissionId, Tag, TaskId};
use super::job::{JobOutcome, JobState, SubmissionState};
use super::record::{RecordStatus, RecordType};

/// Which records are meant. Members are ANDed, the values inside one ORed; an empty list means any.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordFilter {
    /// These ids.
    pub ids: Vec<RecordId>,
    /// Any of these statuses.
    pub status: Vec<RecordStatus>,
    /// Programs (of the single points), lower case.
    pub program: Vec<String>,
    /// Methods, lower case.
    pub method: Vec<String>,
    /// Compute tags.
    pub compute_tag: Vec<String>,
    /// Pools that a job of the record ran or runs in.
    pub pool: Vec<String>,
    /// Molecular formulas in Hill order.
    pub formula: Vec<String>,
    /// Created at or after.
    pub since: Option<Timestamp>,
}

/// One record as a line of a list.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RecordLine {
    /// The record.
    pub id: RecordId,
    /// Its type.
    pub record_type: RecordType,
    /// Its status.
    pub status: RecordStatus,
    /// Program of the single points.
    pub program: String,
    /// Driver (`deferred` for optimizations).
    pub driver: Driver,
    /// Method.
    pub method: String,
    /// Basis, empty for none.
    pub basis: String,
    /// Formula in Hill order.
    pub formula: String,
    /// Compute tag.
    pub compute_tag: String,
    /// Final energy in hartree.
    pub return_energy: Option<f64>,
    /// Wall time of the last attempt, in seconds.
    pub wall_seconds: Option<f64>,
    /// Pool of the last job that held it.
    pub pool: Option<PoolName>,
    /// When it was requested.
    pub created_on: Timestamp,
    /// When it last changed.
    pub modified_on: Timestamp,
}

/// A page of a list; `next` is the cursor of the following page.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RecordPage {
    /// Newest first.
    pub records: Vec<RecordLine>,
    /// Give it as `before` to go on.
    pub next: Option<RecordId>,
}

/// Everything about one record.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RecordDetail {
    /// The line of the list.
    pub line: RecordLine,
    /// The specification as QCArchive writes it.
    pub specification: Value,
    /// The molecule as QCSchema v1.
    pub molecule: Value,
    /// The final molecule of an optimization.
    pub final_molecule: Option<Value>,
    /// QCArchive's properties, `return_result` among them.
    pub properties: Option<Value>,
    /// Energies along an optimization, in hartree.
    pub energies: Option<Vec<f64>>,
    /// Single points of the trajectory.
    pub trajectory: Vec<RecordId>,
    /// The user's extras.
    pub extras: Map<String, Value>,
    /// Every attempt, oldest first.
    pub history: Vec<AttemptLine>,
    /// What the task asks for and why it waits; none once complete.
    pub task: Option<TaskLine>,
    /// What happened, oldest first, the newest 200.
    pub events: Vec<EventLine>,
    /// Names of stored native files.
    pub native_files: Vec<String>,
}

/// A report that fits no task and was kept aside.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AsideLine {
    /// Its id.
    pub id: AsideId,
    /// Since when it is kept.
    pub at: Timestamp,
    /// Why, as one word.
    pub reason: String,
    /// Why, for people.
    pub explanation: String,
    /// The job among whose results it lay.
    pub job_id: JobId,
    /// The record that it names.
    pub record_id: RecordId,
    /// The task that it names.
    pub task_id: TaskId,
    /// The attempt that it names.
    pub attempt: i32,
    /// `complete` or `error`.
    pub outcome: String,
}

/// The open task of a record.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TaskLine {
    /// Programs needed.
    pub required_programs: Vec<String>,
    /// 0 low, 1 normal, 2 high: QCArchive's priorities.
    pub compute_priority: i16,
    /// Pool it was asked to run in.
    pub pool: Option<PoolName>,
    /// Cores asked for.
    pub cores: Option<i32>,
    /// Memory asked for.
    pub memory_bytes: Option<i64>,
    /// Time asked for.
    pub walltime_seconds: Option<i64>,
    /// GPUs asked for.
    #[serde(default)]
    pub gpus: Option<u32>,
    /// Nodes asked for.
    #[serde(default)]
    pub nodes: Option<u32>,
    /// Tries spent.
    pub tries: i32,
    /// Attempts lost without fault of the task.
    pub losses: i32,
    /// Job that holds it.
    pub job: Option<JobLine>,
    /// Why it waits, in words.
    pub waiting_reason: Option<String>,
    /// Not before.
    pub not_before: Option<Timestamp>,
}

/// One attempt.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AttemptLine {
    /// Its row.
    pub history_id: i64,
    /// Number of the attempt, from 0.
    pub attempt: i32,
    /// Complete or error.
    pub status: RecordStatus,
    /// Class of the failure.
    pub failure: Option<FailureClass>,
    /// QCEngine's error type.
    pub error_type: Option<String>,
    /// Job that ran it.
    pub job_id: Option<JobId>,
    /// Node.
    pub hostname: Option<String>,
    /// Cores.
    pub cores: Option<i32>,
    /// Memory, in bytes.
    pub memory_bytes: Option<i64>,
    /// Elapsed seconds.
    pub wall_seconds: Option<f64>,
    /// Processor seconds.
    pub cpu_seconds: Option<f64>,
    /// The most memory held, in bytes, where it was measured.
    #[serde(default)]
    pub peak_memory_bytes: Option<i64>,
    /// When it started, by the clock of its node.
    #[serde(default)]
    pub started_on: Option<Timestamp>,
    /// Program as its provenance names it.
    pub program: Option<String>,
    /// Its version.
    pub program_version: Option<String>,
    /// Which way the result came: `QCEngine` with its version, or `native`.
    pub through: Option<String>,
    /// When its result was stored.
    pub modified_on: Timestamp,
    /// Outputs that are stored: `stdout`, `stderr`, `error`.
    pub outputs: Vec<String>,
}

/// One event.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EventLine {
    /// When.
    pub at: Timestamp,
    /// A word, such as `submitted`, `released`, `retried`.
    pub kind: String,
    /// For people.
    pub message: String,
}

/// One job as a line of a list.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JobLine {
    /// The job.
    pub id: JobId,
    /// Its submission.
    pub submission_id: SubmissionId,
    /// The submission's tag, which is the job's name in the scheduler.
    pub tag: Tag,
    /// State of the submission.
    pub submission_state: SubmissionState,
    /// Its pool.
    pub pool: PoolName,
    /// The scheduler's id.
    pub scheduler_job_id: Option<SchedulerJobId>,
    /// State.
    pub state: JobState,
    /// How it ended.
    pub outcome: Option<JobOutcome>,
    /// The scheduler's reason for the state.
    pub reason: Option<String>,
    /// Exit code.
    pub exit_code: Option<i32>,
    /// Node.
    pub hostname: Option<String>,
    /// Tasks staged for it.
    pub tasks: i32,
    /// Tasks it still holds.
    pub open_tasks: i64,
    /// When the scheduler took it.
    pub queued_on: Option<Timestamp>,
    /// When it started.
    pub started_on: Option<Timestamp>,
    /// When it ended.
    pub ended_on: Option<Timestamp>,
}

/// What `qcbatch status` says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StatusSummary {
    /// The site.
    pub site: String,
    /// Version of the daemon.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Its host.
    pub hostname: String,
    /// Since when it runs.
    pub started_on: Timestamp,
    /// Records by status; empty while the database is away.
    pub records: BTreeMap<RecordStatus, i64>,
    /// Reports that fit no task and were kept aside.
    #[serde(default)]
    pub reports_aside: i64,
    /// Why records and jobs could not be counted, if they could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_away: Option<String>,
    /// Each pool.
    pub pools: Vec<PoolSummary>,
    /// What keeps records waiting that is no trouble by itself, one line each: no pool can run them, a pool has all its jobs.
    #[serde(default)]
    pub waiting: Vec<String>,
    /// What is paused or failing, one line each; empty when all is well.
    pub troubles: Vec<String>,
}

/// One pool in `qcbatch status`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PoolSummary {
    /// Its name.
    pub name: PoolName,
    /// Its adapter.
    pub adapter: String,
    /// What the scheduler is.
    #[serde(default)]
    pub scheduler: SchedulerSummary,
    /// Live jobs by state.
    pub jobs: BTreeMap<JobState, i64>,
    /// Why it is not submitting, if it is not.
    pub paused: Option<String>,
    /// What keeps its tasks from running; empty where it gets on.
    #[serde(default)]
    pub obstacles: Vec<String>,
    /// When it was last polled with a valid answer.
    pub polled_on: Option<Timestamp>,
    /// What the scheduler allows its jobs, as far as it tells; empty where it tells of no limit.
    #[serde(default)]
    pub limits: String,
}

/// What the last probe learned of a scheduler; empty before the first.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct SchedulerSummary {
    /// What it calls itself, where it tells more than a version (LSF and its relatives).
    pub product: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The cluster's name.
    pub cluster: Option<String>,
    /// The form chosen of each command that has several: by what is asked with it; `usual` is that for no version in particular.
    pub variants: BTreeMap<String, String>,
}

impl fmt::Display for SchedulerSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.product.iter().chain(&self.version).map(String::as_str).collect();
        f.write_str(&words.join(" "))?;
        self.cluster.iter().try_for_each(|cluster| {
            let gap = if words.is_empty() { "" } else { " " };
            write!(f, "{gap}on {cluster}")
        })
    }
}
