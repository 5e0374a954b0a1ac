//! A job directory to run a real runner in, and ways to look at what it does.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qcbatch::model::calculation::Calculation;
use qcbatch::model::chunk::{ChunkName, ChunkNeed};
use qcbatch::model::identity::SPOOL_FORMAT;
use qcbatch::model::ids::{ChunkId, JobId, RecordId, TaskId};
use qcbatch::model::task::{EndRecord, ExitRule, JobManifest, TaskOrder, TaskOutcome, TaskReport, Warning};
use qcbatch::permit::Permit;
use qcbatch::spool::{Evidence, Finality, JobDirectory, chunk, evidence, read_results, stage};
use serde_json::{Value, json};

/// Which generation of QCEngine a job's workers have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Generation {
    V1,
    V2,
}

impl Generation {
    pub fn python(self) -> PathBuf {
        let (variable, folder) = match self {
            Generation::V1 => ("QCBATCH_TEST_PYTHON_V1", ".venv-v1"),
            Generation::V2 => ("QCBATCH_TEST_PYTHON_V2", ".venv-v2"),
        };
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("bin/python");
        let python = std::env::var_os(variable).map_or(own, PathBuf::from);
        assert!(
            python.exists(),
            "no Python at `{}`: run `make test-setup` or set {variable}",
            python.display()
        );
        python
    }
}

const BOHR: f64 = 0.529_177_210_67;

/// Water at O 0 0 0.1173; H 0 ±0.7572 −0.4692 Å.
pub fn water() -> Value {
    let geometry: Vec<f64> =
        [0.0, 0.0, 0.1173, 0.0, 0.7572, -0.4692, 0.0, -0.7572, -0.4692].iter().map(|x| x / BOHR).collect();
    json!({"symbols": ["O", "H", "H"], "geometry": geometry})
}

pub fn singlepoint(program: &str, driver: &str, method: &str, basis: &str) -> Value {
    json!({"record_type": "singlepoint", "program": program, "driver": driver, "method": method, "basis": basis,
        "keywords": {}, "protocols": {}})
}

pub fn pm7() -> Value {
    singlepoint("mopac", "gradient", "pm7", "")
}

/// Minutes of work on one core, at least.
pub fn endless() -> Value {
    singlepoint("psi4", "energy", "ccsd(t)", "cc-pv5z")
}

pub fn pm7_optimization() -> Value {
    json!({"record_type": "optimization", "program": "geometric", "keywords": {}, "protocols": {},
        "qc_specification": {"program": "mopac", "driver": "deferred", "method": "pm7", "basis": "",
            "keywords": {}, "protocols": {}}})
}

/// The program that computes nothing.
pub fn synthetic(method: &str, keywords: Value) -> Value {
    let mut specification = singlepoint("synthetic", "energy", method, "");
    specification["keywords"] = keywords;
    specification
}

/// One task.
pub fn order(number: i64, specification: &Value) -> TaskOrder {
    let calculation: Calculation = serde_json::from_value(
        json!({"specification": specification, "molecule": water(), "extras": {"mine": number}}),
    )
    .unwrap();
    TaskOrder {
        format: SPOOL_FORMAT,
        issue: None,
        task_id: TaskId(number),
        record_id: RecordId(1000 + number),
        attempt: 0,
        calculation,
        cores: 1,
        memory_bytes: 1 << 30,
        gpus: 0,
        nodes: 1,
        walltime_seconds: 600,
        expected_seconds: None,
    }
}

/// A staged job.
pub struct Job {
    root: PathBuf,
    _own: Option<tempfile::TempDir>,
    pub directory: JobDirectory,
    pub manifest: JobManifest,
    orders: Vec<TaskOrder>,
}

impl Job {
    pub fn new(generation: Generation) -> Job {
        let own = tempfile::tempdir().unwrap();
        let mut job = Job::below(generation, own.path(), 0);
        job._own = Some(own);
        job
    }

