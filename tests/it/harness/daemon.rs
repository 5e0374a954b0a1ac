//! The daemon under test and its command line, as a user would run them, with all state in a private directory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::gridengine::GridEngine;
use super::postgres::Database;
use super::private_dir::PrivateDir;
use super::python::Generation;
use super::slurm::Slurm;
use super::wait::{Within, wait_until};

const QCBATCH: &str = env!("CARGO_BIN_EXE_qcbatch");

/// How a daemon is set up: its database, pools, environment.
pub struct DaemonConfig {
    database_url: Option<String>,
    adapter_directory: Option<PathBuf>,
    pools: Vec<String>,
    environment: Vec<(String, String)>,
    generation: Generation,
}

impl DaemonConfig {
    /// A daemon on its private PostgreSQL.
    pub fn private_database() -> DaemonConfig {
        DaemonConfig {
            database_url: None,
            adapter_directory: None,
            pools: Vec::new(),
            environment: Vec::new(),
            generation: Generation::V1,
        }
    }

    /// A daemon on a database of the tests' cluster.
    pub fn on(database: &Database) -> DaemonConfig {
        DaemonConfig { database_url: Some(database.url()), ..DaemonConfig::private_database() }
    }

    /// With QCEngine of this generation.
    pub fn with_generation(mut self, generation: Generation) -> DaemonConfig {
        self.generation = generation;
        self
    }

    /// With the pool `local`: this machine. `settings` are further TOML lines of the pool.
    pub fn with_local_pool(mut self, settings: &str) -> DaemonConfig {
        self.pools.push(format!("name = \"local\"\nadapter = \"local\"\n{settings}"));
        self
    }

    /// With the pool `cluster` on a private Slurm. `settings` are further TOML lines of the pool.
    pub fn with_slurm_pool(mut self, slurm: &Slurm, settings: &str) -> DaemonConfig {
        self.pools.push(format!("name = \"cluster\"\nadapter = \"slurm\"\nqueue = \"main\"\n{settings}"));
        let (name, value) = slurm.env();
        self.with_env(name, &value.display().to_string())
    }

    /// With the pool `cluster` on a private Grid Engine, and the adapters in `adapters` laid over the built-in ones.
    pub fn with_gridengine_pool(
        mut self,
        cell: &GridEngine,
        adapters: &Path,
        settings: &str,
    ) -> DaemonConfig {
        self.pools.push(format!("name = \"cluster\"\nadapter = \"sge\"\nqueue = \"main\"\n{settings}"));
        self.adapter_directory = Some(adapters.to_owned());
        cell.env().fold(self, |config, (name, value)| config.with_env(name, &value))
    }

    /// With a pool of these TOML lines.
    pub fn with_pool(mut self, lines: &str) -> DaemonConfig {
        self.pools.push(lines.to_owned());
        self
    }

    /// With an environment variable for the daemon and the command line.
    pub fn with_env(mut self, name: &str, value: &str) -> DaemonConfig {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn render(&self, state: &Path) -> String {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let mut text = format!("[site]\nstate = {}\n", quoted(&state.display().to_string()));
        if let Some(directory) = &self.adapter_directory {
            text += &format!("adapter_directories = [{}]\n", quoted(&directory.display().to_string()));
        }
        match (&self.database_url, std::env::var("QCBATCH_PG_BIN")) {
            (Some(url), _) => text += &format!("[database]\nurl = {}\n", quoted(url)),
            (None, Ok(bin)) => text += &format!("[database]\nbin_dir = {}\n", quoted(&bin)),
            (None, Err(_)) => {}
        }
        text += "[daemon]\ntick = \"1s\"\npoll_interval = \"2s\"\nlease = \"5s\"\nlog = \"debug\"\n";
        text += "[inbox]\nscan_interval = \"1s\"\n";
        text += &format!(
            "[worker]\npython = {}\nheartbeat = \"1s\"\n",
            quoted(&self.generation.python().display().to_string())
        );
        // What failed by itself is tried again soon.
        text += "[retry]\ndelay = \"1s\"\n";
        for pool in &self.pools {
            text += &format!("\n[[pool]]\n{pool}\n");
        }
        text
    }
}

/// A running daemon; dropping it kills it and everything it left on this machine.
pub struct Daemon {
    process: Option<Child>,
    environment: Vec<(String, String)>,
    inputs: u32,
    directory: PrivateDir,
}

impl Daemon {
    /// Starts a daemon and waits until it answers.
    #[track_caller]
    pub fn start(config: &DaemonConfig) -> Daemon {
        let directory = PrivateDir::new();
        let state = directory.subdirectory("state", 0o700);
        fs::write(directory.join("qcbatch.toml"), config.render(&state)).expect("the directory is ours");
        let environment = config.environment.clone();
        let mut daemon = Daemon { process: None, environment, inputs: 0, directory };
        daemon.start_again();
        daemon
    }

    /// Gives a stopped daemon another configuration; its state stays.
    pub fn configure(&mut self, config: &DaemonConfig) {
        assert!(self.process.is_none(), "a daemon reads its configuration when it starts");
        fs::write(self.directory.join("qcbatch.toml"), config.render(&self.state()))
            .expect("the directory is ours");
        self.environment.clone_from(&config.environment);
    }

    /// Starts the daemon after `kill9`, `stop` or its own end, and waits until it answers.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.spawn(&[]);
        self.wait_ready();
    }

