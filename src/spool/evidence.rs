//! What a job itself wrote: it outranks what the scheduler says. Reads only.
//!
//! What lies there was written by programs of others: it is opened and read within limits (`foreign`), numbers saturate, and
//! no more nodes are looked at than the job has.
//!
//! Network filesystems remember that a file was not there; listing its directory anew makes them forget. So a file is
//! called missing only after its directory, and the one above, were listed.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::atomic;
use super::error::SpoolError;
use super::foreign::open_foreign;
use super::layout::{CLAIMED_PREFIX, JobDirectory, node_named};
use crate::model::chunk::ChunkName;
use crate::model::ids::NodeIndex;
use crate::model::task::{EndReason, EndRecord, Heartbeat, StartRecord};

/// Everything a job directory tells of its job.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct JobEvidence {
    /// What the first node tells.
    pub first: Evidence,
    /// What each further node tells, where the job has several.
    pub further: Vec<Evidence>,
}

impl JobEvidence {
    /// What each node tells.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeIndex, &Evidence)> {
        (0..).map(NodeIndex).zip(std::iter::once(&self.first).chain(&self.further))
    }

    /// Whether a runner ever touched the directory.
    pub fn started(&self) -> bool {
        self.nodes().any(|(_, node)| node.started())
    }

    /// Chunks of the pool that its runners claimed and that are not all reported.
    pub fn claimed(&self) -> Vec<ChunkName> {
        self.nodes().flat_map(|(_, node)| node.claimed.iter().copied()).collect()
    }

    /// Grows as long as one of its runners beats.
    pub fn beat(&self) -> u64 {
        saturating_sum(self.nodes().filter_map(|(_, node)| Some(node.heartbeat.as_ref()?.beat)))
    }

    /// The end of the job: there is one when each of its runners has said its last word. Of several, the reason that calls
    /// for most attention counts.
    pub fn end(&self) -> Option<EndRecord> {
        let ends: Vec<&EndRecord> =
            self.nodes().map(|(_, node)| node.end.as_ref()).collect::<Option<Vec<_>>>()?;
        let worst = ends.iter().max_by_key(|end| attention(end.reason))?;
        Some(EndRecord {
            results: saturating_sum(ends.iter().map(|end| end.results)),
            results_bytes: saturating_sum(ends.iter().map(|end| end.results_bytes)),
            ..(*worst).clone()
        })
    }
}

/// The sum of numbers that a file told.
pub fn saturating_sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

fn attention(reason: EndReason) -> u8 {
    match reason {
        EndReason::Done => 0,
        EndReason::WalltimeNear => 1,
        EndReason::Signal => 2,
        EndReason::Failed => 3,
    }
}

/// Everything that the directory of one node tells of its runner.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Evidence {
    /// The runner's first words.
    pub start: Option<StartRecord>,
    /// Its last sign of life.
    pub heartbeat: Option<Heartbeat>,
    /// Its last words, written after the last result was safe.
    pub end: Option<EndRecord>,
    /// A second copy of the job found the chunk claimed and went away.
    pub duplicate: Option<StartRecord>,
    /// Length of the result file; 0 when there is none.
    pub results_bytes: u64,
    /// Who has the chunk.
    pub chunk: ChunkState,
    /// Chunks of the pool that its runner claimed and that are not all reported.
    pub claimed: Vec<ChunkName>,
    /// Files that are there but do not read as what they should be.
    pub unreadable: Vec<PathBuf>,
}

/// Where the chunk is.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum ChunkState {
    /// There is no chunk: not staged, or swept.
    #[default]
    Absent,
    /// Staged, not claimed.
    Waiting,
    /// A runner has it.
    Claimed,
}

impl Evidence {
    /// Whether a runner ever touched the directory.
    pub fn started(&self) -> bool {
        self.chunk == ChunkState::Claimed || self.start.is_some() || self.end.is_some()
    }

    /// Whether the runner said its last word and all that it had written can be seen from here. Only then is the
    /// result file final because of the end record.
    pub fn ended_and_visible(&self) -> bool {
        self.end.as_ref().is_some_and(|end| self.results_bytes >= end.results_bytes)
    }
}

/// Most entries of a job's directory. A job makes a dozen, and one for each of its nodes.
const MOST_ENTRIES: usize = 20_000;

