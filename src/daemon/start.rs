//! Start and stop: state directory, socket, database, lease, loops, API; then the other way round. Whatever is begun here is
//! undone on every way out, also where the start fails half-way.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::database::Database;
use super::error::DaemonError;
use super::keeper::{self, LeaseEnd};
use super::lease::Lease;
use super::setup::{self, Files};
use super::site::Site;
use super::state_lock::StateLock;
use super::{
    canceller, database, housekeeping, inbox, lease, local_api, nodes, observer, ownership, planner, poller,
    stager, submitter,
};
use crate::api::local::ReservedSocket;
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
/// How long clients may take to hear their answers.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// Runs the daemon until SIGTERM or SIGINT. Jobs go on when it stops.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let started_on = Timestamp::now();
    let shutdown = stopped_by_signals()?;
    let files = setup::files(&config)?;
    let _state_lock = StateLock::take(&config)?;
    let socket = ReservedSocket::at(&config.daemon.socket).map_err(DaemonError::Listen)?;
    let Some(database) = open_database(&config, &shutdown).await? else { return Ok(()) };
    let start = Start { config, files, socket, started_on };
    let outcome = hold(start, &database, &shutdown).await;
    database.close().await;
    outcome
}

/// What a start has made ready before it takes the lease.
struct Start {
    config: Config,
    files: Files,
    socket: ReservedSocket,
    started_on: Timestamp,
}

/// A token that the first SIGTERM or SIGINT cancels, from now on until the process ends.
fn stopped_by_signals() -> anyhow::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM"),
            _ = interrupt.recv() => tracing::info!("SIGINT"),
        }
        stop.cancel();
    });
    Ok(shutdown)
}

/// Opens the database. Told to stop meanwhile it gives the opening a moment to end, so that a PostgreSQL which it has just
/// started does not stay behind.
async fn open_database(
    config: &Config,
    shutdown: &CancellationToken,
) -> Result<Option<Database>, DaemonError> {
    let opening = database::open(config);
    tokio::pin!(opening);
    tokio::select! {
        opened = &mut opening => return opened.map(Some),
        () = shutdown.cancelled() => {}
    }
    match timeout(LAST_WORK, opening).await {
        Ok(opened) => opened?.close().await,
        Err(_) => {
            tracing::warn!("the database did not open in time; `qcbatch db stop` ends what was started")
        }
    }
    Ok(None)
}

/// Takes the lease, serves, and gives it back.
async fn hold(start: Start, database: &Database, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let Some(lease) = lease::take(&database.store, &start.config, shutdown).await? else { return Ok(()) };
    let lease = Arc::new(lease);
    failpoint::hit(FailPoint::LeaseTaken);
    let outcome = serve(start, database, &lease, shutdown).await;
    lease.give_back().await;
    outcome
}

async fn serve(
    start: Start,
    database: &Database,
    lease: &Arc<Lease>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let Start { config, files, socket, started_on } = start;
    let lineage = database.store.lineage().await?;
    let ownership = ownership::claim(&config, &lineage, &lease.permit().await?)?;
    let store = database.store.clone();
    let site = Arc::new(setup::site(config, files, store, lease.clone(), lineage, shutdown.clone())?);
    if ownership == Ownership::TakenOver {
        let_waiting_pilots_go(&site).await?;
    }
    let api = tokio::spawn(local_api::serve(site.clone(), socket, started_on)?);
    let keeper = tokio::spawn(keeper::run(site.clone(), lease.clone()));
    let loops = TaskTracker::new();
    spawn_loops(&site, &loops);
    loops.spawn(database.supervise(site.troubles.clone(), site.shutdown.clone()));
    tracing::info!(site = site.name(), fence = lease.fence.0, "ready");
    shutdown.cancelled().await;
    tracing::info!("stopping; jobs go on");
    loops.close();
    if timeout(LAST_WORK, loops.wait()).await.is_err() {
        tracing::warn!("some loops did not end in time; the next start finds what they left");
    }
    match timeout(LAST_ANSWERS, api).await {
        Ok(served) => served??,
        Err(_) => tracing::warn!("some clients did not hear their answers in time"),
    }
    match keeper.await? {
        LeaseEnd::Stopped => Ok(()),
        LeaseEnd::Lost => Err(DaemonError::LeaseLost(site.name().to_owned()).into()),
    }
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
    loops.spawn(nodes::run(site.clone()));
    loops.spawn(inbox::run(site.clone()));
    loops.spawn(housekeeping::sweep(site.clone()));
    loops.spawn(housekeeping::audit(site.clone()));
}
