//! The sign of life that needs no clock: a counter that grows. Writes `heartbeat.json` only.

use std::time::{Duration, Instant};

use super::error::chain;
use super::memory;
use crate::model::ids::TaskId;
use crate::model::task::Heartbeat;
use crate::spool::{JobDirectory, atomic};

/// Writes the heartbeat when it is due.
#[derive(Debug)]
pub struct HeartbeatWriter {
    directory: JobDirectory,
    beat: u64,
    interval: Duration,
    due: Instant,
}

impl HeartbeatWriter {
    /// Goes on counting where a former run of the job stopped.
    pub fn new(directory: JobDirectory, interval: Duration, now: Instant) -> HeartbeatWriter {
        let former = atomic::read_json::<Heartbeat>(&directory.heartbeat());
        let beat = former.map_or(0, |heartbeat| heartbeat.beat);
        HeartbeatWriter { directory, beat, interval: interval.max(Duration::from_secs(1)), due: now }
    }

    /// When the next one is due.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Writes it if it is due. A disk that does not take it is no reason to stop working.
    pub fn beat<'a>(&mut self, now: Instant, results: u64, running: impl Iterator<Item = &'a TaskId>) {
        if now < self.due {
            return;
        }
        self.due = now + self.interval;
        self.beat += 1;
        let running = running.copied().collect();
        let heartbeat =
            Heartbeat { beat: self.beat, results, running, resident_bytes: memory::of_this_process() };
        if let Err(error) = atomic::write_json(&self.directory.heartbeat(), &heartbeat) {
            tracing::warn!(error = chain(&error), "heartbeat not written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_grows_when_due_and_survives_a_restart() {
        let root = tempfile::tempdir().unwrap();
        let directory = JobDirectory::at(root.path());
        let read = || atomic::read_json::<Heartbeat>(&directory.heartbeat()).unwrap().beat;
        let now = Instant::now();
        let mut writer = HeartbeatWriter::new(directory.clone(), Duration::from_secs(10), now);
        writer.beat(now, 0, [TaskId(4)].iter());
        writer.beat(now + Duration::from_secs(9), 0, [].iter());
        assert_eq!(read(), 1);
        writer.beat(now + Duration::from_secs(10), 1, [].iter());
        assert_eq!(read(), 2);
        HeartbeatWriter::new(directory.clone(), Duration::from_secs(10), now).beat(now, 0, [].iter());
        assert_eq!(read(), 3);
    }
}
