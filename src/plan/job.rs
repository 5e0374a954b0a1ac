//! What becomes of one job, from what the scheduler says and what the job itself wrote. Pure.
//!
//! Evidence outranks the scheduler. A job that a poll does not list is *missing*, never *finished*: its end record,
//! the accounting, or a grace time settles it. Spans of time come in measured, each by one clock.

use std::time::Duration;

use crate::model::job::{JobOutcome, JobState};
use crate::model::task::EndReason;

/// What is stored of a job that has not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownJob {
    /// Its state.
    pub state: JobState,
    /// How long ago the scheduler took it.
    pub queued_ago: Option<Duration>,
    /// For how long valid polls have not listed it, or have listed it as ended without evidence.
    pub missing_for: Option<Duration>,
    /// How many valid polls in a row did not list it.
    pub missing_polls: u32,
    /// Whether we asked the scheduler to end it.
    pub cancel_requested: bool,
    /// The last heartbeat seen.
    pub beat: i64,
    /// How long ago it was first seen.
    pub beat_ago: Option<Duration>,
    /// How far its results are stored.
    pub results_offset: u64,
}

/// What the last poll said of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Sighting {
    /// No believable poll since the last look.
    NotAsked,
    /// A believable poll did not list it.
    NotListed,
    /// It waits in the queue.
    Queued,
    /// It waits for a person.
    Blocked,
    /// It runs.
    Running,
    /// It is stopped.
    Suspended,
    /// It is about to leave.
    Ending,
    /// It is over, the scheduler says.
    Ended(Ending),
}

/// How the scheduler or its accounting says that a job ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// How.
    pub outcome: JobOutcome,
    /// Exit code of the script.
    pub exit_code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
}

/// What the job itself wrote.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// It wrote its start record.
    pub started: bool,
    /// Its last heartbeat.
    pub beat: i64,
    /// Its end record.
    pub end: Option<EndEvidence>,
}

/// The end record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndEvidence {
    /// Why it stopped.
    pub reason: EndReason,
    /// Its exit code.
    pub exit_code: i32,
    /// Bytes of results that must be stored before the job is over; unknown when the script wrote the record.
    pub results_bytes: Option<u64>,
}

/// Grace times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// A job just submitted may not be listed yet.
    pub submit_grace: Duration,
    /// The scheduler says it is over: its end record may still be on the way (attribute caching).
    pub evidence_grace: Duration,
    /// Missing without evidence or accounting for so long, the job is lost.
    pub missing_grace: Duration,
}

