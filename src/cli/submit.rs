//! `qcbatch submit`: reads inputs, streams them to the daemon, and says what became of them.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::error::CliError;
use super::exit_code::ExitCode;
use super::screen::{Report, Screen, write_out};
use super::session::Session;
use super::{format, wait};
use crate::api::client::{ANSWER_TIMEOUT, Client};
use crate::api::wire::{PreviewedSubmission, SubmitOptions, SubmitReceipt, SubmitWarning};
use crate::model::ids::RecordId;
use crate::model::view::RecordFilter;

mod args;
mod preview;
mod reading;
mod scheduler_ids;

pub use args::{DocumentArgs, SubmitArgs, TaskArgs};

use args::Afterwards;

/// Pieces of the request that wait to be sent: some hundred kilobytes.
const PIECES_AHEAD: usize = 4;

/// A plan of many thousand tasks takes its time.
const PREVIEW_TIMEOUT: Duration = ANSWER_TIMEOUT;

pub(super) async fn run(args: SubmitArgs, session: &Session) -> Result<ExitCode, CliError> {
    let client = session.client()?;
    let afterwards = args.afterwards();
    if afterwards == Afterwards::Preview {
        let client = client.with_answer_timeout(PREVIEW_TIMEOUT);
        let previewed: Vec<PreviewedSubmission> =
            send(&args.documents, args.options()?, &client, "/v1/preview", &session.screen).await?;
        session.screen.print(&preview::PreviewReport(previewed))?;
        return Ok(ExitCode::Success);
    }
    let receipt: SubmitReceipt =
        send(&args.documents, args.options()?, &client, "/v1/submit", &session.screen).await?;
    for warning in &receipt.warnings {
        session.screen.note(&warning.sentence());
    }
    match afterwards {
        Afterwards::Tell | Afterwards::Preview => session.screen.print(&receipt)?,
        Afterwards::RecordIds => write_out(receipt.quiet().as_bytes())?,
        Afterwards::SchedulerIds => {
            let ids = scheduler_ids::once_known(&client, &session.screen, &receipt, args.timeout).await?;
            write_out(ids.as_bytes())?;
        }
        Afterwards::Wait => return wait_for(&client, session, &receipt, args.timeout).await,
    }
    Ok(ExitCode::Success)
}

/// How long a submission waits for others that are being taken in before it, and the time between two tries.
const LONGEST_QUEUE: Duration = Duration::from_secs(30 * 60);
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

