//! `qcbatch adapter list|check|replay`: which schedulers can be spoken to, whether one here does what it must, and how
//! recorded answers are read. Needs no daemon.

mod check;
mod replay;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::error::CliError;
use super::exit_code::ExitCode;
use super::screen::{Report, Screen};
use super::session::Session;
use super::table::{Column, render};
use crate::config::{Config, StateLayout};
use crate::model::view::{PoolSummary, SchedulerSummary, StatusSummary};
use crate::scheduler::adapter::built_in_names;
use crate::scheduler::{Adapter, AdapterError, Settings};

/// What was typed.
#[derive(Args, Debug)]
pub struct AdapterArgs {
    #[command(subcommand)]
    command: AdapterCommand,
}

#[derive(Subcommand, Debug)]
enum AdapterCommand {
    /// List the adapters, built-in ones and the site's own
    List,
    /// Probe a scheduler, run a one-minute job through it, and report what that proved
    Check(check::CheckArgs),
    /// Show line by line how recorded answers of a scheduler are read; nothing is started
    Replay(replay::ReplayArgs),
}

pub(super) async fn run(args: AdapterArgs, session: &Session) -> Result<ExitCode, CliError> {
    let config = session.config()?;
    match args.command {
        AdapterCommand::List => list(&config, session).await,
        AdapterCommand::Check(args) => check::run(&args, &config, session).await,
        AdapterCommand::Replay(args) => replay::run(&args, &config, session),
    }
}

/// One adapter.
#[derive(Debug, Serialize)]
struct AdapterLine {
    name: String,
    description: String,
    pools: Vec<String>,
    /// What the running daemon learned of the scheduler; none without daemon or pool.
    scheduler: Option<SchedulerSummary>,
}

/// All adapters.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct AdapterList(Vec<AdapterLine>);

const COLUMNS: [Column; 4] = [
    Column::left("ADAPTER", 0),
    Column::left("POOLS", 1).cut_to(8),
    Column::left("SCHEDULER", 3).cut_to(8),
    Column::left("DESCRIPTION", 2).cut_to(20),
];

impl Report for AdapterList {
    fn table(&self, screen: &Screen) -> String {
        let row = |line: &AdapterLine| {
            let scheduler = line.scheduler.as_ref().map_or_else(String::new, SchedulerSummary::to_string);
            vec![line.name.clone(), line.pools.join(","), scheduler, line.description.clone()]
        };
        let rows: Vec<Vec<String>> = self.0.iter().map(row).collect();
        render(&COLUMNS, &rows, screen.width, screen.colour)
    }

    fn quiet(&self) -> String {
        self.0.iter().map(|line| format!("{}\n", line.name)).collect()
    }
}

async fn list(config: &Config, session: &Session) -> Result<ExitCode, CliError> {
    let mut names: Vec<String> = built_in_names().map(str::to_owned).collect();
    for directory in &config.site.adapter_directories {
        // A directory that is not there holds no adapters.
        let entries = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
        let files = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "toml"));
        names.extend(files.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())));
    }
    names.sort();
    names.dedup();
    let learned = learned(session).await;
    let mut lines = Vec::with_capacity(names.len());
    let mut refused = Vec::new();
    for name in names {
        let description = match load(&name, config) {
            Ok(adapter) => adapter.description,
            Err(error) => {
                // The report has lines of its own, with the places in the file.
                let text = error.to_string();
                let first = text.lines().next().unwrap_or_default().to_owned();
                refused.push(text);
                format!("cannot be used: {first}")
            }
        };
        let pools = config.pools.iter().filter(|pool| pool.adapter == name).map(|pool| pool.name.to_string());
        let scheduler = learned.iter().find(|pool| pool.adapter == name).map(|pool| pool.scheduler.clone());
        lines.push(AdapterLine { pools: pools.collect(), name, description, scheduler });
    }
    session.screen.print(&AdapterList(lines))?;
    if refused.is_empty() {
        return Ok(ExitCode::Success);
    }
    Err(CliError::Config { report: refused.join("\n\n") })
}

/// The pools as the running daemon sees them; none when there is no daemon.
async fn learned(session: &Session) -> Vec<PoolSummary> {
    let Ok(client) = session.client() else { return Vec::new() };
    client.get("/v1/status").await.map_or_else(|_| Vec::new(), |status: StatusSummary| status.pools)
}

fn usable(name: &str, config: &Config) -> Result<Adapter, CliError> {
    load(name, config).map_err(|error| match error {
        unknown @ AdapterError::Unknown { .. } => CliError::NotFound { message: unknown.to_string() },
        AdapterError::Invalid { report, .. } => CliError::Config { report },
        other => CliError::local(format!("adapter `{name}` cannot be used"), other),
    })
}

fn load(name: &str, config: &Config) -> Result<Adapter, AdapterError> {
    Adapter::load(name, &config.site.adapter_directories)
}

/// As the daemon would run the scheduler's commands.
fn settings(config: &Config) -> Result<Settings, CliError> {
    Settings::as_installed(StateLayout::of(config).local_scheduler, &config.scheduler.search_path)
        .map_err(|source| CliError::local("cannot tell where this program is", source))
}