    /// The job with this index below `root`, where others may be too.
    pub fn below(generation: Generation, root: &Path, index: u32) -> Job {
        let worker = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobscripts/qcengine_worker.py");
        let manifest = JobManifest {
            format: SPOOL_FORMAT,
            database: None,
            job_id: JobId(42),
            tasks: 0,
            exit: ExitRule::Runner,
            cores: 2,
            memory_bytes: 2 << 30,
            walltime_seconds: 3600,
            worker_command: [generation.python(), worker].map(|path| path.to_str().unwrap().into()).to_vec(),
            scratch: Some(root.join("scratch").to_str().unwrap().into()),
            recycle_after: 500,
            heartbeat_seconds: 1,
            gpus: 0,
            ready: None,
            notices: None,
            idle_seconds: 0,
            tasks_limit: None,
            native_programs: vec![],
            recycle_growth_bytes: None,
            result_bytes: None,
            mpiexec: None,
            nodes: 1,
            kill_wait_seconds: None,
            warning: Warning::WalltimeNear,
        };
        let directory = JobDirectory::at(root.join(format!("pool/tag/{index}")));
        Job { root: root.to_owned(), _own: None, directory, manifest, orders: vec![] }
    }

    pub fn task(mut self, specification: Value) -> Job {
        self.orders.push(order(self.orders.len() as i64, &specification));
        self
    }

    /// A task on another molecule than water.
    pub fn task_on(mut self, specification: Value, molecule: Value) -> Job {
        self = self.task(specification);
        self.orders.last_mut().unwrap().calculation.molecule = serde_json::from_value(molecule).unwrap();
        self
    }

    pub fn tasks(self, count: usize, specification: &Value) -> Job {
        (0..count).fold(self, |job, _| job.task(specification.clone()))
    }

    /// The limit of the task added last.
    pub fn limit(mut self, seconds: u64) -> Job {
        self.orders.last_mut().unwrap().walltime_seconds = seconds;
        self
    }

    pub fn manifest(mut self, change: impl FnOnce(&mut JobManifest)) -> Job {
        change(&mut self.manifest);
        self
    }

    /// Where the chunks lie that all jobs below the same root may claim.
    pub fn ready(&self) -> PathBuf {
        self.root.join("pool/ready")
    }

    /// The job claims chunks from `ready`, and ends at once when there is none.
    pub fn pooled(self) -> Job {
        let ready = self.ready();
        fs::create_dir_all(&ready).unwrap();
        self.manifest(|manifest| manifest.ready = Some(ready.to_str().unwrap().into()))
    }

    /// Puts a chunk of these tasks into `ready`.
    pub fn publish(&self, chunk_id: i64, orders: &[TaskOrder]) -> ChunkName {
        publish(&self.ready(), chunk_id, orders)
    }

    /// Names of files in the job's directory.
    pub fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<String> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Files in the job's directory, each counted once whatever its names.
    pub fn inodes(&self) -> usize {
        let inode = |name: String| fs::metadata(self.directory.path().join(name)).map(|file| file.ino()).ok();
        self.files().into_iter().filter_map(inode).collect::<std::collections::BTreeSet<_>>().len()
    }

    /// Changes every task added so far.
    pub fn each(mut self, change: impl FnMut(&mut TaskOrder)) -> Job {
        self.orders.iter_mut().for_each(change);
        self
    }

    /// How many reports there are now.
    pub fn reports_now(&self) -> usize {
        let path = self.directory.results();
        read_results(&path, 0, usize::MAX >> 1, Finality::StillWritten).unwrap().reports.len()
    }

    /// The cores of the task added last.
    pub fn cores(mut self, cores: u32) -> Job {
        self.orders.last_mut().unwrap().cores = cores;
        self
    }

    pub fn staged(mut self) -> Job {
        self.manifest.tasks = self.orders.len() as u32;
        let staged =
            stage::stage_job(&self.directory, &self.manifest, self.orders.clone(), &Permit::without_lease())
                .unwrap();
        assert_eq!(staged, stage::Staged::Ready { tasks: self.manifest.tasks });
        self
    }

