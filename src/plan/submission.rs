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
mod tests;
