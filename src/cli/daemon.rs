//! `qcbatch daemon`: configuration, log and runtime for the daemon, which runs in the foreground.

use std::time::Duration;

use clap::Args;

use super::error::CliError;
use super::exit_code::ExitCode;
use super::session::Session;
use crate::config::StateLayout;
use crate::daemon::{self, DaemonError, SetupError, logging};
use crate::model::causes::chain;
use crate::scheduler::AdapterError;

/// Threads of the daemon: its work is waiting, the rest is PostgreSQL's and the scheduler's.
const THREADS: usize = 2;

/// How long threads may take to end what they are at when everything else has ended.
const LAST_THREADS: Duration = Duration::from_secs(5);

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
    keep_memory_small();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(|source| CliError::local("cannot start the asynchronous runtime", source))?;
    let outcome = runtime.block_on(daemon::run(config));
    // A thread that hangs on a dead file server must not keep the process: what it was at is found by the next start.
    runtime.shutdown_timeout(LAST_THREADS);
    match outcome {
        Ok(()) => Ok(ExitCode::Success),
        Err(error) => Err(stopped(error)),
    }
}

/// Tells glibc to keep few arenas and to give memory back: by itself it keeps an arena for each thread that ever worked
/// and raises its thresholds with each large buffer that is freed (mallopt(3)). A daemon that works in bursts for months
/// then keeps the peak of every burst.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "there is no safe interface to the allocator's settings")]
fn keep_memory_small() {
    const LARGE: nix::libc::c_int = 256 << 10;
    let settings = [
        (nix::libc::M_ARENA_MAX, 2),
        (nix::libc::M_MMAP_THRESHOLD, LARGE),
        (nix::libc::M_TRIM_THRESHOLD, LARGE),
    ];
    for (parameter, value) in settings {
        // SAFETY: sets one number in the allocator, before there is a second thread. Refused settings change nothing.
        unsafe { nix::libc::mallopt(parameter, value) };
    }
}

#[cfg(not(target_env = "gnu"))]
fn keep_memory_small() {}

/// A wrong adapter or template, or one that is not there, is a wrong configuration: another start does not help.
fn stopped(error: anyhow::Error) -> CliError {
    let wrong = match (error.downcast_ref::<SetupError>(), error.downcast_ref::<DaemonError>()) {
        (Some(error), _) | (None, Some(DaemonError::Setup(error))) => wrong_configuration(error),
        (None, Some(error @ DaemonError::Target(_))) => Some(chain(error)),
        (None, Some(DaemonError::Listen(error))) if error.is_configuration() => Some(chain(error)),
        (None, _) => None,
    };
    match wrong {
        Some(report) => CliError::Config { report },
        None => CliError::Local {
            action: "the daemon stopped".to_owned(),
            hint: None,
            source: error.into_boxed_dyn_error(),
        },
    }
}

/// What is wrong with the configuration, if it is the configuration.
pub(super) fn wrong_configuration(error: &SetupError) -> Option<String> {
    match error {
        SetupError::Adapter(AdapterError::Invalid { report, .. }) => Some(report.clone()),
        SetupError::Adapter(_)
        | SetupError::Template(_)
        | SetupError::OneNode { .. }
        | SetupError::Python { .. } => Some(chain(error)),
        SetupError::Spool(_) | SetupError::OwnProgram(_) => None,
    }
}
