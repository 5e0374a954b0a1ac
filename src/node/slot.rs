//! One task on one worker: start, ask, limit, clean up. What comes out is a report or the task itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep_until;

use super::budget::Share;
use super::classify;
use super::clock::had_its_time;
use super::cpu_time;
use super::error::{NodeError, chain};
use super::report::{AttemptFacts, Reporter};
use super::scratch::Scratch;
use super::stderr::StderrLog;
use super::worker::{NoAnswer, Reply, Request, Worker};
use crate::model::task::{TaskOrder, TaskOutcome, TaskReport};

/// An error is held back this long: when the scheduler kills a job it kills the programs in the same moment, and the
/// runner should see its own signal first.
const ERROR_DELAY: Duration = Duration::from_millis(50);
/// How long to wait before a worker is tried a second time.
const SECOND_START: Duration = Duration::from_secs(2);

/// When running tasks are killed, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KillOrder {
    /// When.
    pub at: Instant,
    /// Why.
    pub cause: KillCause,
}

/// Why running tasks are killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KillCause {
    /// The job's walltime.
    JobEnds,
    /// A signal.
    Signal,
}

/// What all slots share.
#[derive(Debug)]
pub struct SlotContext {
    /// The worker's argument vector.
    pub worker_command: Vec<String>,
    /// Tasks after which a worker is replaced.
    pub recycle_after: u32,
    /// Where workers' standard error goes.
    pub stderr: StderrLog,
    /// Where tasks have their scratch.
    pub scratch: Scratch,
    /// Makes reports.
    pub reporter: Reporter,
    /// When to kill.
    pub kill: watch::Receiver<KillOrder>,
}

/// What became of a task.
#[derive(Debug)]
pub enum AttemptEnd {
    /// It has a report.
    Reported(Box<TaskReport>),
    /// It goes back without one.
    HandedBack,
    /// No worker could be started for it; it goes back.
    NoWorker(NodeError),
}

/// What a slot gives back.
#[derive(Debug)]
pub struct SlotEnd {
    /// The task.
    pub order: TaskOrder,
    /// Its share of the job.
    pub granted: Share,
    /// Its worker, fit for another task.
    pub worker: Option<Worker>,
    /// What became of it.
    pub end: AttemptEnd,
}

/// Runs one task to its end. `worker` is an idle one, if there is any.
pub async fn run(
    context: Arc<SlotContext>,
    worker: Option<Worker>,
    order: TaskOrder,
    granted: Share,
) -> SlotEnd {
    let mut kill = context.kill.clone();
    let worker = match fit(worker, context.recycle_after).await {
        Some(worker) => Ok(worker),
        None => tokio::select! {
            worker = start_worker(&context) => worker,
            _ = killed(&mut kill) => {
                return SlotEnd { order, granted, worker: None, end: AttemptEnd::HandedBack };
            }
        },
    };
    let (worker, end) = match worker {
        Ok(worker) => attempt(&context, worker, &order, granted, &mut kill).await,
        Err(error) => (None, AttemptEnd::NoWorker(error)),
    };
    if let AttemptEnd::Reported(report) = &end
        && let TaskOutcome::Error { class, .. } = report.outcome
        && classify::may_come_from_a_stop_signal(class)
    {
        tokio::time::sleep(ERROR_DELAY).await;
    }
    SlotEnd { order, granted, worker, end }
}

/// The worker, unless it has done its share or died while it had nothing to do.
async fn fit(worker: Option<Worker>, recycle_after: u32) -> Option<Worker> {
    let mut worker = worker?;
    if worker.is_alive() {
        if worker.tasks_asked() < recycle_after {
            return Some(worker);
        }
        tracing::debug!(tasks = worker.tasks_asked(), "a worker has done its share");
        worker.close().await;
        return None;
    }
    tracing::warn!("an idle worker died");
    worker.bury().await;
    None
}

async fn start_worker(context: &SlotContext) -> Result<Worker, NodeError> {
    match Worker::start(&context.worker_command, &context.stderr).await {
        Ok(worker) => Ok(worker),
        Err(error) => {
            tracing::warn!(error = chain(&error), "worker did not start, trying once more");
            tokio::time::sleep(SECOND_START).await;
            Worker::start(&context.worker_command, &context.stderr).await
        }
    }
}

async fn killed(kill: &mut watch::Receiver<KillOrder>) -> KillCause {
    loop {
        let order = *kill.borrow_and_update();
        tokio::select! {
            () = sleep_until(order.at.into()) => return order.cause,
            changed = kill.changed() => if changed.is_err() { return order.cause },
        }
    }
}

enum Happened {
    Answered(Result<Reply, NoAnswer>),
    OwnLimit,
    Killed(KillCause),
}

async fn attempt(
    context: &SlotContext,
    mut worker: Worker,
    order: &TaskOrder,
    granted: Share,
    kill: &mut watch::Receiver<KillOrder>,
) -> (Option<Worker>, AttemptEnd) {
    let started = Instant::now();
    let cpu_before = cpu_time::of_process(worker.pid());
    let limit = Duration::from_secs(order.walltime_seconds);
    let qcengine_version = Some(worker.qcengine_version.clone());
    let facts = |cpu_seconds: f64| AttemptFacts {
        granted,
        wall: started.elapsed(),
        cpu_seconds,
        qcengine_version: qcengine_version.clone(),
    };
    let reported = |report: TaskReport| AttemptEnd::Reported(Box::new(report));
    let scratch = match context.scratch.for_task(order) {
        Ok(scratch) => scratch,
        Err(error) => {
            let report = context.reporter.node_failed(order, facts(0.0), chain(&error));
            return (Some(worker), reported(report));
        }
    };
    let request = Request {
        calculation: &order.calculation,
        cores: granted.cores,
        memory_bytes: granted.memory_bytes,
        scratch_directory: scratch.path(),
    };
    let happened = tokio::select! {
        answer = worker.ask(&request) => Happened::Answered(answer),
        () = tokio::time::sleep(limit) => Happened::OwnLimit,
        cause = killed(kill) => Happened::Killed(cause),
    };
    match happened {
        Happened::Answered(Ok(reply)) => {
            let facts = facts(reply.cpu_seconds);
            let stderr = worker.stderr();
            (Some(worker), reported(context.reporter.answered(order, facts, reply, stderr)))
        }
        Happened::Answered(Err(no_answer)) => {
            let facts = facts(used_since(&worker, cpu_before));
            let nonsense = match no_answer {
                NoAnswer::Gone => None,
                NoAnswer::Nonsense(text) => Some(text),
            };
            let death = worker.bury().await;
            (None, reported(context.reporter.worker_died(order, facts, death, nonsense)))
        }
        Happened::Killed(cause) if cause == KillCause::Signal || !had_its_time(limit, started.elapsed()) => {
            worker.kill().await;
            (None, AttemptEnd::HandedBack)
        }
        Happened::OwnLimit | Happened::Killed(_) => {
            let facts = facts(used_since(&worker, cpu_before));
            let death = worker.kill().await;
            (None, reported(context.reporter.timed_out(order, facts, death.stderr)))
        }
    }
}

fn used_since(worker: &Worker, before: f64) -> f64 {
    (worker.cpu_seconds() - before).max(0.0)
}
