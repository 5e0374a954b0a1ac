//! Every state in Slurm's documentation, and the reasons and exit codes that change what it means.

use qcbatch::model::job::JobOutcome::{
    self, Cancelled, Completed, Failed, Lost, Memory, NodeFailure, Preempted, Walltime,
};
use qcbatch::scheduler::adapter::reading::Row;
use qcbatch::scheduler::{Adapter, ExitStatus, SchedulerState, Sureness};
use rstest::rstest;

use SchedulerState::{Blocked, Ending, Queued, Running, Suspended};

fn now(outcome: JobOutcome) -> SchedulerState {
    SchedulerState::Ended { outcome, sure: Sureness::Now }
}

fn absent(outcome: JobOutcome) -> SchedulerState {
    SchedulerState::Ended { outcome, sure: Sureness::OnceAbsent }
}

fn row(fields: &[(&str, &str)]) -> Row {
    let mut row = Row::default();
    for (field, text) in fields {
        row.set(field, text);
    }
    row
}

#[test]
fn slurm_states_mean_what_section_5_1_says() {
    let states = Adapter::load("slurm", &[]).unwrap().states;
    let table = [
        ("PENDING", Queued),
        ("CONFIGURING", Queued),
        ("RUNNING", Running),
        ("COMPLETING", Ending),
        ("SUSPENDED", Suspended),
        ("STOPPED", Suspended),
        ("SIGNALING", Running),
        ("STAGE_OUT", Ending),
        ("RESIZING", Running),
        ("REQUEUED", Queued),
        ("REQUEUE_HOLD", Blocked),
        ("REQUEUE_FED", Queued),
        ("RESV_DEL_HOLD", Blocked),
        ("SPECIAL_EXIT", Blocked),
        ("EXPEDITING", Queued),
        ("POWER_UP_NODE", Queued),
        ("UPDATE_DB", Running),
        ("COMPLETED", now(Completed)),
        ("FAILED", now(Failed)),
        ("TIMEOUT", now(Walltime)),
        ("CANCELLED", now(Cancelled)),
        ("CANCELLED by 1001", now(Cancelled)),
        ("CANCELLED+", now(Cancelled)),
        ("OUT_OF_MEMORY", now(Memory)),
        ("DEADLINE", now(Walltime)),
        ("PREEMPTED", absent(Preempted)),
        ("NODE_FAIL", absent(NodeFailure)),
        ("BOOT_FAIL", absent(NodeFailure)),
        ("REVOKED", absent(Lost)),
        ("LAUNCH_FAILED", absent(NodeFailure)),
        ("RECONFIG_FAIL", absent(NodeFailure)),
        ("OUT_OF_ME+", SchedulerState::Unrecognised("OUT_OF_ME+".into())),
        ("TELEPORTING", SchedulerState::Unrecognised("TELEPORTING".into())),
    ];
    for (word, expected) in table {
        assert_eq!(states.state(&row(&[("state", word)])), Some(expected), "{word}");
    }
    assert_eq!(states.state(&row(&[])), None);
}

