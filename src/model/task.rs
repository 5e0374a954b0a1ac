//! What a job is told to do and what it says of it: the documents that travel through the spool. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::calculation::Calculation;
use super::failure::FailureClass;
use super::identity::{DatabaseId, Issue, first_format};
use super::ids::{JobId, RecordId, TaskId};

/// How the `routine` of a result's provenance begins where the node runner ran the program itself; its name follows.
pub const NATIVE_ROUTINE: &str = "qcbatch.node.native.";

/// The member of a result's extras that says from which attempt an optimization went on.
pub const RESTART_EXTRA: &str = "qcbatch_restart";

/// Whether a task may share its job.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// With other tasks in one job.
    #[default]
    Shared,
    /// In a job of its own, whose exit code says how the task went (`submit --now`).
    Dedicated,
}

impl Placement {
    /// The word used in SQL, JSON and the CLI.
    pub const fn as_str(self) -> &'static str {
        match self {
            Placement::Shared => "shared",
            Placement::Dedicated => "dedicated",
        }
    }
}

/// One task as it is staged in a chunk. A chunk file is zstd-compressed JSON lines of these.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskOrder {
    /// The version of this document; a runner hands back what is of a later one than it knows.
    #[serde(default = "first_format")]
    pub format: u32,
    /// Which database hands the task out and what it asks; none in orders of an earlier version. The report gives it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<Issue>,
    /// The task.
    pub task_id: TaskId,
    /// Its record.
    pub record_id: RecordId,
    /// How many times the task was handed out before; with the task id it names this attempt.
    pub attempt: u32,
    /// What is asked, in one normal form for both QCSchema generations.
    pub calculation: Calculation,
    /// Cores the program may use.
    pub cores: u32,
    /// Memory the program may use.
    pub memory_bytes: u64,
    /// GPUs the program may use.
    #[serde(default)]
    pub gpus: u32,
    /// Nodes over which the program runs with MPI; cores, memory and GPUs are of each.
    #[serde(default = "one")]
    pub nodes: u32,
    /// The task's own limit; the job's end limits it too.
    pub walltime_seconds: u64,
    /// How long it will probably take, where history tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_seconds: Option<u64>,
}

/// What became of one attempt: the payload of one frame in a result file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskReport {
    /// What its order carried: which database handed the task out and what it asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue: Option<Issue>,
    /// The task.
    pub task_id: TaskId,
    /// Its record.
    pub record_id: RecordId,
    /// The attempt, as the order gave it.
    pub attempt: u32,
    /// Result or error.
    pub outcome: TaskOutcome,
    /// What the program printed.
    pub stdout: Option<String>,
    /// What it and its worker wrote to standard error.
    pub stderr: Option<String>,
    /// Files that the `native_files` protocol asked for, by name.
    pub native_files: BTreeMap<String, String>,
    /// Where and how it ran.
    pub provenance: TaskProvenance,
}

/// How far an optimization has come: another attempt goes on from here.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Progress {
    /// The geometry of the last gradient in bohr, `x y z` of one atom after the other.
    pub geometry: Vec<f64>,
    /// The energy there in hartree.
    pub energy: Option<f64>,
    /// Gradients calculated by this attempt.
    pub gradients: u32,
}

/// Result or error of one attempt, or a word from its midst. Externally tagged: a `RawValue` cannot be read from inside a
/// tagged map.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskOutcome {
    /// The program's answer.
    Complete {
        /// A QCSchema v1 `AtomicResult` or `OptimizationResult` without `stdout`, `stderr` and `native_files`.
        result: Box<RawValue>,
    },
    /// No answer.
    Error {
        /// How it is retried.
        class: FailureClass,
        /// QCEngine's `error_type`, or `timeout`, `worker_died`.
        error_type: String,
        /// For a person.
        message: String,
    },
    /// The attempt goes on, or was stopped here: nothing has ended yet.
    Progress(Progress),
    /// The attempt was not begun, and will not be: the task is free for others.
    Returned,
}

/// Where, with what and how long an attempt ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskProvenance {
    /// The node.
    pub hostname: String,
    /// Our job.
    pub job_id: JobId,
    /// The scheduler's id of it, as the job's environment told.
    pub scheduler_job_id: Option<String>,
    /// Cores it was given, on all its nodes.
    pub cores: u32,
    /// Memory it was given on each node, in bytes.
    pub memory_bytes: u64,
    /// Its nodes.
    #[serde(default = "one")]
    pub nodes: u32,
    /// Elapsed time.
    pub wall_seconds: f64,
    /// User and system time of the worker and its children.
    pub cpu_seconds: f64,
    /// When it started by the node's clock, seconds since the epoch: for display, clocks of hosts are never compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_on: Option<f64>,
    /// The most memory that the program and all it started held, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// Program name as QCSchema's provenance says it.
    pub program: Option<String>,
    /// Its version.
    pub program_version: Option<String>,
    /// QCEngine's version, where it was used.
    pub qcengine_version: Option<String>,
}

