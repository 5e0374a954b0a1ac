//! What a failed attempt costs its task, and what a retry asks for. Pure.

use std::time::Duration;

use crate::model::failure::{EarlierAttempt, FailureClass, RetryDecision, TaskTally};
use crate::model::job::JobOutcome;

/// Limits of retrying, from the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryPolicy {
    /// Attempts that may fail by the task's own fault.
    pub tries: u32,
    /// Attempts that may be lost by jobs, nodes or the site.
    pub losses: u32,
    /// First delay; it doubles with each failure, up to an hour.
    pub delay: Duration,
}

const LONGEST_DELAY: Duration = Duration::from_secs(3600);

/// Decides about a task whose attempt failed with `class`; `tally` is what it had gone through before.
pub fn decide(policy: RetryPolicy, tally: TaskTally, class: FailureClass) -> RetryDecision {
    let (spent, allowed) = match class {
        FailureClass::Input | FailureClass::Convergence => return RetryDecision::Fail,
        FailureClass::Infrastructure => (tally.losses, policy.losses),
        FailureClass::Memory | FailureClass::Walltime | FailureClass::Node | FailureClass::Program => {
            (tally.tries, policy.tries)
        }
    };
    if spent + 1 >= allowed {
        return RetryDecision::Fail;
    }
    let doubled = policy.delay.saturating_mul(1 << spent.min(12));
    RetryDecision::Retry { after: doubled.min(LONGEST_DELAY) }
}

/// Who ended a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndedBy {
    /// We did: nothing was left for it when we asked. What it had taken since is not to blame.
    Us,
    /// Anything else.
    Others,
}

/// The class of failure of the tasks that an ended job did not report; none where they had no part in its end.
///
/// Walltime and memory are the task's own fault only when it had the job for itself; otherwise a neighbour may have
/// spent them.
pub fn class_of_unreported(outcome: JobOutcome, by: EndedBy, tasks_in_job: u32) -> Option<FailureClass> {
    match (outcome, by) {
        (JobOutcome::Cancelled, EndedBy::Us) => None,
        (JobOutcome::Walltime, _) if tasks_in_job == 1 => Some(FailureClass::Walltime),
        (JobOutcome::Memory, _) if tasks_in_job == 1 => Some(FailureClass::Memory),
        _ => Some(FailureClass::Infrastructure),
    }
}

/// How much of a resource a retry asks for: by half more each time, the first try as requested. Where it is known at
/// which amount an earlier attempt of the same record `ran_out`, by half more than that.
pub fn grown(requested: u64, earlier_failures: u32, ran_out: Option<u64>, limit: Option<u64>) -> u64 {
    let more = |amount: u64| amount.saturating_add((amount / 2).max(1));
    let mut amount = requested;
    for _ in 0..earlier_failures.min(16) {
        amount = more(amount);
    }
    let amount = amount.max(ran_out.map_or(0, more));
    limit.map_or(amount, |most| amount.min(most.max(requested)))
}

/// What a record's earlier attempts ran out of: the largest amounts that were not enough.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct RanOut {
    /// Time at which an attempt was stopped.
    pub walltime_seconds: Option<u64>,
    /// Memory that an attempt was given, or held, when it failed for want of it.
    pub memory_bytes: Option<u64>,
}

impl RanOut {
    /// Of these attempts.
    pub fn of(attempts: &[EarlierAttempt]) -> RanOut {
        let failed = |class| attempts.iter().filter(move |attempt| attempt.failure == class);
        let seconds = |attempt: &EarlierAttempt| attempt.wall_seconds.map(|seconds| seconds.max(0.0) as u64);
        let bytes = |attempt: &EarlierAttempt| attempt.memory_bytes.max(attempt.peak_memory_bytes);
        RanOut {
            walltime_seconds: failed(FailureClass::Walltime).filter_map(seconds).max(),
            memory_bytes: failed(FailureClass::Memory).filter_map(bytes).max(),
        }
    }
}

#[cfg(test)]
mod tests;
