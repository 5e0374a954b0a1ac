//! The directories that the daemon keeps, made private, and refused where others could tamper with them.
//! Touches: creates directories.

use std::fs::{DirBuilder, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::settings::Config;

/// Write permission of group and others.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// In a directory with this bit nobody can rename what belongs to somebody else.
const STICKY: u32 = 0o1000;

/// Where everything of a site is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateLayout {
    /// The state directory.
    pub root: PathBuf,
    /// Files that are taken in.
    pub inbox: PathBuf,
    /// Job directories.
    pub spool: PathBuf,
    /// The private PostgreSQL cluster.
    pub postgres: PathBuf,
    /// The mini-scheduler of adapter `local`.
    pub local_scheduler: PathBuf,
    /// The local API's socket.
    pub socket: PathBuf,
    /// The log of a daemon that was started in the background, unless `daemon.log_file` says otherwise.
    pub log: PathBuf,
    /// Lock file: one daemon per state directory.
    pub lock: PathBuf,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It could not be made or looked at.
    #[error("cannot create the directory `{path}`")]
    Create {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something else has its name.
    #[error("`{path}` is not a directory; move it away or configure another path")]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// Somebody else's.
    #[error("`{path}` belongs to user {owner}; it must belong to user {uid}, who runs qcbatch")]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who we are.
        uid: u32,
    },
    /// Others could change what is in it.
    #[error("others may write to `{path}` (mode {mode:04o}); `chmod go-w` it or configure another path")]
    WritableByOthers {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

impl StateLayout {
    /// The layout that `config` asks for. Nothing is touched.
    pub fn of(config: &Config) -> StateLayout {
        let root = config.site.state.clone();
        StateLayout {
            inbox: config.inbox.path.clone(),
            spool: config.spool.path.clone(),
            postgres: root.join("pg"),
            local_scheduler: root.join("local"),
            socket: config.daemon.socket.clone(),
            log: config.daemon.log_file.clone().unwrap_or_else(|| root.join("qcbatch.log")),
            lock: root.join("qcbatch.lock"),
            root,
        }
    }

    /// Makes the directories with mode 0700. What exists keeps its mode, since a site may have opened it to its group
    /// for reading; it is refused if others could write to it. `pg` is left to the private cluster, whose owner differs
    /// when root starts it.
    pub fn create(&self) -> Result<(), StateError> {
        for path in [&self.root, &self.inbox, &self.spool, &self.local_scheduler] {
            create_private(path)?;
        }
        for file in [&self.socket, &self.log] {
            if let Some(directory) = file.parent()
                && !directory.is_dir()
            {
                create_private(directory)?;
            }
        }
        Ok(())
    }
}

fn create_private(path: &Path) -> Result<(), StateError> {
    let failed = |source| StateError::Create { path: path.to_owned(), source };
    if let Err(source) = DirBuilder::new().recursive(true).mode(0o700).create(path) {
        return Err(match source.kind() {
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
                StateError::NotADirectory { path: path.to_owned() }
            }
            _ => failed(source),
        });
    }
    let metadata = std::fs::metadata(path).map_err(failed)?;
    let uid = nix::unistd::geteuid().as_raw();
    if metadata.uid() != uid {
        return Err(StateError::Foreign { path: path.to_owned(), owner: metadata.uid(), uid });
    }
    refuse_writable(path, &metadata)?;
    if let Some(parent) = path.parent() {
        let metadata = std::fs::metadata(parent).map_err(failed)?;
        if metadata.mode() & STICKY == 0 {
            refuse_world_writable(parent, &metadata)?;
        }
    }
    Ok(())
}

fn refuse_writable(path: &Path, metadata: &Metadata) -> Result<(), StateError> {
    refuse(path, metadata, WRITABLE_BY_OTHERS)
}

/// A group's project directory is often writable by its group: only the world is refused above our own directory.
fn refuse_world_writable(path: &Path, metadata: &Metadata) -> Result<(), StateError> {
    refuse(path, metadata, 0o002)
}

fn refuse(path: &Path, metadata: &Metadata, bits: u32) -> Result<(), StateError> {
    if metadata.mode() & bits == 0 {
        return Ok(());
    }
    Err(StateError::WritableByOthers { path: path.to_owned(), mode: metadata.mode() & 0o7777 })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn layout(root: &Path) -> StateLayout {
        StateLayout {
            root: root.to_owned(),
            inbox: root.join("inbox"),
            spool: root.join("spool"),
            postgres: root.join("pg"),
            local_scheduler: root.join("local"),
            socket: root.join("run/qcbatch.sock"),
            log: root.join("qcbatch.log"),
            lock: root.join("qcbatch.lock"),
        }
    }

    #[test]
    fn directories_are_private_and_may_exist() {
        let temporary = tempfile::tempdir().unwrap();
        let layout = layout(&temporary.path().join("a/b/state"));
        layout.create().unwrap();
        layout.create().unwrap();
        for path in
            [&layout.root, &layout.inbox, &layout.spool, &layout.local_scheduler, &layout.root.join("run")]
        {
            assert_eq!(mode(path), 0o700, "{}", path.display());
        }
        assert!(!layout.postgres.exists());
    }

    #[test]
    fn what_a_group_may_read_stays_so_and_what_others_may_write_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("state");
        let layout = layout(&root);
        layout.create().unwrap();
        set_mode(&root, 0o750);
        layout.create().unwrap();
        assert_eq!(mode(&root), 0o750);
        set_mode(&root, 0o770);
        let error = layout.create().unwrap_err();
        assert!(error.to_string().contains("(mode 0770)"), "{error}");
    }

    #[test]
    fn a_parent_that_all_may_write_needs_the_sticky_bit() {
        let temporary = tempfile::tempdir().unwrap();
        let layout = layout(&temporary.path().join("state"));
        set_mode(temporary.path(), 0o777);
        assert!(matches!(layout.create(), Err(StateError::WritableByOthers { .. })));
        set_mode(temporary.path(), 0o1777);
        layout.create().unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("state");
        std::fs::write(&root, "x").unwrap();
        assert!(matches!(layout(&root).create(), Err(StateError::NotADirectory { .. })));
    }
}
