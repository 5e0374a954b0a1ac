//! The runner's loop: fill the slots, wait for whatever comes first, store it, stop in time, write the end record.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use super::budget::{Budget, Share};
use super::classify;
use super::clock::JobClock;
use super::end;
use super::environment::NodeEnvironment;
use super::error::{NodeError, chain};
use super::heartbeat::HeartbeatWriter;
use super::report::Reporter;
use super::scratch::Scratch;
use super::signals::{StopRequest, StopSignals};
use super::slot::{self, AttemptEnd, KillCause, KillOrder, SlotContext, SlotEnd};
use super::stderr::StderrLog;
use super::store::ReportStore;
use super::worker::Worker;
use crate::model::ids::TaskId;
use crate::model::task::{EndReason, EndRecord, JobManifest, TaskOrder, TaskOutcome, TaskReport};
use crate::spool::chunk::ChunkReader;
use crate::spool::{JobDirectory, atomic};

/// How long running tasks may go on after TERM. Slurm's KillWait is 30 s by default.
const TERM_GRACE: Duration = Duration::from_secs(20);
/// How long storing may take after TERM: the job script expects the runner's end within 25 s.
const TERM_STORING: Duration = Duration::from_secs(23);
/// How long to wait before the end record is tried again.
const END_RETRY: Duration = Duration::from_secs(1);

/// Why no further task is started.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Stop {
    reason: EndReason,
    detail: Option<String>,
}

/// One run of one job.
pub struct Runner {
    directory: JobDirectory,
    manifest: JobManifest,
    environment: NodeEnvironment,
    chunk: PathBuf,
    clock: JobClock,
}

impl Runner {
    /// A run that starts now, with the chunk at `chunk`.
    pub fn new(
        directory: JobDirectory,
        manifest: JobManifest,
        environment: NodeEnvironment,
        chunk: PathBuf,
    ) -> Runner {
        let clock = JobClock::new(Instant::now(), Duration::from_secs(manifest.walltime_seconds));
        Runner { directory, manifest, environment, chunk, clock }
    }

    /// Runs the job. Returns its exit code.
    pub async fn run(self, mut signals: StopSignals) -> Result<i32, NodeError> {
        tracing::info!(
            job.id = self.manifest.job_id.0,
            tasks = self.manifest.tasks,
            hostname = self.environment.hostname,
            restarts = self.environment.restarts,
            "started"
        );
        let start = self.environment.start_record(self.manifest.job_id);
        if let Err(error) = atomic::write_json(&self.directory.start(), &start) {
            tracing::warn!(error = chain(&error), "start record not written");
        }
        let deadline = self.clock.storing_ends();
        let mut run = match Run::prepare(&self) {
            Ok(run) => run,
            Err(error) => {
                let detail = chain(&error);
                tracing::error!(error = detail, "cannot work");
                let record = self.end_record(EndReason::Failed, Some(detail), None);
                return write_end(&self.directory, record, Instant::now() + TERM_GRACE).await;
            }
        };
        run.work(&mut signals).await;
        let (reason, detail) = run.conclusion();
        let deadline = deadline.min(run.storing_ends);
        let record = self.end_record(reason, detail, Some(&run.store));
        run.close().await;
        write_end(&self.directory, record, deadline).await
    }

    fn end_record(
        &self,
        reason: EndReason,
        detail: Option<String>,
        store: Option<&ReportStore>,
    ) -> EndRecord {
        let tally = store.map(|store| store.tally).unwrap_or_default();
        EndRecord {
            job_id: self.manifest.job_id,
            reason,
            exit_code: end::exit_code(self.manifest.exit, reason, tally.complete, self.manifest.tasks),
            results: tally.results,
            results_bytes: store.map_or(0, ReportStore::safe_bytes),
            detail,
        }
    }
}

