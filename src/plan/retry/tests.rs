//! The promises of `plan::retry`.

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
    let class = |outcome, tasks| class_of_unreported(outcome, EndedBy::Others, tasks).unwrap();
    assert_eq!(class(JobOutcome::Walltime, 1), FailureClass::Walltime);
    assert_eq!(class(JobOutcome::Walltime, 2), FailureClass::Infrastructure);
    for outcome in JobOutcome::ALL {
        assert_eq!(class(outcome, 7), FailureClass::Infrastructure);
        let by_us = class_of_unreported(outcome, EndedBy::Us, 7);
        assert_eq!(by_us.is_none(), outcome == JobOutcome::Cancelled, "{outcome:?}");
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
