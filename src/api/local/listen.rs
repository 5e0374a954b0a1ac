//! The daemon's Unix socket: made 0600 before anyone can see it, a stale one replaced, a living one respected.
//! May touch the socket's directory, the socket and its lock file.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// A socket is made under its own name and this, and then renamed.
const FRESH: &str = ".new";

/// Longest path that a socket can have, in bytes: Linux has room for 107, and it is made with the ending [`FRESH`].
const LONGEST_SOCKET_PATH: usize = 103;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The system's limit.
    #[error(
        "the socket path {} is {} bytes long; at most {LONGEST_SOCKET_PATH} are possible: set a shorter \
         `[daemon] socket`", .socket.display(), .socket.as_os_str().len()
    )]
    PathTooLong {
        /// The path.
        socket: PathBuf,
    },
    /// Others could replace the socket.
    #[error("the socket's directory {} can be written by others; it must be 0700", .directory.display())]
    OpenDirectory {
        /// The directory.
        directory: PathBuf,
    },
    /// Something else has that name.
    #[error("{} exists and is no socket; it will not be replaced", .socket.display())]
    NotASocket {
        /// The path.
        socket: PathBuf,
    },
    /// Another daemon is there.
    #[error("another daemon already listens at {}", .socket.display())]
    AlreadyRunning {
        /// The path.
        socket: PathBuf,
    },
    /// A system call failed.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl ListenError {
    /// Whether another place for the socket is what helps.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            ListenError::PathTooLong { .. }
                | ListenError::OpenDirectory { .. }
                | ListenError::NotASocket { .. }
        )
    }
}

/// A socket that listens. Dropping it removes the file, if it is still ours.
#[derive(Debug)]
pub struct LocalSocket {
    path: PathBuf,
    inode: u64,
    listener: Option<UnixListener>,
    _lock: File,
}

/// A socket that is bound and locked, and that nobody can find yet. Dropping it removes what it made.
#[derive(Debug)]
pub struct ReservedSocket {
    path: PathBuf,
    fresh: PathBuf,
    bound: Option<(UnixListener, File)>,
}

impl ReservedSocket {
    /// Reserves `path`: whatever could keep a daemon from listening there shows before anything else is begun. Must be
    /// called inside a tokio runtime.
    pub fn at(path: &Path) -> Result<ReservedSocket, ListenError> {
        if path.as_os_str().len() > LONGEST_SOCKET_PATH {
            return Err(ListenError::PathTooLong { socket: path.to_path_buf() });
        }
        prepare_directory(path.parent().unwrap_or(Path::new("/")))?;
        let lock = lock(path)?;
        refuse_what_is_in_use(path)?;
        let fresh = with_suffix(path, FRESH);
        let _ = fs::remove_file(&fresh);
        let listener = UnixListener::bind(&fresh).map_err(io_error("listen at", &fresh))?;
        // Between bind and chmod nobody can connect by the name that clients use.
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600))
            .map_err(io_error("change the mode of", &fresh))?;
        Ok(ReservedSocket { path: path.to_path_buf(), fresh, bound: Some((listener, lock)) })
    }

    /// Puts the socket where clients look.
    pub fn open(mut self) -> Result<LocalSocket, ListenError> {
        let inode = fs::symlink_metadata(&self.fresh).map_err(io_error("look at", &self.fresh))?.ino();
        fs::rename(&self.fresh, &self.path).map_err(io_error("put in place", &self.path))?;
        let (listener, lock) = self.bound.take().expect("only `open` takes it, and takes the whole");
        Ok(LocalSocket { path: self.path.clone(), inode, listener: Some(listener), _lock: lock })
    }
}

impl Drop for ReservedSocket {
    fn drop(&mut self) {
        if self.bound.is_some() {
            let _ = fs::remove_file(&self.fresh);
        }
    }
}

impl LocalSocket {
    /// Listens at `path`. Must be called inside a tokio runtime.
    pub fn bind(path: &Path) -> Result<LocalSocket, ListenError> {
        ReservedSocket::at(path)?.open()
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The listener itself; `None` the second time.
    pub(super) fn take_listener(&mut self) -> Option<UnixListener> {
        self.listener.take()
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the directory 0700 if it is missing. One that others may write is refused, unless it is sticky like `/tmp`.
fn prepare_directory(directory: &Path) -> Result<(), ListenError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(directory).map_err(io_error("make the directory", directory))?;
    let metadata = fs::metadata(directory).map_err(io_error("look at", directory))?;
    let (open_to_others, sticky) = (metadata.mode() & 0o022 != 0, metadata.mode() & 0o1000 != 0);
    if open_to_others && !sticky {
        return Err(ListenError::OpenDirectory { directory: directory.to_path_buf() });
    }
    Ok(())
}

/// Two daemons that start at once must not both find the socket stale.
fn lock(socket: &Path) -> Result<File, ListenError> {
    let path = with_suffix(socket, ".lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(io_error("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ListenError::AlreadyRunning { socket: socket.to_path_buf() }),
        Err(TryLockError::Error(source)) => Err(ListenError::Io { action: "lock", path, source }),
    }
}

fn refuse_what_is_in_use(socket: &Path) -> Result<(), ListenError> {
    let metadata = match fs::symlink_metadata(socket) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(io_error("look at", socket))?,
    };
    if !metadata.file_type().is_socket() {
        return Err(ListenError::NotASocket { socket: socket.to_path_buf() });
    }
    match StdUnixStream::connect(socket) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(source) => {
            Err(ListenError::Io { action: "ask who listens at", path: socket.to_path_buf(), source })
        }
        Ok(_) => Err(ListenError::AlreadyRunning { socket: socket.to_path_buf() }),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(suffix);
    PathBuf::from(text)
}

fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ListenError + 'a {
    move |source| ListenError::Io { action, path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_private_and_goes_with_its_owner() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("inner/qcbatch.sock");
        let socket = LocalSocket::bind(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("qcbatch.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "std leaves the file behind, as a killed daemon does");
        let first = LocalSocket::bind(&path).unwrap();
        assert!(matches!(LocalSocket::bind(&path), Err(ListenError::AlreadyRunning { .. })));
        assert!(path.exists());
        drop(first);

        let foreign = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(matches!(LocalSocket::bind(&path), Err(ListenError::AlreadyRunning { .. })));
        drop(foreign);
    }

    #[tokio::test]
    async fn files_long_paths_and_open_directories_are_refused() {
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join("file");
        fs::write(&file, "precious").unwrap();
        assert!(matches!(LocalSocket::bind(&file), Err(ListenError::NotASocket { .. })));
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");

        let long = state.path().join("x".repeat(104 - state.path().as_os_str().len() - 1));
        assert!(matches!(LocalSocket::bind(&long), Err(ListenError::PathTooLong { .. })));
        let longest = long.with_file_name("x".repeat(103 - state.path().as_os_str().len() - 1));
        drop(ReservedSocket::at(&longest).unwrap());
        assert!(
            !longest.exists() && !with_suffix(&longest, FRESH).exists(),
            "what was reserved in vain is gone"
        );

        let open = state.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let refused = LocalSocket::bind(&open.join("qcbatch.sock"));
        assert!(matches!(refused, Err(ListenError::OpenDirectory { .. })));
    }
}
