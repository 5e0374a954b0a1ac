//! What the probe job proved, item by item, and what it did not. Pure.

use std::time::Duration;

use super::follow::{Followed, Stopped};
use super::job::EXIT_CODE;
use super::{Report, Trial};
use crate::model::ids::SchedulerJobId;
use crate::model::job::JobOutcome;
use crate::scheduler::{FindAnswer, PostMortemAnswer, Refusal, SchedulerState};

/// A node's clock may be so far off; heartbeats and look-ups by time allow for it.
const SKEW_MAX_SECONDS: f64 = 60.0;

pub(super) const fn refusal(kind: Refusal) -> &'static str {
    match kind {
        Refusal::Limit => "a limit on jobs",
        Refusal::Transient => "for now",
        Refusal::Permanent => "for good",
    }
}

/// A tag must be unknown before its job and known after.
pub(super) fn find_by_tag(report: &mut Report, id: &SchedulerJobId, before: &FindAnswer, after: &FindAnswer) {
    match (before, after) {
        (FindAnswer::NotKnown, FindAnswer::Known(ids)) if ids.as_slice() == std::slice::from_ref(id) => {
            report.proven("find by tag", "not known before the submission, found after it");
        }
        (_, FindAnswer::Known(ids)) if !ids.contains(id) || ids.len() > 1 => {
            report.failed("find by tag", format!("found {ids:?} in place of {id} alone"));
        }
        (FindAnswer::Unanswered { message }, _) | (_, FindAnswer::Unanswered { message }) => {
            report.failed("find by tag", message.clone());
        }
        (_, FindAnswer::NotKnown) => {
            report.failed(
                "find by tag",
                "the submitted job's tag is not known: a lost answer could not be settled",
            );
        }
        (before, FindAnswer::Known(_)) => {
            report.failed("find by tag", format!("before the submission the answer was {before:?}"));
        }
    }
}

/// Whether polls showed the job on its way.
pub(super) fn states(report: &mut Report, followed: &Followed) {
    let mut seen = followed.states.join(", ");
    if followed.left {
        seen.push_str(if seen.is_empty() { "never listed" } else { ", not listed any more" });
    }
    if let Some(complaint) = followed.complaint.as_ref().filter(|_| followed.unanswered > 0) {
        let counts = format!("{} of {} polls gave no answer", followed.unanswered, followed.polls);
        report.failed("poll", format!("{counts}; the last complaint: {complaint}"));
    }
    let unknown = followed.states.iter().find(|state| state.starts_with("unrecognised"));
    if let Some(state) = unknown {
        report.failed("poll", format!("{state}: give it a meaning in the adapter's [states]"));
    } else if followed.states.is_empty() {
        report.failed("poll", format!("the job was never in the listing ({} polls)", followed.polls));
    } else if followed.states.iter().any(|state| state == "running") {
        report.proven("poll", seen);
    } else {
        report.unproven("poll", format!("{seen}; it was never seen running"));
    }
}

/// The job was cancelled because it took too long.
pub(super) fn cancelled(report: &mut Report, followed: &Followed, timeout: Duration) {
    let state = followed.states.iter().rfind(|state| !state.starts_with("ended"));
    let state = state.map_or("never listed", String::as_str);
    let why = match followed.stopped {
        Some(Stopped::Interrupted) => "interrupted".to_owned(),
        _ => format!("it had not ended after {} s", timeout.as_secs()),
    };
    report.failed("job", format!("{why}; before the cancel it was {state}"));
    match &followed.cancelled {
        Some(Ok(())) => report.proven("cancel", "the job was cancelled and left the queue"),
        Some(Err(why)) => report.failed("cancel", why.clone()),
        None => {}
    }
}

/// Whether the books need not be asked again.
pub(super) fn books_are_ready(books: &PostMortemAnswer, id: &SchedulerJobId) -> bool {
    match books {
        PostMortemAnswer::Unavailable => true,
        PostMortemAnswer::Known(jobs) => jobs.get(id).is_some_and(|job| job.outcome().is_some()),
        PostMortemAnswer::Unanswered { .. } => false,
    }
}

