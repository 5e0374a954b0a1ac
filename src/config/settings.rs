//! The configuration as the rest of the program sees it: every value typed, present and checked.
//! Pure data.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::secret::Secret;
use crate::model::ids::PoolName;
use crate::model::resources::{Filling, JobResources, SetupErrors, TaskResources};

/// Everything that is configured.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Config {
    /// `[site]`
    pub site: SiteConfig,
    /// `[database]`
    pub database: DatabaseConfig,
    /// `[spool]`
    pub spool: SpoolConfig,
    /// `[daemon]`
    pub daemon: DaemonConfig,
    /// `[scheduler]`
    pub scheduler: SchedulerConfig,
    /// `[intake]`
    pub intake: IntakeConfig,
    /// `[inbox]`
    pub inbox: InboxConfig,
    /// `[defaults]`
    pub defaults: DefaultsConfig,
    /// `[retry]`
    pub retry: RetryConfig,
    /// `[worker]`
    pub worker: WorkerConfig,
    /// `[[pool]]`, in the order in which the layers first name them. Never empty.
    pub pools: Vec<PoolConfig>,
}

impl Config {
    /// The pool of that name.
    pub fn pool(&self, name: &PoolName) -> Option<&PoolConfig> {
        self.pools.iter().find(|pool| pool.name == *name)
    }
}

/// What this site is called and where it keeps its state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SiteConfig {
    /// Its name, unique among the sites of a database.
    pub name: String,
    /// The state directory.
    pub state: PathBuf,
    /// Where a site's own adapter files are; the first directory's have the last word.
    pub adapter_directories: Vec<PathBuf>,
    /// Where a site's own templates are, the first match winning.
    pub template_directories: Vec<PathBuf>,
}

/// PostgreSQL.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DatabaseConfig {
    /// URL or connection string with its password; none means the private cluster.
    pub url: Option<Secret>,
    /// Maximum number of connections, at least four.
    pub pool_size: u32,
    /// Where `initdb` and `pg_ctl` are, if not found by themselves.
    pub bin_dir: Option<PathBuf>,
    /// User that the private server runs as when root starts it.
    pub server_user: Option<String>,
    /// Whether the private cluster may lie on a shared file system.
    pub shared_filesystem: SharedFilesystem,
    /// Protection of the connection.
    pub tls: TlsConfig,
}

/// Whether the private cluster may lie on a shared file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SharedFilesystem {
    /// No.
    Refuse,
    /// Yes: somebody knows that theirs keeps its promises.
    Allow,
}

/// Protection of the connection to an external server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TlsConfig {
    /// How strict.
    pub mode: TlsMode,
    /// PEM file of trusted authorities; none means the public ones.
    pub root_certificate: Option<PathBuf>,
}

/// How strict the protection of the connection is: libpq's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Never encrypted.
    Disable,
    /// Encrypted if the server can.
    Prefer,
    /// Encrypted; the server's certificate is not checked.
    Require,
    /// Encrypted; certificate and name are checked.
    VerifyFull,
}

/// The spool.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SpoolConfig {
    /// Its directory, on a file system that the nodes share.
    pub path: PathBuf,
    /// How long the directory of an ended submission stays.
    pub keep: Duration,
}

/// The daemon.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DaemonConfig {
    /// Time between two looks at what is to be done.
    pub tick: Duration,
    /// Time between two polls, for pools that do not say.
    pub poll_interval: Duration,
    /// After so much silence another daemon may take over. At least three ticks.
    pub lease: Duration,
    /// The local API's socket.
    pub socket: PathBuf,
    /// Filter of `tracing`.
    pub log: String,
    /// Form of the log.
    pub log_format: LogFormat,
    /// File of the log; none means standard error.
    pub log_file: Option<PathBuf>,
}

/// Form of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// How scheduler commands are run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SchedulerConfig {
    /// A command that takes longer is ended; its answer is unclear.
    pub timeout: Duration,
    /// Directories before the daemon's own `PATH`.
    pub search_path: Vec<PathBuf>,
    /// Variables passed on besides those that the adapter names.
    pub pass_environment: Vec<String>,
}

