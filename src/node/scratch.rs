//! One scratch directory per task, node-local, gone when the task is. Touches scratch only.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::error::NodeError;
use crate::model::ids::JobId;
use crate::model::task::TaskOrder;

/// Where scratch directories are made.
#[derive(Clone, Debug)]
pub struct Scratch {
    base: PathBuf,
    job_id: JobId,
}

impl Scratch {
    /// Scratch below `base`, which is made if need be and must be writable.
    pub fn below(base: PathBuf, job_id: JobId) -> Result<Scratch, NodeError> {
        fs::create_dir_all(&base).map_err(failed("make", &base))?;
        let probe = tempfile::Builder::new().prefix("qcbatch-").tempfile_in(&base);
        probe.map_err(failed("write into", &base))?;
        Ok(Scratch { base, job_id })
    }

    /// An empty directory for one attempt. What an earlier run of the same attempt left is removed.
    pub fn for_task(&self, order: &TaskOrder) -> Result<TaskScratch, NodeError> {
        let name = format!("qcbatch-{}-{}-{}", self.job_id, order.task_id, order.attempt);
        let path = self.base.join(name);
        remove(&path).map_err(failed("clear", &path))?;
        DirBuilder::new().mode(0o700).create(&path).map_err(failed("make", &path))?;
        Ok(TaskScratch { path })
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> NodeError {
    let path = path.to_owned();
    move |source| NodeError::Scratch { action, path, source }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The scratch directory of one attempt; removed when dropped.
#[derive(Debug)]
pub struct TaskScratch {
    path: PathBuf,
}

impl TaskScratch {
    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TaskScratch {
    fn drop(&mut self) {
        // A program that dies may still make a file while the tree is removed: the second pass gets it.
        if remove(&self.path).is_err()
            && let Err(error) = remove(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "scratch directory stays behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::stage::tests::orders;

    #[test]
    fn a_scratch_directory_is_empty_private_and_gone_afterwards() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::below(root.path().join("a/b"), JobId(3)).unwrap();
        let order = &orders(1)[0];
        let stale = root.path().join("a/b/qcbatch-3-0-0/old");
        fs::create_dir_all(&stale).unwrap();
        let task = scratch.for_task(order).unwrap();
        assert_eq!(fs::read_dir(task.path()).unwrap().count(), 0);
        let path = task.path().to_owned();
        fs::write(path.join("file"), b"x").unwrap();
        drop(task);
        assert!(!path.exists());
    }

    #[test]
    fn scratch_that_cannot_be_made_is_an_error_with_its_path() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), b"").unwrap();
        let error = Scratch::below(root.path().join("file/scratch"), JobId(3)).unwrap_err();
        assert!(error.to_string().contains("file/scratch"), "{error}");
    }
}
