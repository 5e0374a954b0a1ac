//! `qcbatch daemon`: configuration, log and runtime for the daemon, which runs in the foreground.

use clap::Args;

use super::error::CliError;
use super::exit_code::ExitCode;
use super::session::Session;
use crate::config::StateLayout;
use crate::daemon::{self, SetupError, logging};
use crate::scheduler::AdapterError;

/// Threads of the daemon: its work is waiting, the rest is PostgreSQL's and the scheduler's.
const THREADS: usize = 2;

/// `daemon` has no arguments of its own: everything is configuration (`--config`, `--set`).
#[derive(Args, Debug)]
pub struct DaemonArgs {}

pub(super) fn run(_: DaemonArgs, session: &Session) -> Result<ExitCode, CliError> {
    let config = session.config()?;
    let mut options = logging::LogOptions::of(&config.daemon);
    match session.verbosity() {
        0 => {}
        1 => options.filter = "debug".to_owned(),
        _ => options.filter = "trace".to_owned(),
    }
    StateLayout::of(&config)
        .create()
        .map_err(|error| CliError::local("cannot use the state directory", error))?;
    logging::init(&options).map_err(|error| CliError::local("cannot start the log", error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(|source| CliError::local("cannot start the asynchronous runtime", source))?;
    match runtime.block_on(daemon::run(config)) {
        Ok(()) => Ok(ExitCode::Success),
        Err(error) => Err(stopped(error)),
    }
}

/// A wrong adapter file is a wrong configuration.
fn stopped(error: anyhow::Error) -> CliError {
    match error.downcast_ref() {
        Some(SetupError::Adapter(AdapterError::Invalid { report, .. })) => {
            CliError::Config { report: report.clone() }
        }
        _ => CliError::Local {
            action: "the daemon stopped".to_owned(),
            hint: None,
            source: error.into_boxed_dyn_error(),
        },
    }
}
