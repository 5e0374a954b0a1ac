//! Submissions and jobs: their states and the only legal ways from one to the next. Pure.
//!
//! A *submission* is one call of the scheduler's submit command and carries a tag; a *job* is what the scheduler then
//! lists: the single job of the call, or one element of its array.

use serde::{Deserialize, Serialize};

/// How far one call of the submit command has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubmissionState {
    /// Stored with its tasks; the scheduler has surely not been called.
    Planned,
    /// Committed just before the call: from here on the scheduler may know the tag.
    Submitting,
    /// The call's answer was lost or unclear. Only a look-up by tag leads out.
    Unknown,
    /// The scheduler's id is stored.
    Accepted,
    /// The scheduler refused for good; its tasks are free again.
    Rejected,
    /// Withdrawn before the scheduler was called.
    Withdrawn,
}

impl SubmissionState {
    /// Every state.
    pub const ALL: [SubmissionState; 6] = [
        SubmissionState::Planned,
        SubmissionState::Submitting,
        SubmissionState::Unknown,
        SubmissionState::Accepted,
        SubmissionState::Rejected,
        SubmissionState::Withdrawn,
    ];

    /// The word used in SQL, JSON and the CLI.
    pub const fn as_str(self) -> &'static str {
        match self {
            SubmissionState::Planned => "planned",
            SubmissionState::Submitting => "submitting",
            SubmissionState::Unknown => "unknown",
            SubmissionState::Accepted => "accepted",
            SubmissionState::Rejected => "rejected",
            SubmissionState::Withdrawn => "withdrawn",
        }
    }

    /// The state that `word` names.
    pub fn parse(word: &str) -> Option<SubmissionState> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether a submission may go from `self` to `next`.
    ///
    /// `planned → accepted` is adoption of a job that came late and was seen by what it wrote. `submitting → planned` is a clear, transient refusal; `unknown → planned` needs the scheduler's word, twice, that
    /// it does not know the tag. Nothing leads from `submitting` or `unknown` to `submitting` directly.
    pub fn may_become(self, next: SubmissionState) -> bool {
        use SubmissionState::*;
        matches!(
            (self, next),
            (Planned, Submitting | Rejected | Withdrawn | Accepted)
                | (Submitting, Accepted | Unknown | Rejected | Planned)
                | (Unknown, Accepted | Planned)
        )
    }
}

/// What we know of one job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Its submission has not been accepted yet.
    Planned,
    /// Waits in the scheduler's queue.
    Queued,
    /// Waits for a reason that time alone does not mend (held, impossible request): a person must look.
    Blocked,
    /// Runs.
    Running,
    /// Stopped by the scheduler, keeps its place.
    Suspended,
    /// The scheduler says it ended; its own evidence is awaited.
    Ending,
    /// A valid poll did not list it. Evidence, accounting or the grace time settles it.
    Missing,
    /// Over; `JobOutcome` says how. Its unfinished tasks are free.
    Ended,
}

impl JobState {
    /// Every state.
    pub const ALL: [JobState; 8] = [
        JobState::Planned,
        JobState::Queued,
        JobState::Blocked,
        JobState::Running,
        JobState::Suspended,
        JobState::Ending,
        JobState::Missing,
        JobState::Ended,
    ];

    /// The word used in SQL, JSON and the CLI.
    pub const fn as_str(self) -> &'static str {
        match self {
            JobState::Planned => "planned",
            JobState::Queued => "queued",
            JobState::Blocked => "blocked",
            JobState::Running => "running",
            JobState::Suspended => "suspended",
            JobState::Ending => "ending",
            JobState::Missing => "missing",
            JobState::Ended => "ended",
        }
    }

    /// The state that `word` names.
    pub fn parse(word: &str) -> Option<JobState> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether a job may go from `self` to `next`. `Ended` is final; a requeued job goes back to `Queued`.
    pub fn may_become(self, next: JobState) -> bool {
        use JobState::*;
        match (self, next) {
            (Ended, _) | (_, Planned) => false,
            (Planned, Queued | Running | Ended | Blocked | Missing | Ending | Suspended) => true,
            (from, to) => from != to,
        }
    }
}

/// How a job ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobOutcome {
    /// The node runner wrote its end record.
    Completed,
    /// The script or the runner failed.
    Failed,
    /// Cancelled by us, the user or an admin.
    Cancelled,
    /// Killed at its walltime.
    Walltime,
    /// Killed for its memory.
    Memory,
    /// The node died or the job could not be launched on it.
    NodeFailure,
    /// Taken off by the scheduler for another job.
    Preempted,
    /// Nobody knows it any more and it left no evidence.
    Lost,
    /// The scheduler never took it.
    NeverSubmitted,
}

impl JobOutcome {
    /// Every outcome.
    pub const ALL: [JobOutcome; 9] = [
        JobOutcome::Completed,
        JobOutcome::Failed,
        JobOutcome::Cancelled,
        JobOutcome::Walltime,
        JobOutcome::Memory,
        JobOutcome::NodeFailure,
        JobOutcome::Preempted,
        JobOutcome::Lost,
        JobOutcome::NeverSubmitted,
    ];

    /// The word used in SQL, JSON, adapters and the CLI.
    pub const fn as_str(self) -> &'static str {
        match self {
            JobOutcome::Completed => "completed",
            JobOutcome::Failed => "failed",
            JobOutcome::Cancelled => "cancelled",
            JobOutcome::Walltime => "walltime",
            JobOutcome::Memory => "memory",
            JobOutcome::NodeFailure => "node_failure",
            JobOutcome::Preempted => "preempted",
            JobOutcome::Lost => "lost",
            JobOutcome::NeverSubmitted => "never_submitted",
        }
    }

    /// Whether it names a cause. What a killed script returned names none, and "lost" is no answer.
    pub const fn names_a_cause(self) -> bool {
        match self {
            JobOutcome::Walltime
            | JobOutcome::Memory
            | JobOutcome::NodeFailure
            | JobOutcome::Preempted
            | JobOutcome::Cancelled => true,
            JobOutcome::Completed | JobOutcome::Failed | JobOutcome::Lost | JobOutcome::NeverSubmitted => {
                false
            }
        }
    }

    /// The outcome that `word` names.
    pub fn parse(word: &str) -> Option<JobOutcome> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unclear_answer_never_leads_straight_to_a_second_call() {
        use SubmissionState::*;
        assert!(!Submitting.may_become(Submitting));
        assert!(!Unknown.may_become(Submitting));
        assert!(!Unknown.may_become(Rejected));
    }

    #[test]
    fn an_ended_job_stays_ended() {
        for next in JobState::ALL {
            assert!(!JobState::Ended.may_become(next));
        }
    }

    #[test]
    fn words_and_values_are_one_to_one() {
        for state in SubmissionState::ALL {
            assert_eq!(SubmissionState::parse(state.as_str()), Some(state));
        }
        for state in JobState::ALL {
            assert_eq!(JobState::parse(state.as_str()), Some(state));
        }
        for outcome in JobOutcome::ALL {
            assert_eq!(JobOutcome::parse(outcome.as_str()), Some(outcome));
        }
    }
}
