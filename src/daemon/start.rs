//! Start and stop: database, lease, loops, API; then the other way round.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::error::DaemonError;
use super::keeper::{self, LeaseEnd};
use super::setup;
use super::site::Site;
use super::state_lock::StateLock;
use super::{
    canceller, database, housekeeping, inbox, lease, local_api, observer, ownership, planner, poller, stager,
    submitter,
};
use crate::config::Config;
use crate::failpoint::{self, FailPoint};
use crate::model::ids::JobId;
use crate::model::job::JobState;
use crate::permit::Guard;
use crate::plan::owner::Ownership;
use crate::store::StoreError;
use crate::store::job::JobRow;

/// How long loops may take to end what they are at.
const LAST_WORK: Duration = Duration::from_secs(20);

/// Runs the daemon until SIGTERM or SIGINT. Jobs go on when it stops.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let started_on = jiff::Timestamp::now();
    let signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let files = setup::files(&config)?;
    let _state_lock = StateLock::take(&config)?;
    let database = database::open(&config).await?;
    let lease = Arc::new(lease::take(&database.store, &config).await?);
    failpoint::hit(FailPoint::LeaseTaken);
    let lineage = database.store.lineage().await?;
    let ownership = ownership::claim(&config, &lineage, &lease.permit().await?)?;
    let site = Arc::new(setup::site(config, files, database.store.clone(), lease.clone(), lineage)?);
    if ownership == Ownership::TakenOver {
        let_waiting_pilots_go(&site).await?;
    }
    let keeper = tokio::spawn(keeper::run(site.clone(), lease.clone()));
    let api = tokio::spawn(local_api::serve(site.clone(), started_on)?);
    let loops = TaskTracker::new();
    spawn_loops(&site, &loops);
    loops.spawn(database.supervise(site.troubles.clone(), site.shutdown.clone()));
    tracing::info!(site = site.name(), fence = lease.fence.0, "ready");
    wait_for_a_reason_to_stop(signals, &site.shutdown).await;
    tracing::info!("stopping; jobs go on");
    site.shutdown.cancel();
    loops.close();
    if tokio::time::timeout(LAST_WORK, loops.wait()).await.is_err() {
        tracing::warn!("some loops did not end in time; the next start finds what they left");
    }
    api.await??;
    if keeper.await? == LeaseEnd::Lost {
        return Err(DaemonError::LeaseLost(site.name().to_owned()).into());
    }
    lease::give_back(&site).await;
    drop(site);
    database.close().await;
    Ok(())
}

/// Lets pilots go that have not begun: they were submitted before a restore, and would look for chunks where those of
/// before were. What runs ends by itself when it has done what it took.
async fn let_waiting_pilots_go(site: &Site) -> Result<(), StoreError> {
    let waits = |job: &JobRow| job.pilot && matches!(job.state, JobState::Queued | JobState::Blocked);
    let jobs = site.store.live_jobs(site.name()).await?;
    let waiting: Vec<JobId> = jobs.iter().filter(|job| waits(job)).map(|job| job.id).collect();
    let let_go = site.writer.request_cancel(&waiting).await?;
    if !let_go.is_empty() {
        tracing::info!(jobs = let_go.len(), "lets jobs go that were submitted before the restore");
    }
    Ok(())
}

fn spawn_loops(site: &Arc<Site>, loops: &TaskTracker) {
    for cluster in &site.clusters {
        loops.spawn(poller::run(cluster.clone(), site.troubles.clone(), site.shutdown.clone()));
        loops.spawn(submitter::run(site.clone(), cluster.clone()));
        loops.spawn(observer::run(site.clone(), cluster.clone()));
        loops.spawn(canceller::run(site.clone(), cluster.clone()));
        loops.spawn(housekeeping::probe(site.clone(), cluster.clone()));
    }
    loops.spawn(planner::run(site.clone()));
    loops.spawn(stager::run(site.clone()));
    loops.spawn(inbox::run(site.clone()));
    loops.spawn(housekeeping::sweep(site.clone()));
    loops.spawn(housekeeping::audit(site.clone()));
}

type Signals = (tokio::signal::unix::Signal, tokio::signal::unix::Signal);

async fn wait_for_a_reason_to_stop((mut terminate, mut interrupt): Signals, shutdown: &CancellationToken) {
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM"),
        _ = interrupt.recv() => tracing::info!("SIGINT"),
        () = shutdown.cancelled() => {}
    }
}