async fn write_end(directory: &JobDirectory, record: EndRecord, deadline: Instant) -> Result<i32, NodeError> {
    tracing::info!(reason = ?record.reason, results = record.results, exit_code = record.exit_code, "ends");
    loop {
        match atomic::write_json(&directory.end(), &record) {
            Ok(()) => return Ok(record.exit_code),
            Err(error) if Instant::now() >= deadline => return Err(error.into()),
            Err(error) => tracing::warn!(error = chain(&error), "end record not written, trying again"),
        }
        sleep(END_RETRY).await;
    }
}

/// What changes while the job runs.
struct Run {
    clock: JobClock,
    context: Arc<SlotContext>,
    kill: watch::Sender<KillOrder>,
    chunk: ChunkReader,
    /// Tasks that a former run of the job has reported.
    reported: HashSet<(TaskId, u32)>,
    /// Read, but not started yet.
    next: Option<TaskOrder>,
    exhausted: bool,
    /// Tasks in the chunk.
    tasks: u32,
    handed_back: u64,
    budget: Budget,
    idle: Vec<Worker>,
    slots: JoinSet<SlotEnd>,
    running: BTreeSet<TaskId>,
    store: ReportStore,
    heartbeat: HeartbeatWriter,
    stop: Option<Stop>,
    storing_ends: Instant,
}

impl Run {
    fn prepare(runner: &Runner) -> Result<Run, NodeError> {
        let Runner { directory, manifest, environment, chunk, clock } = runner;
        let mut reported = HashSet::new();
        let store = ReportStore::open(directory, |report: &TaskReport| {
            reported.insert((report.task_id, report.attempt));
        })?;
        let base = manifest.scratch.as_ref().map_or(environment.temporary_directory.clone(), PathBuf::from);
        let first_kill = KillOrder { at: clock.work_ends(), cause: KillCause::JobEnds };
        let (kill, kill_receiver) = watch::channel(first_kill);
        let context = SlotContext {
            worker_command: manifest.worker_command.clone(),
            recycle_after: manifest.recycle_after,
            stderr: StderrLog::open(directory)?,
            scratch: Scratch::below(base, manifest.job_id)?,
            reporter: Reporter { environment: environment.clone(), job_id: manifest.job_id },
            kill: kill_receiver,
        };
        let interval = Duration::from_secs(manifest.heartbeat_seconds);
        Ok(Run {
            clock: *clock,
            context: Arc::new(context),
            kill,
            chunk: ChunkReader::open(chunk)?,
            reported,
            next: None,
            exhausted: false,
            tasks: manifest.tasks,
            handed_back: 0,
            budget: Budget::new(Share { cores: manifest.cores, memory_bytes: manifest.memory_bytes }),
            idle: vec![],
            slots: JoinSet::new(),
            running: BTreeSet::new(),
            store,
            heartbeat: HeartbeatWriter::new(directory.clone(), interval, Instant::now()),
            stop: None,
            storing_ends: clock.storing_ends(),
        })
    }

    async fn work(&mut self, signals: &mut StopSignals) {
        loop {
            let now = Instant::now();
            let running = self.running.iter().copied().collect();
            self.heartbeat.beat(now, self.store.tally.results, running);
            self.store.on_time(now);
            self.fill(now);
            if self.slots.is_empty() && (self.exhausted || self.stop.is_some()) {
                self.store.sync_unless_refused();
                if self.store.is_synced() || now >= self.storing_ends {
                    return;
                }
            }
            let wake = self.next_wake();
            tokio::select! {
                biased;
                request = signals.next() => self.on_signal(request),
                Some(end) = self.slots.join_next() => match end {
                    Ok(end) => self.on_slot_end(end),
                    Err(error) => self.stop(EndReason::Failed, Some(format!("a slot failed: {error}"))),
                },
                () = sleep_until(wake.into()) => {}
            }
        }
    }

    fn next_wake(&self) -> Instant {
        self.store.due().map_or(self.heartbeat.due(), |due| due.min(self.heartbeat.due()))
    }