    pub fn start(&self) -> Runner {
        self.start_with(&[])
    }

    /// As the scheduler starts a job again that it requeued.
    pub fn restart(&self) -> Runner {
        self.start_with(&[("SLURM_RESTART_COUNT", "1")])
    }

    pub fn start_with(&self, extra: &[(&str, &str)]) -> Runner {
        self.start_by(Command::new(env!("CARGO_BIN_EXE_qcbatch")), extra)
    }

    /// As a member of this control group.
    pub fn start_in(&self, cgroup: &Path, extra: &[(&str, &str)]) -> Runner {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", r#"echo $$ > "$0/cgroup.procs"; exec "$@""#]);
        shell.arg(cgroup).arg(env!("CARGO_BIN_EXE_qcbatch"));
        self.start_by(shell, extra)
    }

    fn start_by(&self, mut command: Command, extra: &[(&str, &str)]) -> Runner {
        command.arg("node").arg(self.directory.path()).stdin(Stdio::null()).process_group(0);
        command.env_remove("SLURM_RESTART_COUNT").env_remove("SLURM_JOB_ID");
        command.env("QCBATCH_SCHEDULER_JOB_ID", "4711").envs(extra.iter().copied());
        Runner { child: command.spawn().unwrap() }
    }

    pub fn run(&self) -> i32 {
        self.start().wait()
    }

    pub fn evidence(&self) -> Evidence {
        evidence::gather(&self.directory, 1).unwrap().first
    }

    pub fn end(&self) -> EndRecord {
        let log = || fs::read_to_string(self.directory.runner_log()).unwrap_or_default();
        self.evidence().end.unwrap_or_else(|| panic!("no end record; runner.log:\n{}", log()))
    }

    /// Every report of the result file, which must hold nothing but whole frames.
    pub fn reports(&self) -> Vec<TaskReport> {
        let batch = read_results(&self.directory.results(), 0, usize::MAX >> 1, Finality::Final).unwrap();
        assert!(batch.skipped.is_empty(), "no frame in {:?}", batch.skipped);
        batch.reports
    }

    /// The one report of each task.
    pub fn by_task(&self) -> BTreeMap<i64, TaskReport> {
        let mut found = BTreeMap::new();
        for report in self.reports() {
            let task = report.task_id.0;
            assert!(found.insert(task, report).is_none(), "task {task} has two reports");
        }
        found
    }

    pub fn scratch_directories(&self) -> usize {
        fs::read_dir(self.root.join("scratch")).unwrap().count()
    }

    /// Waits until so many tasks are reported.
    pub fn wait_for_reports(&self, count: usize) {
        until("reports", || {
            let batch =
                read_results(&self.directory.results(), 0, usize::MAX >> 1, Finality::StillWritten).unwrap();
            (batch.reports.len() >= count).then_some(())
        });
    }
}

/// Puts a chunk of these tasks, which all need the same, into `ready`, as the daemon does.
pub fn publish(ready: &Path, chunk_id: i64, orders: &[TaskOrder]) -> ChunkName {
    let first = &orders[0];
    let need = ChunkNeed {
        cores: first.cores,
        memory_bytes: first.memory_bytes,
        gpus: first.gpus,
        walltime_seconds: first.walltime_seconds,
    };
    let tasks = orders.len() as u32;
    let name = ChunkName { compute_priority: 1, chunk_id: ChunkId(chunk_id), tasks, need };
    let staged = ready.parent().unwrap().join(format!("staged-{name}"));
    chunk::write_chunk(&staged, &Permit::without_lease(), orders.to_vec()).unwrap();
    fs::rename(staged, ready.join(name.to_string())).unwrap();
    name
}

