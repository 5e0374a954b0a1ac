//! Where the cluster and its socket live: in the directory that was asked for, or elsewhere with a note in it.
//! Makes directories (0700) and small files; starts nothing.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown, lchown};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use sha2::{Digest, Sha256};

use super::account::Account;
use super::error::ClusterError;
use super::{PrivateCluster, filesystem, run};

/// Longest path of a Unix socket that the kernel takes: 108 bytes with the closing zero (unix(7)).
const SOCKET_PATH_BYTES: usize = 107;
pub(super) const SOCKET: &str = ".s.PGSQL.5432";

/// In the directory that was asked for: where the cluster is instead.
const MOVED: &str = "location";
/// In the cluster's directory: where its socket is instead.
const SOCKET_MOVED: &str = "socket-directory";

/// Where root keeps a cluster whose server's user cannot enter the directory that was asked for (`/root`, say).
const ROOT_HOMES: &str = "/var/lib/qcbatch";

/// The cluster's own directory and its user.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) home: PathBuf,
    pub(super) account: Account,
}

impl Place {
    /// The place as it is. Makes nothing.
    pub(super) fn locate(cluster: &PrivateCluster) -> Result<Place, ClusterError> {
        let home = home_of(&asked(cluster)?)?;
        let account = Account::choose(&home.join("data"), cluster.server_user.as_deref())?;
        Ok(Place { home, account })
    }

    /// The place, made if need be, on a filesystem that may hold a database and where the server's user can enter.
    pub(super) async fn prepare(cluster: &PrivateCluster) -> Result<Place, ClusterError> {
        let asked = asked(cluster)?;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&asked)
            .map_err(ClusterError::file("create", &asked))?;
        let mut place = Place::locate(cluster)?;
        let is_new = !place.data().exists();
        if is_new && place.account.switch_to().is_some() {
            place.home = home_for_other(&asked, &place).await?;
        }
        filesystem::check(&place.home, cluster.shared_filesystem)?;
        if !run::can_enter(&place.home, &place.account).await? {
            return Err(ClusterError::NotEnterable { directory: place.home, user: place.account.name });
        }
        Ok(place)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.home.join("server.log")
    }

    /// Where the socket is, by the note of the last start.
    pub(super) fn socket_directory(&self) -> Result<PathBuf, ClusterError> {
        Ok(read_note(&self.home.join(SOCKET_MOVED))?.unwrap_or_else(|| self.home.join("run")))
    }

    /// Makes the socket's directory and notes where it is if its path had to be a shorter one. `/tmp` and not
    /// XDG_RUNTIME_DIR: that one vanishes with the user's last login session, which a daemon outlives.
    pub(super) fn prepare_socket_directory(&self) -> Result<PathBuf, ClusterError> {
        let usual = self.home.join("run");
        let note = self.home.join(SOCKET_MOVED);
        if usual.join(SOCKET).as_os_str().len() <= SOCKET_PATH_BYTES {
            make_private(&usual, &self.account)?;
            match std::fs::remove_file(&note) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(ClusterError::File { doing: "remove", path: note, source: error });
                }
                _ => return Ok(usual),
            }
        }
        let parent = PathBuf::from("/tmp");
        for attempt in 0..10 {
            let directory = parent.join(format!("qcbatch-{}-{attempt}", short_name(&self.home)));
            if make_private(&directory, &self.account).is_ok() {
                self.write(&note, directory.as_os_str().as_bytes())?;
                return Ok(directory);
            }
        }
        Err(ClusterError::NoSocketDirectory { parent })
    }

    /// Writes a file (0600) of the server's user, whole or not at all. The directory is that user's, so nothing is
    /// opened by a name it could have made a link of.
    pub(super) fn write(&self, path: &Path, content: &[u8]) -> Result<(), ClusterError> {
        let parent = path.parent().unwrap_or(&self.home);
        let written = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(parent)?;
            file.write_all(content)?;
            if let Some((uid, gid)) = self.account.switch_to() {
                fchown(file.as_file(), Some(uid), Some(gid))?;
            }
            file.as_file().sync_all()?;
            file.persist(path)?;
            std::fs::File::open(parent)?.sync_all()
        };
        written().map_err(ClusterError::file("write", path))
    }

    /// Opens the file whose lock keeps starters and stoppers apart.
    pub(super) fn open_lock(&self) -> Result<std::fs::File, ClusterError> {
        let path = self.home.join("start.lock");
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.custom_flags(nix::libc::O_NOFOLLOW).open(&path);
        let file = file.map_err(ClusterError::file("open", &path))?;
        if let Some((uid, gid)) = self.account.switch_to() {
            fchown(&file, Some(uid), Some(gid)).map_err(ClusterError::file("give away", &path))?;
        }
        Ok(file)
    }
}

