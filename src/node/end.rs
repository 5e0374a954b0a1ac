//! Why the runner stopped and what its exit code says. Pure.

use crate::model::task::{EndReason, ExitRule};

/// The runner did its work.
pub const EXIT_SUCCESS: i32 = 0;
/// Under `ExitRule::Tasks`: not every task of the chunk completed.
pub const EXIT_TASKS_INCOMPLETE: i32 = 1;
/// The runner could not work (`EX_SOFTWARE` of sysexits.h: no shell or scheduler uses it for itself).
pub const EXIT_FAILED: i32 = 70;

/// The exit code of a runner that stopped for `reason` when `complete` of its `tasks` had a result.
pub fn exit_code(rule: ExitRule, reason: EndReason, complete: u64, tasks: u32) -> i32 {
    match (reason, rule) {
        (EndReason::Failed, _) => EXIT_FAILED,
        (_, ExitRule::Runner) => EXIT_SUCCESS,
        (_, ExitRule::Tasks) if complete >= u64::from(tasks) => EXIT_SUCCESS,
        (_, ExitRule::Tasks) => EXIT_TASKS_INCOMPLETE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_the_rule() {
        use EndReason::*;
        let table = [
            (ExitRule::Runner, Done, 0, 0),
            (ExitRule::Runner, Signal, 1, 0),
            (ExitRule::Runner, WalltimeNear, 1, 0),
            (ExitRule::Runner, Failed, 2, 70),
            (ExitRule::Tasks, Done, 2, 0),
            (ExitRule::Tasks, Done, 1, 1),
            (ExitRule::Tasks, Signal, 1, 1),
            (ExitRule::Tasks, Failed, 0, 70),
        ];
        for (rule, reason, complete, code) in table {
            assert_eq!(exit_code(rule, reason, complete, 2), code, "{rule:?} {reason:?} {complete}");
        }
    }
}
