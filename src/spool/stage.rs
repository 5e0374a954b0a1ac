//! Writes what a job needs before it is submitted. Staging twice after a crash gives the same files.
//!
//! Invariant: a directory whose chunk was claimed is never written again.

use std::fs;

use super::atomic::{self, Access};
use super::chunk;
use super::error::SpoolError;
use super::layout::{JobDirectory, SubmissionDirectory};
use crate::model::ids::NodeIndex;
use crate::model::task::{JobManifest, TaskOrder};
use crate::permit::Permit;

/// What staging found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Staged {
    /// Manifest and chunk are in place; the chunk holds so many tasks.
    Ready {
        /// Orders in the chunk.
        tasks: u32,
    },
    /// A runner has been here: nothing was touched.
    AlreadyStarted,
}

/// Writes the job script of a submission (0700).
pub fn stage_script(directory: &SubmissionDirectory, script: &str) -> Result<(), SpoolError> {
    atomic::create_directory(directory.path())?;
    atomic::write_bytes(&directory.script(), Access::Program, script.as_bytes())
}

/// Writes manifest, then chunk, of one job while `permit` is good. The chunk comes last: a runner starts from it.
pub fn stage_job(
    directory: &JobDirectory,
    manifest: &JobManifest,
    orders: impl IntoIterator<Item = TaskOrder>,
    permit: &Permit,
) -> Result<Staged, SpoolError> {
    atomic::create_directory(directory.path())?;
    if (0..manifest.nodes.max(1)).any(|node| started(&directory.node(NodeIndex(node)))) {
        return Ok(Staged::AlreadyStarted);
    }
    permit.check()?;
    atomic::write_json(&directory.manifest(), manifest)?;
    for node in (1..manifest.nodes).map(NodeIndex) {
        let node = directory.node(node);
        atomic::create_directory(node.path())?;
        chunk::write_chunk(&node.chunk(), permit, [])?;
    }
    let tasks = chunk::write_chunk(&directory.chunk(), permit, orders)?;
    if started(directory) {
        // A runner renamed the former chunk while this one was written: a second copy must not find it.
        fs::remove_file(directory.chunk()).map_err(SpoolError::io("remove", &directory.chunk()))?;
        return Ok(Staged::AlreadyStarted);
    }
    Ok(Staged::Ready { tasks })
}

fn started(directory: &JobDirectory) -> bool {
    directory.chunk_claimed().exists() || directory.start().exists() || directory.end().exists()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::identity::SPOOL_FORMAT;
    use crate::model::ids::{JobId, RecordId, TaskId};
    use crate::model::task::{ExitRule, Warning};

    pub(crate) fn orders(count: i64) -> Vec<TaskOrder> {
        let calculation = serde_json::json!({
            "specification": {"record_type": "singlepoint", "program": "mopac", "driver": "energy",
                "method": "pm7", "basis": "", "keywords": {}, "protocols": {}},
            "molecule": {"symbols": ["He"], "geometry": [0.0, 0.0, 0.0]},
            "extras": {},
        });
        (0..count)
            .map(|number| TaskOrder {
                format: SPOOL_FORMAT,
                issue: None,
                task_id: TaskId(number),
                record_id: RecordId(number),
                attempt: 0,
                calculation: serde_json::from_value(calculation.clone()).unwrap(),
                cores: 1,
                memory_bytes: 1 << 30,
                gpus: 0,
                nodes: 1,
                walltime_seconds: 60,
                expected_seconds: None,
            })
            .collect()
    }

    fn free() -> Permit {
        Permit::without_lease()
    }

    fn manifest(tasks: u32) -> JobManifest {
        JobManifest {
            format: SPOOL_FORMAT,
            database: None,
            job_id: JobId(1),
            tasks,
            exit: ExitRule::Runner,
            cores: 1,
            memory_bytes: 1 << 30,
            walltime_seconds: 600,
            worker_command: vec!["python3".into()],
            scratch: None,
            recycle_after: 500,
            heartbeat_seconds: 10,
            gpus: 0,
            ready: None,
            notices: None,
            idle_seconds: 0,
            tasks_limit: None,
            native_programs: vec![],
            recycle_growth_bytes: None,
            result_bytes: None,
            mpiexec: None,
            nodes: 1,
            kill_wait_seconds: None,
            warning: Warning::WalltimeNear,
        }
    }

    #[test]
    fn staging_twice_gives_the_same() {
        let root = tempfile::tempdir().unwrap();
        let directory = JobDirectory::at(root.path().join("pool/tag/0"));
        assert_eq!(
            stage_job(&directory, &manifest(3), orders(3), &free()).unwrap(),
            Staged::Ready { tasks: 3 }
        );
        let first = fs::read(directory.chunk()).unwrap();
        assert_eq!(
            stage_job(&directory, &manifest(3), orders(3), &free()).unwrap(),
            Staged::Ready { tasks: 3 }
        );
        assert_eq!(fs::read(directory.chunk()).unwrap(), first);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_further_node_gets_a_ticket_and_one_that_was_used_stops_a_second_staging() {
        let root = tempfile::tempdir().unwrap();
        let directory = JobDirectory::at(root.path().join("0"));
        let manifest = JobManifest { nodes: 3, ..manifest(0) };
        assert_eq!(stage_job(&directory, &manifest, orders(0), &free()).unwrap(), Staged::Ready { tasks: 0 });
        assert_eq!(stage_job(&directory, &manifest, orders(0), &free()).unwrap(), Staged::Ready { tasks: 0 });
        let node = directory.node(NodeIndex(2));
        chunk::claim(&node).unwrap();
        assert!(
            directory.node(NodeIndex(1)).chunk().exists() && !directory.node(NodeIndex(3)).path().exists()
        );
        assert_eq!(stage_job(&directory, &manifest, orders(0), &free()).unwrap(), Staged::AlreadyStarted);
        assert!(!node.chunk().exists(), "a second copy of the job must not find it");
    }

    #[test]
    fn a_claimed_directory_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let directory = JobDirectory::at(root.path().join("0"));
        stage_job(&directory, &manifest(3), orders(3), &free()).unwrap();
        chunk::claim(&directory).unwrap();
        assert_eq!(stage_job(&directory, &manifest(9), orders(9), &free()).unwrap(), Staged::AlreadyStarted);
        assert!(!directory.chunk().exists());
        let manifest: JobManifest = atomic::read_json(&directory.manifest()).unwrap();
        assert_eq!(manifest.tasks, 3);
    }
}
