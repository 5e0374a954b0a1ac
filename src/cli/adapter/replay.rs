//! `qcbatch adapter replay`: how recorded answers of a scheduler are read, line by line. Reads files only.

use std::path::PathBuf;

use clap::Args;

use super::{settings, usable};
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::screen::{Report, Screen};
use crate::cli::session::Session;
use crate::config::Config;
use crate::scheduler::Scheduler;
use crate::scheduler::replay::{Heard, Recording, Replayed, recordings};

/// What was typed.
#[derive(Args, Debug)]
#[command(allow_missing_positional = true)]
pub(super) struct ReplayArgs {
    /// The adapter; without it that of the only scheduler that pools use
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Directory with files NAME.cmd, NAME.out, NAME.err and NAME.rc
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

#[derive(Debug, serde::Serialize)]
#[serde(transparent)]
struct Replays(Vec<Replayed>);

impl Report for Replays {
    fn table(&self, _: &Screen) -> String {
        let mut text: String = self.0.iter().map(shown).collect();
        let unread = self.0.iter().filter(|replayed| !replayed.is_read()).count();
        text.push_str(&match unread {
            0 => format!("all {} recordings can be read\n", self.0.len()),
            some => format!("{some} of {} recordings cannot be read, or not all of them\n", self.0.len()),
        });
        text
    }

    fn quiet(&self) -> String {
        let unread = self.0.iter().filter(|replayed| !replayed.is_read());
        unread.map(|replayed| format!("{}\n", replayed.name)).collect()
    }
}

fn shown(replayed: &Replayed) -> String {
    let mut text = format!("== {}: {}\n", replayed.name, replayed.command);
    text.push_str(&format!("   asked: {}\n", replayed.asked));
    for line in &replayed.lines {
        let place = match line.number {
            Some(number) => format!("{}:{number}", line.stream),
            None => line.stream.to_owned(),
        };
        let mark = if line.heard == Heard::NotRead { "!!" } else { "  " };
        text.push_str(&format!("{mark} {place:<7} {}\n", crate::cli::table::printable(&line.text)));
        for meaning in &line.meaning {
            text.push_str(&format!("           -> {}\n", crate::cli::table::printable(meaning)));
        }
    }
    text.push_str(&format!("   answer: {}\n\n", crate::cli::table::printable(&replayed.answer)));
    text
}

pub(super) fn run(args: &ReplayArgs, config: &Config, session: &Session) -> Result<ExitCode, CliError> {
    let name = match &args.name {
        Some(name) => name.clone(),
        None => only_adapter(config)?,
    };
    let scheduler = Scheduler::new(usable(&name, config)?, settings(config, session)?);
    let read = |source| CliError::Read { path: args.directory.clone(), source };
    let found: Vec<Recording> = recordings(&args.directory).map_err(read)?;
    if found.is_empty() {
        let message = format!("there is no file NAME.cmd in {}", args.directory.display());
        return Err(CliError::NotFound { message });
    }
    let replays = Replays(found.iter().map(|recording| scheduler.replay(recording)).collect());
    let code = match replays.0.iter().all(Replayed::is_read) {
        true => ExitCode::Success,
        false => ExitCode::Failed,
    };
    session.screen.print(&replays)?;
    Ok(code)
}

fn only_adapter(config: &Config) -> Result<String, CliError> {
    let mut names: Vec<&str> = config.pools.iter().map(|pool| pool.adapter.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    match names.as_slice() {
        [only] => Ok((*only).to_owned()),
        several => {
            let message = format!("say which adapter: pools use {}", several.join(", "));
            Err(CliError::usage(message))
        }
    }
}
