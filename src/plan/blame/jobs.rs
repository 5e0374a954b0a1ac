//! What an ended job says of its pool, and how many tasks shared it. Pure.

use crate::model::job::JobOutcome;
use crate::model::task::EndReason;

/// What is known of a job that has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndedJob {
    /// How it ended.
    pub outcome: JobOutcome,
    /// Why its runner stopped, where it said so.
    pub reason: Option<EndReason>,
    /// Whether a runner worked in it.
    pub runner: RunnerSeen,
    /// What it left of results.
    pub results: Results,
    /// Whether Python workers could be started.
    pub python: Python,
}

/// Whether a job's runner could start Python workers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Python {
    /// It could, or never tried.
    NoComplaint,
    /// It could not.
    DoesNotStart,
}

/// How far a job's runner came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunnerSeen {
    /// It never wrote a start record.
    Never,
    /// It started, and had no task when the job ended.
    Idle,
    /// It had tasks when the job ended.
    AtWork,
}

/// Whether a job left results.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Results {
    /// None.
    None,
    /// One at least.
    Some,
}

/// Whether a job did any work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ran {
    /// At least one result.
    Something,
    /// None at all, and it had the chance.
    Nothing,
    /// None, and no fault of its pool: others had the work, it was cancelled, or somebody else ended it while it worked.
    NothingNeeded,
    /// None, because its node is not fit for work.
    NodeUnfit,
}

/// What the job says of its pool.
///
/// A job that was ended from outside while it had tasks (a node that was lost or restarted, a limit, a signal) says
/// nothing: what it had is charged to its tasks, so that it cannot go on like that for ever.
pub fn ran(job: EndedJob) -> Ran {
    match (job.outcome, job.reason, job.runner) {
        _ if job.results == Results::Some => Ran::Something,
        (JobOutcome::Cancelled | JobOutcome::Preempted, _, _) => Ran::NothingNeeded,
        (_, Some(EndReason::Done | EndReason::WalltimeNear), _) => Ran::NothingNeeded,
        (_, Some(EndReason::NodeUnfit), _) => Ran::NodeUnfit,
        // Tasks that need no Python go on: the pool is not closed to them.
        (_, Some(EndReason::Failed), _) if job.python == Python::DoesNotStart => Ran::NothingNeeded,
        (_, Some(EndReason::Failed), _) => Ran::Nothing,
        (_, _, RunnerSeen::AtWork) => Ran::NothingNeeded,
        _ => Ran::Nothing,
    }
}

/// How many tasks may have had a part in the job's end, for what they are charged with. A pilot that ran one task alone
/// when its memory was used up was that task's; its walltime it had spent with others before.
pub fn tasks_that_shared(outcome: JobOutcome, made_for: Option<u32>, running: usize) -> u32 {
    match (made_for, outcome) {
        (Some(tasks), _) => tasks,
        (None, JobOutcome::Memory) if running == 1 => 1,
        (None, _) => u32::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(outcome: JobOutcome, reason: Option<EndReason>, runner: RunnerSeen) -> EndedJob {
        EndedJob { outcome, reason, runner, results: Results::None, python: Python::NoComplaint }
    }

    #[test]
    fn only_a_job_that_had_the_chance_and_ran_nothing_speaks_against_its_pool() {
        use JobOutcome::*;
        use RunnerSeen::{AtWork, Idle, Never};
        let table = [
            // The node's daemon was restarted: the books say 0, the runner said nothing.
            (Completed, None, AtWork, Ran::NothingNeeded),
            (NodeFailure, None, AtWork, Ran::NothingNeeded),
            (Lost, None, AtWork, Ran::NothingNeeded),
            (Memory, Some(EndReason::Signal), AtWork, Ran::NothingNeeded),
            (Completed, Some(EndReason::Done), Idle, Ran::NothingNeeded),
            (Cancelled, None, Never, Ran::NothingNeeded),
            (Preempted, Some(EndReason::Signal), Idle, Ran::NothingNeeded),
            // The script fails before its runner starts; the runner cannot work.
            (Failed, None, Never, Ran::Nothing),
            (Completed, None, Never, Ran::Nothing),
            (NodeFailure, None, Never, Ran::Nothing),
            (Memory, None, Never, Ran::Nothing),
            (Failed, Some(EndReason::Failed), Idle, Ran::Nothing),
            (Failed, Some(EndReason::Failed), AtWork, Ran::Nothing),
            (NodeFailure, Some(EndReason::NodeUnfit), Idle, Ran::NodeUnfit),
            // Again and again with nothing at hand: nobody would be charged.
            (Lost, None, Idle, Ran::Nothing),
        ];
        for (outcome, reason, runner, expected) in table {
            let job = job(outcome, reason, runner);
            assert_eq!(ran(job), expected, "{job:?}");
            assert_eq!(ran(EndedJob { results: Results::Some, ..job }), Ran::Something);
        }
        let without_python =
            EndedJob { python: Python::DoesNotStart, ..job(Failed, Some(EndReason::Failed), Idle) };
        assert_eq!(ran(without_python), Ran::NothingNeeded, "programs that need none go on");
    }

    #[test]
    fn a_pilot_that_ran_one_task_when_its_memory_was_used_up_was_that_tasks() {
        assert_eq!(tasks_that_shared(JobOutcome::Memory, None, 1), 1);
        assert_eq!(tasks_that_shared(JobOutcome::Memory, None, 2), u32::MAX);
        assert_eq!(tasks_that_shared(JobOutcome::Memory, None, 0), u32::MAX);
        assert_eq!(tasks_that_shared(JobOutcome::Walltime, None, 1), u32::MAX);
        assert_eq!(tasks_that_shared(JobOutcome::Walltime, Some(1), 1), 1);
    }
}
