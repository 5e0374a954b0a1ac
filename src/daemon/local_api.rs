//! Gives the local API what it works with: store, writer, bells, what the loops know, and the preview.

use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

use super::error::DaemonError;
use super::pools::Pool;
use super::preview::{PreviewOptions, PreviewedTask, preview};
use super::site::Site;
use super::troubles::chain;
use crate::api::local::{
    self, ApiState, PreviewRefused, PreviewedSubmission, ReservedSocket, SchedulerMeter,
};
use crate::api::wire::{DaemonStatus, Resumed, SubmitOptions};
use crate::model::calculation::Calculation;
use crate::model::ids::PoolName;
use crate::model::view::PoolSummary;
use crate::plan::waiting::{PoolFacts, obstacles};
use crate::store::Lane;

/// Puts the socket in place; the future serves it until the daemon stops.
pub fn serve(
    site: Arc<Site>,
    socket: ReservedSocket,
    started_on: Timestamp,
) -> Result<impl Future<Output = std::io::Result<()>> + Send, DaemonError> {
    let socket = socket.open()?;
    let for_status = site.clone();
    let for_preview = site.clone();
    let for_offers = site.clone();
    let for_logs = site.clone();
    let for_meter = site.clone();
    let for_resume = site.clone();
    let for_nodes = site.clone();
    let for_clearing = site.clone();
    let state = ApiState {
        store: site.store.on(Lane::Api),
        writer: site.writer.on(Lane::Api),
        config: site.config.clone(),
        status: Arc::new(move || status(&for_status, started_on)),
        wake: site.planner_bell.clone(),
        cancelled_on: site.cancelled_on.clone(),
        stored: site.stored.subscribe(),
        preview: Arc::new(move |calculations, options| previewed(&for_preview, &calculations, &options)),
        offers: Arc::new(move || for_offers.pools.iter().map(|pool| pool.offer()).collect()),
        scheduler_logs: Arc::new(move |pool, index| {
            let found = for_logs.pools.iter().find(|one| one.config.name == *pool);
            found.map_or_else(Vec::new, |pool| pool.cluster.scheduler.log_names(index))
        }),
        scheduler_meter: Arc::new(move |pool| scheduler_meter(&for_meter, pool)),
        resume: Arc::new(move |pool| resume(&for_resume, pool)),
        nodes: Arc::new(move || for_nodes.nodes.list()),
        clear_nodes: Arc::new(move |names| clear_nodes(&for_clearing, names)),
        stopping: site.shutdown.clone(),
    };
    Ok(local::serve(socket, Arc::new(state)))
}

fn status(site: &Site, started_on: Timestamp) -> DaemonStatus {
    DaemonStatus {
        site: site.name().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        hostname: nix::unistd::gethostname()
            .map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned()),
        started_on,
        pools: site
            .pools
            .iter()
            .map(|pool| PoolSummary {
                name: pool.config.name.clone(),
                adapter: pool.config.adapter.clone(),
                scheduler: pool.cluster.scheduler.summary(),
                jobs: std::collections::BTreeMap::new(),
                paused: pool.paused(),
                without_python: pool.python.paused(Instant::now()),
                obstacles: obstacles(&facts(site, pool)),
                polled_on: pool.cluster.snapshot().map(|snapshot| snapshot.taken_on),
                limits: pool.allowed().to_string(),
            })
            .collect(),
        troubles: site.troubles.lines(),
    }
}

fn resume(site: &Site, name: &PoolName) -> Option<Resumed> {
    let paused = site.pool(name)?.resume();
    site.planner_bell.notify_one();
    site.submitter_bell.notify_waiters();
    Some(Resumed { pool: name.clone(), paused })
}

/// Pools that paused because their jobs came to such nodes try again as well.
fn clear_nodes(site: &Site, names: &[String]) -> Vec<String> {
    let cleared = site.nodes.clear(names);
    if !cleared.is_empty() {
        for pool in site.pools.iter().filter(|pool| pool.met_unfit_nodes()) {
            pool.resume();
        }
        site.nodes_bell.notify_one();
        site.planner_bell.notify_one();
    }
    cleared
}

/// What may keep the pool's tasks from running.
fn facts(site: &Site, pool: &Pool) -> PoolFacts {
    let name = &pool.config.name;
    let about = |subject: String| site.troubles.about(&subject);
    PoolFacts {
        paused: pool.paused(),
        scheduler: about(pool.cluster.subject()),
        closed: pool.allowed().closed,
        spool: about(format!("chunks of pool {name}"))
            .or_else(|| about(format!("ready chunks of pool {name}"))),
        blocked: about(format!("queue of pool {name}")),
        full: *pool.full.lock().unwrap_or_else(PoisonError::into_inner),
    }
}

fn scheduler_meter(site: &Site, pool: &PoolName) -> Option<SchedulerMeter> {
    let cluster = &site.pool(pool)?.cluster;
    let calls = cluster.scheduler.calls().map(|(verb, count)| (verb.to_owned(), count));
    Some(SchedulerMeter { calls: calls.collect(), poll_interval: cluster.poll_interval })
}

fn previewed(
    site: &Site,
    calculations: &[Calculation],
    options: &SubmitOptions,
) -> Result<Vec<PreviewedSubmission>, PreviewRefused> {
    let tasks: Vec<PreviewedTask> = calculations
        .iter()
        .map(|calculation| PreviewedTask {
            required_programs: calculation.specification.required_programs(),
            asks: options.resources.clone(),
        })
        .collect();
    let defaults = &site.config.defaults;
    let common = PreviewOptions {
        pool: options.pool.clone().or_else(|| defaults.pool.clone()),
        compute_tag: options.compute_tag.clone().unwrap_or_else(|| defaults.compute_tag.clone()),
        placement: options.placement,
    };
    preview(site, &tasks, &common).map_err(|error| PreviewRefused { message: chain(&error), hint: None })
}
