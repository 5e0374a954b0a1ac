//! A private Grid Engine: one master and one executor on this machine, own cell, spool and ports. Real jobs run in it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::Signal;

use super::gridengine_conf as conf;
use super::ports::Port;
use super::private_dir::PrivateDir;
use super::server;
use super::wait::{Within, wait_until};

/// Where Debian puts the architecture's programs, and the files that come with them.
const PROGRAMS: &str = "/usr/lib/gridengine";
const SHIPPED: &str = "/usr/share/gridengine";
const LOOPBACK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/harness/loopback.c");

/// What a test may want different.
pub struct GridEngineOptions {
    /// Slots of the queue; may be more than the machine has.
    pub slots: u32,
    /// Between USR2 and KILL.
    pub notify_seconds: u32,
}

impl Default for GridEngineOptions {
    fn default() -> GridEngineOptions {
        GridEngineOptions { slots: 8, notify_seconds: 30 }
    }
}

/// Whether Grid Engine is installed; where it is not, says that `test` is skipped.
pub fn installed(test: &str) -> bool {
    let there =
        Path::new(PROGRAMS).join("sge_qmaster").exists() && Path::new(PROGRAMS).join("sge_execd").exists();
    if !there {
        super::say(&format!("skipped: {test}: Grid Engine is not installed (make test-setup)"));
    }
    there
}

/// A running cell; dropping it ends its jobs and servers.
pub struct GridEngine {
    environment: Vec<(&'static str, OsString)>,
    master: Child,
    executor: Option<Child>,
    // Last: what it names must still be there when the servers are told to end.
    directory: PrivateDir,
    _ports: [Port; 2],
}

impl GridEngine {
    /// Starts a cell and waits until its queue takes jobs.
    pub fn start(options: &GridEngineOptions) -> GridEngine {
        let directory = PrivateDir::new();
        let ports = [Port::take(), Port::take()];
        let root = directory.path();
        let environment = vec![
            ("SGE_ROOT", root.into()),
            ("SGE_CELL", "main".into()),
            ("SGE_QMASTER_PORT", ports[0].number.to_string().into()),
            ("SGE_EXECD_PORT", ports[1].number.to_string().into()),
        ];
        write_cell(root);
        initialise(root, &environment);
        let master = spawn_server("sge_qmaster", root, &environment);
        let mut cell = GridEngine { environment, master, executor: None, directory, _ports: ports };
        wait_until(
            "the master answers",
            Within::AMoment,
            || (cell.client("qconf", &["-sss"]), cell.logs()),
            |(answer, _)| answer.status.success(),
        );
        cell.configure(options);
        cell
    }

    /// Submit host, scheduler, parallel environment, executor, queue.
    fn configure(&mut self, options: &GridEngineOptions) {
        self.ask("qconf", &["-as", "localhost"]);
        let scheduling = conf::scheduling(&self.ask("qconf", &["-ssconf"]));
        self.ask_with_file("-Msconf", "scheduling", &scheduling);
        self.ask_with_file("-Ap", "smp", conf::PARALLEL_ENVIRONMENT);
        self.ask_with_file("-Ae", "executor", conf::EXECUTOR);
        self.executor = Some(spawn_server("sge_execd", self.directory.path(), &self.environment));
        self.ask_with_file("-Aq", "main-queue", &conf::queue(options.slots, options.notify_seconds));
        wait_until(
            "the queue takes jobs",
            Within::AMoment,
            || (self.ask("qstat", &["-f", "-q", "main"]), self.logs()),
            |(listing, _)| {
                let line = listing.lines().find(|line| line.starts_with("main@"));
                // Type, slots, load, architecture; a sixth word is a state such as `au`.
                line.is_some_and(|line| line.split_whitespace().count() == 5 && !line.contains("-NA-"))
            },
        );
    }

    fn ask_with_file(&self, option: &str, name: &str, text: &str) {
        let path = self.directory.join(name);
        fs::write(&path, text).expect("the directory is ours");
        self.ask("qconf", &[option, path.to_str().expect("the path is ASCII")]);
    }

    /// Freezes the master: clients wait for its answer until they lose patience.
    pub fn pause_master(&self) {
        server::signal(&self.master, Signal::SIGSTOP);
    }

    /// Lets a frozen master go on.
    pub fn resume_master(&self) {
        server::signal(&self.master, Signal::SIGCONT);
    }

    /// What makes any client (and so the daemon) talk to this cell.
    pub fn env(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.environment.iter().map(|(name, value)| (*name, value.to_string_lossy().into_owned()))
    }

    /// A file or directory in the cell's private directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Runs a client command and gives what came of it.
    pub fn client(&self, program: &str, arguments: &[&str]) -> Output {
        server::client(program, arguments, self.environment.iter().map(|(name, value)| (*name, value)))
    }

    /// Runs a client command that must succeed and gives its standard output.
    #[track_caller]
    pub fn ask(&self, program: &str, arguments: &[&str]) -> String {
        server::output_of(program, arguments, &self.client(program, arguments), || self.logs())
    }

