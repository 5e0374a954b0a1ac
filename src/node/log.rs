//! The runner's own log, one line per event, in the job directory.

use tracing::subscriber::DefaultGuard;

use crate::spool::{JobDirectory, SpoolError, atomic};

/// Sends what this thread traces to `runner.log`, until the guard is dropped.
pub fn to_file(directory: &JobDirectory) -> Result<DefaultGuard, SpoolError> {
    let file = atomic::open_append(&directory.runner_log())?;
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::sync::Mutex::new(file))
        .with_ansi(false)
        .with_target(false)
        .with_max_level(tracing::Level::INFO)
        .finish();
    Ok(tracing::subscriber::set_default(subscriber))
}
