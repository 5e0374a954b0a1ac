//! The end of a job: its last results are stored, then what it did not report is given back.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use super::ingester::{self, IngestError};
use super::looks::{self, LOOK_LIMIT};
use super::pools::Pool;
use super::site::Site;
use super::troubles::chain;
use crate::failpoint::{self, FailPoint};
use crate::model::chunk::ChunkName;
use crate::model::failure::FailureClass;
use crate::model::ids::{JobId, NodeIndex, TaskId};
use crate::model::job::JobOutcome;
use crate::model::task::{EndReason, EndRecord};
use crate::permit::Guard;
use crate::plan::blame::{self, EndedJob, Python, Results, RunnerSeen};
use crate::plan::job::Ending;
use crate::plan::retry::{self, EndedBy};
use crate::spool::evidence::{ChunkState, Evidence, JobEvidence};
use crate::spool::frame::Finality;
use crate::spool::layout::JobDirectory;
use crate::spool::sweep;
use crate::spool::{chunk, ready};
use crate::store::StoreError;
use crate::store::job::{JobRow, JobUpdate};
use crate::store::release::{Charge, Charged, JobEnd};

/// Ends `job`, unless it turns out to live after all.
pub async fn end(
    site: &Arc<Site>,
    pool: &Pool,
    job: &JobRow,
    directory: &JobDirectory,
    found: &JobEvidence,
    ending: Ending,
) -> Result<(), StoreError> {
    let mut stored = 0;
    for (node, _) in found.nodes() {
        // Nothing more will be appended: whole frames behind a damaged one are still good.
        let (which, offset) = ((job.id, node), job.offset(node));
        match ingester::bring_in(site, pool, which, directory, offset, Finality::Final).await {
            Ok(offset) => stored = offset.saturating_add(stored),
            Err(IngestError::Store(error)) => return Err(error),
            Err(error) => {
                site.troubles.note(&format!("job {}", job.id), chain(&error));
                return Ok(());
            }
        }
    }
    for (node, found) in found.nodes() {
        if found.chunk == ChunkState::Waiting && !withdraw_ticket(site, pool, &directory.node(node)).await {
            // Somebody has just claimed it, and it lives after all; or this daemon may not take it now.
            return Ok(());
        }
    }
    let end = found.end();
    if let Some(end) = &end {
        let results = u32::try_from(end.results).unwrap_or(u32::MAX);
        if results > job.tasks {
            site.writer.update_jobs(vec![JobUpdate::of(job).tasks(results)]).await?;
        }
    }
    let detail = end.and_then(|end| end.detail);
    let job_end = JobEnd {
        id: job.id,
        outcome: ending.outcome,
        exit_code: ending.exit_code,
        signal: ending.signal,
        reason: detail.clone(),
        hostname: found.first.start.as_ref().map(|start| start.hostname.clone()),
        charge: charge(job, &ending, found, stored),
        charged: charged(job, found),
        chunks: found.claimed().iter().map(|name| name.chunk_id).collect(),
    };
    let decide = ingester::decider(site);
    let released = site.writer.end_job(job_end, &decide).await?;
    failpoint::hit(FailPoint::JobEndStored);
    log_end(job.id, &ending, stored, released.returned, released.failed);
    pool.board.see_job(job.id, &[]);
    let why = detail.as_deref().unwrap_or(ending.outcome.as_str());
    pool.job_ended(blame::ran(ended(pool, job, &ending, found, stored)), why);
    site.ring_stored();
    site.planner_bell.notify_one();
    if !job.pilot {
        remove_scratch(site, directory).await;
    }
    Ok(())
}

/// Removes what a task over several nodes had as scratch: a runner that was killed could not.
async fn remove_scratch(site: &Site, directory: &JobDirectory) {
    // Without a permit it stays, as below.
    let Ok(permit) = site.lease.permit().await else { return };
    let directory = directory.clone();
    if let Ok(Err(error)) =
        tokio::task::spawn_blocking(move || sweep::remove_scratch(&directory, &permit)).await
    {
        tracing::warn!(error = chain(&error), "scratch in a job's directory stays until it is swept");
    }
}

/// Gives back what the runners of nodes held that have ended while others of the job go on. Returns the chunks that it lay
/// in.
pub async fn end_runners(
    site: &Arc<Site>,
    job: &JobRow,
    directory: &JobDirectory,
    found: &JobEvidence,
) -> Result<Vec<ChunkName>, StoreError> {
    let mut free = Vec::new();
    for (node, found) in found.nodes() {
        let Some(end) = found.end.as_ref().filter(|_| !found.claimed.is_empty()) else { continue };
        if !found.ended_and_visible() || job.offset(node) < end.results_bytes {
            continue;
        }
        end_runner(site, job, (node, found), end).await?;
        let claimed: Vec<_> = found.claimed.iter().map(|name| directory.node(node).claimed(name)).collect();
        // A file that stays is found again, and its tasks are free already.
        let Ok(permit) = site.lease.permit().await else { continue };
        let (pool, files) = (site.spool.pool(&job.pool), directory.node(node).end());
        let remove = move || {
            claimed.iter().try_for_each(|path| {
                permit.check()?;
                ready::finish(path)
            })
        };
        if let Err(error) = looks::within(LOOK_LIMIT, &pool, &files, remove).await {
            site.troubles.note(&format!("job {}", job.id), chain(&error));
        }
        free.extend(&found.claimed);
    }
    Ok(free)
}

