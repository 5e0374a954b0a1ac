//! The private PostgreSQL cluster, for when no database is configured: found binaries, one directory, one Unix socket.
//! Runs PostgreSQL's programs and touches the cluster's own directory only.
//!
//! Nobody but its owner and root can connect: the server listens on no network, its socket lies in a 0700 directory,
//! and peer authentication with a name map admits the server's user, and root where root started it. The server runs
//! on when its starter ends; the daemon stops it at a clean end if its own `start` answered [`Started::ByUs`].

mod account;
mod database;
mod error;
mod filesystem;
mod initialise;
mod place;
mod programs;
mod revive;
pub(in crate::store) mod run;
mod server;

use std::path::PathBuf;

pub use error::ClusterError;
pub use filesystem::SharedFilesystem;
pub use programs::Programs;
pub use revive::Revived;
pub use server::{ClusterStatus, Started, Stopped};

use super::target::DatabaseTarget;
use place::Place;

/// The oldest major version of PostgreSQL that is used.
const OLDEST: u32 = 13;
/// The cluster's database user and, by the same name, its database.
const USER: &str = "qcbatch";
const DATABASE: &str = "qcbatch";

/// A private cluster in a directory of its own, made at the first start.
#[derive(Clone, Debug)]
pub struct PrivateCluster {
    directory: PathBuf,
    bin_dir: Option<PathBuf>,
    server_user: Option<String>,
    shared_filesystem: SharedFilesystem,
}

impl PrivateCluster {
    /// The cluster in `directory`, run by the programs in `bin_dir`, or by those found on the machine.
    ///
    /// Where root starts it and the server's user cannot enter `directory`, it lives under `/var/lib/qcbatch` and
    /// `directory` holds a note of that.
    pub fn new(directory: impl Into<PathBuf>, bin_dir: Option<PathBuf>) -> PrivateCluster {
        PrivateCluster {
            directory: directory.into(),
            bin_dir,
            server_user: None,
            shared_filesystem: SharedFilesystem::Refuse,
        }
    }

    /// The user that the server of a new cluster runs as when root starts it.
    #[must_use]
    pub fn server_user(mut self, name: Option<String>) -> PrivateCluster {
        self.server_user = name;
        self
    }

    /// Whether the directory may lie on a shared filesystem.
    #[must_use]
    pub fn shared_filesystem(mut self, shared: SharedFilesystem) -> PrivateCluster {
        self.shared_filesystem = shared;
        self
    }

    /// The directory that really holds the cluster.
    pub fn home(&self) -> Result<PathBuf, ClusterError> {
        Ok(Place::locate(self)?.home)
    }

    /// How its database is reached once [`PrivateCluster::start`] has returned.
    pub fn database_target(&self) -> Result<DatabaseTarget, ClusterError> {
        let socket_directory = Place::locate(self)?.socket_directory()?;
        Ok(DatabaseTarget::socket(&socket_directory, USER, DATABASE))
    }
}
