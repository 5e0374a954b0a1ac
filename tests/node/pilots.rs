//! Runners that claim chunks of their pool: every task is reported once, whoever runs it and whatever is killed.

use std::time::Duration;

use nix::sys::signal::Signal;
use qcbatch::model::task::{EndReason, TaskOrder};
use serde_json::{Value, json};

use crate::fixture::*;

fn orders(numbers: std::ops::Range<i64>, specification: &Value) -> Vec<TaskOrder> {
    numbers.map(|number| order(number, specification)).collect()
}

fn null() -> Value {
    synthetic("null", json!({}))
}

fn sleep(milliseconds: u64) -> Value {
    synthetic("sleep", json!({"milliseconds": milliseconds}))
}

/// Waits for the next chunk a little.
fn patient(job: Job, seconds: u64) -> Job {
    job.manifest(|manifest| manifest.idle_seconds = seconds)
}

#[test]
fn a_job_works_through_its_own_chunk_then_the_pools_and_leaves_no_chunk_behind() {
    let job = Job::new(Generation::V1).tasks(3, &null()).pooled().staged();
    for chunk in 0..30 {
        let first = 3 + chunk * 10;
        job.publish(chunk, &orders(first..first + 10, &null()));
    }
    assert_eq!(job.run(), 0);
    let reports = job.reports();
    let order: Vec<i64> = reports.iter().map(|report| report.task_id.0).collect();
    assert_eq!(order, (0..303).collect::<Vec<_>>(), "its own first, then by name");
    assert_eq!(result_of(&reports[5])["extras"]["mine"], 5);
    assert_eq!((job.end().reason, job.end().results), (EndReason::Done, 303));
    assert_eq!(std::fs::read_dir(job.ready()).unwrap().count(), 0);
    assert!(job.files().iter().all(|name| !name.starts_with("chunk-")), "{:?}", job.files());
    assert!(job.files().len() <= 12, "{:?}", job.files());
}

#[test]
fn a_waiting_job_takes_what_comes_and_ends_when_nothing_does() {
    let job = patient(Job::new(Generation::V1).pooled(), 3).staged();
    let runner = job.start();
    for chunk in 0..3 {
        std::thread::sleep(Duration::from_millis(700));
        job.publish(chunk, &orders(chunk * 2..chunk * 2 + 2, &null()));
        job.wait_for_reports(chunk as usize * 2 + 2);
    }
    assert_eq!(runner.wait(), 0);
    assert_eq!((job.end().reason, job.end().results), (EndReason::Done, 6));
}

#[test]
fn chunks_that_need_more_than_the_job_has_are_left_to_others() {
    let job = Job::new(Generation::V1).pooled().manifest(|manifest| manifest.tasks_limit = Some(5)).staged();
    let with = |change: fn(&mut TaskOrder), number: i64| {
        let mut order = order(number, &null());
        change(&mut order);
        job.publish(number, &[order]);
    };
    with(|order| order.cores = 3, 0);
    with(|order| order.memory_bytes = 3 << 30, 1);
    with(|order| order.gpus = 1, 2);
    job.publish(3, &orders(10..16, &null()));
    job.publish(4, &orders(20..24, &null()));
    job.publish(5, &orders(30..32, &null()));
    assert_eq!(job.run(), 0);
    assert_eq!(job.by_task().keys().copied().collect::<Vec<_>>(), [20, 21, 22, 23]);
    assert_eq!(std::fs::read_dir(job.ready()).unwrap().count(), 5);
    assert_eq!(job.end().reason, EndReason::Done);
}

#[test]
fn a_job_without_time_for_what_waits_ends_early() {
    let job = patient(Job::new(Generation::V1).pooled(), 600)
        .manifest(|manifest| manifest.walltime_seconds = 8)
        .staged();
    let mut long = order(1, &null());
    long.walltime_seconds = 100;
    let runner = job.start();
    until("the runner's start", || job.evidence().start);
    // 8 s of walltime: 6 s of work, of which a task wants at least 2.
    std::thread::sleep(Duration::from_secs(5));
    job.publish(1, &[long]);
    assert_eq!(runner.wait(), 0);
    assert_eq!((job.end().reason, job.end().results), (EndReason::WalltimeNear, 0));
    assert_eq!(std::fs::read_dir(job.ready()).unwrap().count(), 1, "the chunk waits for another job");
}