/// How submissions are taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct IntakeConfig {
    /// How long a submission waits for the one before it.
    pub wait: Duration,
    /// How long taking one submission in may last.
    pub life: Duration,
    /// Maximum size of one document.
    pub document_bytes: u64,
    /// Maximum number of values in one document.
    pub document_elements: u32,
}

/// The inbox.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct InboxConfig {
    /// Its directory.
    pub path: PathBuf,
    /// Time between two scans.
    pub scan_interval: Duration,
}

/// What a task asks for when its submitter does not say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DefaultsConfig {
    /// Pool; none means any that fits.
    pub pool: Option<PoolName>,
    /// Compute tag.
    pub compute_tag: String,
    /// Priority.
    pub compute_priority: ComputePriority,
    /// Cores.
    pub cores: u32,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Time limit.
    pub walltime: Duration,
}

impl DefaultsConfig {
    /// What decides which pools may run a task: what it asks for, and these where it says nothing. Nodes of its own are
    /// given whole, whatever they have, and a time limit that was not asked for fits any pool.
    pub fn complete(&self, asks: &TaskResources) -> TaskResources {
        let wide = asks.nodes.is_some_and(|nodes| nodes > 1);
        TaskResources {
            cores: asks.cores.or(if wide { None } else { Some(self.cores) }),
            memory_bytes: asks.memory_bytes.or(if wide { None } else { Some(self.memory_bytes) }),
            ..asks.clone()
        }
    }
}

/// QCArchive's priorities.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ComputePriority {
    /// 0
    Low = 0,
    /// 1
    Normal = 1,
    /// 2
    High = 2,
}

/// How often a failed task is tried again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RetryConfig {
    /// Failures by the task's own fault.
    pub tries: u32,
    /// Losses without its fault.
    pub losses: u32,
    /// Time before the second try; it doubles each time.
    pub delay: Duration,
}

/// The workers inside jobs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WorkerConfig {
    /// Interpreter that has QCEngine, for pools that do not say.
    pub python: String,
    /// Programs that jobs start directly.
    pub native_programs: Vec<String>,
    /// Tasks after which a worker is replaced.
    pub recycle_after: u32,
    /// Growth after which a worker is replaced.
    pub recycle_growth_bytes: u64,
    /// Maximum size of one result as JSON.
    pub result_bytes: u64,
    /// Time between two signs of life.
    pub heartbeat: Duration,
}

/// A place to run.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PoolConfig {
    /// Its name.
    pub name: PoolName,
    /// Name of the adapter.
    pub adapter: String,
    /// Programs it can run; `*` is any.
    pub programs: Vec<String>,
    /// Tags it serves, the preferred first; `*` is any.
    pub compute_tags: Vec<String>,
    /// Cores of each job; what its tasks ask for where not given.
    pub cores: Option<u32>,
    /// What each of its jobs asks for; walltime is the longest, and memory open where not given.
    pub resources: JobResources,
    /// Most tasks per job; no limit where not given.
    pub tasks_per_job: Option<u32>,
    /// Most live jobs.
    pub max_jobs: u32,
    /// How many jobs a backlog gets.
    pub filling: Filling,
    /// How long a job without work waits for more.
    pub idle: Duration,
    /// Most elements of one array.
    pub max_array: u32,
    /// Most nodes of one task.
    pub task_nodes: u32,
    /// Starts a program on several nodes, in QCEngine's words.
    pub mpiexec: Option<String>,
    /// Lines of shell that a job runs first.
    pub setup: Vec<String>,
    /// What a failing command of these lines means.
    pub setup_errors: SetupErrors,
    /// Variables that a job exports.
    pub environment: BTreeMap<String, String>,
    /// Interpreter that has QCEngine on its nodes.
    pub worker_python: String,
    /// Directory for temporary files on its nodes; none means the job's `TMPDIR`.
    pub scratch: Option<PathBuf>,
    /// File name of the job script template.
    pub template: String,
    /// Time between two polls.
    pub poll_interval: Duration,
    /// How long a job may be missing without evidence.
    pub grace: Duration,
    /// How long an ended job may take to show its last files.
    pub evidence_grace: Duration,
    /// How long before its time limit a job is told.
    pub warning: Duration,
}