/// `manifest.json`: what a job's node runner must know, written beside its chunk before submission.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobManifest {
    /// The version of what lies beside it: a runner does not begin a job of a later one than it knows.
    #[serde(default = "first_format")]
    pub format: u32,
    /// The database that the job belongs to; none in manifests of an earlier version, and for jobs that only try a pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseId>,
    /// The job.
    pub job_id: JobId,
    /// How many tasks its chunk holds.
    pub tasks: u32,
    /// How the job's exit code is made.
    pub exit: ExitRule,
    /// Cores it may use.
    pub cores: u32,
    /// Memory it may use.
    pub memory_bytes: u64,
    /// The walltime asked for; the runner stops in time before it.
    pub walltime_seconds: u64,
    /// The command that starts a worker: interpreter and script.
    pub worker_command: Vec<String>,
    /// Tasks after which a worker is replaced by a fresh one: programs leak.
    pub recycle_after: u32,
    /// Node-local scratch; `TMPDIR` of the job where not given.
    pub scratch: Option<String>,
    /// Seconds between heartbeats.
    pub heartbeat_seconds: u64,
    /// GPUs it may use.
    #[serde(default)]
    pub gpus: u32,
    /// The pool's directory of chunks that any job may claim; none for a job that works through its own chunk only.
    #[serde(default)]
    pub ready: Option<String>,
    /// The pool's directory of notices; none in manifests of older versions.
    #[serde(default)]
    pub notices: Option<String>,
    /// How long the job waits for a further chunk before it ends.
    #[serde(default)]
    pub idle_seconds: u64,
    /// Most tasks that it takes in all.
    #[serde(default)]
    pub tasks_limit: Option<u32>,
    /// Programs that the runner runs itself, without QCEngine, where it can.
    #[serde(default)]
    pub native_programs: Vec<String>,
    /// A worker that has grown by so much is replaced by a fresh one.
    #[serde(default)]
    pub recycle_growth_bytes: Option<u64>,
    /// Maximum size of one report as JSON; the usual one where not given.
    #[serde(default)]
    pub result_bytes: Option<u64>,
    /// Starts a program on several nodes, in QCEngine's words (`{total_ranks}`).
    #[serde(default)]
    pub mpiexec: Option<String>,
    /// Nodes that have a runner each; cores, memory, GPUs and the limit on tasks are of one of them.
    #[serde(default = "one")]
    pub nodes: u32,
    /// Seconds between the scheduler's request to end and its kill, as far as the scheduler told.
    #[serde(default)]
    pub kill_wait_seconds: Option<u64>,
    /// What the scheduler announces with USR2.
    #[serde(default)]
    pub warning: Warning,
}

/// What a scheduler's warning by USR2 announces.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// The walltime is near: running tasks may go on for as long as the job has time.
    #[default]
    WalltimeNear,
    /// The kill, within `kill_wait_seconds`, whatever the reason is.
    Kill,
}

const fn one() -> u32 {
    1
}

/// What a job's exit code says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitRule {
    /// 0 when the runner did its work, whatever the tasks' results.
    Runner,
    /// 0 only when every task completed: for `--now` jobs that others depend on (`afterok`).
    Tasks,
}

/// `start.json`: the runner's first words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartRecord {
    /// The job.
    pub job_id: JobId,
    /// The node.
    pub hostname: String,
    /// The runner's process id there.
    pub pid: u32,
    /// The scheduler's id, as the environment told.
    pub scheduler_job_id: Option<String>,
    /// The node's clock, seconds since the epoch. For display only: clocks of two hosts are never compared.
    pub node_clock: i64,
}

/// `end.json`: the runner's last words, written after the last result is safe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndRecord {
    /// The job.
    pub job_id: JobId,
    /// Why it stopped.
    pub reason: EndReason,
    /// Exit code it is about to give.
    pub exit_code: i32,
    /// Results appended by this job.
    pub results: u64,
    /// Length of the result file in bytes, all of it whole frames.
    pub results_bytes: u64,
    /// Free text for a person, such as the signal.
    pub detail: Option<String>,
}

/// Why a node runner stopped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Every task that it took has a report, and there was nothing more to take.
    Done,
    /// The walltime came near; what is unfinished goes back.
    WalltimeNear,
    /// Asked to stop by a signal.
    Signal,
    /// Could not work: no worker started, disk full, manifest unreadable.
    Failed,
}

/// `heartbeat.json`: rewritten while the job runs. A growing counter is a sign of life that needs no clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Grows by one each time.
    pub beat: u64,
    /// Tasks reported so far.
    pub results: u64,
    /// Tasks being run now.
    pub running: Vec<TaskId>,
    /// Memory that the runner itself holds.
    #[serde(default)]
    pub resident_bytes: u64,
}
