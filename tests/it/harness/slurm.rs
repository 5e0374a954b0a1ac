//! A private Slurm: munged, one controller and its nodes, all on this machine, own configuration and ports. Real jobs run in it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};

use super::munge::Munge;
use super::ports::Port;
use super::private_dir::PrivateDir;
use super::server;
use super::slurm_conf::{Identity, render};
use super::wait::{Within, wait_until};

/// What a test may want different.
pub struct SlurmOptions {
    /// How many nodes there are.
    pub nodes: u16,
    /// CPUs that a node claims; may be more than the machine has.
    pub cpus: u32,
    /// Memory that a node claims.
    pub memory_mib: u32,
    /// How long ended jobs stay listed (Slurm's default is 300; 2 is its least).
    pub min_job_age_seconds: u32,
    /// After which silence a client gives up on the controller.
    pub message_timeout_seconds: u32,
    /// Between TERM and KILL when a job is over its time.
    pub kill_wait_seconds: u32,
    /// Largest array index plus one.
    pub max_array_size: u32,
    /// Further lines of its configuration.
    pub more: &'static str,
    /// The script of its plugin `job_submit/lua`, which `more` has to name.
    pub job_submit: Option<&'static str>,
}

impl Default for SlurmOptions {
    fn default() -> SlurmOptions {
        SlurmOptions {
            nodes: 1,
            cpus: 8,
            memory_mib: 16_384,
            min_job_age_seconds: 300,
            message_timeout_seconds: 10,
            kill_wait_seconds: 30,
            max_array_size: 1001,
            more: "",
            job_submit: None,
        }
    }
}

/// PATH with the system administrator's directories, where the servers live.
pub fn search_path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// A running cluster; dropping it ends its jobs and servers.
pub struct Slurm {
    conf: PathBuf,
    controller: Child,
    nodes: Vec<Child>,
    // Last: what it names must still be there when the servers are told to end.
    directory: PrivateDir,
    _munge: Munge,
    _ports: Vec<Port>,
}

impl Slurm {
    /// Starts a cluster with the defaults and waits until its node takes jobs.
    pub fn start() -> Slurm {
        Slurm::start_with(SlurmOptions::default())
    }

    /// Starts a cluster and waits until its node takes jobs.
    pub fn start_with(options: SlurmOptions) -> Slurm {
        let directory = PrivateDir::new();
        let munge = Munge::start(&directory.subdirectory("munge", 0o755));
        directory.subdirectory("state", 0o700);
        let names: Vec<String> = (1..=options.nodes).map(|number| format!("node{number}")).collect();
        for name in &names {
            directory.subdirectory(&format!("spool-{name}"), 0o755);
        }
        let ports: Vec<Port> = (0..=options.nodes).map(|_| Port::take()).collect();
        let hostname = short_hostname();
        let user =
            User::from_uid(Uid::effective()).ok().flatten().expect("whoever runs the tests has a name").name;
        let conf = directory.join("slurm.conf");
        let identity = Identity {
            directory: directory.path(),
            munge_socket: &munge.socket,
            controller_port: ports[0].number,
            node_ports: ports[1..].iter().map(|port| port.number).collect(),
            hostname: &hostname,
            user: &user,
        };
        fs::write(&conf, render(&identity, &options)).expect("the directory is ours");
        if let Some(script) = options.job_submit {
            fs::write(directory.join("job_submit.lua"), script).expect("the directory is ours");
        }
        let controller = spawn_server("slurmctld", &["-D"], &conf, &directory.join("slurmctld.err"));
        let nodes = names.iter().map(|name| {
            spawn_server("slurmd", &["-D", "-N", name], &conf, &directory.join(&format!("slurmd-{name}.err")))
        });
        let nodes = nodes.collect();
        let slurm = Slurm { conf, controller, nodes, directory, _munge: munge, _ports: ports };
        slurm.wait_for_nodes();
        slurm
    }

    /// Freezes the controller: clients time out, the kernel still takes their connections, nothing is forgotten.
    pub fn pause_controller(&self) {
        server::signal(&self.controller, Signal::SIGSTOP);
    }

