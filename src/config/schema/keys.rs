//! The table of sections and keys. A new key is a line here, a line in the example file and a field in `settings`.
//! Pure data.

use std::time::Duration;

use super::{Key, Kind, Preset, Section};

/// Every section, in the order people read them.
pub(in super::super) const SECTIONS: &[Section] = &[
    Section { name: "site", doc: "What this site is called and where the daemon keeps its state." },
    Section {
        name: "database",
        doc: "PostgreSQL. Without `url` the daemon keeps a private cluster in its state directory.",
    },
    Section { name: "database.tls", doc: "How the connection to an external server is protected." },
    Section { name: "spool", doc: "The directory through which the daemon and its jobs talk." },
    Section { name: "daemon", doc: "The daemon itself." },
    Section { name: "scheduler", doc: "How scheduler commands are run, in all pools." },
    Section { name: "intake", doc: "How submissions are taken in, one at a time." },
    Section { name: "inbox", doc: "The directory whose JSON files are taken in as submissions." },
    Section { name: "defaults", doc: "What a task asks for when its submitter does not say." },
    Section { name: "retry", doc: "How often a failed task is tried again." },
    Section { name: "worker", doc: "The Python workers inside jobs." },
    Section {
        name: "pool",
        doc: "A place to run, once per `[[pool]]`. Without any there is one pool `local`: this machine.",
    },
];

macro_rules! keys {
    ($($path:literal, $kind:expr, $preset:expr, $doc:literal;)*) => {
        &[$(Key { path: $path, kind: $kind, default: $preset, doc: $doc }),*]
    };
}

const fn integer(least: u64, most: u64) -> Kind {
    Kind::Integer { least, most }
}

const fn duration(least_milliseconds: u64, most_milliseconds: u64) -> Kind {
    Kind::Duration {
        least: Duration::from_millis(least_milliseconds),
        most: Duration::from_millis(most_milliseconds),
    }
}

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const MEBIBYTE: u64 = 1 << 20;

use Kind::*;
use Preset::*;

