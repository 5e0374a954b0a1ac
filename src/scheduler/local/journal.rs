//! What happened to a submission's elements, one line per event, and the states that follow from it.
//! Only the supervisor appends, or whoever found it dead. A torn last line is no event.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::LocalError;
use super::entry::now;
use super::state::open_private;

/// How an element ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum How {
    /// Its script exited with 0.
    Completed,
    /// Its script exited otherwise or was killed by another.
    Failed,
    /// Cancelled.
    Cancelled,
    /// Ended at its walltime.
    Walltime,
    /// Lost with its supervisor.
    NodeFailure,
}

/// One event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub(super) enum Event {
    /// An element began; its script is this process, and the leader of a session of its own.
    Started { index: u32, at: i64, pid: i32, start_ticks: u64 },
    /// An element ended.
    Ended { index: u32, at: i64, how: How, code: Option<i32>, signal: Option<i32>, reason: String },
    /// An element was kept from starting.
    Held { index: u32 },
    /// And let go.
    Released { index: u32 },
}

/// What an element is at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Queued,
    Held,
    Running { since: i64, pid: i32, start_ticks: u64 },
    Ended { began: Option<i64>, at: i64, how: How, code: Option<i32>, signal: Option<i32>, reason: String },
}

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    path: std::path::PathBuf,
}

impl Journal {
    /// Opens it for appending; a torn last line is closed off.
    pub fn open(path: &Path) -> Result<Journal, LocalError> {
        let repair = || -> std::io::Result<File> {
            let mut file = open_private(path)?;
            let mut last = [b'\n'];
            if file.seek(SeekFrom::End(0))? > 0 {
                file.seek(SeekFrom::End(-1))?;
                file.read_exact(&mut last)?;
            }
            if last != [b'\n'] {
                file.write_all(b"\n")?;
            }
            Ok(file)
        };
        Ok(Journal { file: repair().map_err(LocalError::state("open", path))?, path: path.to_owned() })
    }

    /// Appends `event` so that it survives a crash.
    pub fn append(&mut self, event: &Event) -> Result<(), LocalError> {
        let mut append = || -> std::io::Result<()> {
            let mut line = serde_json::to_vec(event)?;
            line.push(b'\n');
            self.file.write_all(&line)?;
            self.file.sync_data()
        };
        append().map_err(LocalError::state("write", &self.path))
    }

    /// Appends the end of an element that did not end by itself.
    pub fn append_end(&mut self, index: u32, how: How, reason: &str) -> Result<(), LocalError> {
        let reason = reason.to_owned();
        self.append(&Event::Ended { index, at: now(), how, code: None, signal: None, reason })
    }
}

/// The phase of each of `array_size` elements, by the journal at `path`.
pub(super) fn phases(path: &Path, array_size: u32) -> Vec<Phase> {
    let text = std::fs::read(path).unwrap_or_default();
    let mut phases = vec![Phase::Queued; array_size as usize];
    for line in text.split(|byte| *byte == b'\n') {
        if let Ok(event) = serde_json::from_slice::<Event>(line) {
            apply(&mut phases, event);
        }
    }
    phases
}

fn apply(phases: &mut [Phase], event: Event) {
    let (Event::Started { index, .. }
    | Event::Ended { index, .. }
    | Event::Held { index }
    | Event::Released { index }) = event;
    let Some(phase) = phases.get_mut(index as usize) else { return };
    if matches!(phase, Phase::Ended { .. }) {
        return;
    }
    *phase = match event {
        Event::Started { at, pid, start_ticks, .. } => Phase::Running { since: at, pid, start_ticks },
        Event::Ended { at, how, code, signal, reason, .. } => {
            let began = match phase {
                Phase::Running { since, .. } => Some(*since),
                _ => None,
            };
            Phase::Ended { began, at, how, code, signal, reason }
        }
        Event::Held { .. } if *phase == Phase::Queued => Phase::Held,
        Event::Released { .. } if *phase == Phase::Held => Phase::Queued,
        Event::Held { .. } | Event::Released { .. } => return,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_from_events_and_torn_lines_do_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let mut journal = Journal::open(&path).unwrap();
        journal.append(&Event::Held { index: 1 }).unwrap();
        journal.append(&Event::Started { index: 0, at: 5, pid: 9, start_ticks: 7 }).unwrap();
        journal.file.write_all(b"{\"event\":\"ended\",\"index\":0,").unwrap();
        assert_eq!(
            phases(&path, 3),
            [Phase::Running { since: 5, pid: 9, start_ticks: 7 }, Phase::Held, Phase::Queued]
        );
        let mut journal = Journal::open(&path).unwrap();
        journal.append_end(0, How::NodeFailure, "gone").unwrap();
        journal.append_end(0, How::Completed, "").unwrap();
        let phase = phases(&path, 1).remove(0);
        assert!(matches!(phase, Phase::Ended { began: Some(5), how: How::NodeFailure, .. }), "{phase:?}");
    }
}
