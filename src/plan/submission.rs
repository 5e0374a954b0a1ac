//! How one call of the scheduler's submit command goes on, from what is stored of it. Pure.
//!
//! The rule of the whole project: between an unclear answer and the next call stands a look-up by tag, answered twice
//! with "not known" and far enough apart that a late acceptance would have shown.
//!
//! Spans of time come in measured, each by one clock. No two clocks are compared here.

use std::time::Duration;

use crate::model::job::SubmissionState;

/// What is stored of a submission that is not settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenSubmission {
    /// Its state.
    pub state: SubmissionState,
    /// How long ago the scheduler was last called.
    pub called_ago: Option<Duration>,
    /// Look-ups since then that the scheduler answered with "not known".
    pub empty_lookups: u32,
    /// How long ago the last of them was.
    pub empty_lookup_ago: Option<Duration>,
    /// How much longer a clear, transient refusal puts the next call off.
    pub wait: Option<Duration>,
}

/// Whether the client process that called the scheduler can still be at work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Client {
    /// It was on this host and is gone.
    Gone,
    /// It may run on another host, or runs here.
    Perhaps,
}

/// Times of looking up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LookupPolicy {
    /// Two empty look-ups must be at least this far apart.
    pub gap: Duration,
    /// A client that may still run has given up after this.
    pub client_timeout: Duration,
}

/// The next step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SubmissionStep {
    /// Stage its files (again) and call the scheduler.
    Submit,
    /// Ask the scheduler for the tag.
    LookUp,
    /// The scheduler surely does not know it: back to `planned`.
    PlanAgain,
    /// Nothing yet.
    Wait,
}

/// Empty look-ups that make sure.
const SURE: u32 = 2;

/// No refusal puts a call off for longer. A wait that is longer was set by a clock that was wrong.
pub const LONGEST_WAIT: Duration = Duration::from_secs(2 * 3600);

/// Says what to do with `submission`.
pub fn next_step(submission: OpenSubmission, client: Client, policy: LookupPolicy) -> SubmissionStep {
    match submission.state {
        SubmissionState::Planned => match submission.wait {
            Some(wait) if !wait.is_zero() && wait <= LONGEST_WAIT => SubmissionStep::Wait,
            _ => SubmissionStep::Submit,
        },
        SubmissionState::Submitting | SubmissionState::Unknown => {
            if client == Client::Perhaps && !passed(submission.called_ago, policy.client_timeout) {
                SubmissionStep::Wait
            } else if submission.empty_lookups >= SURE {
                SubmissionStep::PlanAgain
            } else if submission.empty_lookups == 0 || passed(submission.empty_lookup_ago, policy.gap) {
                SubmissionStep::LookUp
            } else {
                SubmissionStep::Wait
            }
        }
        SubmissionState::Accepted | SubmissionState::Rejected | SubmissionState::Withdrawn => {
            SubmissionStep::Wait
        }
    }
}

fn passed(ago: Option<Duration>, span: Duration) -> bool {
    ago.is_none_or(|ago| ago >= span)
}

/// A scheduler that takes longer over one submission holds up the other pools of its cluster.
const SLOW: Duration = Duration::from_secs(10);

/// How quickly a pool's last submission went.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Pace {
    /// As it should, or there was none.
    #[default]
    Quick,
    /// The scheduler took its time.
    Slow,
}

impl Pace {
    /// The pace of a submission that took so long.
    pub fn of(took: Duration) -> Pace {
        if took >= SLOW { Pace::Slow } else { Pace::Quick }
    }
}

/// Sorts open submissions: pools that hold others up go last, and doubts go first, because their tasks' slots are taken
/// until they are settled. After a slow one the order is made anew, so that each pool waits for one slow call at most.
pub fn turn(state: SubmissionState, pace: Pace) -> impl Ord {
    (pace, state == SubmissionState::Planned)
}

#[cfg(test)]
mod tests;