fn asked(cluster: &PrivateCluster) -> Result<PathBuf, ClusterError> {
    std::path::absolute(&cluster.directory).map_err(ClusterError::file("find", &cluster.directory))
}

/// Follows the note in `asked`, which only counts when it is our own and nobody else could have put it there.
fn home_of(asked: &Path) -> Result<PathBuf, ClusterError> {
    let note = asked.join(MOVED);
    let is_ours = |path: &Path| {
        std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.uid() == geteuid().as_raw())
    };
    if is_ours(asked) && is_ours(&note) {
        return Ok(read_note(&note)?.unwrap_or_else(|| asked.to_owned()));
    }
    Ok(asked.to_owned())
}

/// Root's case: gives the directory to the server's user, or one under `/var/lib` if that user could not enter it.
async fn home_for_other(asked: &Path, place: &Place) -> Result<PathBuf, ClusterError> {
    make_private(&place.home, &place.account)?;
    if run::can_enter(&place.home, &place.account).await? {
        return Ok(place.home.clone());
    }
    if place.home != asked {
        return Err(ClusterError::NotEnterable {
            directory: place.home.clone(),
            user: place.account.name.clone(),
        });
    }
    let me = geteuid().as_raw();
    lchown(asked, Some(me), None).map_err(ClusterError::file("take back", asked))?;
    let homes = Path::new(ROOT_HOMES);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(homes)
        .map_err(ClusterError::file("create", homes))?;
    let home = homes.join(short_name(asked));
    make_private(&home, &place.account)?;
    std::fs::write(asked.join(MOVED), home.as_os_str().as_bytes())
        .map_err(ClusterError::file("write", asked.join(MOVED)))?;
    Ok(home)
}

/// A directory that only the server's user (and root) can enter, made or found.
fn make_private(directory: &Path, account: &Account) -> Result<(), ClusterError> {
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => {
            return Err(ClusterError::File { doing: "create", path: directory.to_owned(), source });
        }
    }
    let refuse = |reason: &str| ClusterError::File {
        doing: "use",
        path: directory.to_owned(),
        source: io::Error::other(reason.to_owned()),
    };
    let metadata = std::fs::symlink_metadata(directory).map_err(ClusterError::file("look at", directory))?;
    if !metadata.is_dir() {
        return Err(refuse("it is not a directory"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(refuse("others may enter it; it must be private (chmod 700)"));
    }
    if metadata.uid() == account.uid {
        return Ok(());
    }
    match account.switch_to() {
        Some((uid, gid)) if metadata.uid() == geteuid().as_raw() => {
            lchown(directory, Some(uid), Some(gid)).map_err(ClusterError::file("give away", directory))
        }
        _ => Err(refuse("it belongs to another user")),
    }
}

fn read_note(path: &Path) -> Result<Option<PathBuf>, ClusterError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(PathBuf::from(std::ffi::OsStr::from_bytes(bytes.trim_ascii())))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ClusterError::File { doing: "read", path: path.to_owned(), source }),
    }
}

/// Eight characters that stand for a path.
fn short_name(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_bytes());
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