#[test]
fn a_task_that_would_probably_not_end_in_time_goes_back_unstarted() {
    // 60 s of walltime: 45 s of work.
    let job = Job::new(Generation::V1)
        .manifest(|manifest| (manifest.walltime_seconds, manifest.cores) = (60, 1))
        .tasks(2, &sleep(8000))
        .each(|order| order.expected_seconds = if order.task_id.0 == 0 { None } else { Some(39) })
        .staged();
    assert_eq!(job.run(), 0);
    assert_eq!(job.by_task().into_keys().collect::<Vec<_>>(), [0]);
    assert_eq!(job.end().reason, EndReason::WalltimeNear);
}

#[test]
fn a_further_chunk_is_claimed_when_a_core_would_be_idle_and_not_before() {
    let job = patient(Job::new(Generation::V1).pooled(), 0).staged();
    for chunk in 0..4 {
        job.publish(chunk, &orders(chunk * 2..chunk * 2 + 2, &sleep(1500)));
    }
    let runner = job.start();
    job.wait_for_reports(1);
    // Two slots, two tasks to a chunk: at most the second chunk is claimed now, the third and fourth wait.
    let waiting = std::fs::read_dir(job.ready()).unwrap().count();
    assert_eq!(runner.wait(), 0);
    assert_eq!(waiting, 2);
    assert_eq!(job.by_task().len(), 8);
}

#[test]
fn a_killed_runner_keeps_its_chunks_and_takes_them_up_when_restarted() {
    let job = Job::new(Generation::V1).pooled().staged();
    for chunk in 0..20 {
        job.publish(chunk, &orders(chunk * 20..chunk * 20 + 20, &sleep(10)));
    }
    for round in 1..=4 {
        let runner = if round == 1 { job.start() } else { job.restart() };
        job.wait_for_reports(round * 70);
        runner.signal(Signal::SIGKILL);
        runner.wait();
        assert!(job.files().iter().any(|name| name.starts_with("chunk-")), "{:?}", job.files());
        assert!(job.files().len() <= 12, "{:?}", job.files());
    }
    assert_eq!(job.restart().wait(), 0);
    assert_eq!(job.by_task().len(), 400);
    assert!(job.files().iter().all(|name| !name.starts_with("chunk-")));
    assert_eq!(std::fs::read_dir(job.ready()).unwrap().count(), 0);
}

#[test]
fn a_terminated_runner_leaves_the_chunks_that_it_did_not_finish() {
    let job = Job::new(Generation::V1).pooled().staged();
    let done = job.publish(1, &orders(0..4, &null()));
    let begun = job.publish(2, &orders(10..14, &sleep(60_000)));
    let runner = job.start();
    job.wait_for_reports(4);
    until("the second chunk", || job.directory.claimed(&begun).exists().then_some(()));
    until("the first chunk's end", || (!job.directory.claimed(&done).exists()).then_some(()));
    job.publish(3, &orders(20..24, &null()));
    runner.signal(Signal::SIGUSR2);
    runner.signal(Signal::SIGTERM);
    // Whichever of the two it heard first.
    assert!([0, 128 + 15].contains(&runner.wait()));
    assert_eq!(job.by_task().len(), 4);
    assert!(job.directory.claimed(&begun).exists(), "{:?}", job.files());
    assert_eq!(std::fs::read_dir(job.ready()).unwrap().count(), 1);
}

#[test]
fn stragglers_of_many_chunks_keep_neither_cores_idle_nor_many_inodes() {
    let job = Job::new(Generation::V1)
        .pooled()
        .manifest(|manifest| {
            manifest.cores = 10;
            manifest.memory_bytes = 10 << 30;
        })
        .staged();
    for chunk in 0..10 {
        job.publish(chunk, &orders(chunk * 2..chunk * 2 + 1, &sleep(4000)));
    }
    let runner = job.start();
    until("all chunks claimed", || (std::fs::read_dir(job.ready()).unwrap().count() == 0).then_some(()));
    let claimed = job.files().iter().filter(|name| name.starts_with("chunk-")).count();
    assert_eq!(claimed, 10, "the daemon sees every chunk by its name");
    assert!(job.inodes() <= 12, "{:?}", job.files());
    runner.signal(Signal::SIGKILL);
    runner.wait();
    assert_eq!(job.restart().wait(), 0);
    let reports = job.by_task();
    assert_eq!(
        reports.keys().copied().collect::<Vec<_>>(),
        (0..10).map(|chunk| chunk * 2).collect::<Vec<_>>()
    );
    let began = |at: fn(f64, f64) -> f64, first: f64| {
        reports.values().map(|report| report.provenance.started_on.unwrap()).fold(first, at)
    };
    assert!(began(f64::max, 0.0) < began(f64::min, f64::INFINITY) + 4.0, "all ran side by side");
    assert!(job.files().iter().all(|name| !name.starts_with("chunk-")), "{:?}", job.files());
}
