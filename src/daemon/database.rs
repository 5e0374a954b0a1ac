//! The daemon's database: an external server by its URL, or the private cluster, started when needed, started again when
//! its server dies, and stopped by the daemon that started it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::error::DaemonError;
use super::troubles::{Troubles, chain};
use crate::config::{self, Config, StateLayout};
use crate::plan::backoff;
use crate::store::cluster::{PrivateCluster, Revived, SharedFilesystem, Started, Stopped};
use crate::store::target::TargetError;
use crate::store::{DatabaseTarget, Shares, Store, TlsMode};

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

/// Time between two looks at whether the private server lives, and the longest time between two tries to start it.
const BETWEEN_LOOKS: Duration = Duration::from_secs(3);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// What troubles of the private server are noted under.
const PRIVATE: &str = "private PostgreSQL";

/// An open database, its tables up to date.
pub struct Database {
    /// The store in it.
    pub store: Store,
    /// The cluster, if it is private.
    private: Option<PrivateCluster>,
    /// Whether this daemon started its server.
    started: Arc<AtomicBool>,
}

/// Opens the configured database.
pub async fn open(config: &Config) -> Result<Database, DaemonError> {
    let (target, private, started) = match external_target(config) {
        Some(target) => (target?, None, false),
        None => {
            let cluster = private_cluster(config);
            let started = cluster.start().await? == Started::ByUs;
            cluster.let_start()?;
            (cluster.database_target()?, Some(cluster), started)
        }
    };
    let store = connect(&target, config).await?;
    Ok(Database { store, private, started: Arc::new(AtomicBool::new(started)) })
}

async fn connect(target: &DatabaseTarget, config: &Config) -> Result<Store, DaemonError> {
    let store = Store::connect_shared(target, Shares::of(config.database.pool_size as usize)).await?;
    let migrations = store.migrate().await?;
    if !migrations.is_empty() {
        tracing::info!(?migrations, "brought the database's tables up to date");
    }
    Ok(store)
}

impl Database {
    /// Watches over the private server until shutdown: one that died is started again. Returns at once where the server is
    /// external.
    pub fn supervise(
        &self,
        troubles: Troubles,
        shutdown: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (private, started) = (self.private.clone(), Arc::clone(&self.started));
        async move {
            let Some(cluster) = private else { return };
            let mut failures = 0;
            loop {
                let pause = backoff::delay(failures, BETWEEN_LOOKS, LONGEST_PAUSE, rand::random());
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = tokio::time::sleep(pause.max(BETWEEN_LOOKS)) => {}
                }
                failures = if is_well(&cluster, &started, &troubles).await { 0 } else { failures + 1 };
            }
        }
    }

    /// Stops the private cluster if this daemon started it.
    pub async fn close(self) {
        let Some(cluster) = self.private.filter(|_| self.started.load(Ordering::Relaxed)) else { return };
        match cluster.stop().await {
            Ok(Stopped::ByUs | Stopped::NotRunning) => tracing::info!("stopped the private PostgreSQL"),
            Err(error) => tracing::warn!(%error, "the private PostgreSQL did not stop"),
        }
    }
}

/// Looks after the private server once; says whether it needs no further attention.
async fn is_well(cluster: &PrivateCluster, started: &AtomicBool, troubles: &Troubles) -> bool {
    if !cluster.is_down().await {
        troubles.clear(PRIVATE);
        return true;
    }
    troubles.note(PRIVATE, "does not run any more; starting it again");
    match cluster.revive().await {
        Ok(Revived::Runs(how)) => {
            if how == Started::ByUs {
                started.store(true, Ordering::Relaxed);
            }
            troubles.clear(PRIVATE);
            true
        }
        Ok(Revived::StoppedByHand) => {
            troubles.note(
                PRIVATE,
                "was stopped by `qcbatch db stop --force`; `qcbatch db start` starts it again",
            );
            true
        }
        Err(error) => {
            troubles.note(PRIVATE, format!("does not run and cannot be started yet: {}", chain(&error)));
            false
        }
    }
}