/// What the accounting said when it was asked for a missing job.
#[derive(Clone, Debug, PartialEq)]
pub enum Accounting {
    /// It was not asked, cannot be asked, or does not know the job yet.
    Silent,
    /// It knows how the job ended.
    Knows(Ending),
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum JobStep {
    /// Nothing changed.
    Keep,
    /// It has started: its tasks' records run.
    Start,
    /// Another state, the same job.
    Move(JobState),
    /// A believable poll did not list it (again).
    CountMissing,
    /// It is listed again.
    Found(JobState),
    /// It is over; unreported tasks are free.
    End(Ending),
}

/// Judges one job.
pub fn next_step(
    job: &KnownJob,
    sighting: &Sighting,
    evidence: &Evidence,
    accounting: &Accounting,
    patience: Patience,
) -> JobStep {
    if let Some(end) = evidence.end {
        return judge_ended_by_evidence(job, end, (sighting, accounting), patience);
    }
    match sighting {
        Sighting::NotAsked => started_by_evidence(job, evidence),
        Sighting::NotListed => judge_not_listed(job, evidence, accounting, patience),
        Sighting::Ended(ending) => judge_ended_by_scheduler(job, ending, accounting, patience),
        Sighting::Queued => listed(job, evidence, JobState::Queued),
        Sighting::Blocked => listed(job, evidence, JobState::Blocked),
        Sighting::Running => listed(job, evidence, JobState::Running),
        Sighting::Suspended => listed(job, evidence, JobState::Suspended),
        Sighting::Ending => listed(job, evidence, JobState::Ending),
    }
}

/// The end record is there: it says that the job has ended. The job is over once its results are stored, or when the
/// scheduler says so too and the rest of the file does not appear (a file system that lost its tail).
///
/// A runner that was killed knows that it was, and not what for. The scheduler is asked for that, for a while.
fn judge_ended_by_evidence(
    job: &KnownJob,
    end: EndEvidence,
    (sighting, accounting): (&Sighting, &Accounting),
    patience: Patience,
) -> JobStep {
    let waited = |span| job.missing_for.is_some_and(|missing| missing >= span);
    let stored = end.results_bytes.is_none_or(|bytes| job.results_offset >= bytes);
    let said = scheduler_says(sighting, accounting);
    let asks =
        was_killed(end) && !job.cancel_requested && said.is_none_or(|ending| !ending.outcome.names_a_cause());
    // Two polls at least: the books are asked about what the first one did not list.
    let answered = job.missing_polls >= 2 && waited(patience.evidence_grace);
    if (!stored || (asks && !answered)) && !waited(patience.missing_grace) {
        return match (job.missing_for, sighting) {
            (None, _) => JobStep::CountMissing,
            (_, Sighting::NotListed | Sighting::Ended(_)) if asks => JobStep::CountMissing,
            _ => JobStep::Keep,
        };
    }
    JobStep::End(Ending {
        outcome: outcome_of(job, end, said),
        exit_code: Some(end.exit_code),
        signal: said.and_then(|ending| ending.signal),
    })
}

/// What the scheduler or its books say of a job that has ended: the books, where both do.
fn scheduler_says<'a>(sighting: &'a Sighting, accounting: &'a Accounting) -> Option<&'a Ending> {
    match (accounting, sighting) {
        (Accounting::Knows(ending), _) | (Accounting::Silent, Sighting::Ended(ending)) => Some(ending),
        (Accounting::Silent, _) => None,
    }
}

/// Whether somebody else ended the runner. The script that survived it has the code of the signal then.
fn was_killed(end: EndEvidence) -> bool {
    match end.reason {
        EndReason::Signal => true,
        EndReason::Failed => end.exit_code > 128,
        EndReason::Done | EndReason::WalltimeNear | EndReason::NodeUnfit => false,
    }
}

fn outcome_of(job: &KnownJob, end: EndEvidence, said: Option<&Ending>) -> JobOutcome {
    let cause = said.map(|ending| ending.outcome).filter(|outcome| outcome.names_a_cause());
    match (end.reason, job.cancel_requested) {
        (EndReason::Done, _) => JobOutcome::Completed,
        (EndReason::WalltimeNear, _) => JobOutcome::Walltime,
        (_, true) => JobOutcome::Cancelled,
        (EndReason::NodeUnfit, false) => JobOutcome::NodeFailure,
        (EndReason::Signal, false) => cause.unwrap_or(JobOutcome::Cancelled),
        (EndReason::Failed, false) => cause.unwrap_or(JobOutcome::Failed),
    }
}

fn judge_ended_by_scheduler(
    job: &KnownJob,
    ending: &Ending,
    accounting: &Accounting,
    patience: Patience,
) -> JobStep {
    // The listing knows what the script returned; the books may know why.
    let ending = match accounting {
        Accounting::Knows(known) if known.outcome.names_a_cause() => known,
        _ => ending,
    };
    match job.missing_for {
        Some(span) if span >= patience.evidence_grace => JobStep::End(with_our_cancel(job, ending.clone())),
        Some(_) => JobStep::Keep,
        None => JobStep::CountMissing,
    }
}

fn judge_not_listed(
    job: &KnownJob,
    evidence: &Evidence,
    accounting: &Accounting,
    patience: Patience,
) -> JobStep {
    let just_submitted = job.queued_ago.is_some_and(|ago| ago < patience.submit_grace);
    let Some(missing_for) = job.missing_for else {
        return if just_submitted { JobStep::Keep } else { JobStep::CountMissing };
    };
    if let Accounting::Knows(ending) = accounting
        && missing_for >= patience.evidence_grace
    {
        return JobStep::End(with_our_cancel(job, ending.clone()));
    }
    // Two polls, so that one odd answer never ends a job, and the time a slow file system may take.
    // A job that still beats lives, whatever the scheduler leaves out.
    let beats = evidence.beat > job.beat || job.beat_ago.is_some_and(|ago| ago < patience.missing_grace);
    let grace = if job.cancel_requested { patience.evidence_grace } else { patience.missing_grace };
    let settled = job.missing_polls >= 2 && !beats && missing_for >= grace;
    if settled {
        let lost = Ending { outcome: JobOutcome::Lost, exit_code: None, signal: None };
        return JobStep::End(with_our_cancel(job, lost));
    }
    JobStep::CountMissing
}

fn with_our_cancel(job: &KnownJob, ending: Ending) -> Ending {
    // Slurm reports `scancel --batch` as FAILED (peers F45): our own request is the better witness.
    if job.cancel_requested { Ending { outcome: JobOutcome::Cancelled, ..ending } } else { ending }
}

fn started_by_evidence(job: &KnownJob, evidence: &Evidence) -> JobStep {
    let waits = matches!(job.state, JobState::Planned | JobState::Queued | JobState::Blocked);
    if waits && evidence.started && evidence.beat > job.beat { JobStep::Start } else { JobStep::Keep }
}

fn listed(job: &KnownJob, evidence: &Evidence, seen: JobState) -> JobStep {
    if job.missing_for.is_some() {
        return JobStep::Found(seen);
    }
    match (job.state, seen) {
        (state, JobState::Running) if state != JobState::Running => JobStep::Start,
        (_, JobState::Queued | JobState::Blocked) if started_by_evidence(job, evidence) == JobStep::Start => {
            JobStep::Start
        }
        // A poll may be older than the heartbeat: running by evidence stays running while it beats.
        (JobState::Running, JobState::Queued) if evidence.beat > job.beat => JobStep::Keep,
        (state, seen) if state == seen => JobStep::Keep,
        (_, seen) => JobStep::Move(seen),
    }
}

#[cfg(test)]
mod tests;