/// Sends the inputs to `path` and gives its answer. Where the daemon is busy with another submission, that is told and the
/// inputs are sent again.
pub(super) async fn send<T: serde::de::DeserializeOwned>(
    documents: &DocumentArgs,
    options: SubmitOptions,
    client: &Client,
    path: &str,
    screen: &Screen,
) -> Result<T, CliError> {
    let source = reading::Source::new(documents, &options)?;
    let (begun, mut told) = (Instant::now(), false);
    loop {
        match send_once(source.clone(), client, path, screen).await {
            Err(error) if error.is_busy() && begun.elapsed() < LONGEST_QUEUE => {
                if !told {
                    screen.note(&format!("{error}; trying again until its turn comes"));
                    told = true;
                }
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
            outcome => return outcome,
        }
    }
}

/// Streams the inputs to `path` and gives its answer. An input that cannot be read breaks the request off, so that
/// nothing is stored, and is the error that is told.
async fn send_once<T: serde::de::DeserializeOwned>(
    source: reading::Source,
    client: &Client,
    path: &str,
    screen: &Screen,
) -> Result<T, CliError> {
    let (pieces, received) = mpsc::channel(PIECES_AHEAD);
    let progress = screen.clone();
    let reading = spawn_blocking(move || source.send_to(&pieces, &progress));
    let answer = client.post_lines(path, received).await;
    let read = reading.await.map_err(|error| CliError::local("reading the inputs failed", error))?;
    screen.end_progress();
    match (answer, read) {
        (Ok(answer), Ok(())) => Ok(answer),
        (_, Err(error)) => Err(error),
        (Err(error), Ok(())) => Err(error.into()),
    }
}

async fn wait_for(
    client: &Client,
    session: &Session,
    receipt: &SubmitReceipt,
    timeout: Option<Duration>,
) -> Result<ExitCode, CliError> {
    session.screen.note(receipt.sentence().trim_end());
    let filter = RecordFilter { ids: receipt.unique_ids(), ..RecordFilter::default() };
    let counts = wait::until_ended(client, &session.screen, filter, timeout).await?;
    session.screen.print(&wait::Waited { records: counts.clone() })?;
    Ok(wait::exit_code(&counts))
}

impl SubmitWarning {
    fn sentence(&self) -> String {
        let SubmitWarning { message, records, first } = self;
        match records {
            1 => format!("warning: record {first} waits: {message}"),
            more => format!("warning: {more} records wait, the first is {first}: {message}"),
        }
    }
}

impl SubmitReceipt {
    fn unique_ids(&self) -> Vec<RecordId> {
        let mut ids = self.ids.clone();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn sentence(&self) -> String {
        let existing = self.existing.len();
        let new = self.ids.len() - existing.min(self.ids.len());
        let records = ranges(&self.unique_ids());
        match (new, existing) {
            (_, 0) => format!("{} submitted: {records}\n", format::count(new as u64, "record")),
            (0, _) => format!("{} already there: {records}\n", format::count(existing as u64, "record")),
            _ => format!(
                "{} submitted, {existing} already there: {records}\n",
                format::count(new as u64, "record")
            ),
        }
    }
}

impl Report for SubmitReceipt {
    fn table(&self, _: &Screen) -> String {
        self.sentence()
    }

    fn quiet(&self) -> String {
        self.ids.iter().map(|id| format!("{id}\n")).collect()
    }
}

/// Ids in the form that other commands take: `3 7-12 20`. Long ones are cut in the middle.
fn ranges(ids: &[RecordId]) -> String {
    const MOST_RANGES: usize = 20;
    let mut found: Vec<(i64, i64)> = Vec::new();
    for id in ids {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == id.0 => *last = id.0,
            _ => found.push((id.0, id.0)),
        }
    }
    let words: Vec<String> = found
        .iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect();
    if words.len() <= MOST_RANGES {
        return words.join(" ");
    }
    format!("{} … {}", words[..MOST_RANGES - 1].join(" "), words[words.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(ids: &[i64], existing: &[usize]) -> SubmitReceipt {
        SubmitReceipt {
            ids: ids.iter().copied().map(RecordId).collect(),
            existing: existing.to_vec(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_receipt_is_one_sentence() {
        assert_eq!(receipt(&[4, 5, 6, 9], &[]).sentence(), "4 records submitted: 4-6 9\n");
        assert_eq!(receipt(&[4], &[0]).sentence(), "1 record already there: 4\n");
        assert_eq!(receipt(&[4, 5, 4], &[2]).sentence(), "2 records submitted, 1 already there: 4-5\n");
        assert_eq!(receipt(&[4, 5, 4], &[2]).quiet(), "4\n5\n4\n");
    }

    #[test]
    fn a_warning_is_one_sentence() {
        let warning = |records| SubmitWarning {
            message: "no pool can run it (local: it does not have program `orca`)".to_owned(),
            records,
            first: RecordId(7),
        };
        assert_eq!(
            warning(1).sentence(),
            "warning: record 7 waits: no pool can run it (local: it does not have program `orca`)"
        );
        assert!(warning(3).sentence().starts_with("warning: 3 records wait, the first is 7: no pool"));
    }

    #[test]
    fn many_ranges_are_cut() {
        let ids: Vec<RecordId> = (0..100).map(|n| RecordId(2 * n + 1)).collect();
        assert!(ranges(&ids).ends_with("35 37 … 199"));
    }
}
