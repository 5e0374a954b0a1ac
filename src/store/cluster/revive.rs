//! Starting the cluster's server again when it died under a daemon, unless a person has stopped it.
//! Touches the server's socket and one mark in the cluster's directory.

use std::io;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

use super::PrivateCluster;
use super::error::ClusterError;
use super::place::{Place, SOCKET};
use super::server::Started;

/// In the cluster's directory: a person stopped the server while a daemon lived.
const STOPPED_BY_HAND: &str = "stopped-by-hand";

/// How long the server may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// What [`PrivateCluster::revive`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Revived {
    /// The server runs.
    Runs(Started),
    /// A person stopped it: it stays so until somebody starts it.
    StoppedByHand,
}

impl PrivateCluster {
    /// Whether nobody listens at the server's socket. A server that starts, stops or is busy is not down.
    pub async fn is_down(&self) -> bool {
        let Ok(place) = Place::locate(self) else { return false };
        let Ok(directory) = place.socket_directory() else { return false };
        match timeout(CONNECT_LIMIT, UnixStream::connect(directory.join(SOCKET))).await {
            Ok(Err(error)) => {
                matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
            }
            Ok(Ok(_)) | Err(_) => false,
        }
    }

    /// Starts a server that died, unless a person stopped it.
    pub async fn revive(&self) -> Result<Revived, ClusterError> {
        if Place::locate(self)?.home.join(STOPPED_BY_HAND).exists() {
            return Ok(Revived::StoppedByHand);
        }
        self.start().await.map(Revived::Runs)
    }

    /// Notes that a person stops the server: no daemon starts it again by itself.
    pub fn keep_stopped(&self) -> Result<(), ClusterError> {
        let place = Place::locate(self)?;
        place.write(&place.home.join(STOPPED_BY_HAND), b"")
    }

    /// Forgets that a person stopped the server.
    pub fn let_start(&self) -> Result<(), ClusterError> {
        let mark = Place::locate(self)?.home.join(STOPPED_BY_HAND);
        match std::fs::remove_file(&mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(ClusterError::file("remove", mark)(error))
            }
            _ => Ok(()),
        }
    }
}
