//! What `cancel` and `retry` have in common: which records, and what is said afterwards.

use clap::Args;
use serde::Serialize;

use super::error::CliError;
use super::exit_code::ExitCode;
use super::format;
use super::screen::{Report, Screen};
use super::selection::{self, SelectionArgs};
use super::session::Session;
use crate::api::wire::{ChangeQuery, ChangeReceipt, Reach, RefusedChange};
use crate::model::record::RecordStatus;

/// What was typed.
#[derive(Args, Debug)]
pub struct ChangeArgs {
    #[command(flatten)]
    selection: SelectionArgs,

    /// All records to which this applies
    #[arg(long)]
    all: bool,
}

/// What a change of records did, as it is printed.
#[derive(Debug, Serialize)]
pub(super) struct Changed {
    /// What became of them.
    pub status: RecordStatus,
    /// How many.
    pub changed: u64,
    /// Records named by id that did not change, the first twenty.
    pub refused: Vec<RefusedChange>,
}

impl Report for Changed {
    fn table(&self, _: &Screen) -> String {
        let mut text = match self.changed {
            0 => "nothing to do\n".to_owned(),
            changed => format!("{} now {}\n", format::count(changed, "record"), self.status.as_str()),
        };
        for refused in &self.refused {
            text.push_str(&format!("record {} is left as it is: {}\n", refused.record_id, refused.reason));
        }
        text
    }

    fn quiet(&self) -> String {
        String::new()
    }
}

/// Asks the daemon for the change at `path` and prints how many records are `status` now.
pub(super) async fn change(
    args: &ChangeArgs,
    path: &str,
    status: RecordStatus,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let filter = args.selection.resolve(session.screen.now, &session.screen.zone)?;
    let reach = if args.all { Reach::Everything } else { Reach::Filtered };
    if selection::is_empty(&filter) && reach == Reach::Filtered {
        return Err(CliError::usage("name records by id or by a filter, or give --all"));
    }
    let receipt: ChangeReceipt = session.client()?.post(path, &ChangeQuery { filter, reach }).await?;
    let nothing_done = receipt.changed == 0 && !receipt.refused.is_empty();
    session.screen.print(&Changed { status, changed: receipt.changed, refused: receipt.refused })?;
    Ok(if nothing_done { ExitCode::Failed } else { ExitCode::Success })
}
