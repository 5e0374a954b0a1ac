//! How one call of the scheduler's submit command goes on, from what is stored of it. Pure.
//!
//! The rule of the whole project: between an unclear answer and the next call stands a look-up by tag, answered twice
//! with "not known" and far enough apart that a late acceptance would have shown.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::job::SubmissionState;

/// What is stored of a submission that is not settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenSubmission {
    /// Its state.
    pub state: SubmissionState,
    /// When the scheduler was last called.
    pub called_on: Option<Timestamp>,
    /// Look-ups since then that the scheduler answered with "not known".
    pub empty_lookups: u32,
    /// When the last of them was.
    pub empty_lookup_on: Option<Timestamp>,
    /// A clear, transient refusal moved the next call to here.
    pub not_before: Option<Timestamp>,
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

/// Says what to do with `submission` at `now`.
pub fn next_step(
    submission: OpenSubmission,
    client: Client,
    policy: LookupPolicy,
    now: Timestamp,
) -> SubmissionStep {
    match submission.state {
        SubmissionState::Planned => match submission.not_before {
            Some(time) if time > now => SubmissionStep::Wait,
            _ => SubmissionStep::Submit,
        },
        SubmissionState::Submitting | SubmissionState::Unknown => {
            if client == Client::Perhaps && !passed(submission.called_on, policy.client_timeout, now) {
                SubmissionStep::Wait
            } else if submission.empty_lookups >= SURE {
                SubmissionStep::PlanAgain
            } else if submission.empty_lookups == 0 || passed(submission.empty_lookup_on, policy.gap, now) {
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

fn passed(since: Option<Timestamp>, span: Duration, now: Timestamp) -> bool {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    since.is_none_or(|time| now.duration_since(time) >= span)
}

#[cfg(test)]
mod tests {
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
}
