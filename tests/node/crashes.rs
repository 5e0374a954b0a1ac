//! Runners killed at any moment, second copies, torn result files: every task is reported once.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;
use qcbatch::model::ids::TaskId;
use qcbatch::model::task::EndReason;
use qcbatch::spool::{Finality, read_results};
use rand::RngExt;

use crate::fixture::*;

const TASKS: usize = 40;

fn assert_every_task_once(job: &Job, tasks: usize) {
    let reports = job.by_task();
    assert_eq!(reports.keys().copied().collect::<Vec<_>>(), (0..tasks as i64).collect::<Vec<_>>());
    for report in reports.values() {
        assert_eq!(result_of(report)["extras"]["mine"], report.task_id.0, "another task's result");
    }
}

#[test]
fn a_runner_killed_at_random_moments_leaves_whole_frames_and_goes_on_when_requeued() {
    let job = Job::new(Generation::V1).tasks(TASKS, &pm7()).staged();
    let mut seen: Vec<TaskId> = vec![];
    let mut offset = 0;
    for round in 0..5 {
        let runner = if round == 0 { job.start() } else { job.restart() };
        job.wait_for_reports((seen.len() + 1).min(TASKS));
        sleep(Duration::from_millis(rand::rng().random_range(0..150)));
        let workers = runner.descendants("python");
        runner.signal(Signal::SIGKILL);
        assert_eq!(runner.wait(), -1);
        for worker in workers {
            until("the worker's end", || (!lives(worker)).then_some(()));
        }
        // The daemon reads on from where it was, and never sees a task twice.
        let batch =
            read_results(&job.directory.results(), offset, usize::MAX >> 1, Finality::StillWritten).unwrap();
        offset = batch.next_offset;
        seen.extend(batch.reports.iter().map(|report| report.task_id));
        let mut unique = seen.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), seen.len());
    }
    assert_eq!(job.restart().wait(), 0);
    assert_eq!((job.end().reason, job.end().results), (EndReason::Done, TASKS as u64));
    assert_every_task_once(&job, TASKS);
}

#[test]
fn a_result_file_cut_in_mid_frame_loses_only_the_torn_report() {
    let job = Job::new(Generation::V1).tasks(6, &pm7()).staged();
    let runner = job.start();
    job.wait_for_reports(3);
    runner.signal(Signal::SIGKILL);
    runner.wait();
    let path = job.directory.results();
    let bytes = fs::read(&path).unwrap();
    let batch = read_results(&path, 0, usize::MAX >> 1, Finality::StillWritten).unwrap();
    fs::write(&path, &bytes[..batch.next_offset as usize - 7]).unwrap();
    let cut = read_results(&path, 0, usize::MAX >> 1, Finality::StillWritten).unwrap();
    assert_eq!(cut.reports.len(), batch.reports.len() - 1);
    assert_eq!(job.restart().wait(), 0);
    assert_every_task_once(&job, 6);
}

#[test]
fn of_two_runners_at_once_one_works_and_one_goes_away() {
    let job = Job::new(Generation::V1).tasks(10, &pm7()).staged();
    let runners = [job.start(), job.start()];
    assert_eq!(runners.map(Runner::wait), [0, 0]);
    assert_every_task_once(&job, 10);
    let evidence = job.evidence();
    assert!(evidence.duplicate.is_some());
    assert_eq!(evidence.end.unwrap().reason, EndReason::Done);
}

#[test]
fn a_copy_that_comes_late_touches_nothing() {
    let job = Job::new(Generation::V1).task(pm7()).staged();
    assert_eq!(job.run(), 0);
    let before = job.evidence();
    assert_eq!(
        job.restart().wait(),
        0,
        "the first run had ended: its unfinished tasks are the daemon's again"
    );
    let after = job.evidence();
    assert!(after.duplicate.is_some());
    assert_eq!(
        (after.start, after.end, after.results_bytes),
        (before.start, before.end, before.results_bytes)
    );
}

#[test]
fn a_job_directory_holds_a_handful_of_files() {
    let job = Job::new(Generation::V1).tasks(3, &pm7()).staged();
    job.run();
    let mut names: Vec<_> = fs::read_dir(job.directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = [
        "chunk.claimed",
        "end.json",
        "heartbeat.json",
        "manifest.json",
        "results",
        "runner.log",
        "start.json",
        "worker.stderr",
    ];
    assert_eq!(names, expected);
}
