//! What the daemon tells a runner of what it holds: unbegun tasks go back for others, cancelled ones end within seconds, and the
//! job goes on with other work.

use qcbatch::model::ids::{ChunkId, JobId, TaskId};
use qcbatch::model::notice::{Attempt, GiveBack, Holder, Notice};
use qcbatch::model::task::{EndReason, TaskOrder, TaskOutcome, TaskReport};
use qcbatch::spool::notice::NoticeBoard;
use serde_json::{Value, json};

use crate::fixture::*;

fn sleep(milliseconds: u64) -> Value {
    synthetic("sleep", json!({"milliseconds": milliseconds}))
}

fn orders(numbers: std::ops::Range<i64>, milliseconds: u64) -> Vec<TaskOrder> {
    numbers.map(|number| order(number, &sleep(milliseconds))).collect()
}

/// A job of one core that waits a little for chunks, and the board that its runner looks at.
fn job() -> (Job, NoticeBoard) {
    let job = Job::new(Generation::V1).pooled();
    let path = job.ready().with_file_name("notices");
    let told = path.to_str().unwrap().to_owned();
    let job = job.manifest(|manifest| {
        manifest.cores = 1;
        manifest.idle_seconds = 6;
        manifest.notices = Some(told);
    });
    (job, NoticeBoard::at(path))
}

fn put_up(board: &NoticeBoard, holder: Holder, notice: &Notice) {
    board.write(holder, notice, &qcbatch::permit::Permit::without_lease()).unwrap();
}

fn recalled(numbers: &[i64]) -> Notice {
    let attempt = |number: &i64| Attempt { task_id: TaskId(*number), attempt: 0 };
    Notice { recalled: numbers.iter().map(attempt).collect(), give_back: None }
}

fn numbers(reports: &[TaskReport], is_it: fn(&TaskOutcome) -> bool) -> Vec<i64> {
    let those = reports.iter().filter(|report| is_it(&report.outcome));
    those.map(|report| report.task_id.0).collect()
}

fn is_complete(outcome: &TaskOutcome) -> bool {
    matches!(outcome, TaskOutcome::Complete { .. })
}

fn is_returned(outcome: &TaskOutcome) -> bool {
    matches!(outcome, TaskOutcome::Returned)
}

#[test]
fn unbegun_tasks_go_back_once_and_what_was_begun_or_kept_is_done() {
    let (job, board) = job();
    let job = job.staged();
    job.publish(5, &orders(0..40, 400));
    let asked = Notice { give_back: Some(GiveBack { number: 7, keep: 2 }), ..Notice::default() };
    put_up(&board, Holder::Chunk(ChunkId(5)), &asked);
    // Of another job's chunk: not ours to heed.
    put_up(&board, Holder::Chunk(ChunkId(6)), &recalled(&[0, 1, 2]));
    assert_eq!(job.start().wait(), 0);
    let reports = job.reports();
    let (done, back) = (numbers(&reports, is_complete), numbers(&reports, is_returned));
    assert_eq!(done, (0..done.len() as i64).collect::<Vec<_>>(), "in their order, each once");
    assert_eq!(back, (done.len() as i64..40).collect::<Vec<_>>(), "all the others, each once");
    assert!(done.len() >= 3 && back.len() >= 20, "{done:?} {back:?}");
    assert_eq!((job.end().reason, job.end().results), (EndReason::Done, done.len() as u64));
    assert!(job.files().iter().all(|name| !name.starts_with("chunk-")), "{:?}", job.files());
}

#[test]
fn a_runner_that_starts_again_does_not_run_what_it_gave_back() {
    let (job, board) = job();
    let job = job.staged();
    job.publish(5, &orders(0..20, 1500));
    let asked = Notice { give_back: Some(GiveBack { number: 7, keep: 0 }), ..Notice::default() };
    put_up(&board, Holder::Chunk(ChunkId(5)), &asked);
    let runner = job.start();
    let back = until("tasks go back", || {
        let back = numbers(&job.reports(), is_returned);
        (!back.is_empty()).then_some(back)
    });
    runner.signal(nix::sys::signal::Signal::SIGKILL);
    runner.wait();
    assert_eq!(job.restart().wait(), 0);
    let reports = job.reports();
    let done = numbers(&reports, is_complete);
    assert!(done.iter().all(|number| !back.contains(number)), "{done:?} {back:?}");
    assert_eq!(done.len() + back.len(), 20, "none is lost: {done:?} {back:?}");
    assert_eq!(numbers(&reports, is_returned), back, "an old request is heeded once, or finds nothing more");
}

#[test]
fn a_cancelled_task_ends_within_seconds_and_the_slot_goes_to_other_work() {
    let (job, board) = job();
    let job = job.staged();
    let mut long = orders(0..3, 600_000);
    long.push(order(3, &sleep(10)));
    job.publish(1, &long);
    job.publish(2, &orders(10..12, 10));
    let runner = job.start();
    until("the first task runs", || {
        job.evidence().heartbeat.filter(|heartbeat| heartbeat.running == [TaskId(0)])
    });
    put_up(&board, Holder::Chunk(ChunkId(1)), &recalled(&[0, 1, 2]));
    assert_eq!(runner.wait(), 0);
    assert_eq!(numbers(&job.reports(), |_| true), [3, 10, 11], "no report of what was cancelled");
    assert_eq!((job.end().reason, job.end().results), (EndReason::Done, 3));
    assert_eq!(std::fs::read_dir(job.ready()).unwrap().count(), 0);
    assert!(job.files().iter().all(|name| !name.starts_with("chunk-")), "{:?}", job.files());
}

#[test]
fn a_cancelled_program_under_qcengine_is_killed_and_a_later_attempt_of_its_task_is_not_meant() {
    let (job, board) = job();
    let job = job.manifest(|manifest| manifest.ready = None).task(endless()).staged();
    let runner = job.start();
    let program = runner.wait_for_psi4();
    let other = Notice { recalled: vec![Attempt { task_id: TaskId(0), attempt: 1 }], give_back: None };
    put_up(&board, Holder::Job(JobId(42)), &other);
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert!(lives(program), "another attempt was recalled");
    put_up(&board, Holder::Job(JobId(42)), &recalled(&[0]));
    assert_eq!(runner.wait(), 0);
    assert!(!lives(program));
    assert!(job.reports().is_empty());
}
