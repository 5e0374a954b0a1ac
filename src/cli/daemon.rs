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
    keep_memory_small();
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
