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
    /// Owner of the recorded jobs, if listings name owners; by default the user that a recorded command asks about, or yourself
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

/// All recordings and how they are read.
#[derive(Debug, serde::Serialize)]
#[serde(transparent)]
struct Replays {
    all: Vec<Replayed>,
    /// What is asked of this scheduler and was not recorded.
    #[serde(skip)]
    not_recorded: Vec<&'static str>,
}

impl Report for Replays {
    fn table(&self, _: &Screen) -> String {
        let mut text: String = self.all.iter().map(shown).collect();
        let read = self.all.iter().filter(|one| one.is_read()).count();
        let foreign = self.all.iter().filter(|one| one.verb.is_none()).count();
        text.push_str(&format!("{} recordings: {read} can be read", self.all.len()));
        let unread = self.all.len() - read - foreign;
        let rest = [
            (unread, "cannot be read, or not all of them"),
            (foreign, "are of commands that the adapter has not"),
        ];
        for (count, what) in rest.iter().filter(|(count, _)| *count > 0) {
            text.push_str(&format!(", {count} {what}"));
        }
        text.push('\n');
        if !self.not_recorded.is_empty() {
            text.push_str(&format!("not recorded: {}\n", self.not_recorded.join(", ")));
        }
        text
    }

    fn quiet(&self) -> String {
        let unread = self.all.iter().filter(|replayed| !replayed.is_read());
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
    let scheduler = Scheduler::new(usable(&name, config)?, settings(config)?);
    let read = |source| CliError::Read { path: args.directory.clone(), source };
    let found: Vec<Recording> = recordings(&args.directory).map_err(read)?;
    if found.is_empty() {
        let message = format!("there is no file NAME.cmd in {}", args.directory.display());
        return Err(CliError::NotFound { message });
    }
    let all: Vec<Replayed> =
        found.iter().map(|recording| scheduler.replay(recording, args.user.as_deref())).collect();
    let recorded: Vec<&str> = all.iter().filter_map(|one| one.verb).collect();
    let replays = Replays { not_recorded: scheduler.not_recorded(&recorded), all };
    let code = match replays.all.iter().all(Replayed::is_read) {
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