/// A folder with a stand-in of `program`: a shell script in which `REAL` is the real one.
pub fn stand_in(program: &str, script: &str) -> tempfile::TempDir {
    let path = std::env::var("PATH").unwrap();
    let mut places = path.split(':').map(|folder| format!("{folder}/{program}"));
    let real = places.find(|path| fs::metadata(path).is_ok()).expect("the program is installed");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(program);
    fs::write(&path, format!("#!/bin/sh\n{}\n", script.replace("REAL", &real))).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// `PATH` with this folder before all others.
pub fn search_path(first: &tempfile::TempDir) -> String {
    format!("{}:{}", first.path().display(), std::env::var("PATH").unwrap())
}

/// A running node runner; killed when dropped.
pub struct Runner {
    child: Child,
}

impl Runner {
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Its exit code; -1 when a signal ended it.
    pub fn wait(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Processes below the runner whose program has this name.
    pub fn descendants(&self, name: &str) -> Vec<Pid> {
        let mut found = vec![];
        let mut parents = vec![self.pid()];
        while let Some(parent) = parents.pop() {
            for (pid, its_parent, its_name) in processes() {
                if its_parent == parent {
                    parents.push(pid);
                    if its_name.starts_with(name) {
                        found.push(pid);
                    }
                }
            }
        }
        found
    }

    /// Waits until Psi4 computes below the runner.
    pub fn wait_for_psi4(&self) -> Pid {
        until("Psi4", || self.descendants("psi4").into_iter().find(|pid| psi4_scratch(*pid).is_some()))
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for something, five minutes at most: machines that run tests have other work too.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..15_000 {
        if let Some(found) = look() {
            return found;
        }
        sleep(Duration::from_millis(20));
    }
    panic!("waited in vain for {what}");
}

fn processes() -> Vec<(Pid, Pid, String)> {
    let stat = |pid: &str| {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (before, after) = text.rsplit_once(')')?;
        let name = before.split_once('(')?.1.to_owned();
        let mut fields = after.split_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        (state != "Z").then_some((Pid::from_raw(pid.parse().ok()?), Pid::from_raw(parent), name))
    };
    fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| stat(entry.file_name().to_str()?)).collect()
}

/// The process that started `pid`; nothing when `pid` is gone.
pub fn parent(pid: Pid) -> Option<Pid> {
    processes().into_iter().find(|(other, _, _)| *other == pid).map(|(_, parent, _)| parent)
}

/// What a process was started with; nothing when it is gone.
fn arguments(pid: Pid) -> Vec<String> {
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split('\0').map(str::to_owned).collect()
}

/// Where a Psi4 that computes has its scratch directory. QCEngine starts Psi4 at other times too, to ask for its
/// version: those have none.
pub fn psi4_scratch(pid: Pid) -> Option<String> {
    arguments(pid).into_iter().skip_while(|argument| argument != "--scratch").nth(1)
}

/// Waits until a process has computed for a while.
pub fn wait_for_cpu(pid: Pid) {
    until("processor time", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let ticks: u32 = stat.rsplit_once(')')?.1.split_whitespace().nth(11)?.parse().ok()?;
        (ticks >= 10).then_some(())
    });
}

/// Whether a process lives and is no zombie.
pub fn lives(pid: Pid) -> bool {
    processes().iter().any(|(other, _, _)| *other == pid)
}

pub fn result_of(report: &TaskReport) -> Value {
    match &report.outcome {
        TaskOutcome::Complete { result } => serde_json::from_str(result.get()).unwrap(),
        TaskOutcome::Error { class, error_type, message } => {
            panic!("task {} failed: {class:?} {error_type}: {message}", report.task_id)
        }
        TaskOutcome::Progress(_) => panic!("task {} has not ended", report.task_id),
    }
}

pub fn error_of(report: &TaskReport) -> (qcbatch::model::failure::FailureClass, String, String) {
    match &report.outcome {
        TaskOutcome::Complete { .. } => panic!("task {} is complete", report.task_id),
        TaskOutcome::Progress(_) => panic!("task {} has not ended", report.task_id),
        TaskOutcome::Error { class, error_type, message } => (*class, error_type.clone(), message.clone()),
    }
}
