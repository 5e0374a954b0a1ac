//! The state directory of the local scheduler: one directory per submission, a file per tag, one lock.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::LocalError;
use super::entry::{Entry, Status};
use crate::model::ids::Tag;

/// Room kept for a status: its file, a page for the new name, and what each element may say.
const RESERVE_BYTES: usize = 8 << 10;
const RESERVE_BYTES_PER_ELEMENT: usize = 256;

/// The directory.
#[derive(Clone, Debug)]
pub struct LocalState {
    root: PathBuf,
}

impl LocalState {
    /// The state in `root`, made if it is not there.
    pub fn open(root: impl Into<PathBuf>) -> Result<LocalState, LocalError> {
        let state = LocalState { root: root.into() };
        for directory in [state.root.clone(), state.root.join("jobs"), state.root.join("tags")] {
            create_directory(&directory)?;
        }
        Ok(state)
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Everything of one submission.
    pub fn job(&self, id: u64) -> PathBuf {
        self.root.join("jobs").join(id.to_string())
    }

    /// Marks that a person or the daemon wants element `index` ended.
    pub fn cancel_mark(&self, id: u64, index: u32) -> PathBuf {
        self.job(id).join(format!("cancel.{index}"))
    }

    /// Marks that the submission must not start.
    pub fn hold_mark(&self, id: u64) -> PathBuf {
        self.job(id).join("hold")
    }

    /// Which cores are taken by whom.
    pub fn slots(&self) -> PathBuf {
        self.root.join("slots.json")
    }

    fn tag(&self, tag: &Tag) -> PathBuf {
        self.root.join("tags").join(tag.as_str())
    }

    /// Waits for the one lock; held until the file is dropped.
    pub fn lock(&self) -> Result<File, LocalError> {
        let path = self.root.join("lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed("open", &path))?;
        file.lock().map_err(failed("lock", &path))?;
        Ok(file)
    }

    /// The submission that carries `tag`.
    pub fn id_of(&self, tag: &Tag) -> Result<Option<u64>, LocalError> {
        read_json(&self.tag(tag))
    }

    /// Notes that submission `id` carries `tag`.
    pub fn set_id_of(&self, tag: &Tag, id: u64) -> Result<(), LocalError> {
        write_json(&self.tag(tag), &id)
    }

    /// A number that was never given before. Under the lock.
    pub fn next_id(&self) -> Result<u64, LocalError> {
        let path = self.root.join("next.json");
        let id = read_json(&path)?.unwrap_or(1);
        write_json(&path, &(id + 1))?;
        Ok(id)
    }

    /// What was asked of a submission.
    pub fn entry(&self, id: u64) -> Result<Option<Entry>, LocalError> {
        read_json(&self.job(id).join("entry.json"))
    }

    /// Stores what was asked.
    pub fn put_entry(&self, entry: &Entry) -> Result<(), LocalError> {
        create_directory(&self.job(entry.id))?;
        write_json(&self.job(entry.id).join("entry.json"), entry)
    }

    /// What the supervisor says; nothing before it came up.
    pub fn status(&self, id: u64) -> Result<Option<Status>, LocalError> {
        read_json(&self.job(id).join("status.json"))
    }

    /// Stores what the supervisor says.
    pub fn put_status(&self, id: u64, status: &Status) -> Result<(), LocalError> {
        write_json(&self.job(id).join("status.json"), status)
    }

    /// Keeps room for the supervisor's status on disk, so that its last word fits when the disk is full.
    pub fn put_reserve(&self, id: u64, array_size: u32) -> Result<(), LocalError> {
        let path = self.reserve(id);
        let bytes = vec![b'.'; RESERVE_BYTES + RESERVE_BYTES_PER_ELEMENT * array_size as usize];
        let write = || -> io::Result<()> {
            let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            file.write_all(&bytes)?;
            file.sync_all()
        };
        write().map_err(failed("write", &path))
    }

    /// Gives the room up. An error means that it is gone already.
    pub fn free_reserve(&self, id: u64) {
        let _ = fs::remove_file(self.reserve(id));
    }

    fn reserve(&self, id: u64) -> PathBuf {
        self.job(id).join("reserve")
    }

    /// All submissions, oldest first.
    pub fn ids(&self) -> Result<Vec<u64>, LocalError> {
        let path = self.root.join("jobs");
        let mut ids = Vec::new();
        for entry in fs::read_dir(&path).map_err(failed("read", &path))? {
            let entry = entry.map_err(failed("read", &path))?;
            ids.extend(entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// Forgets a submission.
    pub fn remove(&self, entry: &Entry) -> Result<(), LocalError> {
        let (tag, job) = (self.tag(&entry.tag), self.job(entry.id));
        match fs::remove_file(&tag) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", &tag)(error));
            }
            _ => {}
        }
        fs::remove_dir_all(&job).map_err(failed("remove", &job))
    }
}

pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LocalError {
    let path = path.to_owned();
    move |source| LocalError::State { action, path, source }
}

fn create_directory(path: &Path) -> Result<(), LocalError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("create", path))
}

/// A document; nothing where there is no such file.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, LocalError> {
    match fs::read(path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map(Some).map_err(|error| failed("read", path)(error.into()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Replaces a document whole: readers see the former or the new one.
pub(super) fn write_json(path: &Path, document: &impl Serialize) -> Result<(), LocalError> {
    let write = || -> io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(&serde_json::to_vec(document)?)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(failed("write", path))
}