/// Gathers the evidence of a job that has so many `nodes`. A directory that is not there gives the default.
pub fn gather(directory: &JobDirectory, nodes: u32) -> Result<JobEvidence, SpoolError> {
    let Some(names) = list_anew(directory.path())? else { return Ok(JobEvidence::default()) };
    let first = gather_node(directory, &names)?;
    let of_job = |node: &NodeIndex| node.0 < nodes;
    let named = names.iter().filter_map(|name| node_named(name.to_str()?));
    let last = named.filter(of_job).max().unwrap_or_default();
    let further = (1..=last.0).map(|node| {
        let node = directory.node(NodeIndex(node));
        if fs::symlink_metadata(node.path()).is_ok_and(|metadata| !metadata.is_dir()) {
            let unreadable = vec![node.path().to_owned()];
            return Ok(Evidence { unreadable, ..Evidence::default() });
        }
        list_anew(node.path())?.map_or(Ok(Evidence::default()), |names| gather_node(&node, &names))
    });
    Ok(JobEvidence { first, further: further.collect::<Result<_, _>>()? })
}

/// What the runner of a job's first node said when it began, where that can be read.
pub fn start_of(directory: &JobDirectory) -> Option<StartRecord> {
    atomic::read_json(&directory.start()).ok()
}

fn gather_node(directory: &JobDirectory, names: &[OsString]) -> Result<Evidence, SpoolError> {
    let mut unreadable = Vec::new();
    // The end record first: what was written before it is then visible or will be.
    let end = document(&directory.end(), &mut unreadable)?;
    let start = document(&directory.start(), &mut unreadable)?;
    let heartbeat = document(&directory.heartbeat(), &mut unreadable)?;
    let duplicate = document(&directory.duplicate(), &mut unreadable)?;
    let listed = |path: &Path| names.iter().any(|name| Some(name.as_os_str()) == path.file_name());
    let chunk = if listed(&directory.chunk_claimed()) {
        ChunkState::Claimed
    } else if listed(&directory.chunk()) {
        ChunkState::Waiting
    } else {
        ChunkState::Absent
    };
    let claimed =
        names.iter().filter_map(|name| name.to_str()?.strip_prefix(CLAIMED_PREFIX)?.parse().ok()).collect();
    let results_bytes = length(&directory.results(), &mut unreadable)?;
    Ok(Evidence { start, heartbeat, end, duplicate, results_bytes, chunk, claimed, unreadable })
}

fn list_anew(directory: &Path) -> Result<Option<Vec<OsString>>, SpoolError> {
    let list = |path: &Path| -> io::Result<Vec<_>> {
        let entries = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name()));
        entries.take(MOST_ENTRIES + 1).collect()
    };
    let names = match list(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Only the listing counts, not what it shows.
            let _ = list(atomic::parent(directory));
            list(directory)
        }
        other => other,
    };
    match names {
        Ok(names) if names.len() > MOST_ENTRIES => {
            Err(SpoolError::Overfull { path: directory.to_owned(), most: MOST_ENTRIES })
        }
        Ok(names) => Ok(Some(names)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SpoolError::io("list", directory)(error)),
    }
}

