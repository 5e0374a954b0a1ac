//! The result file of a job: appended by its node runner, read from an offset by the daemon.
//!
//! The writer keeps what is not yet synced and writes it again at the same place after an error, so that a full disk
//! or a late write error of NFS loses nothing. The reader opens the file by path each time and holds nothing open.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::atomic;
use super::error::SpoolError;
use super::foreign::open_foreign;
use super::frame::{Decoder, Finality, Frame, FrameReader, ReportLimits, WindowEnd};
use super::layout::JobDirectory;
use crate::failpoint::{self, FailPoint};
use crate::model::task::TaskReport;

/// Bytes read at a time when a writer looks through what a former run wrote.
const SCAN_BYTES: usize = 4 << 20;

/// What one read of a result file gave.
#[derive(Debug)]
pub struct ResultBatch {
    /// Reports in the order of the file.
    pub reports: Vec<TaskReport>,
    /// Where the next read begins: store it in the transaction that stores the reports.
    pub next_offset: u64,
    /// End of the last whole frame of this batch, or where the read began.
    pub whole_until: u64,
    /// Byte ranges without a frame; only in a final file.
    pub skipped: Vec<Range<u64>>,
    /// Length of the file when it was read.
    pub file_bytes: u64,
    /// Length of the reports as JSON.
    pub report_bytes: usize,
    /// Whether another read can give more at once.
    pub rest: Rest,
}

/// What lies behind a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rest {
    /// More to read now.
    More,
    /// Nothing that can be read now.
    Nothing,
}

/// Reads reports from `offset` on: at most about `max_bytes` of JSON and as much of the file, but at least one report
/// where there is a whole one. A missing file is an empty one.
pub fn read_results(
    path: &Path,
    offset: u64,
    max_bytes: usize,
    finality: Finality,
) -> Result<ResultBatch, SpoolError> {
    read_results_within(ReportLimits::MOST, path, offset, max_bytes, finality)
}

