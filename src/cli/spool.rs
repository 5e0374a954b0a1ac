//! `qcbatch spool`: what the spool brought that fits no task, and what becomes of it.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::error::CliError;
use super::exit_code::ExitCode;
use super::format;
use super::report::AsideList;
use super::screen::{Report, Screen};
use super::session::Session;
use crate::api::wire::{AsideChange, AsideQuery, AsideReceipt, Reach};
use crate::model::ids::AsideId;
use crate::model::view::AsideLine;

/// What was typed.
#[derive(Args, Debug)]
pub struct SpoolArgs {
    #[command(subcommand)]
    command: SpoolCommand,
}

#[derive(Subcommand, Debug)]
enum SpoolCommand {
    /// Manage reports that match no task and were set aside
    #[command(subcommand)]
    Aside(AsideCommand),
}

#[derive(Subcommand, Debug)]
enum AsideCommand {
    /// List reports that were set aside, newest first
    List {
        /// Maximum number of reports to list
        #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Store the results that match their records; the other reports stay, each with the reason
    Adopt(AsideArgs),
    /// Delete reports that were set aside
    Remove(AsideArgs),
}

/// Which reports.
#[derive(Args, Debug)]
struct AsideArgs {
    /// Numbers of the reports, as `list` shows them
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<AsideId>,

    /// All reports that were set aside
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(args: SpoolArgs, session: &Session) -> Result<ExitCode, CliError> {
    let SpoolCommand::Aside(command) = args.command;
    match command {
        AsideCommand::List { limit } => {
            let query = AsideQuery { limit };
            let lines: Vec<AsideLine> = session.client()?.post("/v1/spool/aside/query", &query).await?;
            session.screen.print(&AsideList(lines))?;
            Ok(ExitCode::Success)
        }
        AsideCommand::Adopt(args) => change(args, "/v1/spool/aside/adopt", "adopted", session).await,
        AsideCommand::Remove(args) => change(args, "/v1/spool/aside/remove", "removed", session).await,
    }
}

/// What became of reports, as it is printed.
#[derive(Debug, Serialize)]
struct AsideChanged {
    /// What was done.
    action: &'static str,
    #[serde(flatten)]
    receipt: AsideReceipt,
}

impl Report for AsideChanged {
    fn table(&self, _: &Screen) -> String {
        let mut text = match self.receipt.changed {
            0 => format!("no report {}\n", self.action),
            changed => format!("{} {}\n", format::count(changed, "report"), self.action),
        };
        for refused in &self.receipt.refused {
            text.push_str(&format!("report {} stays: {}\n", refused.id, refused.reason));
        }
        let told = self.receipt.refused.len() as u64;
        if self.receipt.unchanged > told {
            text.push_str(&format!("and {} more stay\n", self.receipt.unchanged - told));
        }
        text
    }

    fn quiet(&self) -> String {
        String::new()
    }
}

async fn change(
    args: AsideArgs,
    path: &str,
    action: &'static str,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let reach = if args.all { Reach::Everything } else { Reach::Filtered };
    let receipt: AsideReceipt = session.client()?.post(path, &AsideChange { ids: args.ids, reach }).await?;
    let nothing_done = receipt.changed == 0 && receipt.unchanged > 0;
    session.screen.print(&AsideChanged { action, receipt })?;
    Ok(if nothing_done { ExitCode::Failed } else { ExitCode::Success })
}