    /// Every job that waits or runs: id and state, one line per array task.
    #[track_caller]
    pub fn jobs(&self) -> Vec<GridEngineJob> {
        let listing = self.ask("qstat", &["-u", "*", "-g", "d"]);
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let jobs = listing.lines().skip(2).map(words).filter(|words| words.len() > 4);
        jobs.map(|words| GridEngineJob { id: words[0].clone(), state: words[4].clone() }).collect()
    }

    /// The names of all jobs that ever ended, as the books have them.
    #[track_caller]
    pub fn names_in_books(&self) -> Vec<String> {
        let books = self.client("qacct", &["-j"]).stdout;
        let books = String::from_utf8_lossy(&books).into_owned();
        books
            .lines()
            .filter_map(|line| line.strip_prefix("jobname "))
            .map(|name| name.trim().to_owned())
            .collect()
    }

    /// The end of the servers' logs, for failure messages.
    pub fn logs(&self) -> String {
        let names =
            ["sge_qmaster.err", "sge_execd.err", "spool/qmaster/messages", "spool/execd/localhost/messages"];
        server::tails(self.directory.path(), &names)
    }
}

impl Drop for GridEngine {
    fn drop(&mut self) {
        self.resume_master();
        // Jobs first: without their keepers their processes would be strangers to us.
        self.client("qdel", &["-u", "*"]);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(3);
        while std::time::Instant::now() < deadline && !self.client("qstat", &["-u", "*"]).stdout.is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        for child in self.executor.iter_mut().chain([&mut self.master]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// One line of `qstat`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GridEngineJob {
    /// The job's number.
    pub id: String,
    /// Letters, such as `qw` or `r`.
    pub state: String,
}

/// Directories, bootstrap files and the library that keeps the servers on loopback.
fn write_cell(root: &Path) {
    for directory in ["main/common", "spool/qmaster", "spool/execd"] {
        fs::create_dir_all(root.join(directory)).expect("the directory is ours");
    }
    for name in ["bin", "utilbin", "lib", "util"] {
        let target = Path::new("/var/lib/gridengine").join(name);
        std::os::unix::fs::symlink(target, root.join(name)).expect("the directory is ours");
    }
    let hostname =
        nix::unistd::gethostname().expect("every machine has a name").to_string_lossy().into_owned();
    let common = root.join("main/common");
    // The machine's name and localhost are one host, whatever /etc/hosts makes of them.
    let aliases = if hostname == "localhost" { String::new() } else { format!("localhost {hostname}\n") };
    for (name, text) in [
        ("bootstrap", conf::bootstrap(root, Path::new(PROGRAMS))),
        ("host_aliases", aliases),
        ("act_qmaster", "localhost\n".to_owned()),
        ("cluster_name", "qcbatchtest\n".to_owned()),
    ] {
        fs::write(common.join(name), text).expect("the directory is ours");
    }
    let shipped = fs::read_to_string(Path::new(SHIPPED).join("default-configuration"))
        .expect("the packages bring a configuration");
    fs::write(root.join("global"), conf::global(&shipped, root)).expect("the directory is ours");
    run(Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(root.join("loopback.so"))
        .args([LOOPBACK, "-ldl"]));
}

/// Fills the spool.
fn initialise(root: &Path, environment: &[(&'static str, OsString)]) {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective());
    let user = user.ok().flatten().expect("whoever runs the tests has a name").name;
    let spool = format!("{0}/main/common;{0}/spool/qmaster", root.display());
    let global = root.join("global").display().to_string();
    let resources = |name: &str| format!("{SHIPPED}/util/resources/{name}");
    for (program, arguments) in [
        ("spoolinit", vec!["classic", "libspoolc", &spool, "init"]),
        ("spooldefaults", vec!["configuration", &global]),
        ("spooldefaults", vec!["complexes", &resources("centry")]),
        ("spooldefaults", vec!["usersets", &resources("usersets")]),
        ("spooldefaults", vec!["managers", &user]),
        ("spooldefaults", vec!["operators", &user]),
    ] {
        let program = Path::new(PROGRAMS).join(program);
        run(Command::new(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value))));
    }
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?} failed: {output:?}");
}

/// Starts a server that stays in the foreground (SGE_ND) and on loopback.
fn spawn_server(program: &str, root: &Path, environment: &[(&'static str, OsString)]) -> Child {
    let errors = File::create(root.join(format!("{program}.err"))).expect("the directory is ours");
    Command::new(Path::new(PROGRAMS).join(program))
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .env("SGE_ND", "1")
        .env("LD_PRELOAD", root.join("loopback.so"))
        .stdin(Stdio::null())
        .stdout(errors.try_clone().expect("a file can be shared"))
        .stderr(errors)
        .spawn()
        .unwrap_or_else(|error| panic!("{program} is installed (make test-setup): {error}"))
}
