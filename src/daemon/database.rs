//! The daemon's database: an external server by its URL, or the private cluster, started when needed and stopped again
//! by the daemon that started it.

use super::error::DaemonError;
use crate::config::{self, Config, StateLayout};
use crate::store::cluster::{PrivateCluster, SharedFilesystem, Started, Stopped};
use crate::store::target::TargetError;
use crate::store::{DatabaseTarget, Store, TlsMode};

/// The private cluster of a site that names no server.
pub fn private_cluster(config: &Config) -> PrivateCluster {
    let shared = match config.database.shared_filesystem {
        config::SharedFilesystem::Refuse => SharedFilesystem::Refuse,
        config::SharedFilesystem::Allow => SharedFilesystem::Allow,
    };
    PrivateCluster::new(StateLayout::of(config).postgres, config.database.bin_dir.clone())
        .server_user(config.database.server_user.clone())
        .shared_filesystem(shared)
}

/// The server that the configuration names; nothing where the cluster is private.
pub fn external_target(config: &Config) -> Option<Result<DatabaseTarget, TargetError>> {
    let url = config.database.url.as_ref()?;
    let tls = match config.database.tls.mode {
        config::TlsMode::Disable => TlsMode::Disable,
        config::TlsMode::Prefer => TlsMode::Prefer,
        config::TlsMode::Require => TlsMode::Require,
        config::TlsMode::VerifyFull => TlsMode::VerifyFull,
    };
    Some(DatabaseTarget::parse(url.expose(), Some(tls), config.database.tls.root_certificate.clone()))
}

/// An open database. Whoever takes the lease brings its tables up to date.
pub struct Database {
    /// The store in it.
    pub store: Store,
    /// The cluster, if it is private and this daemon started it.
    started: Option<PrivateCluster>,
}

/// Opens the configured database.
pub async fn open(config: &Config) -> Result<Database, DaemonError> {
    let (target, started) = match external_target(config) {
        Some(target) => (target?, None),
        None => {
            let cluster = private_cluster(config);
            let started = cluster.start().await? == Started::ByUs;
            (cluster.database_target()?, started.then_some(cluster))
        }
    };
    match Store::connect(&target, config.database.pool_size as usize).await {
        Ok(store) => Ok(Database { store, started }),
        Err(error) => {
            stop(started).await;
            Err(error.into())
        }
    }
}

async fn stop(started: Option<PrivateCluster>) {
    let Some(cluster) = started else { return };
    match cluster.stop().await {
        Ok(Stopped::ByUs | Stopped::NotRunning) => tracing::info!("stopped the private PostgreSQL"),
        Err(error) => tracing::warn!(%error, "the private PostgreSQL did not stop"),
    }
}

impl Database {
    /// Stops the private cluster if this daemon started it.
    pub async fn close(self) {
        stop(self.started).await;
    }
}
