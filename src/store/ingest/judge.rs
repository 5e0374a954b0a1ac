//! What to do with each report, given how its record and task stand. Pure; reports are judged in their order, and each
//! sees what those before it did.

use std::collections::{HashMap, HashSet};

use super::prepare::{Body, Prepared, Retry};
use crate::model::failure::{Blame, FailureClass, RetryDecision, TaskTally};
use crate::model::ids::{ChunkId, JobId, RecordId, TaskId};
use crate::model::record::{RecordStatus, RecordType};
use crate::store::release::Decide;

/// A record as it stands.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) record_type: RecordType,
    pub(super) status: RecordStatus,
    /// Its task; none once it is complete.
    pub(super) task: Option<StandingTask>,
}

/// A task as it stands.
#[derive(Clone, Debug)]
pub(super) struct StandingTask {
    pub(super) id: TaskId,
    pub(super) attempt: i32,
    pub(super) tally: TaskTally,
    /// The job that holds it; none also where a job that holds it has not been seen yet.
    pub(super) job_id: Option<JobId>,
    /// The chunk that it lies in.
    pub(super) chunk_id: Option<ChunkId>,
}

impl StandingTask {
    /// Whether a report by `job_id` can be of the current attempt: a chunk may be claimed before anybody sees by whom.
    pub(super) fn held_by(&self, job_id: JobId) -> bool {
        match self.job_id {
            Some(holder) => holder == job_id,
            None => self.chunk_id.is_some(),
        }
    }
}

/// What to do with one report.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Verdict {
    /// Store the answer; the record is complete.
    Complete,
    /// Store the failure and free the task as decided.
    Failed { task_id: TaskId, class: FailureClass, blame: Blame, decision: RetryDecision },
    /// It was stored before.
    Duplicate,
    /// It is of no use any more, for this reason.
    Dropped(&'static str),
}

/// Why a report is dropped whose record was removed since: nothing is told of it, for there is nobody to ask.
pub(super) const NO_RECORD: &str = "there is no such record";

/// Judges the reports of `job_id`.
pub(super) fn judge(
    job_id: JobId,
    prepared: &[Prepared],
    standings: &mut HashMap<RecordId, Standing>,
    settled: &mut HashSet<(RecordId, i32)>,
    decide: Decide<'_>,
) -> Vec<Verdict> {
    let mut verdicts = Vec::with_capacity(prepared.len());
    for report in prepared {
        let verdict = match standings.get_mut(&report.record_id) {
            None => Verdict::Dropped(NO_RECORD),
            Some(standing) => judge_one(job_id, report, standing, settled, decide),
        };
        if matches!(verdict, Verdict::Complete | Verdict::Failed { .. }) {
            settled.insert((report.record_id, report.attempt));
        }
        verdicts.push(verdict);
    }
    verdicts
}

fn judge_one(
    job_id: JobId,
    report: &Prepared,
    standing: &mut Standing,
    settled: &HashSet<(RecordId, i32)>,
    decide: Decide<'_>,
) -> Verdict {
    match standing.status {
        RecordStatus::Complete | RecordStatus::Invalid => return Verdict::Duplicate,
        RecordStatus::Cancelled => return Verdict::Dropped("the record was cancelled"),
        RecordStatus::Deleted => return Verdict::Dropped("the record was deleted"),
        RecordStatus::Waiting | RecordStatus::Running | RecordStatus::Error => {}
    }
    match &report.body {
        // A good result is good whichever attempt brought it. From `error` the way leads through `waiting`.
        Body::Complete(answer) if answer.record_type == standing.record_type => {
            standing.status = RecordStatus::Complete;
            standing.task = None;
            Verdict::Complete
        }
        Body::Complete(_) => Verdict::Dropped("the result is of another type than the record"),
        Body::Error { class, retry, blame, .. } => {
            let current = standing.task.as_mut().filter(|task| {
                task.id == report.task_id && task.attempt == report.attempt && task.held_by(job_id)
            });
            let Some(task) = current else {
                return match settled.contains(&(report.record_id, report.attempt)) {
                    true => Verdict::Duplicate,
                    false => Verdict::Dropped("its task was given back before"),
                };
            };
            let decision = match retry {
                Retry::Ask if *blame == Blame::Node => decide(&task.tally, FailureClass::Infrastructure),
                Retry::Ask => decide(&task.tally, *class),
                Retry::Never => RetryDecision::Fail,
            };
            task.job_id = None;
            task.chunk_id = None;
            standing.status = match decision {
                RetryDecision::Retry { .. } => RecordStatus::Waiting,
                RetryDecision::Fail => RecordStatus::Error,
            };
            Verdict::Failed { task_id: task.id, class: *class, blame: *blame, decision }
        }
    }
}
