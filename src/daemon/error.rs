//! Why a daemon does not start, or stops by itself: what `qcbatch daemon` says at its end. Types only.

use thiserror::Error;

use super::ownership::OwnershipError;
use super::setup::SetupError;
use super::state_lock::StateLockError;
use crate::api::local::ListenError;
use crate::store::StoreError;
use crate::store::cluster::ClusterError;
use crate::store::target::TargetError;

/// Why the daemon did not start, or stopped.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// Another daemon serves this site.
    #[error("another daemon serves site `{site}`: process {pid} on {hostname}")]
    HeldByOther {
        /// The site.
        site: String,
        /// Where it runs.
        hostname: String,
        /// Its process.
        pid: i32,
    },
    /// Another daemon took the lease while this one ran.
    #[error("lost the lease of site `{0}` to another daemon")]
    LeaseLost(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The private cluster.
    #[error("failed to start the private PostgreSQL")]
    Cluster(#[from] ClusterError),
    /// The configured URL.
    #[error("`database.url` cannot be used")]
    Target(#[from] TargetError),
    /// `/proc` cannot be read.
    #[error("failed to learn about this process from /proc")]
    Process(#[source] std::io::Error),
    /// Another process uses the state directory.
    #[error(transparent)]
    Locked(#[from] StateLockError),
    /// Spool or state directory belong to another database or site.
    #[error(transparent)]
    Owned(#[from] OwnershipError),
    /// Adapters, templates, spool.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The socket.
    #[error(transparent)]
    Listen(#[from] ListenError),
}
