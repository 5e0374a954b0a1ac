//! The state directory: where things are, the lock, and the next id. Files are 0600, directories 0700.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::LocalError;
use crate::model::ids::Tag;

/// The state directory of the local executor.
#[derive(Clone, Debug)]
pub(super) struct State {
    root: PathBuf,
}

impl State {
    /// Opens the state in `root`, making what is missing.
    pub fn open(root: &Path) -> Result<State, LocalError> {
        let state = State { root: root.to_owned() };
        for directory in [state.root.clone(), state.jobs(), state.slots()] {
            make_directory(&directory)?;
        }
        Ok(state)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn jobs(&self) -> PathBuf {
        self.root.join("jobs")
    }

    pub fn slots(&self) -> PathBuf {
        self.root.join("slots")
    }

    pub fn turn(&self) -> PathBuf {
        self.root.join("turn")
    }

    pub fn job(&self, tag: &Tag) -> PathBuf {
        self.jobs().join(tag.as_str())
    }

    /// Waits for the lock that submitting, reaping and sweeping hold; it goes with the file.
    pub fn lock(&self) -> Result<File, LocalError> {
        let path = self.root.join("lock");
        let file = open_private(&path).map_err(LocalError::state("open", &path))?;
        file.lock().map_err(LocalError::state("lock", &path))?;
        Ok(file)
    }

    /// The next submission's id, never given twice. Call it with the lock held.
    pub fn next_id(&self) -> Result<u64, LocalError> {
        let path = self.root.join("next_id");
        let id = match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse::<u64>().unwrap_or_else(|_| self.highest_id()) + 1,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.highest_id() + 1,
            Err(error) => return Err(LocalError::state("open", path)(error)),
        };
        write_whole(&path, id.to_string().as_bytes())?;
        Ok(id)
    }

    fn highest_id(&self) -> u64 {
        super::entry::all(self).iter().map(|entry| entry.id).max().unwrap_or(0)
    }
}

pub(super) fn make_directory(path: &Path) -> Result<(), LocalError> {
    match DirBuilder::new().mode(0o700).recursive(true).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(LocalError::state("create", path)(error))
        }
        _ => Ok(()),
    }
}

/// Opens a file for locking, reading and appending, and makes it where it is missing.
pub(super) fn open_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(path)
}

/// Writes a file so that it is seen whole or not at all, also after a crash.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), LocalError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".new").tempfile_in(directory)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(LocalError::state("create", path))
}
