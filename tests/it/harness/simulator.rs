//! A simulated scheduler: `tests/simulator` behind the names of a scheduler's commands, with its state in a private directory.
//! Jobs run for real; what shall go wrong is written into `mischief.json`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde_json::Value;

use super::private_dir::PrivateDir;

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/simulator/main.py");

/// Python as it is installed, not a shim in front of it: every command of a test pays for its start.
static PYTHON: LazyLock<String> = LazyLock::new(|| {
    let output = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .stdin(Stdio::null())
        .output()
        .expect("python3 is installed (make test-setup)");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
});

/// Whose commands are stood in for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// Slurm 22.05.
    Slurm,
    /// OpenPBS 23.
    Pbs,
    /// Torque 6.
    Torque,
    /// IBM Spectrum LSF 10.1.
    Lsf,
    /// volclava 2.2, LSF's relative with fewer options.
    Volclava,
    /// Son of Grid Engine 8.1.9.
    Sge,
}

impl Dialect {
    /// The dialect's module in `tests/simulator`.
    fn module(self) -> &'static str {
        match self {
            Dialect::Slurm => "slurm",
            Dialect::Pbs => "pbs",
            Dialect::Torque => "torque",
            Dialect::Lsf => "lsf",
            Dialect::Volclava => "volclava",
            Dialect::Sge => "sge",
        }
    }

    /// The adapter that speaks it.
    pub fn adapter(self) -> &'static str {
        match self {
            Dialect::Volclava => "lsf",
            other => other.module(),
        }
    }

    /// The command that lists jobs.
    pub fn list_program(self) -> &'static str {
        match self {
            Dialect::Slurm => "squeue",
            Dialect::Pbs | Dialect::Torque | Dialect::Sge => "qstat",
            Dialect::Lsf | Dialect::Volclava => "bjobs",
        }
    }

    fn programs(self) -> &'static [&'static str] {
        match self {
            Dialect::Slurm => &["sbatch", "squeue", "sacct", "scancel", "scontrol", "sacctmgr"],
            Dialect::Pbs => &["qsub", "qstat", "qselect", "qdel", "qhold", "qrls"],
            Dialect::Torque => &["qsub", "qstat", "qdel", "qhold", "qrls"],
            Dialect::Lsf | Dialect::Volclava => &[
                "bsub", "bjobs", "bhist", "bkill", "bstop", "bresume", "lsid", "bparams", "bqueues",
                "busers", "badmin",
            ],
            Dialect::Sge => &["qsub", "qstat", "qacct", "qdel", "qhold", "qrls", "qconf"],
        }
    }
}

/// A simulated scheduler; dropping it ends its server and jobs.
pub struct Simulator {
    dialect: Dialect,
    directory: PrivateDir,
}

impl Simulator {
    /// Sets one up. Its server starts with the first command.
    pub fn new(dialect: Dialect) -> Simulator {
        let directory = PrivateDir::new();
        let (state, bin) = (directory.subdirectory("sim", 0o700), directory.subdirectory("bin", 0o755));
        for program in dialect.programs() {
            let path = bin.join(program);
            // The engine scrubs the environment, so the way to the state stands in the command itself.
            let text = format!(
                "#!/bin/sh\nexec {} -S -E -X pycache_prefix={state}/pycache {PROGRAM} {state} {} {program} \"$@\"\n",
                *PYTHON,
                dialect.module(),
                state = state.display()
            );
            fs::write(&path, text).expect("the directory is ours");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
        }
        Simulator { dialect, directory }
    }

    /// Whose commands these are.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The directory with the commands.
    pub fn bin(&self) -> PathBuf {
        self.directory.join("bin")
    }

    /// PATH with the commands first.
    pub fn path(&self) -> String {
        format!("{}:{}", self.bin().display(), super::slurm::search_path())
    }

    /// Replaces all that goes wrong; `{}` is peace. The names are in `tests/simulator/README.md`.
    pub fn mischief(&self, wanted: &Value) {
        let path = self.directory.join("sim/mischief.json");
        let new = self.directory.join("sim/mischief.json.test");
        fs::write(&new, wanted.to_string()).expect("the directory is ours");
        fs::rename(&new, &path).expect("the directory is ours");
    }

    /// Does to a job (`7`, or `7_3` for an element) what administrators and machines do.
    #[track_caller]
    pub fn control(&self, arguments: &[&str]) {
        let output = Command::new(&*PYTHON)
            .args(["-S", "-E", "-B", PROGRAM])
            .arg(self.directory.join("sim"))
            .arg("control")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("Python is there");
        assert!(output.status.success(), "control {arguments:?}: {output:?}");
    }

    /// The truth: every job there ever was, as `tests/simulator/book.py` keeps it.
    pub fn jobs(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.directory.join("sim/jobs.json")).unwrap_or_default();
        let table: Value = serde_json::from_str(&text).unwrap_or_default();
        table["jobs"].as_array().cloned().unwrap_or_default()
    }

    /// The id of the next job.
    pub fn next_id(&self, id: u32) {
        self.control(&["next-id", &id.to_string()]);
    }

    /// How often a program was called.
    pub fn calls(&self, program: &str) -> usize {
        let text = fs::read_to_string(self.directory.join("sim/calls")).unwrap_or_default();
        text.lines().filter(|line| line.split(' ').next() == Some(program)).count()
    }

    /// How many commands were called in all.
    pub fn all_calls(&self) -> usize {
        fs::read_to_string(self.directory.join("sim/calls")).unwrap_or_default().lines().count()
    }

    /// The server's complaints, for failure messages.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("sim/controller.log")).unwrap_or_default()
    }
}
