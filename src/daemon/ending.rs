//! The end of a job: its last results are stored, then what it did not report is given back.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::ingester::{self, IngestError};
use super::pools::{Pool, Ran};
use super::site::Site;
use super::troubles::chain;
use crate::model::failure::{FailureClass, TaskTally};
use crate::model::ids::{JobId, TaskId};
use crate::model::job::JobOutcome;
use crate::model::task::EndReason;
use crate::plan::job::Ending;
use crate::plan::retry;
use crate::spool::chunk;
use crate::spool::evidence::{ChunkState, Evidence};
use crate::spool::frame::Finality;
use crate::spool::layout::JobDirectory;
use crate::store::StoreError;
use crate::store::job::{JobRow, JobUpdate};
use crate::store::release::{Charge, Charged, JobEnd};

/// Ends `job`, unless it turns out to live after all.
pub async fn end(
    site: &Arc<Site>,
    pool: &Pool,
    job: &JobRow,
    directory: &JobDirectory,
    found: &Evidence,
    ending: Ending,
) -> Result<(), StoreError> {
    // Nothing more will be appended: whole frames behind a damaged one are still good.
    let brought_in =
        ingester::bring_in(site, pool, job.id, directory, job.results_offset, Finality::Final).await;
    let stored = match brought_in {
        Ok(offset) => offset,
        Err(IngestError::Store(error)) => return Err(error),
        Err(error) => {
            site.troubles.note(&format!("job {}", job.id), chain(&error));
            return Ok(());
        }
    };
    if found.chunk == ChunkState::Waiting && !withdraw_ticket(directory).await {
        // Somebody has just claimed it: it lives after all.
        return Ok(());
    }
    if let Some(end) = &found.end {
        let results = u32::try_from(end.results).unwrap_or(u32::MAX);
        if results > job.tasks {
            site.writer.update_jobs(vec![JobUpdate::of(job).tasks(results)]).await?;
        }
    }
    let detail = found.end.as_ref().and_then(|end| end.detail.clone());
    let job_end = JobEnd {
        id: job.id,
        outcome: ending.outcome,
        exit_code: ending.exit_code,
        signal: ending.signal,
        reason: detail.clone(),
        hostname: found.start.as_ref().map(|start| start.hostname.clone()),
        charge: charge(job, &ending, found, stored),
        charged: charged(job, found),
        chunks: found.claimed.iter().map(|name| name.chunk_id).collect(),
    };
    let policy = ingester::policy(site);
    let decide = move |tally: &TaskTally, class: FailureClass| retry::decide(policy, *tally, class);
    let released = site.writer.end_job(job_end, &decide).await?;
    log_end(job.id, &ending, stored, released.returned, released.failed);
    pool.board.see_job(job.id, &[]);
    let why = detail.as_deref().unwrap_or(ending.outcome.as_str());
    pool.job_ended(ran(&ending, found, stored), why, Timestamp::now());
    site.ring_stored();
    site.planner_bell.notify_one();
    Ok(())
}

/// What the job says of its pool. One that found the work done by others, or was cancelled, says nothing.
fn ran(ending: &Ending, found: &Evidence, stored: u64) -> Ran {
    let in_order =
        found.end.as_ref().is_some_and(|end| matches!(end.reason, EndReason::Done | EndReason::WalltimeNear));
    match ending.outcome {
        _ if stored > 0 => Ran::Something,
        JobOutcome::Cancelled | JobOutcome::Preempted => Ran::NothingNeeded,
        _ if in_order => Ran::NothingNeeded,
        _ => Ran::Nothing,
    }
}

/// Takes the ticket of a job that never started, so that a late start of it finds nothing to do. Says whether it could.
async fn withdraw_ticket(directory: &JobDirectory) -> bool {
    let directory = directory.clone();
    let claimed = tokio::task::spawn_blocking(move || chunk::claim(&directory)).await;
    matches!(claimed, Ok(Ok(_)))
}

/// What unreported tasks are charged with. A runner that stopped before its walltime after some work gave back what it
/// had not begun.
fn charge(job: &JobRow, ending: &Ending, found: &Evidence, stored: u64) -> Charge {
    let stopped_in_time = found.end.as_ref().is_some_and(|end| end.reason == EndReason::WalltimeNear);
    if stopped_in_time && stored > 0 {
        return Charge::Nothing;
    }
    let tasks = if job.pilot { u32::MAX } else { job.tasks };
    Charge::Failure(retry::class_of_unreported(ending.outcome, tasks))
}

/// Which of them. A pilot has more tasks at hand than it runs; only those that it ran when it was last heard of can
/// have had to do with its end. Where nothing is known of them, each may have.
fn charged(job: &JobRow, found: &Evidence) -> Charged {
    if !job.pilot {
        return Charged::All;
    }
    let running = found.heartbeat.as_ref().map(|heartbeat| heartbeat.running.as_slice()).unwrap_or_default();
    let running: HashSet<TaskId> = running.iter().copied().collect();
    if found.end.is_some() { Charged::Only(running) } else { Charged::LastSeen(running) }
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
