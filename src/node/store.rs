//! Brings reports into the result file: at once, synced at most every second, again and again when the disk is full.

use std::time::{Duration, Instant};

use super::error::chain;
use super::report::Reporter;
use crate::model::task::{TaskOutcome, TaskReport};
use crate::spool::frame::{self, Frame};
use crate::spool::{JobDirectory, ResultWriter, SpoolError};

/// A crash of the node loses at most this much time of results.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// And at most this many bytes, which are kept in memory until then.
const SYNC_BYTES: usize = 4 << 20;
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// What was appended to the result file, over all runs of the job.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Tally {
    /// Reports.
    pub results: u64,
    /// Those with a result.
    pub complete: u64,
}

impl Tally {
    /// Counts a report.
    pub fn count(&mut self, report: &TaskReport) {
        self.results += 1;
        self.complete += u64::from(matches!(report.outcome, TaskOutcome::Complete { .. }));
    }
}

/// The result file with its sync and retry times.
#[derive(Debug)]
pub struct ReportStore {
    writer: ResultWriter,
    last_sync: Instant,
    retry: Option<(Instant, Duration)>,
    /// What the file holds.
    pub tally: Tally,
}

impl ReportStore {
    /// Opens the result file; `visit` sees what a former run of the job reported.
    pub fn open(
        directory: &JobDirectory,
        mut visit: impl FnMut(&TaskReport),
    ) -> Result<ReportStore, SpoolError> {
        let mut tally = Tally::default();
        let writer = ResultWriter::open(directory, |report| {
            tally.count(report);
            visit(report);
        })?;
        Ok(ReportStore { writer, last_sync: Instant::now(), retry: None, tally })
    }

    /// Appends a report. It is kept and tried again later if the disk does not take it.
    pub fn append(&mut self, report: TaskReport) {
        let Some((frame, report)) = encode(report) else { return };
        self.tally.count(&report);
        let outcome = self.writer.append(frame);
        self.after(outcome);
        if self.last_sync.elapsed() >= SYNC_INTERVAL || self.writer.unsynced_bytes() >= SYNC_BYTES {
            self.sync();
        }
    }

    /// Whether the disk refused the last write: no task should be started until it takes it.
    pub fn is_refused(&self) -> bool {
        self.retry.is_some()
    }

    /// Whether everything is safe.
    pub fn is_synced(&self) -> bool {
        self.writer.unsynced_bytes() == 0
    }

    /// Length of what is safe, all of it whole frames.
    pub fn safe_bytes(&self) -> u64 {
        self.writer.synced()
    }

    /// When `on_time` has something to do.
    pub fn due(&self) -> Option<Instant> {
        match self.retry {
            Some((at, _)) => Some(at),
            None => (!self.is_synced()).then(|| self.last_sync + SYNC_INTERVAL),
        }
    }

    /// Syncs or tries again, if it is time.
    pub fn on_time(&mut self, now: Instant) {
        if self.due().is_some_and(|due| due <= now) {
            self.sync();
        }
    }

    /// Makes everything safe now, unless the disk refused a moment ago.
    pub fn sync_unless_refused(&mut self) {
        if self.retry.is_none() && !self.is_synced() {
            self.sync();
        }
    }

    fn sync(&mut self) {
        let outcome = self.writer.sync();
        self.last_sync = Instant::now();
        self.after(outcome);
    }

    fn after(&mut self, outcome: Result<(), SpoolError>) {
        match (outcome, self.retry) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => {
                tracing::info!("results are stored again");
                self.retry = None;
            }
            (Err(error), former) => {
                let wait = former.map_or(FIRST_RETRY, |(_, wait)| (wait * 2).min(LAST_RETRY));
                tracing::error!(error = chain(&error), retry_seconds = wait.as_secs(), "results not stored");
                self.retry = Some((Instant::now() + wait, wait));
            }
        }
    }
}

fn encode(report: TaskReport) -> Option<(Frame, TaskReport)> {
    let error = match frame::encode(&report) {
        Ok(frame) => return Some((frame, report)),
        Err(error) => error,
    };
    tracing::error!(task.id = report.task_id.0, error = chain(&error), "report left out its result");
    let report = Reporter::not_storable(report, chain(&error));
    match frame::encode(&report) {
        Ok(frame) => Some((frame, report)),
        Err(error) => {
            // It goes back with what the job did not finish.
            tracing::error!(task.id = report.task_id.0, error = chain(&error), "task not reported");
            None
        }
    }
}
