//! Programs that the runner runs itself, because a Python start would cost more than the calculation.
//! Each one says what to write and run and how to read what came out; it touches nothing itself.

pub mod answer;
pub mod group;
pub mod machine;
pub mod mopac;
pub mod run;
pub mod synthetic;
pub mod xtb;

use std::collections::BTreeMap;
use std::process::ExitStatus;

use super::budget::Share;
use super::worker::Reply;
use crate::model::calculation::Calculation;

/// One program.
pub trait NativeProgram: Send + Sync {
    /// Its name, as specifications call it.
    fn name(&self) -> &'static str;

    /// The executable that must be in the job's `PATH`; none where nothing is started.
    fn executable(&self) -> Option<&'static str>;

    /// What to write and start; none when this input is better left to QCEngine.
    fn prepare(&self, calculation: &Calculation, share: Share) -> Option<Invocation>;

    /// The answer that QCEngine would have given.
    fn read(&self, calculation: &Calculation, share: Share, finished: &Finished) -> Reply;
}

/// Every program, by the name that specifications call it.
const PROGRAMS: &[&dyn NativeProgram] = &[&synthetic::Synthetic, &mopac::Mopac, &xtb::Xtb];

/// The program of this name, if the runner can run it itself.
pub fn find(name: &str) -> Option<&'static dyn NativeProgram> {
    PROGRAMS.iter().copied().find(|program| program.name() == name)
}

/// What a program must know of its GPUs: the variables of CUDA and of ROCm. Nothing where it was given none.
pub fn gpu_environment(gpus: &[String]) -> Vec<(&'static str, String)> {
    if gpus.is_empty() {
        return Vec::new();
    }
    ["CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"].map(|name| (name, gpus.join(","))).to_vec()
}

/// What is to be done for one calculation, in an empty directory of its own.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Invocation {
    /// Files to write first, by name.
    pub files: Vec<(String, Vec<u8>)>,
    /// What to start.
    pub step: Step,
    /// Files to read afterwards, where they exist.
    pub outputs: Vec<String>,
}

/// What is started for a calculation.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Step {
    /// Nothing: the answer is there at once.
    #[default]
    Nothing,
    /// Nothing, for so long.
    Sleep(std::time::Duration),
    /// A process in a group of its own; its executable is found in `PATH`.
    Process {
        /// Executable and arguments.
        arguments: Vec<String>,
        /// Variables set for it besides the job's own.
        environment: Vec<(String, String)>,
    },
}

/// What came of an invocation.
#[derive(Debug, Default)]
pub struct Finished {
    /// How the process ended; none where nothing was started.
    pub status: Option<ExitStatus>,
    /// What it printed.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// The files that were asked for and exist.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Elapsed time.
    pub wall_seconds: f64,
    /// User and system time of the process and its children.
    pub cpu_seconds: f64,
    /// The node.
    pub hostname: String,
}
