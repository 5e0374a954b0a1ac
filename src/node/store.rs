//! Brings reports into the result file: at once, synced at most every second, again and again when the disk is full.
//!
//! A sync runs on a thread of its own, so that a slow filesystem does not keep cores waiting.

use std::future::pending;
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, spawn_blocking};

use super::error::chain;
use super::report::Reporter;
use crate::model::failure::FailureClass;
use crate::model::task::{TaskOutcome, TaskReport};
use crate::spool::frame::{Encoder, Frame, FrameError};
use crate::spool::results::EndedSync;
use crate::spool::{JobDirectory, ResultWriter, SpoolError};

/// A crash of the node loses at most this much time of results.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// And at most about this many bytes, which are kept in memory until then.
const SYNC_BYTES: usize = 4 << 20;
/// With so many bytes not yet safe no further task is started.
const BACKLOG_BYTES: usize = 32 << 20;
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

/// A report as it is appended, and what the runner must still know of it.
#[derive(Debug)]
pub struct EncodedReport {
    frame: Frame,
    /// The class of its failure; none where it has a result.
    pub failure: Option<FailureClass>,
    /// Whether it ends its attempt.
    ends: Ends,
}

/// Whether a report ends its attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ends {
    Attempt,
    /// It was never begun.
    Unbegun,
    Nothing,
}

fn ends(report: &TaskReport) -> Ends {
    match &report.outcome {
        TaskOutcome::Complete { .. } | TaskOutcome::Error { .. } => Ends::Attempt,
        TaskOutcome::Returned => Ends::Unbegun,
        TaskOutcome::Progress(_) => Ends::Nothing,
    }
}

impl EncodedReport {
    fn new(frame: Frame, report: &TaskReport) -> EncodedReport {
        EncodedReport { frame, failure: failure_of(report), ends: ends(report) }
    }

    /// Of `report`. Of what does not fit into a frame the outputs are left out first, then the result; none if even that
    /// fails, the task then goes back with what the job did not finish.
    pub fn of(report: TaskReport, encoder: &mut Encoder) -> Option<EncodedReport> {
        EncodedReport::by(report, |report| encoder.encode(report))
    }

    fn by(
        report: TaskReport,
        mut encode: impl FnMut(&TaskReport) -> Result<Frame, FrameError>,
    ) -> Option<EncodedReport> {
        let reductions = [Reporter::without_outputs, Reporter::not_storable];
        let mut report = report;
        let mut trouble = match encode(&report) {
            Ok(frame) => return Some(EncodedReport::new(frame, &report)),
            Err(error) => chain(&error),
        };
        for reduce in reductions {
            tracing::error!(task.id = report.task_id.0, error = trouble, "a report is made smaller");
            report = reduce(report, trouble);
            trouble = match encode(&report) {
                Ok(frame) => return Some(EncodedReport::new(frame, &report)),
                Err(error) => chain(&error),
            };
        }
        tracing::error!(task.id = report.task_id.0, error = trouble, "task not reported");
        None
    }
}

fn failure_of(report: &TaskReport) -> Option<FailureClass> {
    match &report.outcome {
        TaskOutcome::Complete { .. } | TaskOutcome::Progress(_) | TaskOutcome::Returned => None,
        TaskOutcome::Error { class, .. } => Some(*class),
    }
}

impl Tally {
    fn count(&mut self, failure: Option<FailureClass>) {
        self.results += 1;
        self.complete += u64::from(failure.is_none());
    }
}

/// The result file with its sync and retry times.
#[derive(Debug)]
pub struct ReportStore {
    writer: ResultWriter,
    syncing: Option<JoinHandle<EndedSync>>,
    last_sync: Instant,
    retry: Option<(Instant, Duration)>,
    /// What the file holds.
    pub tally: Tally,
}

impl ReportStore {
    /// Opens the result file; `visit` sees what a former run of the job reported or gave back.
    pub fn open(
        directory: &JobDirectory,
        mut visit: impl FnMut(&TaskReport),
    ) -> Result<ReportStore, SpoolError> {
        let mut tally = Tally::default();
        let writer = ResultWriter::open(directory, |report| match ends(report) {
            Ends::Attempt => {
                tally.count(failure_of(report));
                visit(report);
            }
            Ends::Unbegun => visit(report),
            Ends::Nothing => {}
        })?;
        Ok(ReportStore { writer, syncing: None, last_sync: Instant::now(), retry: None, tally })
    }

    /// Takes a report; `flush` writes it. It is kept and tried again later if the disk does not take it.
    pub fn append(&mut self, report: &EncodedReport) {
        if report.ends == Ends::Attempt {
            self.tally.count(report.failure);
        }
        if self.writer.unsynced_bytes() == 0 {
            self.last_sync = Instant::now();
        }
        self.writer.take(&report.frame);
    }

