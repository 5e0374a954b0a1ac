//! One task on one worker: start, ask, limit, clean up. What comes out is a report or the task itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::budget::Grant;
use super::cgroup::Delegated;
use super::classify;
use super::clock::had_its_time;
use super::cpu_time;
use super::error::{NodeError, chain};
use super::guard::Guard;
use super::memory;
use super::native::gpu_environment;
use super::progress::Keeper;
use super::report::{AttemptFacts, Outputs, Reporter};
use super::scratch::Scratch;
use super::stderr::StderrLog;
use super::stopwatch::Stopwatch;
use super::worker::{NoAnswer, Reply, Request, Worker};
use crate::model::ids::TaskId;
use crate::model::notice::Attempt;
use crate::model::task::{TaskOrder, TaskReport};
use crate::spool::frame::ReportLimits;

/// An error is held back this long: when the scheduler kills a job it kills the programs in the same moment, and the
/// runner should see its own signal first.
pub const ERROR_DELAY: Duration = Duration::from_millis(50);
/// How long to wait before a worker is tried a second time.
const SECOND_START: Duration = Duration::from_secs(2);

/// How often the memory of a worker and its programs is looked at.
const MEMORY_INTERVAL: Duration = Duration::from_millis(500);

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
    /// Nobody waits for the task any more.
    Recalled,
}

/// What all slots share.
#[derive(Debug)]
pub struct SlotContext {
    /// How large a report may be.
    pub limits: ReportLimits,
    /// The worker's argument vector.
    pub worker_command: Vec<String>,
    /// Tasks after which a worker is replaced.
    pub recycle_after: u32,
    /// Growth after which a worker is replaced.
    pub recycle_growth_bytes: Option<u64>,
    /// Starts a program on several nodes.
    pub mpiexec: Option<String>,
    /// Where workers' standard error goes.
    pub stderr: StderrLog,
    /// Where tasks have their scratch.
    pub scratch: Scratch,
    /// Gives each slot a control group, where the job may.
    pub cgroups: Option<Delegated>,
    /// Ends programs should the runner be killed.
    pub guard: Guard,
    /// Makes reports.
    pub reporter: Reporter,
    /// When to kill.
    pub kill: watch::Receiver<KillOrder>,
    /// Attempts that run and that nobody waits for any more.
    pub recalled: watch::Receiver<BTreeSet<Attempt>>,
    /// Takes what is known of tasks that have not ended.
    pub underway: UnboundedSender<TaskReport>,
}

impl SlotContext {
    /// Whether nobody waits for this attempt any more.
    pub fn is_recalled(&self, order: &TaskOrder) -> bool {
        self.recalled.borrow().contains(&attempt_of(order))
    }

    /// Waits until nobody waits for this attempt any more.
    pub async fn recall_of(&self, order: &TaskOrder) {
        let mut recalled = self.recalled.clone();
        if recalled.wait_for(|all| all.contains(&attempt_of(order))).await.is_err() {
            // The runner's loop is gone, and nobody recalls anything.
            std::future::pending::<()>().await;
        }
    }
}

fn attempt_of(order: &TaskOrder) -> Attempt {
    Attempt { task_id: order.task_id, attempt: order.attempt }
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
    pub task_id: TaskId,
    /// Its share of the job.
    pub granted: Grant,
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
    granted: Grant,
) -> SlotEnd {
    let task_id = order.task_id;
    let mut kill = context.kill.clone();
    let memory_limit = memory::limit_of(granted.share.memory_bytes);
    let worker = match fit(worker, &context, memory_limit).await {
        Some(worker) => Ok(worker),
        None => tokio::select! {
            worker = start_worker(&context, &granted.gpus, memory_limit) => worker,
            () = context.recall_of(&order) => {
                return SlotEnd { task_id, granted, worker: None, end: AttemptEnd::HandedBack };
            }
            _ = killed(&mut kill) => {
                return SlotEnd { task_id, granted, worker: None, end: AttemptEnd::HandedBack };
            }
        },
    };
    let (worker, end) = match worker {
        Ok(worker) => attempt(&context, worker, &order, &granted, &mut kill).await,
        Err(error) => (None, AttemptEnd::NoWorker(error)),
    };
    if let AttemptEnd::Reported(report) = &end
        && classify::is_doubtful(&report.outcome)
    {
        tokio::time::sleep(ERROR_DELAY).await;
    }
    SlotEnd { task_id, granted, worker, end }
}

/// The worker, held to what the next task may hold, unless it has done its share or died while it had nothing to do.
async fn fit(worker: Option<Worker>, context: &SlotContext, memory_limit: u64) -> Option<Worker> {
    let mut worker = worker?;
    if worker.is_alive() {
        let grown_bytes = worker.growth_bytes();
        let outgrown = context.recycle_growth_bytes.is_some_and(|limit| grown_bytes > limit);
        if worker.tasks_asked() < context.recycle_after && !outgrown && !worker.went_over() {
            worker.hold_to(memory_limit).await;
            // With what it kept of earlier tasks it may be too large for this one.
            if !worker.went_over() {
                return Some(worker);
            }
        }
        tracing::info!(tasks = worker.tasks_asked(), grown_bytes, "a worker has done its share");
        worker.close().await;
        return None;
    }
    tracing::warn!("an idle worker died");
    worker.bury().await;
    None
}

