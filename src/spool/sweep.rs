//! Removes directories of what is over and ingested. Never decides that: callers do.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;

use super::error::SpoolError;
use super::layout::{JobDirectory, SCRATCH_PREFIX, Spool, SubmissionDirectory};
use super::listing::names;
use crate::model::ids::Tag;
use crate::permit::Permit;

/// What became of a directory that was to be removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Swept {
    /// It is gone, or was.
    Gone,
    /// Some program still holds a file of it open over NFS (`.nfs…`): try again later.
    StillUsed,
}

/// Removes the scratch directories that a runner left in its job's directory when it was killed.
pub fn remove_scratch(directory: &JobDirectory, permit: &Permit) -> Result<(), SpoolError> {
    let is_scratch = |name: &OsString| name.to_string_lossy().starts_with(SCRATCH_PREFIX);
    for name in names(directory.path())?.into_iter().filter(is_scratch) {
        // What some program still uses goes with the submission.
        permit.check()?;
        let (Swept::Gone | Swept::StillUsed) = remove(&directory.path().join(name))?;
    }
    Ok(())
}

/// Removes a whole submission: script, logs and the directories of all its jobs.
pub fn remove_submission(directory: &SubmissionDirectory, permit: &Permit) -> Result<Swept, SpoolError> {
    permit.check()?;
    remove(directory.path())
}

/// Tags of all submissions that have a directory in the spool, with it: what is in the spool but not in the database
/// is an orphan. Names that are no tags are left alone.
pub fn submissions(spool: &Spool) -> Result<Vec<(Tag, SubmissionDirectory)>, SpoolError> {
    let mut found = Vec::new();
    for pool in names(spool.root())? {
        let pool = spool.root().join(pool);
        if !pool.is_dir() {
            continue;
        }
        for name in names(&pool)? {
            if let Some(tag) = name.to_str().and_then(|text| Tag::from_str(text).ok()) {
                found.push((tag, SubmissionDirectory::at(pool.join(&name))));
            }
        }
    }
    Ok(found)
}

fn remove(path: &Path) -> Result<Swept, SpoolError> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(Swept::Gone),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => Ok(Swept::Gone),
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::ResourceBusy => Ok(Swept::StillUsed),
            _ => Err(SpoolError::io("remove", path)(error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::PoolName;
    use crate::spool::atomic;

    #[test]
    fn a_submission_is_listed_until_it_is_removed_and_may_be_removed_twice() {
        let root = tempfile::tempdir().unwrap();
        let spool = Spool::new(root.path());
        assert!(submissions(&Spool::new(root.path().join("none"))).unwrap().is_empty());
        let tag = Tag::new(5, 6);
        let directory = spool.submission(&PoolName("local".into()), &tag);
        atomic::create_directory(directory.job(0).path()).unwrap();
        atomic::create_directory(&root.path().join("local/not-a-tag")).unwrap();
        assert_eq!(submissions(&spool).unwrap(), vec![(tag, directory.clone())]);
        assert_eq!(remove_submission(&directory, &Permit::without_lease()).unwrap(), Swept::Gone);
        assert_eq!(remove_submission(&directory, &Permit::without_lease()).unwrap(), Swept::Gone);
        assert!(submissions(&spool).unwrap().is_empty());
    }

    #[test]
    fn of_a_jobs_directory_only_scratch_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let job = JobDirectory::at(root.path().join("job"));
        remove_scratch(&job, &Permit::without_lease()).unwrap();
        atomic::create_directory(&job.path().join("qcbatch.x7/3-0")).unwrap();
        fs::write(job.path().join("qcbatch.x7/3-0/nwchem.db"), "").unwrap();
        fs::write(job.results(), "").unwrap();
        remove_scratch(&job, &Permit::without_lease()).unwrap();
        assert_eq!(names(job.path()).unwrap(), [job.results().file_name().unwrap()]);
    }
}
