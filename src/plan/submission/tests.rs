//! The promises of `plan::submission`.

use proptest::prelude::*;

use super::*;

const POLICY: LookupPolicy =
    LookupPolicy { gap: Duration::from_secs(30), client_timeout: Duration::from_secs(120) };

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn unknown(empty_lookups: u32, last: Option<i64>) -> OpenSubmission {
    OpenSubmission {
        state: SubmissionState::Unknown,
        called_on: Some(at(0)),
        empty_lookups,
        empty_lookup_on: last.map(at),
        not_before: None,
    }
}

#[test]
fn one_empty_lookup_is_not_enough() {
    assert_eq!(next_step(unknown(1, Some(5)), Client::Gone, POLICY, at(20)), SubmissionStep::Wait);
    assert_eq!(next_step(unknown(1, Some(5)), Client::Gone, POLICY, at(35)), SubmissionStep::LookUp);
    assert_eq!(next_step(unknown(2, Some(35)), Client::Gone, POLICY, at(36)), SubmissionStep::PlanAgain);
}

#[test]
fn a_client_that_may_still_run_is_waited_for() {
    assert_eq!(next_step(unknown(0, None), Client::Perhaps, POLICY, at(100)), SubmissionStep::Wait);
    assert_eq!(next_step(unknown(0, None), Client::Perhaps, POLICY, at(120)), SubmissionStep::LookUp);
}

proptest! {
    #[test]
    fn nothing_is_called_from_doubt(lookups in 0u32..5, last in 0i64..1000, now in 0i64..2000, gone: bool) {
        let client = if gone { Client::Gone } else { Client::Perhaps };
        for state in [SubmissionState::Submitting, SubmissionState::Unknown] {
            let submission = OpenSubmission { state, ..unknown(lookups, Some(last)) };
            let step = next_step(submission, client, POLICY, at(now));
            prop_assert_ne!(step, SubmissionStep::Submit);
            if lookups < 2 {
                prop_assert_ne!(step, SubmissionStep::PlanAgain);
            }
        }
    }
}
