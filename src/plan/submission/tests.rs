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
        rechecks: 0,
        rechecked_ago: None,
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

#[test]
fn a_tag_that_was_called_in_doubt_is_looked_up_again_after_it_was_accepted() {
    let accepted = |rechecks, ago| OpenSubmission {
        state: SubmissionState::Accepted,
        rechecks,
        rechecked_ago: Some(Duration::from_secs(ago)),
        ..unknown(0, None, 0)
    };
    let step = |submission| next_step(submission, Client::Gone, POLICY);
    assert_eq!(step(accepted(0, 10_000)), SubmissionStep::Wait);
    assert_eq!(step(accepted(2, 29)), SubmissionStep::Wait);
    assert_eq!(step(accepted(2, 30)), SubmissionStep::LookForCopies);
    assert_eq!(step(accepted(1, 119)), SubmissionStep::Wait);
    assert_eq!(step(accepted(1, 120)), SubmissionStep::LookForCopies);
}

#[test]
fn of_several_jobs_of_a_tag_the_one_that_has_begun_stays() {
    let sorted = |found: &[u32], begun: &[u32], known: Option<u32>| {
        sort_copies(found, begun, known.as_ref()).map(|sorted| (sorted.kept, sorted.cancelled))
    };
    assert_eq!(sorted(&[], &[], Some(7)), None);
    assert_eq!(sorted(&[7], &[], Some(7)), Some((7, vec![])));
    assert_eq!(sorted(&[7, 8, 9], &[], None), Some((7, vec![8, 9])), "the oldest");
    assert_eq!(sorted(&[7, 8, 9], &[], Some(8)), Some((8, vec![7, 9])), "the one that is known");
    assert_eq!(sorted(&[7, 8, 9], &[9], Some(8)), Some((9, vec![7, 8])), "the one that has begun");
    assert_eq!(sorted(&[7, 8], &[5], Some(6)), Some((7, vec![8])), "what is gone keeps nobody");
    assert_eq!(sorted(&[7, 8, 9], &[7, 9], Some(8)), Some((7, vec![8])), "nobody who works is cancelled");
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
