//! The lock of the state directory: one daemon at a time, and no `db restore` beside one. A courtesy, because network
//! filesystems may lose it or keep it; the lease in the database decides.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use nix::unistd::gethostname;

use crate::config::{Config, StateLayout};

/// The lock, held until it is dropped or the process ends.
#[derive(Debug)]
pub struct StateLock {
    _file: Option<File>,
}

/// Why it cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StateLockError {
    /// Another process has it.
    #[error("`{}` is in use by another qcbatch: {holder}", directory.display())]
    Held {
        /// The state directory.
        directory: PathBuf,
        /// Which process, as it wrote itself.
        holder: String,
    },
    /// The lock file cannot be opened.
    #[error("failed to open the lock file `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl StateLock {
    /// Takes the lock of the configured state directory.
    ///
    /// A lock that a process on another host has is no obstacle where the database is an external server: its lease
    /// tells whether that daemon lives, and a network filesystem may keep the lock of a host that died.
    pub fn take(config: &Config) -> Result<StateLock, StateLockError> {
        let layout = StateLayout::of(config);
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&layout.lock);
        let mut file = opened.map_err(|source| StateLockError::Open { path: layout.lock.clone(), source })?;
        let this_host = gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // A file that cannot be read names nobody.
                let _ = (&mut file).take(512).read_to_string(&mut holder);
                let holder = holder.trim().to_owned();
                let elsewhere = holder.rsplit_once(" on ").is_some_and(|(_, host)| host != this_host);
                if elsewhere && config.database.url.is_some() {
                    tracing::warn!(holder, "another host has the state directory's lock; the lease decides");
                    return Ok(StateLock { _file: None });
                }
                return Err(StateLockError::Held { directory: layout.root, holder });
            }
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, "the state directory cannot be locked here; the lease decides");
                return Ok(StateLock { _file: None });
            }
        }
        let holder = format!("process {} on {this_host}\n", std::process::id());
        let noted =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
        if let Err(error) = noted {
            tracing::warn!(%error, "the state directory's lock names nobody");
        }
        Ok(StateLock { _file: Some(file) })
    }
}