/// How the scheduler says that the job ended.
pub(super) fn post_mortem(
    report: &mut Report,
    id: &SchedulerJobId,
    followed: &Followed,
    books: &PostMortemAnswer,
) {
    let wanted = match followed.stopped {
        None => JobOutcome::Failed,
        Some(_) => JobOutcome::Cancelled,
    };
    let judge = |report: &mut Report, who: &'static str, outcome: JobOutcome| {
        let detail = format!("{}, as it should", outcome.as_str());
        match outcome == wanted {
            true => report.proven(who, detail),
            false => report.failed(who, format!("{}, which should be {}", outcome.as_str(), wanted.as_str())),
        }
    };
    match followed.last.as_ref().map(|job| &job.state) {
        Some(SchedulerState::Ended { outcome, .. }) => judge(report, "end by poll", *outcome),
        _ => report.unproven("end by poll", "no poll saw its end: the job had left the listing"),
    }
    match books {
        PostMortemAnswer::Unavailable => {
            report.unproven("post-mortem", "this scheduler keeps no books that can be asked");
        }
        PostMortemAnswer::Unanswered { message } => report.failed("post-mortem", message.clone()),
        PostMortemAnswer::Known(jobs) => match jobs.get(id) {
            None => report.failed("post-mortem", "the books do not know the job"),
            Some(job) => match job.outcome() {
                Some(outcome) => judge(report, "post-mortem", outcome),
                None => report.unproven("post-mortem", format!("the books still say {}", job.state)),
            },
        },
    }
}

/// Whether the exit code came through, from the books or else the last poll.
pub(super) fn exit_code(
    report: &mut Report,
    id: &SchedulerJobId,
    followed: &Followed,
    books: &PostMortemAnswer,
) {
    if followed.stopped.is_some() {
        return report.unproven("exit code", "the job was cancelled");
    }
    let of_books = match books {
        PostMortemAnswer::Known(jobs) => jobs.get(id).and_then(|job| job.exit.code),
        _ => None,
    };
    let code = of_books.or_else(|| followed.last.as_ref().and_then(|job| job.exit.code));
    match code {
        Some(EXIT_CODE) => report.proven("exit code", format!("{EXIT_CODE}, as the job ended")),
        Some(other) => report.failed("exit code", format!("{other}, but the job ended with {EXIT_CODE}")),
        None => report.unproven("exit code", "neither the listing nor the books tell it"),
    }
}

/// What the job wrote from its node.
pub(super) fn node(report: &mut Report, trial: &Trial, id: &SchedulerJobId, followed: &Followed) {
    let Some(marker) = &followed.marker else {
        let spool = trial.spool.root().display();
        if followed.stopped.is_some() {
            return report.unproven("spool", "the job wrote nothing before it was cancelled");
        }
        let log = followed.log.as_deref().map_or_else(
            || "its output is not there either: the nodes probably do not share this directory".to_owned(),
            |log| format!("its output says: {}", log.trim().lines().collect::<Vec<_>>().join("; ")),
        );
        return report.failed("spool", format!("what the job wrote below {spool} is not there; {log}"));
    };
    report.proven(
        "spool",
        format!("{} wrote to {} and it is seen here", marker.hostname, trial.spool.root().display()),
    );
    let ahead = marker.ahead_seconds;
    let side = if ahead < 0.0 { "behind" } else { "ahead of" };
    let clock = format!("the clock of {} is {:.0} s {side} ours", marker.hostname, ahead.abs());
    match ahead.abs() {
        agrees if agrees < 1.5 => {
            report.proven("clock", format!("the clock of {} agrees with ours", marker.hostname))
        }
        some if some <= SKEW_MAX_SECONDS => report.proven("clock", clock),
        _ => report.failed("clock", format!("{clock}; both need to keep the same time (NTP)")),
    }
    match marker.program.starts_with("qcbatch ") {
        true => report.proven("program", format!("{} runs on the node", trial.program.display())),
        false => {
            let detail = format!("{} does not run on the node: {}", trial.program.display(), marker.program);
            report.failed("program", detail);
        }
    }
    match marker.scheduler_job_id.as_str() {
        "" => report.unproven("job id in the job", "the adapter's [script] does not tell it"),
        same if same == id.0 => report.proven("job id in the job", "the same as in the listing"),
        other => {
            report.failed("job id in the job", format!("`{other}` in place of `{id}`; see [script] job_id"))
        }
    }
}