fn document<T: DeserializeOwned>(
    path: &Path,
    unreadable: &mut Vec<PathBuf>,
) -> Result<Option<T>, SpoolError> {
    match atomic::read_json(path) {
        Ok(document) => Ok(Some(document)),
        Err(error) if error.is_absent() => Ok(None),
        Err(SpoolError::Document { .. } | SpoolError::NotAFile { .. } | SpoolError::TooLarge { .. }) => {
            unreadable.push(path.to_owned());
            Ok(None)
        }
        // A stale handle means that the file was replaced while we read it: look again next time.
        Err(error)
            if error
                .io_error()
                .is_some_and(|source| source.kind() == io::ErrorKind::StaleNetworkFileHandle) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn length(path: &Path, unreadable: &mut Vec<PathBuf>) -> Result<u64, SpoolError> {
    // Opening makes NFS ask the server for the length; `stat` alone may answer from its cache.
    match open_foreign(path) {
        Ok((_, length)) => Ok(length),
        Err(error) if error.is_absent() => Ok(0),
        // Nothing can be read from it, now or later: the job has no results.
        Err(SpoolError::NotAFile { .. }) => {
            unreadable.push(path.to_owned());
            Ok(0)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::JobId;
    use crate::model::task::EndReason;
    use crate::spool::chunk;
    use crate::spool::stage::tests::orders;

    #[test]
    fn evidence_grows_with_what_the_job_writes() {
        let root = tempfile::tempdir().unwrap();
        let directory = JobDirectory::at(root.path().join("0"));
        assert_eq!(gather(&directory, 1).unwrap(), JobEvidence::default());
        atomic::create_directory(directory.path()).unwrap();
        chunk::write_chunk(&directory.chunk(), &crate::permit::Permit::without_lease(), orders(1)).unwrap();
        let evidence = gather(&directory, 1).unwrap();
        assert_eq!((evidence.first.chunk, evidence.started()), (ChunkState::Waiting, false));
        chunk::claim(&directory).unwrap();
        assert!(gather(&directory, 1).unwrap().started());
        fs::write(directory.results(), b"12345").unwrap();
        let end = EndRecord {
            job_id: JobId(1),
            reason: EndReason::Done,
            exit_code: 0,
            results: 1,
            results_bytes: 6,
            detail: None,
        };
        atomic::write_json(&directory.end(), &end).unwrap();
        let evidence = gather(&directory, 1).unwrap().first;
        assert!(!evidence.ended_and_visible(), "one byte of the results is not visible yet");
        fs::write(directory.results(), b"123456").unwrap();
        assert!(gather(&directory, 1).unwrap().first.ended_and_visible());
    }

    fn end(reason: EndReason, results: u64) -> EndRecord {
        EndRecord {
            job_id: JobId(1),
            reason,
            exit_code: 0,
            results,
            results_bytes: 10 * results,
            detail: None,
        }
    }

    #[test]
    fn a_job_of_several_nodes_ends_with_the_last_of_its_runners() {
        let root = tempfile::tempdir().unwrap();
        let job = JobDirectory::at(root.path().join("0"));
        for node in 0..3 {
            atomic::create_directory(job.node(NodeIndex(node)).path()).unwrap();
        }
        atomic::write_json(&job.end(), &end(EndReason::Done, 3)).unwrap();
        atomic::write_json(&job.node(NodeIndex(2)).end(), &end(EndReason::Failed, 1)).unwrap();
        let heartbeat = Heartbeat { beat: 7, results: 0, running: vec![], resident_bytes: 0 };
        atomic::write_json(&job.node(NodeIndex(1)).heartbeat(), &heartbeat).unwrap();
        let evidence = gather(&job, 3).unwrap();
        assert_eq!((evidence.end(), evidence.beat(), evidence.further.len()), (None, 7, 2));
        atomic::write_json(&job.node(NodeIndex(1)).end(), &end(EndReason::WalltimeNear, 2)).unwrap();
        assert_eq!(gather(&job, 3).unwrap().end(), Some(end(EndReason::Failed, 6)));
    }

    #[test]
    fn a_partial_document_is_named_and_hides_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let directory = JobDirectory::at(root.path());
        fs::write(directory.heartbeat(), b"{\"beat\": 1").unwrap();
        fs::write(directory.start(), b"").unwrap();
        let evidence = gather(&directory, 1).unwrap().first;
        assert_eq!(evidence.unreadable, vec![directory.start(), directory.heartbeat()]);
        assert_eq!((evidence.start, evidence.heartbeat), (None, None));
    }

    #[test]
    fn no_more_nodes_are_looked_at_than_the_job_has_and_numbers_saturate() {
        let root = tempfile::tempdir().unwrap();
        let job = JobDirectory::at(root.path().join("0"));
        for node in [0, 1, 2, 4_000_000_000] {
            atomic::create_directory(job.node(NodeIndex(node)).path()).unwrap();
        }
        let vast = end(EndReason::Done, u64::MAX / 10);
        for node in 0..2 {
            atomic::write_json(&job.node(NodeIndex(node)).end(), &vast).unwrap();
            let heartbeat = Heartbeat { beat: u64::MAX, results: 0, running: vec![], resident_bytes: 0 };
            atomic::write_json(&job.node(NodeIndex(node)).heartbeat(), &heartbeat).unwrap();
        }
        let evidence = gather(&job, 2).unwrap();
        assert_eq!((evidence.further.len(), evidence.beat()), (1, u64::MAX));
        assert_eq!(evidence.end().unwrap().results_bytes, u64::MAX);
        assert_eq!(gather(&job, 1).unwrap().further.len(), 0);
    }

    #[test]
    fn what_is_no_file_of_ours_is_named_and_hides_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let job = JobDirectory::at(root.path());
        for path in [job.end(), job.results()] {
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", job.start()).unwrap();
        std::os::unix::fs::symlink("/", job.node(NodeIndex(1)).path()).unwrap();
        fs::File::create(job.duplicate()).unwrap().set_len(3 << 30).unwrap();
        let heartbeat = Heartbeat { beat: 7, results: 0, running: vec![], resident_bytes: 0 };
        atomic::write_json(&job.heartbeat(), &heartbeat).unwrap();
        let evidence = gather(&job, 2).unwrap();
        assert_eq!((evidence.beat(), evidence.first.results_bytes), (7, 0));
        assert_eq!(evidence.first.unreadable, vec![job.end(), job.start(), job.duplicate(), job.results()]);
        assert_eq!(evidence.further[0].unreadable, vec![job.node(NodeIndex(1)).path().to_owned()]);
    }
}
