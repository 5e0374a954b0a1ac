//! Follows every live job: what it wrote, what the scheduler's last poll said, what `plan::job` makes of both.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::canceller;
use super::clusters::{Cluster, Snapshot};
use super::ingester::{self, IngestError};
use super::pools::{Pool, Ran};
use super::site::Site;
use super::troubles::chain;
use crate::model::failure::{FailureClass, TaskTally};
use crate::model::ids::{JobId, SchedulerJobId};
use crate::model::job::{JobOutcome, JobState, SubmissionState};
use crate::model::task::EndReason;
use crate::plan::job::{
    Accounting, EndEvidence, Ending, Evidence, JobStep, KnownJob, Patience, Sighting, next_step,
};
use crate::plan::poll::{self, Belief, Coverage};
use crate::plan::retry;
use crate::scheduler::{JobSighting, PostMortemAnswer, SchedulerState, Sureness};
use crate::spool::chunk;
use crate::spool::evidence;
use crate::spool::frame::Finality;
use crate::spool::layout::JobDirectory;
use crate::store::StoreError;
use crate::store::job::{JobRow, JobUpdate};
use crate::store::release::{Charge, JobEnd};

/// Job directories looked into in one pass; with more live jobs they take turns.
const DIRECTORIES_PER_PASS: usize = 1000;

/// The same for jobs that wait in the queue.
const WAITING_DIRECTORIES_PER_PASS: usize = 50;

/// A heartbeat is stored now and then only: it is a write per running job.
const BETWEEN_BEATS: SignedDuration = SignedDuration::from_secs(60);

/// A job just submitted may not be listed yet (peers F5).
const SUBMIT_GRACE: Duration = Duration::from_secs(60);

/// What the observer remembers between passes. Losing it costs one pass.
#[derive(Default)]
struct Memory {
    /// Polls already drawn conclusions from, by cluster.
    used_polls: HashMap<String, Timestamp>,
    /// Jobs that the last answer lost, where it was not believed.
    doubted: HashMap<String, usize>,
    /// Jobs that were asked to end.
    asked: canceller::Asked,
    /// Where the turn of looking into directories stands.
    turn: usize,
}

/// Observes until shutdown.
pub async fn run(site: Arc<Site>) {
    let mut memory = Memory::default();
    loop {
        let outcome = observe(&site, &mut memory).await;
        site.settle("observer", outcome);
        tokio::select! {
            () = site.shutdown.cancelled() => return,
            () = tokio::time::sleep(site.config.daemon.tick) => {}
        }
    }
}

async fn observe(site: &Arc<Site>, memory: &mut Memory) -> Result<(), StoreError> {
    let jobs = site.store.live_jobs(site.name()).await?;
    let mut by_cluster: HashMap<&str, Vec<&JobRow>> = HashMap::new();
    // Jobs of a submission that is not accepted are the submitter's: no poll can know them.
    for job in jobs.iter().filter(|job| job.submission_state == SubmissionState::Accepted) {
        match site.pool(&job.pool) {
            Some(pool) => by_cluster.entry(&pool.cluster.name).or_default().push(job),
            None => site.troubles.note(
                &format!("pool {}", job.pool),
                "has live jobs but is no longer configured; put it back so that they are followed",
            ),
        }
    }
    for cluster in &site.clusters {
        let here = by_cluster.remove(cluster.name.as_str()).unwrap_or_default();
        cluster.set_live_jobs(here.len());
        canceller::cancel_requested(site, cluster, &here, &mut memory.asked).await;
        let polled = new_poll(cluster, memory).map(|snapshot| {
            let belief = believe(cluster, &snapshot, &here, memory);
            (snapshot, belief)
        });
        let accounting = match &polled {
            Some((snapshot, Belief::Whole)) => post_mortem(cluster, snapshot, &here).await,
            _ => HashMap::new(),
        };
        for job in here {
            let looked_into = polled.is_some() || is_its_turn(job, jobs.len(), memory.turn);
            if looked_into && let Some(pool) = site.pool(&job.pool) {
                let sighting = sighting_of(job, polled.as_ref());
                let reason = reason_of(job, polled.as_ref());
                let accounting = accounting_of(job, &accounting);
                let outcome = follow(site, pool, job, Seen { sighting, reason }, accounting).await;
                stop_for_all(site, job, outcome)?;
            }
        }
    }
    memory.turn = memory.turn.wrapping_add(1);
    Ok(())
}

