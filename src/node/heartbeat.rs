//! The sign of life that needs no clock: a counter that grows. Writes `heartbeat.json` only.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::libc::ESTALE;

use super::error::chain;
use super::memory;
use crate::model::ids::TaskId;
use crate::model::task::{Heartbeat, JobManifest};
use crate::spool::{JobDirectory, SpoolError, atomic};

/// With its directory removed for so many beats, the job is nobody's any more: the daemon removes the directories of jobs
/// that have ended, as far as it knows, and a person may remove the whole spool.
pub const GONE_BEATS: u32 = 30;

/// What tells a job's directory that was removed from a file system that is not mounted for a while.
#[derive(Debug)]
pub struct Witness {
    /// The directory as it was at the start: it has no name any more once it is removed.
    opened: Option<File>,
    /// A file of the spool outside the directory.
    beside: Option<PathBuf>,
}

impl Witness {
    /// Opens the directory.
    pub fn new(directory: &JobDirectory, worker_command: &[String]) -> Witness {
        let opened = File::open(directory.path()).ok();
        Witness { opened, beside: worker_command.last().map(PathBuf::from) }
    }

    /// Whether the directory was removed, now that `error` says that it is not there.
    pub fn says_removed(&self, error: &SpoolError) -> bool {
        error.is_absent() && (self.has_no_name() || self.beside.as_deref().is_some_and(Path::exists))
    }

    /// A network file system calls a directory that another host removed a stale handle.
    fn has_no_name(&self) -> bool {
        match self.opened.as_ref().map(File::metadata) {
            Some(Ok(metadata)) => metadata.nlink() == 0,
            Some(Err(error)) => error.raw_os_error() == Some(ESTALE),
            None => false,
        }
    }
}

/// Writes the heartbeat when it is due.
#[derive(Debug)]
pub struct HeartbeatWriter {
    directory: JobDirectory,
    beat: u64,
    interval: Duration,
    due: Instant,
    beats_without_directory: u32,
    witness: Witness,
    no_worker: Option<String>,
}

impl HeartbeatWriter {
    /// Goes on counting where a former run of the job stopped.
    pub fn new(directory: JobDirectory, manifest: &JobManifest, now: Instant) -> HeartbeatWriter {
        let former = atomic::read_json::<Heartbeat>(&directory.heartbeat());
        let beat = former.map_or(0, |heartbeat| heartbeat.beat);
        let interval = Duration::from_secs(manifest.heartbeat_seconds.max(1));
        let witness = Witness::new(&directory, &manifest.worker_command);
        HeartbeatWriter {
            directory,
            beat,
            interval,
            due: now,
            beats_without_directory: 0,
            witness,
            no_worker: None,
        }
    }

    /// When the next one is due.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// The next one is due now: what runs is news, should the job be killed in the next moment.
    pub fn hasten(&mut self, now: Instant) {
        self.due = self.due.min(now);
    }

    /// The next one, which is due now, says that no worker can be started.
    pub fn tell_no_worker(&mut self, why: &str, now: Instant) {
        self.no_worker = Some(why.to_owned());
        self.hasten(now);
    }

    /// Writes it if it is due. A disk that does not take it is no reason to stop working.
    pub fn beat<'a>(&mut self, now: Instant, results: u64, running: impl Iterator<Item = &'a TaskId>) {
        if now < self.due {
            return;
        }
        self.due = now + self.interval;
        self.beat += 1;
        let running = running.copied().collect();
        let resident_bytes = memory::of_this_process();
        let no_worker = self.no_worker.clone();
        let heartbeat = Heartbeat { beat: self.beat, results, running, resident_bytes, no_worker };
        let written = atomic::write_json(&self.directory.heartbeat(), &heartbeat);
        let gone = written.as_ref().is_err_and(|error| self.witness.says_removed(error));
        self.beats_without_directory = if gone { self.beats_without_directory + 1 } else { 0 };
        if let Err(error) = written {
            tracing::warn!(error = chain(&error), "heartbeat not written");
        }
    }

    /// Whether the job's directory has been gone for so long that nobody will read what the job writes.
    pub fn is_for_nobody(&self) -> bool {
        self.beats_without_directory >= GONE_BEATS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a job that beats every ten seconds, with the worker's script in `spool`.
    fn manifest(spool: &Path) -> JobManifest {
        let worker = spool.join("worker.py").display().to_string();
        serde_json::from_value(serde_json::json!({
            "job_id": 1, "tasks": 0, "exit": "runner", "cores": 1, "memory_bytes": 1, "walltime_seconds": 60,
            "worker_command": ["python3", worker], "recycle_after": 1, "scratch": null, "heartbeat_seconds": 10,
        }))
        .unwrap()
    }

    #[test]
    fn the_counter_grows_when_due_and_survives_a_restart() {
        let root = tempfile::tempdir().unwrap();
        let directory = JobDirectory::at(root.path());
        let read = || atomic::read_json::<Heartbeat>(&directory.heartbeat()).unwrap().beat;
        let now = Instant::now();
        let mut writer = HeartbeatWriter::new(directory.clone(), &manifest(root.path()), now);
        writer.beat(now, 0, [TaskId(4)].iter());
        writer.beat(now + Duration::from_secs(9), 0, [].iter());
        assert_eq!(read(), 1);
        writer.beat(now + Duration::from_secs(10), 1, [].iter());
        assert_eq!(read(), 2);
        HeartbeatWriter::new(directory.clone(), &manifest(root.path()), now).beat(now, 0, [].iter());
        assert_eq!(read(), 3);
    }

    #[test]
    fn a_spool_that_was_removed_whole_is_nobodys() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("spool/job");
        std::fs::create_dir_all(&path).unwrap();
        let mut now = Instant::now();
        let manifest = manifest(&root.path().join("spool"));
        let mut writer = HeartbeatWriter::new(JobDirectory::at(&path), &manifest, now);
        std::fs::remove_dir_all(root.path().join("spool")).unwrap();
        for beats in 0..GONE_BEATS {
            assert!(!writer.is_for_nobody(), "{beats}");
            writer.beat(now, 0, [].iter());
            now += Duration::from_secs(10);
        }
        assert!(writer.is_for_nobody());
    }

    #[test]
    fn a_directory_that_stays_away_is_nobodys_and_one_that_comes_back_is_not() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("job");
        let mut now = Instant::now();
        let mut writer = HeartbeatWriter::new(JobDirectory::at(&path), &manifest(root.path()), now);
        let mut beats = |count: u32| {
            for _ in 0..count {
                writer.beat(now, 0, [].iter());
                now += Duration::from_secs(10);
            }
            writer.is_for_nobody()
        };
        assert!(!beats(2 * GONE_BEATS), "the whole spool is away");
        std::fs::write(root.path().join("worker.py"), "").unwrap();
        assert!(!beats(GONE_BEATS - 1));
        std::fs::create_dir(&path).unwrap();
        assert!(!beats(1));
        std::fs::remove_dir_all(&path).unwrap();
        assert!(!beats(GONE_BEATS - 1));
        assert!(beats(1));
    }
}