/// The same, reports that exceed `limits` given as failures that say so.
pub fn read_results_within(
    limits: ReportLimits,
    path: &Path,
    offset: u64,
    max_bytes: usize,
    finality: Finality,
) -> Result<ResultBatch, SpoolError> {
    let mut batch = ResultBatch {
        reports: vec![],
        next_offset: offset,
        whole_until: offset,
        skipped: vec![],
        file_bytes: 0,
        report_bytes: 0,
        rest: Rest::Nothing,
    };
    let file = match open_foreign(path) {
        Err(error) if error.is_absent() => return Ok(batch),
        other => {
            let (file, length) = other?;
            batch.file_bytes = length;
            file
        }
    };
    let left = usize::try_from(batch.file_bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut size = max_bytes.max(1).min(left);
    let mut decoder = Decoder::within(limits).map_err(SpoolError::io("decompress", path))?;
    while size > 0 {
        let mut window = vec![0; size];
        file.read_exact_at(&mut window, offset).map_err(SpoolError::io("read", path))?;
        let window_end = if size == left { WindowEnd::FileEnds } else { WindowEnd::FileGoesOn };
        let mut reader = FrameReader::new(&mut decoder, &window, offset, window_end, finality);
        let mut report_bytes = 0;
        while report_bytes < max_bytes {
            let Some((report, bytes)) = reader.next_report() else { break };
            batch.reports.push(report);
            batch.whole_until = reader.offset();
            report_bytes += bytes;
            batch.report_bytes += bytes;
        }
        if reader.offset() == offset
            && let Some(needed) = reader.needed()
        {
            size = needed.min(left);
            continue;
        }
        batch.next_offset = reader.offset();
        let at_end = report_bytes < max_bytes && window_end == WindowEnd::FileEnds;
        let no_progress = batch.next_offset == offset;
        batch.rest = if at_end || no_progress { Rest::Nothing } else { Rest::More };
        batch.skipped = reader.into_skipped();
        break;
    }
    Ok(batch)
}

/// Appends frames to a job's result file.
#[derive(Debug)]
pub struct ResultWriter {
    path: PathBuf,
    file: Option<Arc<File>>,
    /// Everything before is whole frames that are surely stored.
    synced: u64,
    /// Frames behind `synced`; the first `written` bytes are in the file as far as the system told.
    unsynced: Vec<u8>,
    written: usize,
}

/// A sync that was begun: it may run on another thread while frames are taken.
#[derive(Debug)]
pub struct BegunSync {
    file: Arc<File>,
    path: PathBuf,
    until: u64,
}

/// How a sync ended.
#[derive(Debug)]
pub struct EndedSync {
    until: u64,
    outcome: Result<(), SpoolError>,
}

impl BegunSync {
    /// Waits until the filesystem has everything that was written before the sync was begun.
    pub fn run(self) -> EndedSync {
        let outcome = self.file.sync_data().map_err(SpoolError::io("sync", &self.path));
        EndedSync { until: self.until, outcome }
    }
}

impl ResultWriter {
    /// Opens the file, making it if need be; `visit` sees every report of a former run, and a torn tail is cut off.
    pub fn open(
        directory: &JobDirectory,
        mut visit: impl FnMut(&TaskReport),
    ) -> Result<ResultWriter, SpoolError> {
        let path = directory.results();
        let file = atomic::open_or_create(&path)?;
        let (mut offset, mut last_whole) = (0, 0);
        loop {
            let batch = read_results(&path, offset, SCAN_BYTES, Finality::Final)?;
            batch.reports.iter().for_each(&mut visit);
            if !batch.reports.is_empty() {
                last_whole = batch.whole_until;
            }
            offset = batch.next_offset;
            if batch.rest == Rest::Nothing {
                break;
            }
        }
        if last_whole < offset {
            file.set_len(last_whole).map_err(SpoolError::io("cut the torn end of", &path))?;
        }
        file.sync_all().map_err(SpoolError::io("sync", &path))?;
        let file = Some(Arc::new(file));
        Ok(ResultWriter { path, file, synced: last_whole, unsynced: vec![], written: 0 })
    }

    /// Takes a frame; `flush` writes it.
    pub fn take(&mut self, frame: &Frame) {
        self.unsynced.extend_from_slice(frame.bytes());
    }

    /// Takes a frame and tries to write it. After an error the frame is kept: call `flush` or `sync` again later.
    pub fn append(&mut self, frame: Frame) -> Result<(), SpoolError> {
        self.take(&frame);
        self.flush()
    }

    /// Writes what is not written yet.
    pub fn flush(&mut self) -> Result<(), SpoolError> {
        let outcome = self.try_flush();
        if outcome.is_err() {
            self.reopen_later();
        }
        outcome
    }

    /// Writes what is not written yet and waits until the filesystem has all of it.
    pub fn sync(&mut self) -> Result<(), SpoolError> {
        match self.begin_sync()? {
            Some(sync) => self.end_sync(sync.run()),
            None => Ok(()),
        }
    }

    /// Writes what is not written yet. What is returned waits until the filesystem has it; none where it has all.
    pub fn begin_sync(&mut self) -> Result<Option<BegunSync>, SpoolError> {
        self.flush()?;
        match &self.file {
            Some(file) if !self.unsynced.is_empty() => {
                Ok(Some(BegunSync { file: file.clone(), path: self.path.clone(), until: self.length() }))
            }
            _ => Ok(None),
        }
    }

    /// Notes what a sync achieved.
    pub fn end_sync(&mut self, ended: EndedSync) -> Result<(), SpoolError> {
        match ended.outcome {
            Ok(()) => {
                let stored = usize::try_from(ended.until.saturating_sub(self.synced)).unwrap_or(usize::MAX);
                let stored = stored.min(self.unsynced.len());
                self.unsynced.drain(..stored);
                self.written = self.written.saturating_sub(stored);
                self.synced += stored as u64;
                Ok(())
            }
            Err(error) => {
                // A failed sync may have dropped pages that were written before: write them all again.
                self.reopen_later();
                Err(error)
            }
        }
    }

    /// Length of the file with all frames taken so far.
    pub fn length(&self) -> u64 {
        self.synced + self.unsynced.len() as u64
    }

    /// Length of what is surely stored, all of it whole frames.
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// Bytes that a crash of the node could still lose.
    pub fn unsynced_bytes(&self) -> usize {
        self.unsynced.len()
    }

    /// Bytes taken that are not written yet.
    pub fn unwritten_bytes(&self) -> usize {
        self.unsynced.len() - self.written
    }

    fn reopen_later(&mut self) {
        self.file = None;
        self.written = 0;
    }

    fn try_flush(&mut self) -> Result<(), SpoolError> {
        if self.written == self.unsynced.len() {
            return Ok(());
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => Arc::new(atomic::open_or_create(&self.path)?),
        };
        let file = self.file.insert(file);
        let offset = self.synced + self.written as u64;
        failpoint::refuse(FailPoint::ResultsAppended)
            .and_then(|()| file.write_all_at(&self.unsynced[self.written..], offset))
            .map_err(SpoolError::io("append to", &self.path))?;
        self.written = self.unsynced.len();
        Ok(())
    }
}

#[cfg(test)]
#[path = "results_tests.rs"]
mod tests;
