//! Why the runner stopped and what its exit code says. Pure.

use nix::sys::signal::Signal;

use crate::model::task::{EndReason, ExitRule};

/// The runner did its work.
pub const EXIT_SUCCESS: i32 = 0;
/// Under `ExitRule::Tasks`: not every task of the chunk completed.
pub const EXIT_TASKS_INCOMPLETE: i32 = 1;
/// The runner could not work (`EX_SOFTWARE` of sysexits.h: no shell or scheduler uses it for itself).
pub const EXIT_FAILED: i32 = 70;

/// The exit code of a runner that stopped for `reason` when `complete` of its `tasks` had a result.
///
/// One that a signal ended says so as a shell would: schedulers that keep no reasons tell by it what was killed from what
/// ended well.
pub fn exit_code(
    rule: ExitRule,
    (reason, detail): (EndReason, Option<&str>),
    complete: u64,
    tasks: u32,
) -> i32 {
    match (reason, rule) {
        (EndReason::Failed, _) => EXIT_FAILED,
        (EndReason::Signal, ExitRule::Tasks) if complete >= u64::from(tasks) => EXIT_SUCCESS,
        (EndReason::Signal, _) => 128 + signal_named(detail) as i32,
        (_, ExitRule::Runner) => EXIT_SUCCESS,
        (_, ExitRule::Tasks) if complete >= u64::from(tasks) => EXIT_SUCCESS,
        (_, ExitRule::Tasks) => EXIT_TASKS_INCOMPLETE,
    }
}

/// The signal that the end record names.
fn signal_named(detail: Option<&str>) -> Signal {
    detail.and_then(|name| name.parse().ok()).unwrap_or(Signal::SIGTERM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_the_rule() {
        use EndReason::*;
        let table = [
            (ExitRule::Runner, Done, 0, 0),
            (ExitRule::Runner, Signal, 1, 143),
            (ExitRule::Runner, WalltimeNear, 1, 0),
            (ExitRule::Runner, Failed, 2, 70),
            (ExitRule::Tasks, Done, 2, 0),
            (ExitRule::Tasks, Done, 1, 1),
            (ExitRule::Tasks, Signal, 1, 143),
            (ExitRule::Tasks, Signal, 2, 0),
            (ExitRule::Tasks, NodeUnfit, 1, 1),
            (ExitRule::Runner, NodeUnfit, 0, 0),
            (ExitRule::Tasks, Failed, 0, 70),
        ];
        for (rule, reason, complete, code) in table {
            let ended = (reason, Some("SIGTERM"));
            assert_eq!(exit_code(rule, ended, complete, 2), code, "{rule:?} {reason:?} {complete}");
        }
        assert_eq!(exit_code(ExitRule::Runner, (Signal, Some("SIGINT")), 0, 2), 130);
    }
}
