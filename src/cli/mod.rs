//! One file per command: tables and JSON for what the API answers. No business rules.
//! clap structs hold what was typed; each command resolves them into what it does.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

mod adapter;
mod bench;
mod cancel;
mod change;
mod config;
mod daemon;
mod db;
pub mod error;
pub mod exit_code;
mod export;
mod format;
mod jobs;
mod list;
mod local;
mod logs;
mod node;
mod nodes;
mod pool;
mod predict;
mod report;
mod retry;
mod screen;
mod selection;
mod session;
mod show;
mod spool;
mod status;
mod submit;
mod table;
mod wait;

#[cfg(test)]
mod tests;

use error::CliError;
use exit_code::ExitCode;
use session::Session;

/// Quantum-chemistry tasks in, batch jobs out, results in PostgreSQL
#[derive(Parser, Debug)]
#[command(name = "qcbatch", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Args, Clone, Debug, Default)]
pub struct Globals {
    /// Configuration file, instead of the system's and the user's
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    config: Option<PathBuf>,

    /// One key of the configuration, such as `daemon.tick=5s`; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE", help_heading = "Global options")]
    set: Vec<String>,

    /// Socket of the daemon, if it is not the configured one
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "QCBATCH_SOCKET",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    socket: Option<PathBuf>,

    /// Print one JSON document, stable for programs
    #[arg(long, global = true, conflicts_with = "quiet", help_heading = "Global options")]
    json: bool,

    /// Print ids only; no progress, no notes
    #[arg(long, short, global = true, help_heading = "Global options")]
    quiet: bool,

    /// Print more; repeat it to print everything
    #[arg(long, short, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    verbose: u8,
}

/// The commands.
#[derive(Subcommand, Debug)]
enum Command {
    /// Run the daemon in the foreground
    Daemon(daemon::DaemonArgs),
    /// Submit calculations: QCSchema, XYZ, SDF or Psi4 input
    Submit(Box<submit::SubmitArgs>),
    /// Predict time and memory of calculations from history
    Predict(Box<predict::PredictArgs>),
    /// Show the state of the daemon, its pools and its records
    Status(status::StatusArgs),
    /// List records, newest first
    List(list::ListArgs),
    /// Show one record: inputs, result, history, why it waits
    Show(show::ShowArgs),
    /// Print what a record's program wrote
    Logs(logs::LogsArgs),
    /// List batch jobs
    Jobs(jobs::JobsArgs),
    /// Wait until records have ended
    Wait(wait::WaitArgs),
    /// Cancel records that have not ended
    Cancel(change::ChangeArgs),
    /// Queue failed and cancelled records for another attempt
    Retry(change::ChangeArgs),
    /// Write results as JSON lines of QCSchema
    Export(export::ExportArgs),
    /// List avoided nodes and allow them again
    Nodes(nodes::NodesArgs),
    /// List pools and end their pauses
    Pool(pool::PoolArgs),
    /// Manage reports that match no task
    Spool(spool::SpoolArgs),
    /// Measure a pool with synthetic tasks
    Bench(bench::BenchArgs),
    /// Manage the private PostgreSQL
    Db(db::DbArgs),
    /// Show, check or create a configuration
    Config(config::ConfigArgs),
    /// Test scheduler adapters
    Adapter(adapter::AdapterArgs),
    /// Run a job's tasks; called by job scripts
    #[command(hide = true)]
    Node(node::NodeArgs),
    /// The scheduler of this machine; called by adapters/local.toml
    #[command(hide = true)]
    Local(local::LocalArgs),
}

/// Parses the command line, runs the command, reports its error, and gives the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> std::process::ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output; a closed pipe there is no error.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::Usage } else { ExitCode::Success }.into();
        }
    };
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            let text = error.render();
            // Standard error that is gone leaves nobody to tell.
            let _ = std::io::Write::write_all(&mut anstream::stderr(), text.as_bytes());
            error.exit_code().into()
        }
    }
}

/// The tree of commands, for documentation and completion.
pub fn command() -> clap::Command {
    Cli::command()
}

fn dispatch(cli: Cli) -> Result<std::process::ExitCode, CliError> {
    let session = Session::new(cli.globals);
    let code = match cli.command {
        Command::Daemon(args) => daemon::run(args, &session),
        Command::Submit(args) => session.block_on(submit::run(*args, &session)),
        Command::Predict(args) => session.block_on(predict::run(*args, &session)),
        Command::Status(args) => session.block_on(status::run(args, &session)),
        Command::List(args) => session.block_on(list::run(args, &session)),
        Command::Show(args) => session.block_on(show::run(args, &session)),
        Command::Logs(args) => session.block_on(logs::run(args, &session)),
        Command::Jobs(args) => session.block_on(jobs::run(args, &session)),
        Command::Wait(args) => session.block_on(wait::run(args, &session)),
        Command::Cancel(args) => session.block_on(cancel::run(args, &session)),
        Command::Retry(args) => session.block_on(retry::run(args, &session)),
        Command::Export(args) => session.block_on(export::run(args, &session)),
        Command::Nodes(args) => session.block_on(nodes::run(args, &session)),
        Command::Pool(args) => session.block_on(pool::run(args, &session)),
        Command::Spool(args) => session.block_on(spool::run(args, &session)),
        Command::Bench(args) => session.block_on(bench::run(args, &session)),
        Command::Db(args) => session.block_on(db::run(args, &session)),
        Command::Config(args) => config::run(args, &session),
        Command::Adapter(args) => session.block_on(adapter::run(args, &session)),
        Command::Node(args) => return Ok(node::run(args)),
        Command::Local(args) => local::run(args),
    };
    code.map(Into::into)
}