/// Every key, section by section.
pub(in super::super) const KEYS: &[Key] = keys![
    "site.name", Name, Value("default"), "Name of the site. Sites that share a database must differ in it.";
    "site.state", Path, Value("~/.local/state/qcbatch"), "State directory, on a local file system if there is one. `XDG_STATE_HOME`, where set, takes the place of `~/.local/state`.";
    "site.adapter_directories", List(&Path), Value(r#"["~/.config/qcbatch/adapters", "/etc/qcbatch/adapters"]"#), "Where a site's own adapter files are looked for. All of one name are laid over the built-in one, the first directory's last.";
    "site.template_directories", List(&Path), Value(r#"["~/.config/qcbatch/jobscripts", "/etc/qcbatch/jobscripts"]"#), "Where a site's own job script templates are looked for, the first match winning, before the built-in ones.";

    "database.url", DatabaseUrl, Absent("private cluster"), "External server. Never shown in logs or by `config show`; refused on the command line.";
    "database.url_file", Path, Absent("none"), "File that holds the URL on one line, in place of `url`. Mode 0600.";
    "database.password_file", Path, Absent("none"), "File that holds the password on one line, to go with a URL without one. Mode 0600.";
    "database.pool_size", integer(4, 100), Value("10"), "Maximum number of connections that the daemon opens: one for its lease, one for the submission that is being taken in, a third of the rest for the local API, the others for its loops.";
    "database.bin_dir", Path, Absent("searched for"), "Directory of `initdb` and `pg_ctl`, for the private cluster.";
    "database.server_user", Name, Absent("`postgres`, else `nobody`"), "User that the private server runs as when root starts it; PostgreSQL refuses to run as root.";
    "database.shared_filesystem", Choice(&["refuse", "allow"]), Value("refuse"), "Whether the private cluster may lie on NFS, Lustre and their like, whose locks and fsync PostgreSQL cannot rely on everywhere.";
    "database.tls.mode", Choice(&["disable", "prefer", "require", "verify-full"]), Value("prefer"), "`require` encrypts without checking who the server is; `verify-full` checks its certificate and name.";
    "database.tls.root_certificate", Path, Absent("public authorities"), "PEM file of the authorities that `verify-full` trusts.";

    "spool.path", Path, Value("{state}/spool"), "Must be on a file system that the compute nodes share.";
    "spool.keep", duration(MINUTE, 365 * DAY), Value("7d"), "How long the directory of an ended submission stays.";

    "daemon.tick", duration(100, MINUTE), Value("2s"), "Time between two looks at what is to be done.";
    "daemon.poll_interval", duration(SECOND, HOUR), Value("30s"), "Time between two polls of a scheduler; one poll covers all jobs. Sites ask for 15 s or more.";
    "daemon.lease", duration(SECOND, HOUR), Value("60s"), "How long another daemon waits before it takes over a site whose daemon fell silent. At least three ticks.";
    "daemon.socket", Path, Value("{state}/qcbatch.sock"), "Unix socket of the local API. At most 107 bytes long.";
    "daemon.log", LogFilter, Value("info"), "What is logged.";
    "daemon.log_format", Choice(&["text", "json"]), Value("text"), "Lines for people, or one JSON object per line.";
    "daemon.log_file", Path, Absent("standard error"), "File that the log is appended to, created with mode 0600.";

    "scheduler.timeout", duration(SECOND, HOUR), Value("60s"), "A scheduler command that takes longer is ended and its answer counts as unclear.";
    "scheduler.search_path", List(&Path), Value("[]"), "Directories that scheduler commands are looked for in, before the daemon's own `PATH`.";
    "scheduler.pass_environment", List(&VariableName), Value("[]"), "Variables that scheduler commands see, besides `PATH`, `HOME`, `USER` and those that the adapter names.";

    "intake.wait", duration(SECOND, HOUR), Value("10s"), "How long a submission waits for the one before it, before it is answered that the daemon is busy. `qcbatch submit` says so and tries again.";
    "intake.life", duration(10 * SECOND, DAY), Value("15m"), "How long taking one submission in may last altogether. What is not finished by then is undone.";
    "intake.document_bytes", Size { least_bytes: 1 << 10 }, Value("8MiB"), "Maximum size of one document. Larger ones are refused.";
    "intake.document_elements", integer(1_000, 100_000_000), Value("1000000"), "Maximum number of values (numbers, texts, lists, members) in one document. Each costs the daemon some 100 bytes while it takes the document in.";

    "inbox.path", Path, Value("{state}/inbox"), "A file that is put into it is taken in once it has not changed for a second.";
    "inbox.scan_interval", duration(SECOND, HOUR), Value("10s"), "Time between two scans.";

    "defaults.pool", Name, Absent("any pool that fits"), "Pool that tasks go to.";
    "defaults.compute_tag", ComputeTag, Value("*"), "Tag of tasks.";
    "defaults.compute_priority", Choice(&["low", "normal", "high"]), Value("normal"), "Priority of tasks.";
    "defaults.cores", integer(1, 65_536), Value("1"), "Cores of a task.";
    "defaults.memory", Size { least_bytes: MEBIBYTE }, Value("2GiB"), "Memory of a task of which history says nothing.";
    "defaults.walltime", duration(SECOND, 365 * DAY), Value("1h"), "Time limit of a task of which history says nothing.";

    "retry.tries", integer(1, 100), Value("3"), "How often a task may fail by its own fault before its record ends with the error.";
    "retry.losses", integer(1, 10_000), Value("20"), "How often a task may be lost without its fault (a killed job, a broken node).";
    "retry.delay", duration(0, DAY), Value("30s"), "Time before a task is tried again; it doubles each time.";

    "worker.python", Program, Value("python3"), "Interpreter that has QCEngine.";
    "worker.native_programs", List(&Choice(&["mopac", "xtb"])), Value(r#"["mopac", "xtb"]"#), "Programs that jobs start directly, without QCEngine, for inputs they understand; where one is not in the job's `PATH`, QCEngine is asked.";
    "worker.recycle_after", integer(1, 1_000_000), Value("500"), "Tasks after which a worker is replaced by a fresh one.";
    "worker.recycle_growth", Size { least_bytes: MEBIBYTE }, Value("1GiB"), "A worker that has grown by so much is replaced by a fresh one.";
    "worker.result_bytes", Size { least_bytes: MEBIBYTE }, Value("64MiB"), "Maximum size of one result as JSON, at most 1 GiB. A larger one is a failure of its task that says so; the daemon needs some ten times as much memory while it stores one.";
    "worker.heartbeat", duration(SECOND, HOUR), Value("10s"), "Time between two signs of life of a job.";

    "pool.name", Name, Required, "Name of the pool. A later layer's pool of the same name changes single keys of it.";
    "pool.adapter", Name, Value("local"), "How its scheduler is spoken to: `local` (this machine, no scheduler), `slurm`, `pbs`, `torque`, `lsf`, `sge`, or an adapter file of the site.";
    "pool.programs", List(&ProgramName), Value(r#"["*"]"#), "QC programs that it can run; `*` is any.";
    "pool.compute_tags", List(&ComputeTag), Value(r#"["*"]"#), "Compute tags that it serves, the preferred first; `*` is any.";
    "pool.queue", Word, Absent("the scheduler's default"), "Queue or partition.";
    "pool.account", Word, Absent("the scheduler's default"), "Account or project that is charged.";
    "pool.qos", Word, Absent("the scheduler's default"), "Quality of service.";
    "pool.constraint", Word, Absent("none"), "Node features asked for, in the scheduler's notation.";
    "pool.reservation", Word, Absent("none"), "Reservation to run in.";
    "pool.sharing", Choice(&["shared", "exclusive"]), Value("shared"), "Whether a job's nodes may run other jobs too.";
    "pool.nodes", integer(1, 10_000), Value("1"), "Nodes per job; each has a runner that works on tasks of its own.";
    "pool.tasks", integer(1, 1_000_000), Value("1"), "Scheduler tasks (slots, MPI ranks) per job; rounded up to as many on each node.";
    "pool.cores", integer(1, 65_536), Absent("what its tasks ask for"), "Cores per scheduler task of every job.";
    "pool.memory", Size { least_bytes: MEBIBYTE }, Absent("what its tasks ask for"), "Memory per node of every job.";
    "pool.gpus", integer(0, 1_024), Value("0"), "GPUs per node.";
    "pool.gpu_type", Word, Absent("any"), "Kind of GPU.";
    "pool.walltime", duration(SECOND, 365 * DAY), Value("4h"), "Longest time limit of a job; one whose tasks need less asks for less.";
    "pool.warning", duration(0, DAY), AtMostQuarterOf("2m", "pool.walltime"), "How long before its time limit a job is told to wind up; its tasks have the time before that.";
    "pool.tasks_per_job", integer(1, 100_000), Absent("no limit"), "Most tasks that one job takes; then it ends.";
    "pool.max_jobs", integer(1, 100_000), MachineCores("20"), "Most live jobs (array elements counted one by one).";
    "pool.filling", Choice(&["fill", "spread"]), LocalElse("spread", "fill"), "`fill` submits as few jobs as get the work done in about an hour each; `spread` submits as many as may be free, one for each task that can run.";
    "pool.idle", duration(SECOND, DAY), LocalElse("15s", "2m"), "How long a job without work waits for more before it ends. On this machine another one starts at once, and cores that wait are taken from others.";
    "pool.max_array", integer(1, 100_000), Value("1000"), "Most elements of one job array; 1 means no arrays.";
    "pool.task_nodes", integer(1, 10_000), Value("1"), "Most nodes of one task. A task over several of them gets a job of its own with whole nodes, whatever `nodes` says, and a scheduler task on every core.";
    "pool.mpiexec", MpiCommand, Absent("no task has several nodes"), "Starts an MPI program in a job, as QCEngine's `mpiexec_command`: `{total_ranks}`, `{ranks_per_node}`, `{nnodes}` and `{cores_per_rank}` stand for the task's numbers.";
    "pool.setup", List(&ShellLine), Value("[]"), "Lines of shell that a job runs first: module loads, conda activation.";
    "pool.setup_errors", Choice(&["fatal", "ignored"]), Value("fatal"), "What a command of `setup` that fails means: `fatal` ends the job before any task and says which command it was; `ignored` goes on.";
    "pool.environment", Variables, Value("{}"), "Variables that a job exports.";
    "pool.extra", List(&Directive), Value("[]"), "Scheduler options passed on word by word.";
    "pool.worker_python", Program, SameAs("worker.python"), "Interpreter that has QCEngine on this pool's nodes.";
    "pool.scratch", Path, Absent("the job's `TMPDIR`"), "Directory for temporary files on the nodes.";
    "pool.template", FileName, Value("base.sh.j2"), "Job script template.";
    "pool.poll_interval", duration(SECOND, HOUR), SameAs("daemon.poll_interval"), "Time between two polls of its scheduler.";
    "pool.grace", duration(SECOND, DAY), AtLeastTwice("5m", "pool.poll_interval"), "How long a job may be missing from the scheduler's list, without evidence, before it counts as lost.";
    "pool.evidence_grace", duration(0, DAY), LocalElse("1s", "30s"), "How long a job that its scheduler calls ended may take to show its last files (attribute caching of shared file systems).";
];
