//! What can go wrong in a command, its exit code and its hint; rendered once, at the top. Pure but for `render`.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};

use super::exit_code::ExitCode;
use super::table::printable;
use crate::api::client::ClientError;
use crate::api::wire::{ErrorCode, Problem};
use crate::model::causes::chain;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The daemon cannot be asked, or said no.
    #[error(transparent)]
    Daemon(#[from] ClientError),
    /// Arguments that clap cannot judge alone.
    #[error("{message}")]
    Usage {
        /// What is wrong and what would be right.
        message: String,
    },
    /// Documents were refused before they were sent.
    #[error("{message}")]
    Input {
        /// A summary.
        message: String,
        /// Each of them.
        problems: Vec<Problem>,
    },
    /// Nothing there.
    #[error("{message}")]
    NotFound {
        /// What was looked for.
        message: String,
    },
    /// The request is fine, its outcome is not.
    #[error("{message}")]
    Failed {
        /// What happened.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// `--timeout` passed.
    #[error("{message}")]
    TimedOut {
        /// What was waited for.
        message: String,
    },
    /// The configuration is wrong: its own report, many lines long.
    #[error("the configuration is wrong")]
    Config {
        /// The report, each problem with file and line.
        report: String,
    },
    /// Work on this machine failed: a file, the database, a scheduler.
    #[error("{action}")]
    Local {
        /// What was tried.
        action: String,
        /// What to do about it.
        hint: Option<String>,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A file of the user's.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Standard output is gone, as in `qcbatch list | head`.
    #[error("standard output was closed")]
    PipeClosed,
    /// Standard output cannot be written.
    #[error("cannot write to standard output")]
    Output {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Our own types do not become JSON.
    #[error("cannot write the result as JSON")]
    Render {
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
}

impl CliError {
    /// A failure on this machine.
    pub fn local(action: impl Into<String>, source: impl Error + Send + Sync + 'static) -> CliError {
        CliError::Local { action: action.into(), hint: None, source: Box::new(source) }
    }

    /// A usage error.
    pub fn usage(message: impl Into<String>) -> CliError {
        CliError::Usage { message: message.into() }
    }

    /// The exit code that it ends with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            CliError::Daemon(ClientError::Answered { body }) => match body.code {
                ErrorCode::BadInput => ExitCode::BadInput,
                ErrorCode::NotFound => ExitCode::NotFound,
                ErrorCode::Internal => ExitCode::Bug,
                _ => ExitCode::Failed,
            },
            CliError::Daemon(ClientError::Request { .. }) => ExitCode::Bug,
            CliError::Daemon(_) => ExitCode::DaemonUnreachable,
            CliError::Usage { .. } => ExitCode::Usage,
            CliError::Input { .. } | CliError::Read { .. } => ExitCode::BadInput,
            CliError::NotFound { .. } => ExitCode::NotFound,
            CliError::Failed { .. } | CliError::Local { .. } | CliError::Output { .. } => ExitCode::Failed,
            CliError::TimedOut { .. } => ExitCode::TimedOut,
            CliError::Config { .. } => ExitCode::BadConfig,
            CliError::PipeClosed => ExitCode::Success,
            CliError::Render { .. } => ExitCode::Bug,
        }
    }

    /// Whether the daemon is busy with another submission, so that the same request may be made again.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, CliError::Daemon(ClientError::Answered { body }) if body.code == ErrorCode::Busy)
    }

    fn hint(&self) -> Option<&str> {
        match self {
            CliError::Daemon(error) => error.hint(),
            CliError::Failed { hint, .. } | CliError::Local { hint, .. } => hint.as_deref(),
            _ if self.exit_code() == ExitCode::Bug => {
                Some("this is a bug of qcbatch; please report it with the command and `qcbatch --version`")
            }
            _ => None,
        }
    }

    fn problems(&self) -> &[Problem] {
        match self {
            CliError::Daemon(ClientError::Answered { body }) => &body.problems,
            CliError::Input { problems, .. } => problems,
            _ => &[],
        }
    }

    /// The error as people read it on standard error, with a line end; empty for a closed pipe.
    pub fn render(&self) -> String {
        let bold = |colour: AnsiColor| Style::new().bold().fg_color(Some(colour.into()));
        let (red, cyan) = (bold(AnsiColor::Red), bold(AnsiColor::Cyan));
        match self {
            CliError::PipeClosed => return String::new(),
            CliError::Config { report } => return format!("{}\n", report.trim_end()),
            _ => {}
        }
        // Messages of ours may have several lines; what they quote must not steer the terminal.
        let lines: Vec<String> = chain(self).lines().map(printable).collect();
        let mut text = format!("{red}error:{red:#} {}\n", lines.join("\n"));
        for problem in self.problems() {
            text.push_str(&format!("  {}\n", printable(&problem.to_string())));
        }
        if let Some(hint) = self.hint() {
            text.push_str(&format!("{cyan}hint:{cyan:#} {hint}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests;
