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
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::Secret;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, format: LogFormat) -> String {
        let memory = Memory::default();
        let written = memory.clone();
        let options = LogOptions { filter: filter.into(), format, file: None };
        let subscriber = subscriber(&options, Colours::Never, move || memory.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let url = Secret::new("postgres://me:hunter2@db/qc");
            tracing::debug!("not asked for");
            tracing::info!(job.id = 7, database.url = %url, "job submitted");
            tracing::warn!(error = ?url, "database away");
        });
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn text_has_the_message_the_fields_and_no_secret() {
        let text = logged("info", LogFormat::Text);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("job submitted job.id=7 database.url=[redacted]"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains('\x1b'), "{text}");
    }

    #[test]
    fn json_is_one_object_per_line_with_fields_at_the_top() {
        let text = logged("warn,qcbatch=info", LogFormat::Json);
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["job.id"], 7);
        assert_eq!(lines[0]["message"], "job submitted");
        assert_eq!(lines[1]["level"], "WARN");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_filter_is_followed() {
        assert_eq!(logged("warn", LogFormat::Text).lines().count(), 1);
        assert_eq!(logged("off", LogFormat::Text), "");
        let options = LogOptions { filter: "info,=x=y".into(), format: LogFormat::Text, file: None };
        assert!(matches!(subscriber(&options, Colours::Never, std::io::sink), Err(LogError::Filter { .. })));
    }

    #[test]
    fn a_log_file_is_private_and_appended_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("qcbatch.log");
        for line in ["one\n", "two\n"] {
            std::io::Write::write_all(&mut open(&path).unwrap(), line.as_bytes()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let missing = directory.path().join("no/such/log");
        assert!(matches!(open(&missing), Err(LogError::File { .. })));
    }
}
