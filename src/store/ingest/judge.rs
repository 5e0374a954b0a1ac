//! What to do with each report, given how its record and task stand. Pure; reports are judged in their order, and each
//! sees what those before it did.

use std::collections::{HashMap, HashSet};

use super::prepare::{Body, Prepared, Retry};
use crate::model::failure::{Blame, FailureClass, RetryDecision, TaskTally};
use crate::model::identity::{
    CalculationHash, Holding, Known, Lineage, Misfit, Origin, check_source, check_task,
};
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
    /// What its record asks, where that was stored.
    pub(super) calculation: Option<CalculationHash>,
}

impl StandingTask {
    /// Whether a report by `job_id` can be of the current attempt: a chunk may be claimed before anybody sees by whom.
    pub(super) fn held_by(&self, job_id: JobId) -> bool {
        match self.job_id {
            Some(holder) => holder == job_id,
            None => self.chunk_id.is_some(),
        }
    }

    /// The same for the comparison with what a report of `job_id` says.
    pub(super) fn known(&self, job_id: JobId) -> Known {
        Known {
            task_id: self.id,
            attempt: u32::try_from(self.attempt).ok(),
            calculation: self.calculation,
            holding: match self.held_by(job_id) {
                true => Holding::ThisJob,
                false if self.job_id.is_some() => Holding::OtherJob,
                false => Holding::Nobody,
            },
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
    /// It fits no task: a person may look at it.
    Aside(Misfit),
}

/// Why a report is dropped whose record was removed since: nothing is told of it, for there is nobody to ask.
pub(super) const NO_RECORD: &str = "there is no such record";

/// What reports are judged by.
#[derive(Clone, Copy)]
pub(super) struct Court<'a> {
    /// The job in whose results they lie.
    pub(super) job_id: JobId,
    /// Who the database is.
    pub(super) lineage: &'a Lineage,
    /// Whether a failed task is tried again.
    pub(super) decide: Decide<'a>,
}

/// Judges the reports of a job.
pub(super) fn judge(
    court: Court<'_>,
    prepared: &[Prepared],
    standings: &mut HashMap<RecordId, Standing>,
    settled: &mut HashSet<(RecordId, i32)>,
) -> Vec<Verdict> {
    let mut verdicts = Vec::with_capacity(prepared.len());
    for report in prepared {
        let standing = standings.get_mut(&report.record_id);
        let verdict = judge_one(court, report, standing, settled).unwrap_or_else(Verdict::Aside);
        if matches!(verdict, Verdict::Complete | Verdict::Failed { .. }) {
            settled.insert((report.record_id, report.attempt));
        }
        verdicts.push(verdict);
    }
    verdicts
}

fn judge_one(
    court: Court<'_>,
    report: &Prepared,
    standing: Option<&mut Standing>,
    settled: &HashSet<(RecordId, i32)>,
) -> Result<Verdict, Misfit> {
    let origin = check_source(&report.said, court.job_id, court.lineage)?;
    let Some(standing) = standing else {
        return match origin {
            Origin::Current => Ok(Verdict::Dropped(NO_RECORD)),
            _ => Err(Misfit::NoRecord),
        };
    };
    match standing.status {
        RecordStatus::Complete | RecordStatus::Invalid => return Ok(Verdict::Duplicate),
        RecordStatus::Cancelled => return Ok(Verdict::Dropped("the record was cancelled")),
        RecordStatus::Deleted => return Ok(Verdict::Dropped("the record was deleted")),
        RecordStatus::Waiting | RecordStatus::Running | RecordStatus::Error => {}
    }
    let task = standing.task.as_mut().ok_or(Misfit::OtherTask)?;
    let fits = check_task(&report.said, &task.known(court.job_id));
    match &report.body {
        // A good result is good whichever attempt brought it.
        Body::Complete(answer) => {
            fits?;
            if answer.record_type != standing.record_type {
                return Err(Misfit::OtherType);
            }
            standing.status = RecordStatus::Complete;
            standing.task = None;
            Ok(Verdict::Complete)
        }
        Body::Error { class, retry, blame, .. } => {
            match fits {
                // What is known of the attempt says nothing against it; who holds it is asked below.
                Ok(()) | Err(Misfit::Unidentified) => {}
                Err(misfit) => return Err(misfit),
            }
            if task.attempt != report.attempt || !task.held_by(court.job_id) {
                return Ok(match settled.contains(&(report.record_id, report.attempt)) {
                    true => Verdict::Duplicate,
                    false => Verdict::Dropped("its task was given back before"),
                });
            }
            let decision = match retry {
                Retry::Ask if *blame == Blame::Node => {
                    (court.decide)(&task.tally, FailureClass::Infrastructure)
                }
                Retry::Ask => (court.decide)(&task.tally, *class),
                Retry::Never => RetryDecision::Fail,
            };
            task.job_id = None;
            task.chunk_id = None;
            standing.status = match decision {
                RetryDecision::Retry { .. } => RecordStatus::Waiting,
                RetryDecision::Fail => RecordStatus::Error,
            };
            Ok(Verdict::Failed { task_id: task.id, class: *class, blame: *blame, decision })
        }
    }
}