async fn start_worker(
    context: &SlotContext,
    gpus: &[String],
    memory_limit: u64,
) -> Result<Worker, NodeError> {
    let environment = gpu_environment(gpus);
    let start = || {
        let cgroup = context.cgroups.as_ref().and_then(Delegated::make).map(Arc::new);
        Worker::start(&context.worker_command, &environment, cgroup, &context.stderr)
    };
    let worker = match start().await {
        Ok(worker) => worker,
        Err(error) => {
            tracing::warn!(error = chain(&error), "worker did not start, trying once more");
            tokio::time::sleep(SECOND_START).await;
            start().await?
        }
    };
    worker.hold_to(memory_limit).await;
    Ok(worker)
}

/// Waits until running tasks are to be killed.
pub async fn killed(kill: &mut watch::Receiver<KillOrder>) -> KillCause {
    loop {
        let order = *kill.borrow_and_update();
        tokio::select! {
            () = sleep_until(order.at.into()) => return order.cause,
            changed = kill.changed() => if changed.is_err() { return order.cause },
        }
    }
}

/// Watches what the worker and its programs hold; returns when it is more than `limit_bytes`.
async fn outgrown(worker: Pid, limit_bytes: u64, peak_bytes: &AtomicU64) {
    tokio::time::sleep(memory::FIRST_LOOK).await;
    loop {
        let held = memory::of_tree(worker);
        peak_bytes.fetch_max(held, Ordering::Relaxed);
        if held > limit_bytes {
            return;
        }
        tokio::time::sleep(MEMORY_INTERVAL).await;
    }
}

enum Happened {
    TooLarge,
    Answered(Result<Reply, NoAnswer>),
    OwnLimit,
    Killed(KillCause),
}

async fn attempt(
    context: &SlotContext,
    mut worker: Worker,
    order: &TaskOrder,
    granted: &Grant,
    kill: &mut watch::Receiver<KillOrder>,
) -> (Option<Worker>, AttemptEnd) {
    let stopwatch = Stopwatch::start();
    let cpu_before = cpu_time::of_process(worker.pid());
    let limit = Duration::from_secs(order.walltime_seconds);
    let qcengine_version = Some(worker.qcengine_version.clone());
    let peak_bytes = AtomicU64::new(0);
    let facts = |cpu_seconds: f64| AttemptFacts {
        peak_memory_bytes: Some(peak_bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0),
        qcengine_version: qcengine_version.clone(),
        ..AttemptFacts::now(granted.share, &stopwatch, cpu_seconds)
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
        cores: granted.share.cores,
        memory_bytes: granted.share.memory_bytes,
        nodes: order.nodes,
        mpiexec: context.mpiexec.as_deref(),
        scratch_directory: scratch.path(),
    };
    let memory_limit = memory::limit_of(granted.share.memory_bytes);
    let pid = worker.pid();
    let mut keeper = Keeper::new(stopwatch.started(), |progress| {
        let report = context.reporter.progress(order, facts(0.0), progress);
        // The runner's loop is there as long as slots are.
        let _ = context.underway.send(report);
    });
    let happened = tokio::select! {
        // An answer that is there counts, whatever else is due in the same moment.
        biased;
        answer = worker.ask(&request, |progress| keeper.hear(progress, Instant::now())) => {
            Happened::Answered(answer)
        }
        () = tokio::time::sleep(limit) => Happened::OwnLimit,
        () = outgrown(pid, memory_limit, &peak_bytes) => Happened::TooLarge,
        cause = killed(kill) => Happened::Killed(cause),
        () = context.recall_of(order) => Happened::Killed(KillCause::Recalled),
    };
    if !matches!(happened, Happened::Answered(Ok(_))) {
        keeper.tell();
    }
    let failed =
        matches!(&happened, Happened::Answered(answer) if !answer.as_ref().is_ok_and(Reply::is_result));
    let happened = if failed && worker.went_over() {
        peak_bytes.fetch_max(memory_limit, Ordering::Relaxed);
        Happened::TooLarge
    } else {
        happened
    };
    match happened {
        Happened::Answered(Ok(reply)) => {
            let facts = facts(reply.cpu_seconds);
            let stderr = worker.stderr();
            let reply = scratch.explain(reply);
            (Some(worker), reported(context.reporter.answered(order, facts, reply, stderr)))
        }
        Happened::Answered(Err(no_answer)) => {
            let facts = facts(used_since(&worker, cpu_before));
            let nonsense = match no_answer {
                NoAnswer::Gone => None,
                NoAnswer::Nonsense(text) => Some(text),
            };
            let death = worker.bury().await;
            let stdout = scratch.printed();
            (None, reported(context.reporter.worker_died(order, facts, death, stdout, nonsense)))
        }
        Happened::Killed(cause)
            if cause != KillCause::JobEnds || !had_its_time(limit, stopwatch.elapsed()) =>
        {
            worker.kill().await;
            (None, AttemptEnd::HandedBack)
        }
        Happened::TooLarge => {
            let facts = facts(used_since(&worker, cpu_before));
            let stderr = worker.kill().await.stderr;
            let outputs = Outputs { stdout: scratch.printed(), stderr };
            (None, reported(context.reporter.over_memory(order, facts, memory_limit, outputs)))
        }
        Happened::OwnLimit | Happened::Killed(_) => {
            let facts = facts(used_since(&worker, cpu_before));
            let stderr = worker.kill().await.stderr;
            let outputs = Outputs { stdout: scratch.printed(), stderr };
            (None, reported(context.reporter.timed_out(order, facts, outputs)))
        }
    }
}

fn used_since(worker: &Worker, before: f64) -> f64 {
    (worker.cpu_seconds() - before).max(0.0)
}