#[test]
fn reasons_tell_waiting_from_never_starting() {
    let states = Adapter::load("slurm", &[]).unwrap().states;
    let blocked = [
        "JobHeldUser",
        "JobHeldAdmin",
        "PartitionTimeLimit",
        "PartitionConfig",
        "PartitionNodeLimit",
        "BadConstraints",
        "InvalidAccount",
        "InvalidQOS",
        "AccountNotAllowed",
        "DependencyNeverSatisfied",
        "AssocMaxWallDurationPerJobLimit",
        "QOSMaxWallDurationPerJobLimit",
        "QOSMaxCpuPerJobLimit",
        "QOSMaxMemoryPerNode",
        "QOSMinCpuNotSatisfied",
        "job requeued in held state",
        "launch failed requeued held",
    ];
    let waits = [
        "None",
        "Priority",
        "Resources",
        "BeginTime",
        "Dependency",
        "JobArrayTaskLimit",
        "AssocMaxJobsLimit",
        "QOSMaxJobsPerUserLimit",
        "QOSMaxCpuPerUserLimit",
        "AssocGrpCpuLimit",
        "PartitionDown",
        "PartitionInactive",
        "ReqNodeNotAvail, UnavailableNodes:n1",
        "Reservation",
        "Licenses",
    ];
    for (reasons, expected) in [(&blocked[..], Blocked), (&waits[..], Queued)] {
        for reason in reasons {
            let row = row(&[("state", "PENDING"), ("reason", reason)]);
            assert_eq!(states.state(&row).as_ref(), Some(&expected), "{reason}");
        }
    }
    // A running job keeps the reason it once waited for.
    assert_eq!(states.state(&row(&[("state", "RUNNING"), ("reason", "JobHeldAdmin")])), Some(Running));
    let launch = row(&[("state", "FAILED"), ("reason", "JobLaunchFailure")]);
    assert_eq!(states.state(&launch), Some(now(NodeFailure)));
    assert_eq!(states.state(&row(&[("state", "FAILED"), ("exit", "0:53")])), Some(now(NodeFailure)));
    assert_eq!(states.state(&row(&[("state", "FAILED"), ("reason", "NonZeroExitCode")])), Some(now(Failed)));
}

#[rstest]
#[case("0:0", Some(0), None)]
#[case("3:0", Some(3), None)]
#[case("0:9", Some(0), Some(9))]
#[case("", None, None)]
#[case("what", None, None)]
#[case("99999999999:0", None, None)]
fn slurm_exit_codes(#[case] text: &str, #[case] code: Option<i32>, #[case] signal: Option<i32>) {
    let states = Adapter::load("slurm", &[]).unwrap().states;
    assert_eq!(states.exit(&row(&[("exit", text)])), ExitStatus { code, signal });
}

/// What PBS needs of the engine: rules over several fields in order, and two encodings of signals.
#[test]
fn a_decision_order_like_that_of_pbs_can_be_written_down() {
    let directory = tempfile::tempdir().unwrap();
    let text = r#"
extends = "slurm"
[poll]
argv = ["qstat"]
read = { lines = '^(?<id>\S+) (?<state>\w)(?: (?<substate>\d+))?(?: (?<exit>-?\d+))?$' }
[states]
Q = "queued"
F = "ended failed"
[rules.never_starts]
when.state = "^$"
when.reason = "x"
[rules.deleted]
rank = 1
when = { state = "^F$", substate = "^91$" }
then = "ended cancelled"
[rules.never_ran]
rank = 2
when.state = "^F$"
lacks = ["exit"]
then = "ended lost"
[rules.walltime]
rank = 3
when = { state = "^F$", exit = "^-29$" }
then = "ended walltime"
[rules.good]
rank = 4
when = { state = "^F$", exit = "^0$" }
then = "ended completed"
[exits.code_and_signal]
rank = 1
pattern = '^(?<signal>2[5-9]\d|3\d\d)$'
signal_offset = 256
[exits.plain]
rank = 2
pattern = '^(?<code>-?\d+)$'
"#;
    std::fs::write(directory.path().join("pbs.toml"), text).unwrap();
    let adapter = Adapter::load("pbs", &[directory.path().to_owned()]).unwrap();
    let state = |line: &str| {
        let reading = adapter.poll.0.last().unwrap().read.as_ref().unwrap();
        let rows = reading.rows(&format!("{line}\n"), "", &[]).unwrap();
        (adapter.states.state(&rows[0]).unwrap(), adapter.states.exit(&rows[0]))
    };
    assert_eq!(state("1.s F 91 271"), (now(Cancelled), ExitStatus { code: None, signal: Some(15) }));
    assert_eq!(state("1.s F 92").0, now(Lost));
    assert_eq!(state("1.s F 93 -29"), (now(Walltime), ExitStatus { code: Some(-29), signal: None }));
    assert_eq!(state("1.s F 92 0").0, now(Completed));
    assert_eq!(state("1.s F 93 3").0, now(Failed));
}
