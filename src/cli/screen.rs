//! Where output goes: what the terminal is, and the one place that writes to it. A closed pipe ends the program well.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::error::CliError;
use super::table::Colour;

/// How results are written.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum OutputMode {
    /// Tables and sentences for people.
    #[default]
    Table,
    /// One JSON document, stable for programs.
    Json,
    /// Ids only, and no progress.
    Quiet,
}

/// What a person sees it on.
#[derive(Clone, Debug)]
pub struct Screen {
    /// How results are written.
    pub mode: OutputMode,
    /// Columns of the terminal; none where output is not a terminal: nothing is cut then.
    pub width: Option<usize>,
    /// Whether styles are written.
    pub colour: Colour,
    /// Now, for ages.
    pub now: Timestamp,
    /// The zone that times are shown in.
    pub zone: TimeZone,
    /// Whether a person watches standard error.
    pub progress: Progress,
}

/// Whether progress is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// On one line that is rewritten.
    Shown,
    /// Not at all.
    Hidden,
}

/// Width of a terminal that does not tell.
const USUAL_WIDTH: usize = 80;

impl Screen {
    /// The screen that this process writes to. `COLUMNS` outranks the terminal's own word.
    pub fn of_process(mode: OutputMode) -> Screen {
        let columns =
            std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).filter(|columns| *columns > 0);
        let terminal = io::stdout().is_terminal();
        let asked = || terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
        let width = match columns {
            Some(columns) => Some(columns),
            None if terminal => Some(asked().unwrap_or(USUAL_WIDTH)),
            None => None,
        };
        let colour = match anstream::AutoStream::choice(&io::stdout()) {
            anstream::ColorChoice::Never => Colour::Off,
            _ => Colour::On,
        };
        let progress = match mode {
            OutputMode::Table if io::stderr().is_terminal() => Progress::Shown,
            _ => Progress::Hidden,
        };
        Screen { mode, width, colour, now: Timestamp::now(), zone: TimeZone::system(), progress }
    }

    /// Writes a result in the screen's mode to standard output.
    pub fn print<R: Report>(&self, report: &R) -> Result<(), CliError> {
        let text = match self.mode {
            OutputMode::Table => report.table(self),
            OutputMode::Quiet => report.quiet(),
            OutputMode::Json => pretty(report)?,
        };
        write_out(text.as_bytes())
    }

    /// A sentence for people on standard error; nothing in the quiet mode.
    pub fn note(&self, text: &str) {
        if self.mode != OutputMode::Quiet {
            // Standard error that is gone leaves nobody to tell.
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// Rewrites the line of progress.
    pub fn progress(&self, text: &str) {
        if self.progress == Progress::Shown {
            let width = self.width.unwrap_or(USUAL_WIDTH).saturating_sub(1);
            let _ = write!(io::stderr(), "\r\x1b[2K{}", super::table::cut(text, width));
            let _ = io::stderr().flush();
        }
    }

    /// Removes the line of progress.
    pub fn end_progress(&self) {
        if self.progress == Progress::Shown {
            let _ = write!(io::stderr(), "\r\x1b[2K");
            let _ = io::stderr().flush();
        }
    }
}

/// A result that every mode can show. Its JSON is its `Serialize`.
pub trait Report: Serialize {
    /// For people.
    fn table(&self, screen: &Screen) -> String;

    /// Ids, one on each line.
    fn quiet(&self) -> String;
}

fn pretty<R: Serialize>(report: &R) -> Result<String, CliError> {
    let mut text = serde_json::to_string_pretty(report).map_err(|source| CliError::Render { source })?;
    text.push('\n');
    Ok(text)
}

/// Writes bytes to standard output as they are.
pub fn write_out(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|source| match source.kind() {
        io::ErrorKind::BrokenPipe => CliError::PipeClosed,
        _ => CliError::Output { source },
    })
}

/// How words of states are painted: red wants a look, yellow moves, green is done.
pub fn state_style(word: &str) -> Style {
    let colour = match word {
        "complete" | "completed" => AnsiColor::Green,
        "running" | "submitting" | "ending" => AnsiColor::Yellow,
        "error" | "failed" | "blocked" | "missing" | "lost" | "unknown" | "rejected" | "invalid" => {
            AnsiColor::Red
        }
        _ => return Style::new(),
    };
    Style::new().fg_color(Some(colour.into()))
}