    /// Writes what was taken, unless the disk refused a moment ago.
    pub fn flush(&mut self) {
        if self.retry.is_none() && self.writer.unwritten_bytes() > 0 {
            let outcome = self.writer.flush();
            self.note(outcome);
        }
    }

    /// Whether the disk refused the last write, or lags behind: no task should be started until it takes it.
    pub fn is_refused(&self) -> bool {
        self.retry.is_some() || self.writer.unsynced_bytes() >= BACKLOG_BYTES
    }

    /// Whether everything is safe.
    pub fn is_synced(&self) -> bool {
        self.writer.unsynced_bytes() == 0
    }

    /// Length of the file with all reports taken so far.
    pub fn length(&self) -> u64 {
        self.writer.length()
    }

    /// Length of what is safe, all of it whole frames.
    pub fn safe_bytes(&self) -> u64 {
        self.writer.synced()
    }

    /// When `on_time` has something to do.
    pub fn due(&self) -> Option<Instant> {
        match self.retry {
            _ if self.syncing.is_some() => None,
            Some((at, _)) => Some(at),
            None if self.is_synced() => None,
            None if self.writer.unsynced_bytes() >= SYNC_BYTES => Some(self.last_sync),
            None => Some(self.last_sync + SYNC_INTERVAL),
        }
    }

    /// Begins to sync or tries again, if it is time.
    pub fn on_time(&mut self, now: Instant) {
        if self.due().is_some_and(|due| due <= now) {
            self.begin_sync();
        }
    }

    /// Begins to make everything safe now, unless the disk refused a moment ago.
    pub fn sync_unless_refused(&mut self) {
        if self.retry.is_none() && self.syncing.is_none() && !self.is_synced() {
            self.begin_sync();
        }
    }

    fn begin_sync(&mut self) {
        self.last_sync = Instant::now();
        match self.writer.begin_sync() {
            Ok(Some(sync)) => self.syncing = Some(spawn_blocking(move || sync.run())),
            Ok(None) => self.note(Ok(())),
            Err(error) => self.note(Err(error)),
        }
    }

    /// Waits for the end of the sync that runs, for ever if none does.
    pub async fn sync_ended(&mut self) {
        let Some(syncing) = &mut self.syncing else { return pending().await };
        let ended = syncing.await;
        self.syncing = None;
        let outcome = match ended {
            Ok(ended) => self.writer.end_sync(ended),
            Err(error) => {
                tracing::error!(%error, "a sync failed");
                self.writer.sync()
            }
        };
        // What was refused while the sync ran is still refused.
        if outcome.is_err() || self.writer.unwritten_bytes() == 0 {
            self.note(outcome);
        }
    }

    fn note(&mut self, outcome: Result<(), SpoolError>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::frame::ReportLimits;

    const REPORT: &str = r#"{"task_id": 1, "record_id": 2, "attempt": 0, "stdout": null, "stderr": null,
        "outcome": {"complete": {"result": {"return_result": -1.5}}}, "native_files": {},
        "provenance": {"hostname": "node1", "job_id": 3, "scheduler_job_id": null, "cores": 1, "memory_bytes": 1,
            "wall_seconds": 1.0, "cpu_seconds": 1.0, "program": null, "program_version": null,
            "qcengine_version": null}}"#;

    fn encoded(limit: usize) -> Option<(TaskOutcome, Option<String>)> {
        let mut report: TaskReport = serde_json::from_str(REPORT).unwrap();
        report.stdout = Some("printed ".repeat(1000));
        report.native_files.insert("big".into(), "file ".repeat(1000));
        let mut last = None;
        let mut encoder = Encoder::within(ReportLimits::of_bytes(limit as u64)).unwrap();
        EncodedReport::by(report, |report| {
            last = Some(report.clone());
            encoder.encode(report)
        })?;
        last.map(|report| {
            assert!(report.native_files.is_empty() || limit == usize::MAX);
            (report.outcome, report.stdout)
        })
    }

    #[test]
    fn a_result_that_fits_without_its_outputs_is_kept() {
        let whole = encoded(usize::MAX).unwrap();
        assert!(matches!(whole.0, TaskOutcome::Complete { .. }) && whole.1.unwrap().starts_with("printed"));
        let (outcome, stdout) = encoded(5000).unwrap();
        assert!(matches!(outcome, TaskOutcome::Complete { .. }));
        let stdout = stdout.unwrap();
        assert!(stdout.starts_with("[qcbatch: the outputs (13000 bytes) were left out: "), "{stdout}");
        assert!(encoded(1).is_none());
    }
}
