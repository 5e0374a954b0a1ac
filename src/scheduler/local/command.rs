//! The commands of the local executor as its adapter calls them: `qcbatch local …`.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::state::State;
use super::{LocalError, control, launch, list, submit, supervise};
use crate::model::ids::Tag;

/// A command of the local executor. Not for people: `adapters/local.toml` calls them.
#[derive(Clone, Debug, Subcommand)]
pub enum LocalCommand {
    /// Print what this executor can do.
    Probe {
        /// Where.
        #[command(flatten)]
        state: StateArgument,
        /// Cores that jobs may use together.
        #[arg(long)]
        cores: u32,
    },
    /// Take a job and print its id.
    Submit {
        /// Where.
        #[command(flatten)]
        state: StateArgument,
        /// What.
        #[command(flatten)]
        job: SubmitArguments,
    },
    /// Print the ids of the submissions that carry a tag.
    Find {
        /// Where.
        #[command(flatten)]
        state: StateArgument,
        /// The tag.
        #[arg(long)]
        tag: Tag,
    },
    /// Print all jobs, or those with the given ids.
    List {
        /// Where.
        #[command(flatten)]
        state: StateArgument,
        /// Only these.
        #[arg(long, value_delimiter = ',')]
        ids: Vec<String>,
    },
    /// End jobs.
    Cancel(IdArguments),
    /// Keep waiting jobs from starting.
    Hold(IdArguments),
    /// Let held jobs start.
    Release(IdArguments),
    /// Supervise a submission.
    Supervise {
        /// Where.
        #[command(flatten)]
        state: StateArgument,
        /// Its tag.
        #[arg(long)]
        tag: Tag,
    },
    /// Become a job's script.
    Launch {
        /// The script.
        script: PathBuf,
    },
}

/// Where the executor keeps its state.
#[derive(Clone, Debug, Args)]
pub struct StateArgument {
    /// The state directory.
    #[arg(long)]
    pub state: PathBuf,
}

/// Jobs by id.
#[derive(Clone, Debug, Args)]
pub struct IdArguments {
    /// Where.
    #[command(flatten)]
    state: StateArgument,
    /// Ids such as 17 or 17_3.
    #[arg(required = true)]
    ids: Vec<String>,
}

/// What a submission says.
#[derive(Clone, Debug, Args)]
pub struct SubmitArguments {
    /// Its unique tag.
    #[arg(long)]
    pub tag: Tag,
    /// Cores of each element.
    #[arg(long)]
    pub cores: u32,
    /// Cores that all jobs may use together.
    #[arg(long)]
    pub cores_total: u32,
    /// Seconds each element may run.
    #[arg(long)]
    pub walltime: u64,
    /// Seconds before that at which it is warned.
    #[arg(long)]
    pub warning: u64,
    /// Where it starts.
    #[arg(long)]
    pub directory: PathBuf,
    /// Where its output goes; `%a` is the element's index.
    #[arg(long)]
    pub log: PathBuf,
    /// Elements.
    #[arg(long, default_value_t = 1)]
    pub array_size: u32,
    /// The script.
    pub script: PathBuf,
}

/// Runs `command`. `program` is the command line that leads back here (`qcbatch local`); answers go to `out`.
pub fn run(command: LocalCommand, program: &[String], out: &mut dyn Write) -> Result<(), LocalError> {
    let mut print = |text: String| {
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(LocalError::state("write", "the answer"))
    };
    match command {
        LocalCommand::Probe { state, cores } => {
            State::open(&state.state)?;
            print(list::abilities(cores))
        }
        LocalCommand::Submit { state, job } => {
            let id = submit::submit(&State::open(&state.state)?, &job, program)?;
            print(format!("{id}\n"))
        }
        LocalCommand::Find { state, tag } => print(list::find(&State::open(&state.state)?, &tag)?),
        LocalCommand::List { state, ids } => print(list::list(&State::open(&state.state)?, &ids)?),
        LocalCommand::Cancel(to) => {
            control::ask(&State::open(&to.state.state)?, control::Request::Cancel, &to.ids)
        }
        LocalCommand::Hold(to) => {
            control::ask(&State::open(&to.state.state)?, control::Request::Hold, &to.ids)
        }
        LocalCommand::Release(to) => {
            control::ask(&State::open(&to.state.state)?, control::Request::Release, &to.ids)
        }
        LocalCommand::Supervise { state, tag } => {
            supervise::supervise(&State::open(&state.state)?, &tag, program)
        }
        LocalCommand::Launch { script } => Err(launch::launch(&script)),
    }
}
