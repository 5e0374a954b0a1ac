//! Signals and the end of the walltime: what is finished is stored, what is not goes back.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use qcbatch::model::failure::FailureClass;
use qcbatch::model::task::{EndReason, Warning};
use serde_json::json;

use crate::fixture::*;

#[test]
fn a_terminated_runner_stores_what_is_done_and_hands_back_the_rest() {
    let job = Job::new(Generation::V1).task(pm7()).task(endless()).task(endless()).task(pm7()).staged();
    let runner = job.start();
    let psi4 = runner.wait_for_psi4();
    job.wait_for_reports(1);
    runner.signal(Signal::SIGTERM);
    assert_eq!(runner.wait(), 128 + 15);
    let end = job.end();
    assert_eq!((end.reason, end.detail.as_deref()), (EndReason::Signal, Some("SIGTERM")));
    assert_eq!(job.by_task().keys().copied().collect::<Vec<_>>(), vec![0]);
    assert!(job.evidence().ended_and_visible());
    assert!(!lives(psi4));
    assert_eq!(job.scratch_directories(), 0);
}

#[test]
fn a_program_killed_together_with_the_job_is_not_blamed() {
    let job = Job::new(Generation::V1).task(endless()).staged();
    let runner = job.start();
    runner.wait_for_psi4();
    // As schedulers do: everything in the job gets the signal, in any order.
    let workers = runner.descendants("python");
    for pid in workers.into_iter().chain(runner.descendants("psi4")) {
        let _ = nix::sys::signal::kill(pid, Signal::SIGTERM);
    }
    runner.signal(Signal::SIGTERM);
    assert_eq!(runner.wait(), 128 + 15);
    assert_eq!(job.end().reason, EndReason::Signal);
    assert!(job.reports().is_empty());
}

#[test]
fn after_the_warning_no_task_is_started_and_running_ones_may_end() {
    let job = Job::new(Generation::V1)
        .manifest(|manifest| manifest.cores = 1)
        .task(singlepoint("psi4", "energy", "hf", "sto-3g"))
        .task(pm7())
        .staged();
    let runner = job.start();
    runner.wait_for_psi4();
    runner.signal(Signal::SIGUSR2);
    assert_eq!(runner.wait(), 0);
    let end = job.end();
    assert_eq!((end.reason, end.detail.as_deref()), (EndReason::WalltimeNear, Some("SIGUSR2")));
    let reports = job.by_task();
    assert_eq!(reports.len(), 1);
    result_of(&reports[&0]);
}

#[test]
fn at_the_jobs_end_a_task_goes_back_while_one_at_its_own_limit_has_failed() {
    let job = Job::new(Generation::V1)
        .manifest(|manifest| manifest.walltime_seconds = 20)
        .task(endless())
        .task(endless())
        .limit(5)
        .staged();
    assert_eq!(job.run(), 0);
    let reports = job.by_task();
    assert_eq!(reports.keys().copied().collect::<Vec<_>>(), vec![1], "the long one goes back unreported");
    assert_eq!(error_of(&reports[&1]).0, FailureClass::Walltime);
    assert_eq!(job.end().reason, EndReason::WalltimeNear);
    assert_eq!(job.scratch_directories(), 0);
}

/// PBS kills 10 s after TERM, LSF 20 s after INT; Grid Engine's USR2 comes before each kill, whatever it is for.
#[test]
fn a_runner_says_its_last_word_before_its_scheduler_kills() {
    const KILL_WAIT: Duration = Duration::from_secs(8);
    for (signal, warning, reason, code) in [
        (Signal::SIGTERM, Warning::WalltimeNear, EndReason::Signal, 128 + 15),
        (Signal::SIGINT, Warning::WalltimeNear, EndReason::Signal, 128 + 2),
        // Hours before the walltime.
        (Signal::SIGUSR2, Warning::Kill, EndReason::Signal, 128 + 12),
    ] {
        let job = Job::new(Generation::V1)
            .manifest(|manifest| {
                manifest.kill_wait_seconds = Some(KILL_WAIT.as_secs());
                manifest.warning = warning;
            })
            .task(synthetic("sleep", json!({"milliseconds": 600_000})))
            .staged();
        let runner = job.start();
        until("the runner has started", || job.directory.heartbeat().exists().then_some(()));
        let asked = Instant::now();
        runner.signal(signal);
        assert_eq!(runner.wait(), code, "{signal}");
        assert!(asked.elapsed() < KILL_WAIT, "{signal}: {:?}", asked.elapsed());
        assert_eq!(job.end().reason, reason, "{signal}");
        assert!(job.reports().is_empty(), "the task goes back");
    }
}

#[test]
fn a_job_whose_directory_was_removed_ends_long_before_its_time() {
    let sleep = |milliseconds| synthetic("sleep", json!({"milliseconds": milliseconds}));
    // One whose task goes on for long, and one whose task ends and who has nowhere to say so.
    for milliseconds in [600_000, 2_000] {
        let job = Job::new(Generation::V1).task(sleep(milliseconds)).staged();
        let runner = job.start();
        until("the runner has started", || job.directory.heartbeat().exists().then_some(()));
        std::fs::remove_dir_all(job.directory.path()).unwrap();
        assert_ne!(runner.wait(), 0);
        assert!(!job.directory.path().exists(), "nothing is made anew");
    }
}

#[test]
fn a_job_whose_whole_spool_was_removed_ends_long_before_its_time() {
    let sleep = synthetic("sleep", json!({"milliseconds": 600_000}));
    let job = Job::new(Generation::V1)
        .manifest(|manifest| {
            manifest.worker_command = vec!["python3".into(), "/no/such/spool/worker.py".into()]
        })
        .task(sleep)
        .staged();
    let runner = job.start();
    until("the runner has started", || job.directory.heartbeat().exists().then_some(()));
    std::fs::remove_dir_all(job.directory.path()).unwrap();
    assert_ne!(runner.wait(), 0);
}
