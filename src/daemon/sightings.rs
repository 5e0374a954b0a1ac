//! What a cluster's last poll says of its jobs, in the words of `plan::job`, and whether it can be believed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::clusters::{Cluster, Snapshot};
use crate::model::ids::SchedulerJobId;
use crate::model::job::JobState;
use crate::plan::job::{Accounting, Ending, Sighting};
use crate::plan::poll::{self, Belief, Coverage};
use crate::scheduler::{JobSighting, PostMortemAnswer, SchedulerState, Sureness};
use crate::store::job::JobRow;

/// What is remembered of a cluster's polls.
#[derive(Default)]
pub struct Polls {
    /// The last poll that conclusions were drawn from.
    used: Option<Instant>,
    /// Jobs that the last answer lost, where it was not believed.
    doubted: usize,
}

/// A poll that conclusions are to be drawn from.
#[derive(Clone)]
pub struct Polled {
    /// The answer.
    pub snapshot: Arc<Snapshot>,
    /// Whether what it leaves out is gone.
    pub belief: Belief,
}

impl Polls {
    /// The cluster's last poll, once; `jobs` are ours there.
    pub fn next(&mut self, cluster: &Cluster, jobs: &[JobRow]) -> Option<Polled> {
        let snapshot = cluster.snapshot()?;
        if self.used.replace(snapshot.asked) == Some(snapshot.asked) {
            return None;
        }
        let belief = self.believe(cluster, &snapshot, jobs);
        Some(Polled { snapshot, belief })
    }

    fn believe(&mut self, cluster: &Cluster, snapshot: &Snapshot, jobs: &[JobRow]) -> Belief {
        let listed_before = jobs.iter().filter(|job| {
            job.missing_for.is_none()
                && matches!(job.state, JobState::Queued | JobState::Running | JobState::Blocked)
        });
        let ids = listed_before.filter_map(|job| job.scheduler_job_id.as_ref());
        let coverage = coverage(ids, snapshot);
        let belief = poll::judge(coverage, self.doubted);
        self.doubted = match belief {
            Belief::Doubtful => {
                tracing::warn!(cluster = %cluster.name, ?coverage, "a poll lost many jobs at once: waiting for a second one");
                coverage.absent
            }
            Belief::Whole => 0,
        };
        belief
    }
}

/// How many of these jobs an answer lists. A job that was accepted after the scheduler was asked cannot be in it.
fn coverage<'a>(ids: impl Iterator<Item = &'a SchedulerJobId>, snapshot: &Snapshot) -> Coverage {
    let mut coverage = Coverage { expected: 0, absent: 0 };
    for id in ids.filter(|id| snapshot.asked_about.contains(id)) {
        coverage.expected += 1;
        coverage.absent += usize::from(!snapshot.jobs.contains_key(id));
    }
    coverage
}

/// What was said of one job.
pub struct Seen {
    /// By the last poll.
    pub sighting: Sighting,
    /// The scheduler's word for why, where it is news.
    pub reason: Option<String>,
    /// By the accounting.
    pub accounting: Accounting,
    /// Whether the poll is a new one.
    pub poll: Poll,
}

/// Whether a sighting may be counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Poll {
    /// It is from a poll that no conclusion was drawn from before.
    New,
    /// There was none, or it is repeated because the accounting has answered since.
    Old,
}

impl Seen {
    /// Nothing: evidence alone counts.
    pub fn nothing() -> Seen {
        Seen { sighting: Sighting::NotAsked, reason: None, accounting: Accounting::Silent, poll: Poll::Old }
    }

    /// What is known of `job`.
    pub fn of(job: &JobRow, polled: Option<&Polled>, accounts: &HashMap<SchedulerJobId, Ending>) -> Seen {
        let known = job.scheduler_job_id.as_ref().and_then(|id| accounts.get(id));
        let unpolled = match known {
            Some(_) if job.missing_for.is_some() => Sighting::NotListed,
            _ => Sighting::NotAsked,
        };
        Seen {
            sighting: polled.map_or(unpolled, |polled| sighting_of(job, polled)),
            reason: polled.and_then(|polled| reason_of(job, &polled.snapshot)),
            accounting: known.map_or(Accounting::Silent, |ending| Accounting::Knows(ending.clone())),
            poll: if polled.is_some() { Poll::New } else { Poll::Old },
        }
    }
}

fn sighting_of(job: &JobRow, Polled { snapshot, belief }: &Polled) -> Sighting {
    let listed = job.scheduler_job_id.as_ref().and_then(|id| snapshot.jobs.get(id));
    match (listed, belief) {
        (Some(sighting), _) => in_plans_words(sighting),
        (None, Belief::Doubtful) => Sighting::NotAsked,
        // Absence means something only in an answer to a question asked after the job was accepted. Two spans are compared
        // that end now, each measured by one clock.
        (None, Belief::Whole)
            if !was_asked_about(job, snapshot)
                || job.queued_ago.is_some_and(|ago| ago < snapshot.asked.elapsed()) =>
        {
            Sighting::NotAsked
        }
        (None, Belief::Whole) => Sighting::NotListed,
    }
}

fn was_asked_about(job: &JobRow, snapshot: &Snapshot) -> bool {
    job.scheduler_job_id.as_ref().is_some_and(|id| snapshot.asked_about.contains(id))
}

fn reason_of(job: &JobRow, snapshot: &Snapshot) -> Option<String> {
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

/// Jobs that a believed poll does not list and that are missing: those that the accounting is asked about.
pub fn missing(polled: &Polled, jobs: &[JobRow]) -> Vec<SchedulerJobId> {
    if polled.belief != Belief::Whole {
        return Vec::new();
    }
    let mut ids: Vec<SchedulerJobId> = jobs
        .iter()
        .filter(|job| job.missing_for.is_some())
        .filter_map(|job| job.scheduler_job_id.clone())
        .filter(|id| !polled.snapshot.jobs.contains_key(id))
        .collect();
    ids.sort();
    ids.dedup();
    ids
}

/// Asks the accounting about jobs, all in one call.
pub async fn post_mortem(cluster: &Cluster, ids: &[SchedulerJobId]) -> HashMap<SchedulerJobId, Ending> {
    match cluster.scheduler.post_mortem(ids).await {
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn ids(names: std::ops::Range<u32>) -> Vec<SchedulerJobId> {
        names.map(|name| SchedulerJobId(name.to_string())).collect()
    }

    #[test]
    fn jobs_accepted_after_a_poll_began_are_not_lost_by_it() {
        let known: HashSet<SchedulerJobId> = ids(0..2).into_iter().collect();
        let snapshot = Snapshot {
            asked: std::time::Instant::now(),
            taken_on: jiff::Timestamp::UNIX_EPOCH,
            jobs: HashMap::new(),
            users_jobs: 0,
            asked_about: Arc::new(known),
        };
        // Nine more were accepted while the scheduler was making its answer.
        let live = ids(0..11);
        let seen = coverage(live.iter(), &snapshot);
        assert_eq!(seen, Coverage { expected: 2, absent: 2 });
        assert_eq!(poll::judge(seen, 0), Belief::Whole);
    }
}