async fn end_runner(
    site: &Arc<Site>,
    job: &JobRow,
    (node, found): (NodeIndex, &Evidence),
    end: &EndRecord,
) -> Result<(), StoreError> {
    let (outcome, charge) = match end.reason {
        EndReason::Failed => (JobOutcome::Failed, Charge::Failure(FailureClass::Infrastructure)),
        EndReason::WalltimeNear => (JobOutcome::Walltime, Charge::Nothing),
        EndReason::NodeUnfit => (JobOutcome::NodeFailure, Charge::Nothing),
        EndReason::Done | EndReason::Signal => (JobOutcome::Cancelled, Charge::Nothing),
    };
    let running = found.heartbeat.iter().flat_map(|heartbeat| heartbeat.running.iter().copied());
    let runner_end = JobEnd {
        id: job.id,
        outcome,
        exit_code: Some(end.exit_code),
        signal: None,
        reason: end.detail.clone(),
        hostname: found.start.as_ref().map(|start| start.hostname.clone()),
        charge,
        charged: Charged::Only(running.collect()),
        chunks: found.claimed.iter().map(|name| name.chunk_id).collect(),
    };
    let decide = ingester::decider(site);
    let released = site.writer.end_runner(runner_end, node, &decide).await?;
    tracing::info!(
        job.id = job.id.0,
        node = node.0,
        reason = ?end.reason,
        returned = released.returned,
        failed = released.failed,
        "a runner of the job has ended",
    );
    site.planner_bell.notify_one();
    Ok(())
}

/// What is known of the ended job, for its pool.
fn ended(pool: &Pool, job: &JobRow, ending: &Ending, found: &JobEvidence, stored: u64) -> EndedJob {
    let running =
        found.nodes().any(|(_, node)| node.heartbeat.as_ref().is_some_and(|beat| !beat.running.is_empty()));
    let started = found.nodes().any(|(_, node)| node.start.is_some());
    EndedJob {
        outcome: ending.outcome,
        reason: found.end().map(|end| end.reason),
        runner: match started {
            true if running || !found.claimed().is_empty() => RunnerSeen::AtWork,
            true => RunnerSeen::Idle,
            false => RunnerSeen::Never,
        },
        results: if stored > 0 { Results::Some } else { Results::None },
        // One that began since only has tasks that should need none: it counts like any other.
        python: match found.no_worker() {
            Some(_) if !job.started_on.is_some_and(|at| pool.python.paused_before(at, Instant::now())) => {
                Python::DoesNotStart
            }
            _ => Python::NoComplaint,
        },
    }
}

/// Takes the ticket of a job that never started, so that a late start of it finds nothing to do. Says whether it could.
async fn withdraw_ticket(site: &Site, pool: &Pool, directory: &JobDirectory) -> bool {
    let Ok(permit) = site.lease.permit().await else { return false };
    let (place, ticket, directory) =
        (site.spool.pool(&pool.config.name), directory.chunk(), directory.clone());
    let claim = move || {
        permit.check()?;
        chunk::claim(&directory)
    };
    looks::within(LOOK_LIMIT, &place, &ticket, claim).await.is_ok()
}

/// What unreported tasks are charged with. A runner that stopped before its walltime after some work gave back what it
/// had not begun.
fn charge(job: &JobRow, ending: &Ending, found: &JobEvidence, stored: u64) -> Charge {
    let reason = found.end().map(|end| end.reason);
    let stopped_in_time = reason == Some(EndReason::WalltimeNear) && stored > 0;
    if stopped_in_time || reason == Some(EndReason::NodeUnfit) {
        return Charge::Nothing;
    }
    let made_for = (!job.pilot).then_some(job.tasks);
    let tasks = blame::tasks_that_shared(ending.outcome, made_for, last_running(found).len());
    let by = if job.cancel_requested_on.is_some() { EndedBy::Us } else { EndedBy::Others };
    retry::class_of_unreported(ending.outcome, by, tasks).map_or(Charge::Nothing, Charge::Failure)
}

/// Which of them. A pilot has more tasks at hand than it runs; only those that it ran when it was last heard of can
/// have had to do with its end. Where nothing is known of them, each may have.
fn charged(job: &JobRow, found: &JobEvidence) -> Charged {
    if !job.pilot {
        return Charged::All;
    }
    let running = last_running(found);
    if found.end().is_some() { Charged::Only(running) } else { Charged::LastSeen(running) }
}

/// The tasks that runners were at work on when they were last heard of. One that ended better than the job did gave back
/// what it had begun.
fn last_running(found: &JobEvidence) -> HashSet<TaskId> {
    let end = found.end();
    let blamed = found.nodes().filter(|(_, node)| match (&node.end, &end) {
        (Some(own), Some(end)) => own.reason == end.reason,
        (own, _) => own.is_none(),
    });
    let heartbeats = blamed.filter_map(|(_, node)| node.heartbeat.as_ref());
    heartbeats.flat_map(|heartbeat| heartbeat.running.iter().copied()).collect()
}

fn log_end(job: JobId, ending: &Ending, results_bytes: u64, returned: usize, failed: usize) {
    tracing::info!(
        job.id = job.0,
        outcome = ending.outcome.as_str(),
        exit_code = ending.exit_code,
        results_bytes,
        returned,
        failed,
        "job ended",
    );
}
