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

/// How much more of a resource a retry asks for: by half each time, the first try as requested.
pub fn grown(requested: u64, earlier_failures: u32, limit: Option<u64>) -> u64 {
    let mut amount = requested;
    for _ in 0..earlier_failures.min(16) {
        amount = amount.saturating_add(amount / 2);
    }
    limit.map_or(amount, |most| amount.min(most.max(requested)))
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
        ) {
            let limit = requested + room;
            let amount = grown(requested, failures, Some(limit));
            prop_assert!(amount >= requested && amount <= limit);
        }
    }
}
