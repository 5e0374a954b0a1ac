//! What a failed attempt costs its task, and what a retry asks for. Pure.

use std::time::Duration;

use crate::model::failure::{FailureClass, RetryDecision, TaskTally};
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

/// The class of failure of the tasks that an ended job did not report.
///
/// Walltime and memory are the task's own fault only when it had the job for itself; otherwise a neighbour may have
/// spent them.
pub fn class_of_unreported(outcome: JobOutcome, tasks_in_job: u32) -> FailureClass {
    match outcome {
        JobOutcome::Walltime if tasks_in_job == 1 => FailureClass::Walltime,
        JobOutcome::Memory if tasks_in_job == 1 => FailureClass::Memory,
        _ => FailureClass::Infrastructure,
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

/// One earlier attempt of a record.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct EarlierAttempt {
    /// Why it failed.
    pub failure: FailureClass,
    /// How long it ran.
    pub wall_seconds: Option<f64>,
    /// Memory it was given.
    pub memory_bytes: Option<u64>,
    /// The most that it held.
    pub peak_memory_bytes: Option<u64>,
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: RetryPolicy = RetryPolicy { tries: 3, losses: 20, delay: Duration::from_secs(30) };

    #[test]
    fn a_wrong_request_is_not_tried_again() {
        for class in [FailureClass::Input, FailureClass::Convergence] {
            assert_eq!(decide(POLICY, TaskTally::default(), class), RetryDecision::Fail);
        }
    }

    #[test]
    fn infrastructure_never_spends_the_tasks_own_tries() {
        let worn = TaskTally { tries: 2, losses: 5 };
        assert!(matches!(decide(POLICY, worn, FailureClass::Infrastructure), RetryDecision::Retry { .. }));
        assert_eq!(decide(POLICY, worn, FailureClass::Program), RetryDecision::Fail);
    }

    #[test]
    fn a_crowded_job_is_no_tasks_fault() {
        assert_eq!(class_of_unreported(JobOutcome::Walltime, 1), FailureClass::Walltime);
        assert_eq!(class_of_unreported(JobOutcome::Walltime, 2), FailureClass::Infrastructure);
        for outcome in JobOutcome::ALL {
            assert_eq!(class_of_unreported(outcome, 7), FailureClass::Infrastructure);
        }
    }

    #[test]
    fn a_retry_asks_for_more_than_its_record_ever_ran_out_of() {
        let attempt = |failure, wall_seconds, memory_bytes, peak_memory_bytes| EarlierAttempt {
            failure,
            wall_seconds: Some(wall_seconds),
            memory_bytes: Some(memory_bytes),
            peak_memory_bytes,
        };
        let ran_out = RanOut::of(&[
            attempt(FailureClass::Walltime, 600.4, 1000, Some(900)),
            attempt(FailureClass::Walltime, 300.0, 1000, None),
            attempt(FailureClass::Memory, 9000.0, 1000, Some(1200)),
            attempt(FailureClass::Program, 9999.0, 5000, Some(5000)),
        ]);
        assert_eq!(ran_out, RanOut { walltime_seconds: Some(600), memory_bytes: Some(1200) });
        // The default was lowered since: the count alone would ask for too little.
        assert_eq!(grown(100, 1, None, None), 150);
        assert_eq!(grown(100, 1, ran_out.walltime_seconds, None), 900);
        assert_eq!(grown(100, 1, ran_out.walltime_seconds, Some(700)), 700);
    }

    proptest! {
        #[test]
        fn every_task_comes_to_an_end(classes in prop::collection::vec(0..7usize, 40)) {
            let mut tally = TaskTally::default();
            let mut ended = false;
            for index in classes {
                let class = FailureClass::ALL[index];
                if decide(POLICY, tally, class) == RetryDecision::Fail {
                    ended = true;
                    break;
                }
                match class {
                    FailureClass::Infrastructure => tally.losses += 1,
                    _ => tally.tries += 1,
                }
            }
            prop_assert!(ended, "40 failures must exceed 3 tries and 20 losses");
        }

        #[test]
        fn a_retry_never_asks_for_less_nor_for_more_than_the_pool_has(
            requested in 1u64..1 << 40, failures in 0u32..30, room in 0u64..1 << 40,
            ran_out in prop::option::of(0u64..1 << 41),
        ) {
            let limit = requested + room;
            let amount = grown(requested, failures, ran_out, Some(limit));
            prop_assert!(amount >= requested && amount <= limit);
            prop_assert!(amount == limit || ran_out.is_none_or(|ran_out| amount > ran_out));
        }
    }
}
