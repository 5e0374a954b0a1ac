//! Sets `tracing` up: filter, text or JSON, to standard error or a file. Secrets are `config::Secret`, which no
//! formatter shows. Touches: the log file, and the process's one global subscriber in `init`.

use std::fs::{File, OpenOptions};
use std::io::IsTerminal;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{DaemonConfig, LogFormat};

/// What is logged, how and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogOptions {
    /// A level, or a filter as `info,qcbatch::scheduler=debug`.
    pub filter: String,
    /// Lines for people or JSON.
    pub format: LogFormat,
    /// A file that is appended to; none means standard error.
    pub file: Option<PathBuf>,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be written.
    #[error("cannot open the log file `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The filter is none.
    #[error(
        "`{filter}` is not a log filter; a level (off, error, warn, info, debug, trace) is the simplest one"
    )]
    Filter {
        /// As it was given.
        filter: String,
        /// Why.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Called twice.
    #[error("logging is set up already")]
    Twice(#[source] tracing::subscriber::SetGlobalDefaultError),
}

impl LogOptions {
    /// As `[daemon]` says.
    pub fn of(daemon: &DaemonConfig) -> LogOptions {
        LogOptions { filter: daemon.log.clone(), format: daemon.log_format, file: daemon.log_file.clone() }
    }
}

/// Starts logging for the whole process. Each event is written at once with one `write`, appended: a log that is
/// rotated by copying and truncating loses nothing but the lines in between.
pub fn init(options: &LogOptions) -> Result<(), LogError> {
    match &options.file {
        Some(path) => install(subscriber(options, Colours::Never, open(path)?)?),
        None => {
            let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let colours =
                if std::io::stderr().is_terminal() && !is_plain { Colours::Always } else { Colours::Never };
            install(subscriber(options, colours, std::io::stderr)?)
        }
    }
}

fn install(subscriber: Box<dyn Subscriber + Send + Sync>) -> Result<(), LogError> {
    tracing::subscriber::set_global_default(subscriber).map_err(LogError::Twice)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Colours {
    Always,
    Never,
}

fn open(path: &Path) -> Result<File, LogError> {
    let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    opened.map_err(|source| LogError::File { path: path.to_owned(), source })
}

fn subscriber<W>(
    options: &LogOptions,
    colours: Colours,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&options.filter)
        .map_err(|source| LogError::Filter { filter: options.filter.clone(), source })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours == Colours::Always)
        .with_writer(writer);
    Ok(match options.format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(
            builder.json().flatten_event(true).with_current_span(true).with_span_list(false).finish(),
        ),
    })
}

#[cfg(test)]
mod tests;
