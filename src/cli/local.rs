//! `qcbatch local …`: the scheduler of this machine. Hidden: `adapters/local.toml` calls it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::error::CliError;
use super::exit_code::ExitCode;
use super::screen;
use crate::model::ids::Tag;
use crate::scheduler::local::{self, Entry, LocalError, LocalState};

/// What the adapter gives.
#[derive(Args, Debug)]
pub struct LocalArgs {
    #[command(subcommand)]
    request: Request,
}

#[derive(Subcommand, Debug)]
enum Request {
    /// Version and limits
    Probe {
        #[command(flatten)]
        state: StateArgs,
        #[arg(long)]
        cores: u32,
    },
    /// Takes a submission and prints its id
    Submit(SubmitArgs),
    /// Prints a line for each job: id, state, exit, start, end, reason
    List {
        #[command(flatten)]
        state: StateArgs,
        /// These jobs only
        #[arg(long, value_delimiter = ',')]
        ids: Vec<String>,
    },
    /// Prints id and time of the submission that carries a tag
    Find {
        #[command(flatten)]
        state: StateArgs,
        #[arg(long)]
        tag: Tag,
    },
    /// Ends jobs
    Cancel(IdsArgs),
    /// Keeps jobs from starting
    Hold(IdsArgs),
    /// Lets held jobs start
    Release(IdsArgs),
    /// Becomes the supervisor of a submission
    Supervise {
        #[command(flatten)]
        state: StateArgs,
        id: u64,
    },
}

#[derive(Args, Debug)]
struct StateArgs {
    /// State directory of the local scheduler
    #[arg(long)]
    state: PathBuf,
}

#[derive(Args, Debug)]
struct IdsArgs {
    #[command(flatten)]
    state: StateArgs,
    ids: Vec<String>,
}

#[derive(Args, Debug)]
struct SubmitArgs {
    #[command(flatten)]
    state: StateArgs,
    #[arg(long)]
    cores_total: u32,
    /// Bytes of memory for all elements of all submissions, instead of what the machine has
    #[arg(long)]
    memory_total: Option<u64>,
    #[arg(long)]
    tag: Tag,
    #[arg(long)]
    cores: u32,
    /// Bytes that each element may use
    #[arg(long, default_value_t = 0)]
    memory: u64,
    /// Seconds
    #[arg(long)]
    walltime: u64,
    /// Seconds before the walltime
    #[arg(long)]
    warning: u64,
    #[arg(long)]
    directory: PathBuf,
    #[arg(long)]
    log: PathBuf,
    #[arg(long, default_value_t = 1)]
    array_size: u32,
    script: PathBuf,
}

pub(super) fn run(args: LocalArgs) -> Result<ExitCode, CliError> {
    let lines =
        answer(args.request).map_err(|error| CliError::local("the local scheduler refuses", error))?;
    let text: String = lines.into_iter().map(|line| line + "\n").collect();
    screen::write_out(text.as_bytes())?;
    Ok(ExitCode::Success)
}

/// The lines to print.
fn answer(request: Request) -> Result<Vec<String>, LocalError> {
    match request {
        Request::Probe { state, cores } => {
            LocalState::open(state.state)?;
            return Ok(probe(cores));
        }
        Request::Submit(args) => return Ok(vec![submit(args)?.to_string()]),
        Request::List { state, ids } => {
            let numbers: Vec<u64> = ids.iter().filter_map(|id| id.split('_').next()?.parse().ok()).collect();
            return local::list(&LocalState::open(state.state)?, &numbers);
        }
        Request::Find { state, tag } => {
            return Ok(local::find(&LocalState::open(state.state)?, &tag)?.into_iter().collect());
        }
        Request::Cancel(args) => local::cancel(&LocalState::open(args.state.state)?, &args.ids)?,
        Request::Hold(args) => local::hold(&LocalState::open(args.state.state)?, &args.ids)?,
        Request::Release(args) => local::release(&LocalState::open(args.state.state)?, &args.ids)?,
        Request::Supervise { state, id } => local::supervise(&LocalState::open(state.state)?, id)?,
    }
    Ok(Vec::new())
}

fn probe(cores: u32) -> Vec<String> {
    let hostname = nix::unistd::gethostname().unwrap_or_default();
    vec![
        format!("version = {}", env!("CARGO_PKG_VERSION")),
        format!("hostname = {}", hostname.to_string_lossy()),
        format!("cores = {cores}"),
        format!("array_size_max = {}", local::ARRAY_SIZE_MAX),
        format!("finished_kept_seconds = {}", local::FINISHED_KEPT_SECONDS),
        format!("kill_wait_seconds = {}", local::KILL_WAIT_SECONDS),
    ]
}

fn submit(args: SubmitArgs) -> Result<u64, LocalError> {
    let state = LocalState::open(&args.state.state)?;
    let program = std::env::current_exe().map_err(|source| LocalError::State {
        action: "read",
        path: "/proc/self/exe".into(),
        source,
    })?;
    let supervisor = [
        program.display().to_string(),
        "local".to_owned(),
        "supervise".to_owned(),
        "--state".to_owned(),
        state.root().display().to_string(),
    ];
    let entry = Entry {
        id: 0,
        tag: args.tag,
        array_size: args.array_size,
        cores: args.cores,
        cores_total: args.cores_total,
        memory_bytes: args.memory,
        memory_total_bytes: args.memory_total.or_else(local::memory_bytes).unwrap_or(0),
        walltime_seconds: args.walltime,
        warning_seconds: args.warning,
        directory: args.directory,
        log: args.log,
        script: args.script,
        submitted_on: jiff::Timestamp::now().as_second(),
    };
    local::submit(&state, entry, &supervisor)
}