    /// Starts the daemon with further environment variables and does not wait: it may end by itself.
    pub fn spawn(&mut self, environment: &[(&str, &str)]) {
        assert!(self.process.is_none(), "the daemon runs already");
        let log =
            File::options().create(true).append(true).open(self.log_path()).expect("the directory is ours");
        let process = self
            .command(["daemon"])
            .envs(environment.iter().copied())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("cargo built the program");
        self.process = Some(process);
    }

    /// Waits until the daemon answers the command line.
    #[track_caller]
    pub fn wait_ready(&mut self) {
        wait_until(
            "the daemon answers `qcbatch status`",
            Within::AMoment,
            || (self.cli(["status"]).status.success(), self.log_tail()),
            |(answers, _)| *answers,
        );
    }

    /// The daemon's process id.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the daemon runs").id()
    }

    /// Kills the daemon as a crash of the machine would, with no time to tidy up.
    pub fn kill9(&mut self) {
        let mut process = self.process.take().expect("the daemon runs");
        process.kill().expect("the daemon is our child");
        process.wait().expect("the daemon is our child");
    }

    /// Stops the daemon politely; it must end with exit code 0.
    #[track_caller]
    pub fn stop(&mut self) {
        let mut process = self.process.take().expect("the daemon runs");
        let id = i32::try_from(process.id()).expect("process ids are positive i32");
        kill(Pid::from_raw(id), Signal::SIGTERM).expect("the daemon is our child");
        let status = process.wait().expect("the daemon is our child");
        assert!(status.success(), "the daemon stopped with {status}\n{}", self.log_tail());
    }

    /// Waits until the daemon ended by itself (a test told it where to die).
    #[track_caller]
    pub fn wait_dead(&mut self) {
        let mut process = self.process.take().expect("the daemon was started");
        wait_until("the daemon ends", Within::AMoment, || process.try_wait().ok().flatten(), Option::is_some);
    }

    fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(QCBATCH);
        command.arg("--config").arg(self.directory.join("qcbatch.toml")).args(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        command
    }

    /// Runs `qcbatch ARGUMENTS` with this daemon's configuration.
    pub fn cli<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        self.command(arguments).output().expect("cargo built the program")
    }

    /// Begins `qcbatch ARGUMENTS`; what it prints can be read once it has ended.
    pub fn begin<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("cargo built the program")
    }

    /// Runs `qcbatch ARGUMENTS`, which must succeed, and gives its standard output.
    #[track_caller]
    pub fn ask<A: AsRef<OsStr> + std::fmt::Debug>(&self, arguments: impl AsRef<[A]>) -> String {
        let arguments = arguments.as_ref();
        let output = self.cli(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "qcbatch {arguments:?}: {errors}\n{}", self.log_tail());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs `qcbatch ARGUMENTS --json` and reads what it printed.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let text = self.ask([arguments, &["--json"]].concat());
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{arguments:?} printed no JSON: {error}\n{text}"))
    }

    /// Writes an input file into the private directory and gives its path.
    pub fn write_input(&mut self, document: &Value) -> PathBuf {
        self.inputs += 1;
        let path = self.directory.join(&format!("input-{}.json", self.inputs));
        let mut file = File::create(&path).expect("the directory is ours");
        file.write_all(document.to_string().as_bytes()).expect("/tmp has room");
        path
    }

    /// Submits a document (one input or a list) with further options.
    #[track_caller]
    pub fn submit(&mut self, document: &Value, options: &[&str]) {
        let path = self.write_input(document);
        let path = path.to_str().expect("the path is ASCII");
        self.ask([&["submit", path], options].concat());
    }

    /// Every record as `qcbatch list --json` shows it, newest first.
    #[track_caller]
    pub fn records(&self) -> Vec<Value> {
        let page = self.json(&["list", "--limit", "1000"]);
        page["records"].as_array().unwrap_or_else(|| panic!("a page of records, not {page}")).clone()
    }

    /// Every job as `qcbatch jobs --json` shows it.
    #[track_caller]
    pub fn jobs(&self) -> Vec<Value> {
        let answer = self.json(&["jobs"]);
        let list = answer.get("jobs").unwrap_or(&answer);
        list.as_array().unwrap_or_else(|| panic!("a list of jobs, not {answer}")).clone()
    }

    /// Waits until there are `count` records and all of them are complete.
    #[track_caller]
    pub fn wait_complete(&self, count: usize) -> Vec<Value> {
        let (records, _) = wait_until(
            "every record is complete",
            Within::AWhile,
            || (self.records(), self.log_tail()),
            |(records, _)| {
                records.len() == count && records.iter().all(|record| record["status"] == "complete")
            },
        );
        records
    }

    /// The directory that holds the daemon's state.
    pub fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// The socket that the command line speaks to.
    pub fn socket(&self) -> PathBuf {
        self.state().join("qcbatch.sock")
    }

    /// PATH with the built program's directory first.
    pub fn path_with_qcbatch(&self) -> String {
        let directory = Path::new(QCBATCH).parent().expect("a program is in a directory");
        format!("{}:{}", directory.display(), super::slurm::search_path())
    }

    /// The spool below it.
    pub fn spool(&self) -> PathBuf {
        self.state().join("spool")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("daemon.log")
    }

    /// The whole log of all its runs.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Its end, for failure messages.
    pub fn log_tail(&self) -> LogTail {
        let log = self.log();
        let skip = log.lines().count().saturating_sub(40);
        LogTail(log.lines().skip(skip).map(|line| format!("{line}\n")).collect())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the daemon's log\n{}", self.log_tail());
        }
    }
}

/// The last lines of a log; shows as they are.
pub struct LogTail(String);

impl std::fmt::Debug for LogTail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for LogTail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