    /// Lets a frozen controller go on; it then answers what reached it meanwhile.
    pub fn resume_controller(&self) {
        server::signal(&self.controller, Signal::SIGCONT);
    }

    /// `SLURM_CONF`, which makes any Slurm client (and so the daemon) talk to this cluster.
    pub fn env(&self) -> (&'static str, &Path) {
        ("SLURM_CONF", &self.conf)
    }

    /// Runs a client command of Slurm and gives what came of it.
    pub fn client(&self, program: &str, arguments: &[&str]) -> Output {
        server::client(program, arguments, [self.env()])
    }

    /// Runs a client command that must succeed and gives its standard output.
    #[track_caller]
    pub fn ask(&self, program: &str, arguments: &[&str]) -> String {
        server::output_of(program, arguments, &self.client(program, arguments), || self.logs())
    }

    /// Every job that the controller remembers, ended ones too, one line per array element: id, name, state.
    #[track_caller]
    pub fn jobs(&self) -> Vec<SlurmJob> {
        self.ask("squeue", &["-h", "-r", "-t", "all", "-o", "%i|%j|%T"])
            .lines()
            .filter_map(|line| {
                let mut fields = line.splitn(3, '|').map(str::to_owned);
                Some(SlurmJob { id: fields.next()?, name: fields.next()?, state: fields.next()? })
            })
            .collect()
    }

    /// Cancels one job, as another person at the terminal would.
    #[track_caller]
    pub fn scancel(&self, id: &str) {
        self.ask("scancel", &[id]);
    }

    /// Waits until no job waits or runs.
    #[track_caller]
    pub fn wait_idle(&self) {
        wait_until(
            "no job waits or runs",
            Within::Minutes,
            || self.ask("squeue", &["-h", "-r", "-o", "%i|%j|%T"]),
            |listing| listing.trim().is_empty(),
        );
    }

    fn wait_for_nodes(&self) {
        let idle = |listing: &[u8]| {
            String::from_utf8_lossy(listing).lines().filter(|line| line.ends_with(" idle")).count()
        };
        wait_until(
            "the nodes take jobs",
            Within::AMoment,
            || (self.client("sinfo", &["-h", "-N", "-p", "main", "-o", "%N %T"]), self.logs()),
            |(sinfo, _)| idle(&sinfo.stdout) == self.nodes.len(),
        );
    }

    /// The end of the servers' logs, for failure messages.
    pub fn logs(&self) -> String {
        let servers = ["munge/stderr", "munge/log", "slurmctld.err", "slurmctld.log"].map(str::to_owned);
        let nodes = (1..=self.nodes.len())
            .flat_map(|number| [format!("slurmd-node{number}.err"), format!("slurmd-node{number}.log")]);
        let names: Vec<String> = servers.into_iter().chain(nodes).collect();
        server::tails(self.directory.path(), &names)
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        self.resume_controller();
        // Jobs first: without their keepers their processes would be strangers to us.
        let user = nix::unistd::getuid().to_string();
        self.client("scancel", &["--full", &format!("--user={user}")]);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while std::time::Instant::now() < deadline
            && !self.client("squeue", &["-h", "-o", "%i"]).stdout.is_empty()
        {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        for child in self.nodes.iter_mut().chain([&mut self.controller]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// One line of `squeue`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlurmJob {
    /// `4711` or `4711_3`.
    pub id: String,
    /// The job's name, which is the submission's tag.
    pub name: String,
    /// Slurm's word, such as `RUNNING`.
    pub state: String,
}

fn short_hostname() -> String {
    let name = nix::unistd::gethostname().expect("every machine has a name").to_string_lossy().into_owned();
    name.split('.').next().unwrap_or("localhost").to_owned()
}

fn spawn_server(program: &str, arguments: &[&str], conf: &Path, errors: &Path) -> Child {
    Command::new(program)
        .args(arguments)
        .env("PATH", search_path())
        .env("SLURM_CONF", conf)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(errors).expect("the directory is ours"))
        .spawn()
        .unwrap_or_else(|error| panic!("{program} is installed (make test-setup): {error}"))
}