    /// Starts tasks while there is room for them.
    fn fill(&mut self, now: Instant) {
        while self.stop.is_none() && !self.exhausted && !self.store.is_refused() {
            let Some(order) = self.next_order() else { return };
            if !self.clock.may_start(Duration::from_secs(order.walltime_seconds), now) {
                self.next = Some(order);
                return self.stop(EndReason::WalltimeNear, None);
            }
            let wanted = Share { cores: order.cores, memory_bytes: order.memory_bytes };
            let Some(granted) = self.budget.take(wanted) else {
                self.next = Some(order);
                return;
            };
            tracing::info!(task.id = order.task_id.0, attempt = order.attempt, "task started");
            self.running.insert(order.task_id);
            self.slots.spawn(slot::run(self.context.clone(), self.idle.pop(), order, granted));
        }
    }

    fn next_order(&mut self) -> Option<TaskOrder> {
        if let Some(order) = self.next.take() {
            return Some(order);
        }
        loop {
            match self.chunk.next() {
                Some(Ok(order)) if self.reported.contains(&(order.task_id, order.attempt)) => {}
                Some(Ok(order)) => return Some(order),
                Some(Err(error)) => {
                    self.stop(EndReason::Failed, Some(chain(&error)));
                    return None;
                }
                None => {
                    self.exhausted = true;
                    return None;
                }
            }
        }
    }

    fn stop(&mut self, reason: EndReason, detail: Option<String>) {
        if self.stop.is_none() {
            tracing::info!(?reason, detail, "no further task is started");
            self.stop = Some(Stop { reason, detail });
        }
    }

    fn on_signal(&mut self, request: StopRequest) {
        match request {
            // Running tasks go on until the job's own clock ends them.
            StopRequest::WalltimeNear => self.stop(EndReason::WalltimeNear, Some("SIGUSR2".into())),
            StopRequest::End(signal) => {
                self.stop(EndReason::Signal, Some(signal.into()));
                let now = Instant::now();
                self.storing_ends = self.storing_ends.min(now + TERM_STORING);
                self.kill.send_modify(|order| {
                    order.at = order.at.min(now + TERM_GRACE);
                    order.cause = KillCause::Signal;
                });
            }
        }
    }

    fn on_slot_end(&mut self, slot: SlotEnd) {
        self.budget.give_back(slot.granted);
        self.running.remove(&slot.order.task_id);
        self.idle.extend(slot.worker);
        let task = slot.order.task_id.0;
        match slot.end {
            AttemptEnd::Reported(report) if self.is_the_signals_work(&report) => {
                tracing::info!(task.id = task, "task failed while the job was being stopped, goes back");
                self.handed_back += 1;
            }
            AttemptEnd::Reported(report) => {
                match &report.outcome {
                    TaskOutcome::Complete { .. } => tracing::info!(task.id = task, "task complete"),
                    TaskOutcome::Error { class, error_type, .. } => {
                        tracing::info!(task.id = task, class = class.as_str(), error_type, "task failed");
                    }
                }
                self.store.append(*report);
            }
            AttemptEnd::HandedBack => {
                tracing::info!(task.id = task, "task goes back");
                self.handed_back += 1;
                self.stop(EndReason::WalltimeNear, None);
            }
            AttemptEnd::NoWorker(error) => {
                self.handed_back += 1;
                self.stop(EndReason::Failed, Some(chain(&error)));
            }
        }
    }

    fn is_the_signals_work(&self, report: &TaskReport) -> bool {
        let stopped = self.stop.as_ref().is_some_and(|stop| stop.reason == EndReason::Signal);
        stopped
            && matches!(&report.outcome, TaskOutcome::Error { class, .. } if classify::may_come_from_a_stop_signal(*class))
    }

    /// Why it all ended, for the end record.
    fn conclusion(&self) -> (EndReason, Option<String>) {
        if !self.store.is_synced() {
            return (EndReason::Failed, Some("the disk did not take the last results".into()));
        }
        let all_reported =
            self.handed_back == 0 && (self.exhausted || self.store.tally.results >= u64::from(self.tasks));
        match &self.stop {
            Some(stop) if !all_reported => (stop.reason, stop.detail.clone()),
            _ => (EndReason::Done, None),
        }
    }

    async fn close(self) {
        for worker in self.idle {
            worker.close().await;
        }
    }
}
