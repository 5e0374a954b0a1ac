//! Who may work on a job directory: the runner that renamed the chunk, or the same scheduler job started again.
//!
//! A claimed chunk is taken over only when all of this holds:
//! - the scheduler says that it restarted this job, so the first run is surely dead;
//! - `start.json` names the same scheduler job: a duplicate of the submission that is restarted is still a duplicate;
//! - there is no `end.json`: with it the first run handed its tasks back, and the daemon may have given them to others.

use std::path::PathBuf;

use super::environment::NodeEnvironment;
use crate::model::task::StartRecord;
use crate::spool::{JobDirectory, SpoolError, atomic, chunk};

/// Whether this runner has the chunk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claim {
    /// It may read it here.
    Ours(PathBuf),
    /// Another copy has it.
    Duplicate,
}

/// Claims the chunk of `directory`.
pub fn claim(directory: &JobDirectory, environment: &NodeEnvironment) -> Result<Claim, SpoolError> {
    match chunk::claim(directory) {
        Ok(path) => Ok(Claim::Ours(path)),
        Err(SpoolError::AlreadyClaimed { .. }) if is_restart_of_the_claimer(directory, environment)? => {
            Ok(Claim::Ours(directory.chunk_claimed()))
        }
        Err(SpoolError::AlreadyClaimed { .. }) => Ok(Claim::Duplicate),
        Err(error) => Err(error),
    }
}

fn is_restart_of_the_claimer(
    directory: &JobDirectory,
    environment: &NodeEnvironment,
) -> Result<bool, SpoolError> {
    if environment.restarts == 0 || directory.end().exists() {
        return Ok(false);
    }
    match atomic::read_json::<StartRecord>(&directory.start()) {
        Ok(start) => {
            Ok(start.scheduler_job_id.is_some() && start.scheduler_job_id == environment.scheduler_job_id)
        }
        Err(error) if error.is_absent() => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::JobId;
    use crate::spool::stage::tests::orders;

    fn environment(scheduler_job_id: &str, restarts: u32) -> NodeEnvironment {
        NodeEnvironment {
            hostname: "node1".into(),
            pid: 1,
            scheduler_job_id: Some(scheduler_job_id.into()),
            restarts,
            temporary_directory: "/tmp".into(),
            search_path: vec![],
            early_signals: vec![],
            visible_gpus: None,
        }
    }

    #[test]
    fn only_a_restart_of_the_same_unfinished_job_takes_over() {
        let root = tempfile::tempdir().unwrap();
        let directory = JobDirectory::at(root.path());
        chunk::write_chunk(&directory.chunk(), &crate::permit::Permit::without_lease(), orders(1)).unwrap();
        let ours = Claim::Ours(directory.chunk_claimed());
        assert_eq!(claim(&directory, &environment("5", 0)).unwrap(), ours);
        assert_eq!(claim(&directory, &environment("5", 1)).unwrap(), Claim::Duplicate, "no start record");
        let start = environment("5", 0).start_record(JobId(1));
        atomic::write_json(&directory.start(), &start).unwrap();
        assert_eq!(claim(&directory, &environment("5", 0)).unwrap(), Claim::Duplicate, "not restarted");
        assert_eq!(claim(&directory, &environment("6", 1)).unwrap(), Claim::Duplicate, "another job");
        assert_eq!(claim(&directory, &environment("5", 1)).unwrap(), ours);
        std::fs::write(directory.end(), b"{}").unwrap();
        assert_eq!(claim(&directory, &environment("5", 1)).unwrap(), Claim::Duplicate, "it had ended");
    }
}
