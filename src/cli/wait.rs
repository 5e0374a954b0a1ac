//! `qcbatch wait`: holds until records have ended; its exit code says how.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::time::Instant;

use super::error::CliError;
use super::exit_code::ExitCode;
use super::format;
use super::screen::{Report, Screen};
use super::selection::{self, SelectionArgs};
use super::session::Session;
use super::table::printable;
use crate::api::client::Client;
use crate::api::wire::{StatusCounts, WaitQuery};
use crate::config::units;
use crate::model::record::RecordStatus;
use crate::model::view::{RecordFilter, StatusSummary};

/// Longest that the daemon may hold an answer back.
const LONG_POLL: Duration = Duration::from_secs(30);

/// How often troubles are looked for soon after the wait began, and how far apart.
const FIRST_LOOKS: u32 = 10;
const BETWEEN_FIRST_LOOKS: Duration = Duration::from_secs(3);

/// Between two questions, so that a stream of small changes does not become a stream of questions.
const BREATH: Duration = Duration::from_millis(500);

/// What was typed.
#[derive(Args, Debug)]
pub struct WaitArgs {
    #[command(flatten)]
    selection: SelectionArgs,

    /// Every record
    #[arg(long)]
    all: bool,

    /// Stop waiting after this time, such as `30m`; the records go on
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    timeout: Option<Duration>,
}

/// How the records stand at the end of a wait.
#[derive(Debug, Serialize)]
pub(super) struct Waited {
    /// Records by status.
    pub records: StatusCounts,
}

impl Report for Waited {
    fn table(&self, _: &Screen) -> String {
        format!("{}\n", sentence(&self.records))
    }

    fn quiet(&self) -> String {
        String::new()
    }
}

pub(super) async fn run(args: WaitArgs, session: &Session) -> Result<ExitCode, CliError> {
    let screen = &session.screen;
    let filter = args.selection.resolve(screen.now, &screen.zone)?;
    if selection::is_empty(&filter) && !args.all {
        return Err(CliError::usage("name records by id or by a filter, or give --all"));
    }
    let counts = until_ended(&session.client()?, screen, filter, args.timeout).await?;
    screen.print(&Waited { records: counts.clone() })?;
    Ok(exit_code(&counts))
}

/// 0 only if every record is complete.
pub(super) fn exit_code(counts: &StatusCounts) -> ExitCode {
    if counts.of(RecordStatus::Complete) == counts.total() { ExitCode::Success } else { ExitCode::Failed }
}

/// Waits until none of the records is open, with a line of progress.
pub(super) async fn until_ended(
    client: &Client,
    screen: &Screen,
    filter: RecordFilter,
    patience: Option<Duration>,
) -> Result<StatusCounts, CliError> {
    let deadline = patience.map(|patience| Instant::now() + patience);
    let mut query = WaitQuery { filter, seen: None, timeout_seconds: 0 };
    let mut troubles = Troubles::default();
    loop {
        let counts: StatusCounts = client.post("/v1/records/wait", &query).await?;
        if counts.total() == 0 {
            return Err(CliError::NotFound { message: "no record matches".to_owned() });
        }
        if counts.open() == 0 {
            screen.end_progress();
            return Ok(counts);
        }
        troubles.tell(client, screen).await;
        screen.progress(&sentence(&counts));
        let left = deadline.map_or(LONG_POLL, |deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            screen.end_progress();
            return Err(CliError::TimedOut {
                message: format!("not all records have ended in time: {}", sentence(&counts)),
            });
        }
        tokio::time::sleep(BREATH.min(left)).await;
        query.timeout_seconds = left.min(troubles.patience()).as_secs();
        query.seen = Some(counts);
    }
}

/// What keeps records from running, told once each while somebody waits for them.
#[derive(Default)]
struct Troubles {
    told: BTreeSet<String>,
    looks: u32,
}

impl Troubles {
    /// How long the daemon may hold the next answer back: soon after a submission troubles show themselves.
    fn patience(&self) -> Duration {
        if self.looks <= FIRST_LOOKS { BETWEEN_FIRST_LOOKS } else { LONG_POLL }
    }

    /// Tells what is new. That the daemon does not answer is told by the question that follows.
    async fn tell(&mut self, client: &Client, screen: &Screen) {
        self.looks += 1;
        let Ok(status) = client.get::<StatusSummary>("/v1/status").await else { return };
        for trouble in status.troubles {
            if !self.told.contains(&trouble) {
                screen.end_progress();
                screen.note(&format!("trouble: {}", printable(&trouble)));
                self.told.insert(trouble);
            }
        }
    }
}

/// `12 records: 3 running, 9 complete`.
fn sentence(counts: &StatusCounts) -> String {
    let parts: Vec<String> = RecordStatus::ALL
        .into_iter()
        .filter(|status| counts.of(*status) > 0)
        .map(|status| format!("{} {}", counts.of(status), status.as_str()))
        .collect();
    let total = u64::try_from(counts.total()).unwrap_or(0);
    format!("{}: {}", format::count(total, "record"), parts.join(", "))
}

/// A duration of the command line.
pub(super) fn parse_timeout(text: &str) -> Result<Duration, String> {
    units::parse_duration(text).map_err(|error| format!("{error}; give {}", units::DURATION_FORMS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(RecordStatus, i64)]) -> StatusCounts {
        StatusCounts(pairs.iter().copied().collect())
    }

    #[test]
    fn only_complete_is_success() {
        use RecordStatus::*;
        assert_eq!(exit_code(&counts(&[(Complete, 3)])), ExitCode::Success);
        for failed in [Error, Cancelled, Deleted, Invalid] {
            assert_eq!(exit_code(&counts(&[(Complete, 3), (failed, 1)])), ExitCode::Failed);
        }
        assert_eq!(sentence(&counts(&[(Complete, 3), (Running, 1)])), "4 records: 1 running, 3 complete");
    }
}
