//! The promises of `plan::submission`.

use proptest::prelude::*;

use super::*;

const POLICY: LookupPolicy =
    LookupPolicy { gap: Duration::from_secs(30), client_timeout: Duration::from_secs(120) };

/// `last` and `now` count seconds from the call on.
fn unknown(empty_lookups: u32, last: Option<u64>, now: u64) -> OpenSubmission {
    OpenSubmission {
        state: SubmissionState::Unknown,
        called_ago: Some(Duration::from_secs(now)),
        empty_lookups,
        empty_lookup_ago: last.map(|last| Duration::from_secs(now.saturating_sub(last))),
        wait: None,
    }
}

#[test]
fn one_empty_lookup_is_not_enough() {
    assert_eq!(next_step(unknown(1, Some(5), 20), Client::Gone, POLICY), SubmissionStep::Wait);
    assert_eq!(next_step(unknown(1, Some(5), 35), Client::Gone, POLICY), SubmissionStep::LookUp);
    assert_eq!(next_step(unknown(2, Some(35), 36), Client::Gone, POLICY), SubmissionStep::PlanAgain);
}

#[test]
fn a_client_that_may_still_run_is_waited_for() {
    assert_eq!(next_step(unknown(0, None, 100), Client::Perhaps, POLICY), SubmissionStep::Wait);
    assert_eq!(next_step(unknown(0, None, 120), Client::Perhaps, POLICY), SubmissionStep::LookUp);
}

#[test]
fn a_wait_that_no_refusal_can_have_set_is_not_waited_for() {
    let put_off = |seconds| OpenSubmission {
        state: SubmissionState::Planned,
        wait: Some(Duration::from_secs(seconds)),
        ..unknown(0, None, 0)
    };
    assert_eq!(next_step(put_off(7200), Client::Gone, POLICY), SubmissionStep::Wait);
    assert_eq!(next_step(put_off(0), Client::Gone, POLICY), SubmissionStep::Submit);
    assert_eq!(next_step(put_off(24 * 3600), Client::Gone, POLICY), SubmissionStep::Submit);
}

proptest! {
    #[test]
    fn nothing_is_called_from_doubt(lookups in 0u32..5, last in 0u64..1000, now in 0u64..2000, gone: bool) {
        let client = if gone { Client::Gone } else { Client::Perhaps };
        for state in [SubmissionState::Submitting, SubmissionState::Unknown] {
            let submission = OpenSubmission { state, ..unknown(lookups, Some(last), now) };
            let step = next_step(submission, client, POLICY);
            prop_assert_ne!(step, SubmissionStep::Submit);
            if lookups < 2 {
                prop_assert_ne!(step, SubmissionStep::PlanAgain);
            }
        }
    }
}

#[test]
fn pools_that_hold_others_up_go_last_and_doubts_first() {
    use SubmissionState::{Planned, Unknown};
    let mut open = [
        ("a", Planned, Pace::Slow),
        ("b", Unknown, Pace::Slow),
        ("c", Planned, Pace::Quick),
        ("d", Unknown, Pace::Quick),
        ("e", Planned, Pace::Quick),
    ];
    open.sort_by_key(|(_, state, pace)| turn(*state, *pace));
    assert_eq!(open.map(|(name, ..)| name), ["d", "c", "e", "b", "a"]);
    assert_eq!(Pace::of(Duration::from_secs(9)), Pace::Quick);
    assert_eq!(Pace::of(Duration::from_secs(60)), Pace::Slow);
}
