//! Makes the site of its configuration: adapters and templates loaded, the worker script put where nodes find it.

use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::clusters::Cluster;
use super::doubts::Doubts;
use super::lease::Lease;
use super::pools::Pool;
use super::site::Site;
use super::troubles::Troubles;
use crate::config::{Config, PoolConfig, StateLayout};
use crate::jobscript::{ScriptError, TemplateSet};
use crate::model::identity::Lineage;
use crate::model::ids::PoolName;
use crate::scheduler::adapter::{Adapter, AdapterError};
use crate::scheduler::{Scheduler, Settings};
use crate::spool::SpoolError;
use crate::spool::atomic;
use crate::spool::layout::Spool;
use crate::store::Store;

const WORKER: &str = include_str!("../../jobscripts/qcengine_worker.py");

/// Why the configured site cannot be set up.
#[derive(Debug, Error)]
pub enum SetupError {
    /// An adapter file.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// A template.
    #[error(transparent)]
    Template(#[from] ScriptError),
    /// The spool.
    #[error("failed to prepare the spool")]
    Spool(#[from] SpoolError),
    /// A pool wants more than its adapter can do.
    #[error(
        "pool `{pool}` asks for {nodes} nodes a job, but adapter `{adapter}` has no `[script] launch` to start runners there"
    )]
    OneNode {
        /// The pool.
        pool: PoolName,
        /// What it asks for.
        nodes: u32,
        /// Its adapter.
        adapter: String,
    },
    /// `/proc` is not readable.
    #[error("failed to find the running program's own path")]
    OwnProgram(#[source] std::io::Error),
}

/// What the configuration names in files: read before anything is started, so that a mistake in one costs nothing.
pub struct Files {
    clusters: Vec<Arc<Cluster>>,
    templates: TemplateSet,
}

/// Reads adapters and templates.
pub fn files(config: &Config) -> Result<Files, SetupError> {
    let clusters = clusters(config)?;
    for pool in pools(config, &clusters).iter().filter(|pool| pool.config.resources.nodes > 1) {
        if pool.cluster.scheduler.script_facts().launch.is_none() {
            let (nodes, adapter) = (pool.config.resources.nodes, pool.config.adapter.clone());
            return Err(SetupError::OneNode { pool: pool.config.name.clone(), nodes, adapter });
        }
    }
    Ok(Files { clusters, templates: TemplateSet::load(&config.site.template_directories)? })
}

/// The site that `config` describes, its lease held.
pub fn site(
    config: Config,
    files: Files,
    store: Store,
    lease: Arc<Lease>,
    lineage: Lineage,
) -> Result<Site, SetupError> {
    let Files { clusters, templates } = files;
    let spool = Spool::of_database(&config.spool.path, &lineage);
    let worker_script = put_worker(&spool)?;
    let program = std::env::current_exe().map_err(SetupError::OwnProgram)?;
    let pools = pools(&config, &clusters);
    Ok(Site {
        writer: store.writer(config.site.name.as_str(), lease.fence),
        store,
        pools,
        clusters,
        spool,
        database: lineage.current,
        lease,
        program,
        worker_script,
        templates,
        planner_bell: Arc::new(Notify::new()),
        stager_bell: Arc::new(Notify::new()),
        submitter_bell: Arc::new(Notify::new()),
        stored: watch::Sender::new(0),
        doubts: Doubts::default(),
        cancelled_on: Arc::new(watch::Sender::new(None)),
        troubles: Troubles::default(),
        shutdown: CancellationToken::new(),
        config: Arc::new(config),
    })
}

/// Writes the worker under a name of its contents: a newer daemon never changes it under a running job.
fn put_worker(spool: &Spool) -> Result<PathBuf, SetupError> {
    atomic::create_directory(spool.root())?;
    let digest = Sha256::digest(WORKER.as_bytes());
    let name: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let path = spool.root().join(format!("qcengine_worker-{name}.py"));
    // Jobs run what is there: a file that was damaged or changed must not pass for the worker.
    if std::fs::read(&path).ok().as_deref() != Some(WORKER.as_bytes()) {
        atomic::write_bytes(&path, atomic::Access::Data, WORKER.as_bytes())?;
    }
    Ok(path)
}

/// One cluster for each adapter that a pool names; polled as often as its most impatient pool asks.
fn clusters(config: &Config) -> Result<Vec<Arc<Cluster>>, SetupError> {
    let state = StateLayout::of(config).local_scheduler;
    let settings =
        Settings::as_installed(state, &config.scheduler.search_path).map_err(SetupError::OwnProgram)?;
    let mut clusters: Vec<Arc<Cluster>> = Vec::new();
    for pool in &config.pools {
        if clusters.iter().any(|cluster| cluster.name == pool.adapter) {
            continue;
        }
        let adapter = Adapter::load(&pool.adapter, &config.site.adapter_directories)?;
        let interval = poll_interval(config, &pool.adapter);
        clusters.push(Arc::new(Cluster::new(
            pool.adapter.clone(),
            Scheduler::new(adapter, settings.clone()),
            interval,
        )));
    }
    Ok(clusters)
}

fn poll_interval(config: &Config, adapter: &str) -> std::time::Duration {
    let of_pools = config.pools.iter().filter(|pool| pool.adapter == adapter).map(|pool| pool.poll_interval);
    of_pools.min().unwrap_or(config.daemon.poll_interval)
}

fn pools(config: &Config, clusters: &[Arc<Cluster>]) -> Vec<Arc<Pool>> {
    let cluster_of = |pool: &PoolConfig| clusters.iter().find(|cluster| cluster.name == pool.adapter);
    config
        .pools
        .iter()
        .filter_map(|pool| Some(Arc::new(Pool::new(pool.clone(), cluster_of(pool)?.clone()))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_was_changed_is_written_again() {
        let root = tempfile::tempdir().unwrap();
        let spool = Spool::new(root.path());
        let path = put_worker(&spool).unwrap();
        std::fs::write(&path, "import os").unwrap();
        assert_eq!(put_worker(&spool).unwrap(), path);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), WORKER);
    }
}
