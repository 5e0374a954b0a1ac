//! One submission as it was asked for, who supervises it, and whether it is over.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::LocalError;
use super::process::ProcessIdentity;
use super::state::{State, write_whole};
use crate::model::ids::Tag;

/// What was submitted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub id: u64,
    pub tag: Tag,
    pub array_size: u32,
    pub cores: u32,
    pub cores_total: u32,
    pub walltime_seconds: u64,
    pub warning_seconds: u64,
    pub directory: PathBuf,
    pub script: PathBuf,
    pub log: PathBuf,
    /// Seconds since the epoch.
    pub submitted: i64,
}

impl Entry {
    /// The id of element `index` as listings show it.
    pub fn element_id(&self, index: u32) -> String {
        if self.array_size > 1 { format!("{}_{index}", self.id) } else { self.id.to_string() }
    }

    /// What marks all processes of element `index`.
    pub fn mark(&self, index: u32) -> String {
        format!("{}/{index}", self.tag)
    }

    /// The file that takes the output of element `index`.
    pub fn log_of(&self, index: u32) -> PathBuf {
        let log = self.log.to_string_lossy();
        match log.rsplit_once('/') {
            Some((directory, name)) => Path::new(directory).join(name.replace("%a", &index.to_string())),
            None => self.log.clone(),
        }
    }
}

/// Files of one submission's directory.
#[derive(Clone, Debug)]
pub(super) struct EntryFiles(pub PathBuf);

impl EntryFiles {
    pub fn of(state: &State, tag: &Tag) -> EntryFiles {
        EntryFiles(state.job(tag))
    }

    pub fn entry(&self) -> PathBuf {
        self.0.join("entry.json")
    }

    pub fn supervisor(&self) -> PathBuf {
        self.0.join("supervisor.json")
    }

    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    pub fn requests(&self) -> PathBuf {
        self.0.join("requests")
    }

    pub fn ended(&self) -> PathBuf {
        self.0.join("ended")
    }

    pub fn supervisor_log(&self) -> PathBuf {
        self.0.join("supervisor.log")
    }

    /// What was submitted; `None` while there is nothing whole to read.
    pub fn read_entry(&self) -> Option<Entry> {
        read_json(&self.entry())
    }

    /// Who supervises it, once it does.
    pub fn read_supervisor(&self) -> Option<ProcessIdentity> {
        read_json(&self.supervisor())
    }

    /// Writes one of the JSON files.
    pub fn write(&self, path: &Path, value: &impl Serialize) -> Result<(), LocalError> {
        let bytes =
            serde_json::to_vec(value).map_err(|error| LocalError::state("create", path)(error.into()))?;
        write_whole(path, &bytes)
    }

    /// When all its elements had ended; `None` before.
    pub fn ended_at(&self) -> Option<SystemTime> {
        std::fs::metadata(self.ended()).and_then(|data| data.modified()).ok()
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Every submission there is, by id. One that is not whole was never accepted.
pub(super) fn all(state: &State) -> Vec<Entry> {
    let Ok(directory) = std::fs::read_dir(state.jobs()) else { return Vec::new() };
    let mut entries: Vec<Entry> =
        directory.flatten().filter_map(|entry| EntryFiles(entry.path()).read_entry()).collect();
    entries.sort_by_key(|entry| entry.id);
    entries
}

/// Seconds since the epoch.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
