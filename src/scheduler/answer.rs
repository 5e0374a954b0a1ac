//! What the scheduler answered, in our words. Pure. Each answer keeps "no" and "no answer" apart.

use std::collections::HashMap;
use std::fmt;

use jiff::Timestamp;

use crate::model::ids::SchedulerJobId;
use crate::model::job::JobOutcome;

/// What became of a call of the submit command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SubmitAnswer {
    /// The scheduler took it and gave this id.
    Accepted {
        /// The submission's id; see `Scheduler::element_id` for those of its jobs.
        scheduler_job_id: SchedulerJobId,
    },
    /// The scheduler surely did not take it.
    Refused {
        /// What to do about it.
        kind: Refusal,
        /// The scheduler's words.
        message: String,
    },
    /// The command was not started: this daemon may not act now.
    NotCalled {
        /// Why not.
        message: String,
    },
    /// Nobody knows: time-out, killed client, unreadable id, unknown message. Look the tag up; never call again.
    Unclear {
        /// What is known.
        message: String,
    },
}

/// Why a submission was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// A limit on jobs is reached: stop submitting there until own jobs end.
    Limit,
    /// The scheduler cannot take it now: try again later.
    Transient,
    /// It will never take this.
    Permanent,
}

/// What a look-up by tag found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FindAnswer {
    /// Submissions that carry the tag, oldest first.
    Known(Vec<SchedulerJobId>),
    /// Every look-up that there is answered, and none knows the tag.
    NotKnown,
    /// At least one did not answer.
    Unanswered {
        /// Why not.
        message: String,
    },
}

/// What a poll saw.
#[derive(Clone, PartialEq, Debug)]
pub enum PollAnswer {
    /// The scheduler answered in full. Absence means something only here.
    Valid {
        /// All of the user's jobs by id.
        jobs: HashMap<SchedulerJobId, JobSighting>,
        /// How many of them have not ended: ours and any other, for limits on jobs.
        listed_all_users_jobs: usize,
    },
    /// No answer, or one that is not to be trusted: nothing may change.
    Invalid {
        /// Why.
        message: String,
    },
}

/// One job as a poll saw it.
#[derive(Clone, PartialEq, Debug)]
pub struct JobSighting {
    /// Its state.
    pub state: SchedulerState,
    /// The scheduler's word for why it waits or ended.
    pub reason: Option<String>,
    /// When it began, once it did; the scheduler's clock.
    pub started_on: Option<Timestamp>,
    /// When the scheduler expects it to begin, while it waits.
    pub expected_start_on: Option<Timestamp>,
    /// How its script ended, where the listing tells.
    pub exit: ExitStatus,
    /// Where it runs, where the listing tells.
    pub hostname: Option<String>,
}

/// A job's state as the scheduler sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SchedulerState {
    /// Waits.
    Queued,
    /// Waits for something that time alone does not mend.
    Blocked,
    /// Runs.
    Running,
    /// Stopped, keeps its place.
    Suspended,
    /// Is being cleaned up; not over.
    Ending,
    /// Over.
    Ended {
        /// How.
        outcome: JobOutcome,
        /// Whether that is final.
        sure: Sureness,
    },
    /// A word this adapter does not know: change nothing, keep polling.
    Unrecognised(String),
}

impl fmt::Display for SchedulerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SchedulerState::Queued => f.write_str("queued"),
            SchedulerState::Blocked => f.write_str("blocked"),
            SchedulerState::Running => f.write_str("running"),
            SchedulerState::Suspended => f.write_str("suspended"),
            SchedulerState::Ending => f.write_str("ending"),
            SchedulerState::Ended { outcome, sure: Sureness::Now } => write!(f, "ended {}", outcome.as_str()),
            SchedulerState::Ended { outcome, sure: Sureness::OnceAbsent } => {
                write!(f, "ended {} once absent", outcome.as_str())
            }
            SchedulerState::Unrecognised(word) => write!(f, "unrecognised `{word}`"),
        }
    }
}

/// Whether an end is final.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sureness {
    /// At once.
    Now,
    /// Only when the job stays absent from the listing: the same id may be queued again.
    OnceAbsent,
}

/// How a script ended.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct ExitStatus {
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
}

/// What the scheduler's books say of jobs that left its listing.
#[derive(Clone, PartialEq, Debug)]
pub enum PostMortemAnswer {
    /// What is known; jobs that are not in it are unknown to the books (yet).
    Known(HashMap<SchedulerJobId, PostMortem>),
    /// This scheduler keeps no books: only evidence counts.
    Unavailable,
    /// The books did not answer.
    Unanswered {
        /// Why not.
        message: String,
    },
}

/// One job in the scheduler's books.
#[derive(Clone, PartialEq, Debug)]
pub struct PostMortem {
    /// Its state; books may lag behind and still show it running.
    pub state: SchedulerState,
    /// How its script ended.
    pub exit: ExitStatus,
    /// The scheduler's word for why.
    pub reason: Option<String>,
    /// Where it ran.
    pub hostname: Option<String>,
    /// When it began.
    pub started_on: Option<Timestamp>,
    /// When it ended.
    pub ended_on: Option<Timestamp>,
    /// Most memory that any part of it used, in bytes.
    pub max_memory_bytes: Option<u64>,
}

impl PostMortem {
    /// How it ended, when the books say that it did.
    pub fn outcome(&self) -> Option<JobOutcome> {
        match &self.state {
            SchedulerState::Ended { outcome, .. } => Some(*outcome),
            _ => None,
        }
    }
}

/// Limits on the user's jobs.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct JobLimits {
    /// Most jobs queued or running.
    pub submitted_max: Option<u32>,
    /// Most jobs running.
    pub running_max: Option<u32>,
}