/// A trouble of one job is noted; only a lost lease or a database that is away stops the pass for all.
fn stop_for_all(site: &Site, job: &JobRow, outcome: Result<(), StoreError>) -> Result<(), StoreError> {
    match outcome {
        Err(error @ (StoreError::LeaseLost { .. } | StoreError::Connect { .. })) => Err(error),
        Err(error) => {
            site.troubles.note(&format!("job {}", job.id), chain(&error));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Whether a job is looked into in this pass. Those that wait take turns in small groups: a poll tells of their start too.
fn is_its_turn(job: &JobRow, jobs: usize, turn: usize) -> bool {
    let at_once = match job.state {
        JobState::Queued | JobState::Blocked => WAITING_DIRECTORIES_PER_PASS,
        _ => DIRECTORIES_PER_PASS,
    };
    let groups = jobs.div_ceil(at_once).max(1);
    job.id.0.unsigned_abs() as usize % groups == turn % groups
}

/// The cluster's last poll, once.
fn new_poll(cluster: &Cluster, memory: &mut Memory) -> Option<Arc<Snapshot>> {
    let snapshot = cluster.snapshot()?;
    let used = memory.used_polls.insert(cluster.name.clone(), snapshot.taken_on);
    (used != Some(snapshot.taken_on)).then_some(snapshot)
}

fn believe(cluster: &Cluster, snapshot: &Snapshot, jobs: &[&JobRow], memory: &mut Memory) -> Belief {
    let listed_before = jobs.iter().filter(|job| {
        job.missing_since.is_none()
            && matches!(job.state, JobState::Queued | JobState::Running | JobState::Blocked)
    });
    let mut coverage = Coverage { expected: 0, absent: 0 };
    for job in listed_before {
        coverage.expected += 1;
        let listed = job.scheduler_job_id.as_ref().is_some_and(|id| snapshot.jobs.contains_key(id));
        coverage.absent += usize::from(!listed);
    }
    let before = memory.doubted.get(&cluster.name).copied().unwrap_or(0);
    let belief = poll::judge(coverage, before);
    match belief {
        Belief::Doubtful => {
            tracing::warn!(cluster = %cluster.name, ?coverage, "a poll lost many jobs at once: waiting for a second one");
            memory.doubted.insert(cluster.name.clone(), coverage.absent);
        }
        Belief::Whole => {
            memory.doubted.remove(&cluster.name);
        }
    }
    belief
}

fn sighting_of(job: &JobRow, polled: Option<&(Arc<Snapshot>, Belief)>) -> Sighting {
    let Some((snapshot, belief)) = polled else { return Sighting::NotAsked };
    let listed = job.scheduler_job_id.as_ref().and_then(|id| snapshot.jobs.get(id));
    match (listed, belief) {
        (Some(sighting), _) => in_plans_words(sighting),
        (None, Belief::Doubtful) => Sighting::NotAsked,
        // Absence means something only in an answer to a question asked after the job was accepted.
        (None, Belief::Whole) if job.queued_on.is_some_and(|time| time > snapshot.taken_on) => {
            Sighting::NotAsked
        }
        (None, Belief::Whole) => Sighting::NotListed,
    }
}

/// What a poll said of one job.
struct Seen {
    sighting: Sighting,
    /// The scheduler's word for why, where it is news.
    reason: Option<String>,
}

fn reason_of(job: &JobRow, polled: Option<&(Arc<Snapshot>, Belief)>) -> Option<String> {
    let (snapshot, _) = polled?;
    let listed = snapshot.jobs.get(job.scheduler_job_id.as_ref()?)?;
    listed.reason.clone().filter(|reason| job.scheduler_reason.as_ref() != Some(reason))
}

fn in_plans_words(sighting: &JobSighting) -> Sighting {
    match &sighting.state {
        SchedulerState::Queued => Sighting::Queued,
        SchedulerState::Blocked => Sighting::Blocked,
        SchedulerState::Running => Sighting::Running,
        SchedulerState::Suspended => Sighting::Suspended,
        // A requeue may follow: over only once it is absent.
        SchedulerState::Ending | SchedulerState::Ended { sure: Sureness::OnceAbsent, .. } => Sighting::Ending,
        SchedulerState::Ended { outcome, sure: Sureness::Now } => Sighting::Ended(Ending {
            outcome: *outcome,
            exit_code: sighting.exit.code,
            signal: sighting.exit.signal,
        }),
        // An unknown word changes nothing; the engine has logged it once.
        SchedulerState::Unrecognised(_) => Sighting::NotAsked,
    }
}

/// Asks the accounting about jobs that a believed poll does not list, all in one call.
async fn post_mortem(
    cluster: &Cluster,
    snapshot: &Snapshot,
    jobs: &[&JobRow],
) -> HashMap<SchedulerJobId, Ending> {
    let missing: HashSet<SchedulerJobId> = jobs
        .iter()
        .filter(|job| job.missing_since.is_some())
        .filter_map(|job| job.scheduler_job_id.clone())
        .filter(|id| !snapshot.jobs.contains_key(id))
        .collect();
    if missing.is_empty() {
        return HashMap::new();
    }
    let ids: Vec<SchedulerJobId> = missing.into_iter().collect();
    match cluster.scheduler.post_mortem(&ids).await {
        PostMortemAnswer::Known(reports) => reports
            .into_iter()
            .filter_map(|(id, report)| {
                let ending = Ending {
                    outcome: report.outcome()?,
                    exit_code: report.exit.code,
                    signal: report.exit.signal,
                };
                Some((id, ending))
            })
            .collect(),
        PostMortemAnswer::Unavailable => HashMap::new(),
        PostMortemAnswer::Unanswered { message } => {
            tracing::debug!(cluster = %cluster.name, message, "the accounting did not answer");
            HashMap::new()
        }
    }
}

fn accounting_of(job: &JobRow, answers: &HashMap<SchedulerJobId, Ending>) -> Accounting {
    let known = job.scheduler_job_id.as_ref().and_then(|id| answers.get(id));
    known.map_or(Accounting::Silent, |ending| Accounting::Knows(ending.clone()))
}

/// Looks into one job's directory, stores its new results and draws the conclusion.
async fn follow(
    site: &Arc<Site>,
    pool: &Pool,
    job: &JobRow,
    seen: Seen,
    accounting: Accounting,
) -> Result<(), StoreError> {
    let directory = site.spool.submission(&job.pool, &job.tag).job(job.array_index);
    let subject = format!("job {}", job.id);
    let found = match look_into(&directory).await {
        Ok(found) => found,
        Err(error) => {
            site.troubles.note(&subject, chain(&error));
            return Ok(());
        }
    };
    let mut known = known_job(job);
    if found.results_bytes > known.results_offset {
        match ingester::bring_in(site, job.id, &directory, known.results_offset, finality(&found)).await {
            Ok(offset) => known.results_offset = offset,
            Err(IngestError::Store(error)) => return Err(error),
            Err(error) => {
                site.troubles.note(&subject, chain(&error));
                return Ok(());
            }
        }
    }
    site.troubles.clear(&subject);
    let evidence = in_plans_evidence(&found);
    let patience = Patience {
        submit_grace: SUBMIT_GRACE.min(pool.config.grace),
        evidence_grace: pool.config.evidence_grace,
        missing_grace: pool.config.grace,
    };
    let step = next_step(&known, &seen.sighting, &evidence, &accounting, patience, Timestamp::now());
    apply(site, pool, job, &directory, known.results_offset, &found, &seen, step).await
}

fn known_job(job: &JobRow) -> KnownJob {
    KnownJob {
        state: job.state,
        queued_on: job.queued_on,
        missing_since: job.missing_since,
        missing_polls: job.missing_polls,
        cancel_requested: job.cancel_requested_on.is_some(),
        beat: job.beat,
        beat_on: job.beat_on,
        results_offset: job.results_offset,
    }
}

async fn look_into(directory: &JobDirectory) -> Result<evidence::Evidence, crate::spool::SpoolError> {
    let directory = directory.clone();
    let outcome = tokio::task::spawn_blocking(move || evidence::gather(&directory)).await;
    outcome.unwrap_or_else(|_interrupted| Ok(evidence::Evidence::default()))
}

fn finality(found: &evidence::Evidence) -> Finality {
    if found.ended_and_visible() { Finality::Final } else { Finality::StillWritten }
}

fn in_plans_evidence(found: &evidence::Evidence) -> Evidence {
    Evidence {
        started: found.started(),
        beat: found.heartbeat.as_ref().map_or(0, |heartbeat| heartbeat.beat.cast_signed()),
        end: found.end.as_ref().map(|end| EndEvidence {
            reason: end.reason,
            exit_code: end.exit_code,
            results_bytes: Some(end.results_bytes),
        }),
    }
}

#[expect(clippy::too_many_arguments, reason = "one step needs all that was seen of one job")]
async fn apply(
    site: &Arc<Site>,
    pool: &Pool,
    job: &JobRow,
    directory: &JobDirectory,
    stored: u64,
    found: &evidence::Evidence,
    seen: &Seen,
    step: JobStep,
) -> Result<(), StoreError> {
    let update = update_of(job, found, seen.reason.as_deref());
    match step {
        JobStep::Keep => {
            if update.changes() {
                site.writer.update_jobs(vec![update]).await?;
            }
        }
        JobStep::Start | JobStep::Found(JobState::Running) => {
            site.writer.update_jobs(vec![update.found()]).await?;
            site.writer.start_jobs(&[job.id]).await?;
        }
        JobStep::Move(to) | JobStep::Found(to) => {
            site.writer.update_jobs(vec![update.found().to(to)]).await?;
        }
        JobStep::CountMissing => {
            let to = match seen.sighting {
                Sighting::NotListed => JobState::Missing,
                _ => JobState::Ending,
            };
            site.writer.update_jobs(vec![update.missing().to(to)]).await?;
        }
        JobStep::End(ending) => end(site, pool, job, directory, stored, found, ending).await?,
    }
    Ok(())
}

fn update_of(job: &JobRow, found: &evidence::Evidence, reason: Option<&str>) -> JobUpdate {
    let mut update = JobUpdate::of(job);
    if let Some(reason) = reason {
        update = update.reason(reason);
    }
    let noted_lately = job.beat_on.is_some_and(|time| Timestamp::now().duration_since(time) < BETWEEN_BEATS);
    let beat = found.heartbeat.as_ref().map(|heartbeat| heartbeat.beat.cast_signed());
    if let Some(beat) =
        beat.filter(|beat| *beat != job.beat && (!noted_lately || job.missing_since.is_some()))
    {
        update = update.beat(beat);
    }
    if let Some(start) = found.start.as_ref().filter(|start| job.hostname.as_ref() != Some(&start.hostname)) {
        update = update.hostname(&start.hostname);
    }
    update
}

async fn end(
    site: &Arc<Site>,
    pool: &Pool,
    job: &JobRow,
    directory: &JobDirectory,
    stored: u64,
    found: &evidence::Evidence,
    ending: Ending,
) -> Result<(), StoreError> {
    // Nothing more will be appended: whole frames behind a damaged one are still good.
    let stored = match ingester::bring_in(site, job.id, directory, stored, Finality::Final).await {
        Ok(offset) => offset,
        Err(IngestError::Store(error)) => return Err(error),
        Err(error) => {
            site.troubles.note(&format!("job {}", job.id), chain(&error));
            return Ok(());
        }
    };
    if found.chunk == evidence::ChunkState::Waiting && !withdraw_chunk(directory).await {
        // Somebody has just claimed it: it lives after all.
        return Ok(());
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
    };
    let policy = ingester::policy(site);
    let decide = move |tally: &TaskTally, class: FailureClass| retry::decide(policy, *tally, class);
    let released = site.writer.end_job(job_end, &decide).await?;
    log_end(job.id, &ending, stored, released.returned, released.failed);
    let ran_nothing = stored == 0 && !matches!(ending.outcome, JobOutcome::Cancelled | JobOutcome::Preempted);
    let ran = if ran_nothing { Ran::Nothing } else { Ran::Something };
    pool.job_ended(ran, detail.as_deref().unwrap_or(ending.outcome.as_str()), Timestamp::now());
    site.ring_stored();
    site.planner_bell.notify_one();
    Ok(())
}

/// Takes the chunk of a job that never started, so that a late start of it finds nothing to do. Says whether it could.
async fn withdraw_chunk(directory: &JobDirectory) -> bool {
    let directory = directory.clone();
    let claimed = tokio::task::spawn_blocking(move || chunk::claim(&directory)).await;
    matches!(claimed, Ok(Ok(_)))
}

/// What the unreported tasks are charged with. A runner that stopped before its walltime after some work gave back
/// what it had not begun.
fn charge(job: &JobRow, ending: &Ending, found: &evidence::Evidence, stored: u64) -> Charge {
    let stopped_in_time = found.end.as_ref().is_some_and(|end| end.reason == EndReason::WalltimeNear);
    if stopped_in_time && stored > 0 {
        return Charge::Nothing;
    }
    Charge::Failure(retry::class_of_unreported(ending.outcome, job.tasks))
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
