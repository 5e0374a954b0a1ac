//! The scenarios of an ordinary life on schedulers that the user has: those that `QCBATCH_TEST_LIVE` names (`pbs,lsf`, or an
//! adapter of `QCBATCH_TEST_LIVE_ADAPTERS`), one after another. docs/writing-adapters.md lists the variables.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::FutureExt;
use qcbatch::scheduler::built_in_names;

use super::ground::{Ground, Live};
use super::{life, run};
use crate::harness::say;

#[test]
fn every_scheduler_that_is_named() {
    let named = std::env::var("QCBATCH_TEST_LIVE").unwrap_or_default();
    let named: Vec<&str> = named.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    for name in built_in_names().filter(|name| *name != "local" && !named.contains(name)) {
        say(&format!("skipped: conformance on a live {name}: QCBATCH_TEST_LIVE does not name it"));
    }
    let failed: Vec<String> = named.iter().flat_map(|name| live(name)).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Whoever names a scheduler wants it tested: one that is not there, or does not answer, is a failure.
#[test]
fn a_scheduler_that_is_named_and_not_there_fails() {
    let Ok(Live::Absent(_)) = Ground::live("lsf") else {
        return say("skipped: a_scheduler_that_is_named_and_not_there_fails: LSF's commands are here");
    };
    let failed = live("lsf").concat();
    assert!(failed.contains("QCBATCH_TEST_LIVE names lsf, and it cannot be used: not on PATH: "), "{failed}");
}

/// Runs every scenario on the scheduler `name`; what failed.
fn live(name: &str) -> Vec<String> {
    let unusable = |why: &str| vec![format!("QCBATCH_TEST_LIVE names {name}, and it cannot be used: {why}")];
    let ground = match Ground::live(name) {
        Ok(Live::Here(ground)) => *ground,
        Ok(Live::Absent(commands)) => return unusable(&format!("not on PATH: {}", commands.join(", "))),
        Err(reason) => return unusable(&reason),
    };
    // Commands prove nothing: three schedulers have a `qsub`, and one may be installed without a server.
    let mut answer = None;
    run(async { answer = Some(ground.scheduler.probe().await) });
    if let Some(Err(error)) = answer {
        return unusable(&format!("it does not answer as one: {error}"));
    }
    let mut failed = Vec::new();
    macro_rules! scenario {
        ($scenario:ident) => {
            let (subject, began) = (format!("live {name}: {}", stringify!($scenario)), Instant::now());
            let scenario = AssertUnwindSafe(life::$scenario(&ground)).catch_unwind();
            let mut ended = None;
            run(async { ended = Some(scenario.await) });
            let seconds = began.elapsed().as_secs();
            match ended {
                Some(Ok(())) => say(&format!("{subject} ... ok ({seconds} s)")),
                _ => {
                    say(&format!("{subject} ... FAILED ({seconds} s)"));
                    failed.push(subject);
                }
            }
        };
    }
    // First: what it learns decides how everything else is asked.
    scenario!(probe_and_limits);
    scenario!(single_job);
    scenario!(array);
    scenario!(exits);
    scenario!(impossible_is_refused);
    if ground.cores.is_some() {
        scenario!(cancel);
        scenario!(hold_and_release);
    } else {
        for scenario in ["cancel", "hold_and_release"] {
            let upper = name.to_uppercase();
            say(&format!(
                "skipped: live {name}: {scenario}: needs QCBATCH_TEST_LIVE_{upper}_CORES, what fills the queue"
            ));
        }
    }
    failed
}
