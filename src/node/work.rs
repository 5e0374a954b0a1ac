//! The runner's loop: fill the slots, wait for whatever comes first, store it, stop in time.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep_until;

use super::budget::{Budget, Grant, Share};
use super::cgroup::Delegated;
use super::classify;
use super::clock::JobClock;
use super::doubt::Doubt;
use super::error::{NodeError, chain};
use super::grace::Grace;
use super::guard::Guard;
use super::hand::{ChunkKey, Hand, Look, MayLook, Situation};
use super::heartbeat::HeartbeatWriter;
use super::lookout::Lookout;
use super::native::Step;
use super::native::run::{self as native, NativeEnd, NativePrograms, NativeReport, NativeSlots};
use super::notices::Notices;
use super::relay::Relay;
use super::report::{AttemptFacts, Reporter};
use super::runner::Runner;
use super::scratch::Scratch;
use super::signals::{StopRequest, StopSignals};
use super::slot::{self, AttemptEnd, KillCause, KillOrder, SlotContext, SlotEnd};
use super::stderr::StderrLog;
use super::stopwatch::Stopwatch;
use super::store::{EncodedReport, ReportStore};
use super::worker::Worker;
use crate::model::capability;
use crate::model::failure::FailureClass;
use crate::model::ids::{ChunkId, TaskId};
use crate::model::notice::{Attempt, GiveBack, Holder, Notice};
use crate::model::task::{EndReason, TaskOrder, TaskReport, Warning};
use crate::spool::SpoolError;
use crate::spool::frame::{Encoder, ReportLimits};

/// How long tasks that are answered at once are worked through before signals and the heartbeat are looked at.
const FILL_SLICE: Duration = Duration::from_millis(5);

/// Why no further task is started.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Stop {
    reason: EndReason,
    detail: Option<String>,
}

/// Whether filling the slots came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Filled {
    /// For now.
    Yes,
    /// There is more to start at once.
    NotYet,
}

/// What changes while the job runs.
pub struct Work {
    clock: JobClock,
    context: Arc<SlotContext>,
    kill: watch::Sender<KillOrder>,
    notices: Notices,
    job: Holder,
    /// Attempts that run and that nobody waits for any more.
    recalled: watch::Sender<BTreeSet<Attempt>>,
    hand: Hand,
    /// Taken, but not started yet.
    next: Option<(TaskOrder, ChunkKey)>,
    lookout: Lookout,
    idle_limit: Duration,
    /// There will be no further task.
    exhausted: bool,
    programs: NativePrograms,
    native: NativeSlots,
    native_ends: mpsc::UnboundedReceiver<NativeEnd>,
    underway: mpsc::UnboundedReceiver<TaskReport>,
    budget: Budget,
    /// Workers that wait for a task, with the GPUs that they see.
    idle: Vec<(Vec<String>, Worker)>,
    slots: JoinSet<SlotEnd>,
    running: BTreeMap<TaskId, ChunkKey>,
    encoder: Encoder,
    pub(super) store: ReportStore,
    heartbeat: HeartbeatWriter,
    relay: Relay,
    doubt: Doubt,
    /// Why no Python worker can be started: tasks that need one go back, the others go on.
    pub(super) no_worker: Option<String>,
    /// The job has a pool to take chunks from.
    pooled: bool,
    stop: Option<Stop>,
    pub(super) storing_ends: Instant,
    grace: Grace,
    warning: Warning,
}

const WARNING_SIGNAL: &str = "SIGUSR2";

/// What a warning announces: where it comes before every kill, one long before the walltime is not the walltime's, and the
/// scheduler is asked whose it was.
fn announced(warning: Warning, clock: &JobClock, grace: Grace) -> EndReason {
    match warning {
        Warning::Kill if !clock.ends_soon(grace.storing, Instant::now()) => EndReason::Signal,
        Warning::Kill | Warning::WalltimeNear => EndReason::WalltimeNear,
    }
}

impl Work {
    /// Opens what the run needs.
    pub fn prepare(runner: &Runner) -> Result<Work, NodeError> {
        let Runner { directory, manifest, environment, chunk, clock, .. } = runner;
        SpoolError::refuse_later(&directory.manifest(), manifest.format)?;
        let mut reported = HashSet::new();
        let store = ReportStore::open(directory, |report: &TaskReport| {
            reported.insert((report.task_id, report.attempt));
        })?;
        let wanted = manifest.scratch.as_deref().map(Path::new);
        let first_kill = KillOrder { at: clock.work_ends(), cause: KillCause::JobEnds };
        let (kill, kill_receiver) = watch::channel(first_kill);
        let (recalled, recalled_receiver) = watch::channel(BTreeSet::new());
        let (tell, underway) = mpsc::unbounded_channel();
        let guard = Guard::default();
        let scratch = Scratch::new(wanted, &environment.temporary_directory, &environment.hostname)?;
        let cgroups = Delegated::find(scratch.path());
        if let Some(cgroups) = &cgroups {
            guard.watch_cgroups(cgroups.slots());
        }
        let limits = manifest.result_bytes.map_or(ReportLimits::USUAL, ReportLimits::of_bytes);
        let context = Arc::new(SlotContext {
            limits,
            worker_command: manifest.worker_command.clone(),
            recycle_after: manifest.recycle_after,
            mpiexec: manifest.mpiexec.clone(),
            recycle_growth_bytes: manifest.recycle_growth_bytes,
            stderr: StderrLog::open(directory)?,
            scratch,
            cgroups,
            guard,
            reporter: Reporter { environment: environment.clone(), job_id: manifest.job_id },
            kill: kill_receiver,
            recalled: recalled_receiver,
            underway: tell,
        });
        let budget = Budget::new(manifest.cores, manifest.memory_bytes, environment.gpus(manifest.gpus));
        let (ends, native_ends) = mpsc::unbounded_channel();
        let now = Instant::now();
        // The job script hands TERM on itself; of a warning it only knows that the runner may not have heard it.
        let warned = environment.early_signals.iter().any(|name| name == "USR2");
        let stop = warned.then(|| Stop {
            reason: announced(manifest.warning, clock, runner.grace()),
            detail: Some(WARNING_SIGNAL.into()),
        });
        Ok(Work {
            clock: *clock,
            kill,
            notices: Notices::new(manifest, now),
            job: Holder::Job(manifest.job_id),
            recalled,
            hand: Hand::new(directory, manifest, chunk, budget.whole(), reported)?,
            next: None,
            lookout: Lookout::new(now),
            idle_limit: Duration::from_secs(manifest.idle_seconds),
            exhausted: false,
            programs: NativePrograms::new(&manifest.native_programs, environment.search_path.clone()),
            native: NativeSlots::new(context.clone(), ends),
            native_ends,
            underway,
            context,
            budget,
            idle: vec![],
            slots: JoinSet::new(),
            running: BTreeMap::new(),
            encoder: Encoder::within(limits)
                .map_err(|error| NodeError::Start(std::io::Error::other(error)))?,
            store,
            heartbeat: HeartbeatWriter::new(directory.clone(), manifest, now),
            relay: Relay::new(directory, now),
            doubt: Doubt::new(&environment.hostname, manifest.avoided.as_ref().map(Into::into), now),
            no_worker: None,
            pooled: manifest.ready.is_some(),
            stop,
            storing_ends: clock.storing_ends(),
            grace: runner.grace(),
            warning: manifest.warning,
        })
    }

    /// Works until there is nothing more to do or no more time.
    pub async fn run(&mut self, signals: &mut StopSignals) {
        loop {
            let now = Instant::now();
            self.heartbeat.beat(now, self.store.tally.results, self.running.keys());
            if self.heartbeat.is_for_nobody() {
                self.give_up(now);
            }
            self.store.on_time(now);
            for request in self.relay.listen(now) {
                self.on_signal(request);
            }
            if let Some(why) = self.doubt.avoided(now) {
                self.stop(EndReason::NodeUnfit, Some(why));
            }
            self.hear_notices(now);
            let filled = self.fill(now);
            self.store.flush();
            self.hand.tidy(self.store.safe_bytes());
            if self.hand.waits_for_sync() {
                self.store.sync_unless_refused();
            }
            if self.running.is_empty() && (self.exhausted || self.stop.is_some()) {
                self.store.sync_unless_refused();
                if self.store.is_synced() || now >= self.storing_ends {
                    return;
                }
            }
            let wake = match filled {
                Filled::Yes => Some(self.next_wake()),
                Filled::NotYet => None,
            };
            tokio::select! {
                biased;
                request = signals.next() => self.on_signal(request),
                Some(end) = self.native_ends.recv() => self.on_native_end(end),
                Some(report) = self.underway.recv() => self.store_progress(report),
                Some(end) = self.slots.join_next() => match end {
                    Ok(end) => self.on_slot_end(end),
                    Err(error) => self.stop(EndReason::Failed, Some(format!("a slot failed: {error}"))),
                },
                () = self.store.sync_ended() => {}
                () = wait(wake) => {}
            }
        }
    }

    fn next_wake(&self) -> Instant {
        let looks = self.stop.is_none() && !self.exhausted && self.next.is_none() && !self.store.is_refused();
        let look = looks.then(|| self.lookout.due());
        [self.store.due(), look, self.relay.due(), self.notices.due(), self.doubt.due()]
            .into_iter()
            .flatten()
            .fold(self.heartbeat.due(), Instant::min)
    }

    /// Heeds what the daemon has to tell of what is at hand.
    fn hear_notices(&mut self, now: Instant) {
        let (hand, job) = (&self.hand, self.job);
        let notices = self.notices.listen(now, |holder| match holder {
            Holder::Chunk(chunk) => hand.holds(chunk),
            Holder::Job(_) => holder == job,
        });
        for (holder, Notice { recalled, give_back }) in notices {
            for attempt in recalled {
                self.recall(attempt);
            }
            if let (Holder::Chunk(chunk), Some(GiveBack { keep, .. })) = (holder, give_back) {
                self.give_back(chunk, keep);
            }
        }
    }

    /// Nobody waits for this attempt any more: it is not begun, and where it runs it is ended.
    fn recall(&mut self, attempt: Attempt) {
        self.hand.recall(attempt);
        let is_it = |order: &TaskOrder| (order.task_id, order.attempt) == (attempt.task_id, attempt.attempt);
        if let Some((_, key)) = self.next.take_if(|(order, _)| is_it(order)) {
            self.hand.reported(key, self.store.length());
        }
        if self.running.contains_key(&attempt.task_id) {
            tracing::info!(task.id = attempt.task_id.0, attempt = attempt.attempt, "task recalled");
            self.recalled.send_modify(|all| _ = all.insert(attempt));
        }
    }

    /// Others have nothing to do: tasks that are not begun go back, all but `keep`.
    fn give_back(&mut self, chunk: ChunkId, keep: u32) {
        let orders = match self.hand.give_back(chunk, keep as usize) {
            Ok(orders) => orders,
            Err(error) => return self.stop(EndReason::Failed, Some(chain(&error))),
        };
        tracing::info!(chunk.id = chunk.0, keep, tasks = orders.len(), "unbegun tasks go back");
        for order in orders {
            let report = self.context.reporter.returned(&order);
            if let Some(report) = EncodedReport::of(report, &mut self.encoder) {
                self.store.append(&report);
            }
        }
    }

    /// Starts tasks while there is room for them.
    fn fill(&mut self, since: Instant) -> Filled {
        while self.stop.is_none() && !self.exhausted && !self.store.is_refused() {
            let now = Instant::now();
            if now.duration_since(since) >= FILL_SLICE {
                return Filled::NotYet;
            }
            let Some((order, key)) = self.next_order(now) else { return Filled::Yes };
            let expected = order.expected_seconds.map(Duration::from_secs);
            if !self.clock.may_start(Duration::from_secs(order.walltime_seconds), expected, now) {
                self.next = Some((order, key));
                self.stop(EndReason::WalltimeNear, None);
                return Filled::Yes;
            }
            let wanted = Share { cores: order.cores, memory_bytes: order.memory_bytes, gpus: order.gpus };
            let Some(granted) = self.budget.take(wanted) else {
                self.next = Some((order, key));
                return Filled::Yes;
            };
            self.begin(order, key, granted);
        }
        Filled::Yes
    }

    fn next_order(&mut self, now: Instant) -> Option<(TaskOrder, ChunkKey)> {
        if let Some(next) = self.next.take() {
            return Some(next);
        }
        let may_look = match self.lookout.due() <= now && self.no_worker.is_none() {
            true => MayLook::Yes,
            false => MayLook::No,
        };
        let situation = Situation {
            now,
            clock: &self.clock,
            budget: &self.budget,
            running: &self.running,
            length: self.store.length(),
            may_look,
        };
        match self.hand.next(&situation) {
            Ok(Look::Task(order, key)) => {
                self.lookout.found(now);
                return Some((*order, key));
            }
            // What is at hand is worked through, and nothing more is taken: it could only go back.
            Ok(Look::NotYet) if self.no_worker.is_some() => self.exhausted = true,
            Ok(Look::NotYet) => {}
            Ok(Look::NoRoom) => self.lookout.no_room(now),
            Ok(Look::Nothing) => self.exhausted = true,
            Ok(Look::NoTime) if self.running.is_empty() => self.stop(EndReason::WalltimeNear, None),
            Ok(Look::NothingNow | Look::NoTime) => self.found_nothing(now, None),
            Ok(Look::Trouble(error)) => self.found_nothing(now, Some(error)),
            Err(error) => self.stop(EndReason::Failed, Some(chain(&error))),
        }
        None
    }

    /// Waits for a further chunk, and not for ever.
    fn found_nothing(&mut self, now: Instant, trouble: Option<SpoolError>) {
        self.lookout.found_nothing(now);
        if let Some(error) = &trouble {
            tracing::warn!(error = chain(error), "the pool's chunks are out of reach");
        }
        if !self.running.is_empty() {
            self.lookout.busy();
        } else if self.lookout.idle_for(now) >= self.idle_limit {
            match trouble {
                Some(error) => self.stop(EndReason::Failed, Some(chain(&error))),
                None => self.exhausted = true,
            }
        }
    }

    fn begin(&mut self, order: TaskOrder, key: ChunkKey, granted: Grant) {
        let stopwatch = Stopwatch::start();
        if let Err(misfit) = capability::check(&order.calculation) {
            // Intake asks the same, but records may have been stored before it knew.
            let facts = AttemptFacts::now(granted.share, &stopwatch, 0.0);
            let report = self.context.reporter.refused(&order, facts, misfit.to_string());
            return self.report_at_once(&order, key, granted, report);
        }
        let Some(prepared) = self.programs.prepare(&order, granted.share) else {
            if self.no_worker.is_some() {
                self.budget.give_back(granted);
                return self.goes_back(order.task_id, key);
            }
            tracing::info!(task.id = order.task_id.0, attempt = order.attempt, "task started");
            self.running.insert(order.task_id, key);
            let fit = self.idle.iter().rposition(|(gpus, _)| *gpus == granted.gpus);
            let worker = fit.map(|index| self.idle.swap_remove(index).1);
            self.slots.spawn(slot::run(self.context.clone(), worker, order, granted));
            return;
        };
        match prepared.invocation.step {
            Step::Nothing => {
                let report = native::answer_at_once(
                    &self.context,
                    &order,
                    granted.share,
                    prepared.program,
                    &stopwatch,
                );
                self.report_at_once(&order, key, granted, report);
            }
            Step::Sleep(length) => {
                self.running.insert(order.task_id, key);
                let program = prepared.program;
                self.slots.spawn(native::sleep(self.context.clone(), order, granted, program, length));
            }
            Step::Process { .. } => {
                self.running.insert(order.task_id, key);
                if let Err(error) = self.native.start(order, granted, prepared) {
                    self.stop(EndReason::Failed, Some(chain(&error)));
                }
            }
        }
    }

    /// Stores the report of a task for which nothing was started.
    fn report_at_once(&mut self, order: &TaskOrder, key: ChunkKey, granted: Grant, report: TaskReport) {
        let report = EncodedReport::of(report, &mut self.encoder);
        self.budget.give_back(granted);
        self.store_report(order.task_id, key, report);
    }

    fn stop(&mut self, reason: EndReason, detail: Option<String>) {
        if self.stop.is_none() {
            tracing::info!(?reason, detail, "no further task is started");
            self.stop = Some(Stop { reason, detail });
            self.heartbeat.hasten(Instant::now());
        }
    }

    fn on_signal(&mut self, request: StopRequest) {
        match request {
            StopRequest::Warning => {
                let reason = announced(self.warning, &self.clock, self.grace);
                self.stop(reason, Some(WARNING_SIGNAL.into()));
                match self.warning {
                    // Running tasks go on until the job's own clock ends them.
                    Warning::WalltimeNear => {}
                    Warning::Kill => self.end_soon(),
                }
            }
            StopRequest::End(signal) => {
                self.stop(EndReason::Signal, Some(signal.into()));
                self.end_soon();
            }
        }
    }

    /// Running tasks end within what the scheduler leaves them.
    fn end_soon(&mut self) {
        let now = Instant::now();
        self.storing_ends = self.storing_ends.min(now + self.grace.storing);
        self.kill.send_modify(|order| {
            order.at = order.at.min(now + self.grace.tasks);
            order.cause = KillCause::Signal;
        });
    }

    /// Ends everything at once: nobody waits for it.
    fn give_up(&mut self, now: Instant) {
        self.stop(EndReason::Failed, Some("the job's directory is gone".into()));
        self.storing_ends = self.storing_ends.min(now);
        self.kill.send_if_modified(|order| {
            let later = order.at > now;
            if later {
                *order = KillOrder { at: now, cause: KillCause::Signal };
            }
            later
        });
    }

    fn on_slot_end(&mut self, slot: SlotEnd) {
        while let Ok(report) = self.underway.try_recv() {
            self.store_progress(report);
        }
        let Some(key) = self.ended(slot.task_id, slot.granted.clone()) else { return };
        self.idle.extend(slot.worker.map(|worker| (slot.granted.gpus, worker)));
        match slot.end {
            AttemptEnd::Reported(report) => {
                tracing::info!(task.id = slot.task_id.0, "task ended");
                let report = EncodedReport::of(*report, &mut self.encoder);
                self.store_report(slot.task_id, key, report);
            }
            AttemptEnd::HandedBack => self.handed_back(slot.task_id, key),
            AttemptEnd::NoWorker(error) => {
                self.goes_back(slot.task_id, key);
                self.on_no_worker(chain(&error));
            }
        }
    }

    /// QCEngine cannot be used here. Programs that need no Python go on with what is at hand.
    fn on_no_worker(&mut self, why: String) {
        if self.no_worker.is_none() {
            tracing::error!(error = why, "no worker can be started: tasks that need one go back");
            self.heartbeat.tell_no_worker(&why, Instant::now());
            self.no_worker = Some(why);
        }
    }

    fn on_native_end(&mut self, end: NativeEnd) {
        self.native.freed(&end);
        let Some(key) = self.ended(end.task_id, end.granted) else { return };
        match end.report {
            NativeReport::Stored(report) => self.store_report(end.task_id, key, report),
            NativeReport::HandedBack => self.handed_back(end.task_id, key),
        }
    }

    /// A task has ended without a report: it was recalled, or there is no more time for it.
    fn handed_back(&mut self, task: TaskId, key: ChunkKey) {
        let before = self.recalled.borrow().len();
        self.recalled.send_modify(|all| all.retain(|attempt| attempt.task_id != task));
        if self.recalled.borrow().len() < before {
            return self.hand.reported(key, self.store.length());
        }
        self.goes_back(task, key);
        self.stop(EndReason::WalltimeNear, None);
    }

    fn ended(&mut self, task: TaskId, granted: Grant) -> Option<ChunkKey> {
        self.budget.give_back(granted);
        self.lookout.room(Instant::now());
        self.running.remove(&task)
    }

    /// Stores a report, unless there is none or the signal that stops the job may have made it.
    fn store_report(&mut self, task: TaskId, key: ChunkKey, report: Option<EncodedReport>) {
        let Some(report) = report else { return self.goes_back(task, key) };
        if !self.recalled.borrow().is_empty() {
            // It ended before it could be ended.
            self.recalled.send_modify(|all| all.retain(|attempt| attempt.task_id != task));
        }
        if let Some(class) = report.failure {
            tracing::info!(task.id = task.0, class = class.as_str(), "task failed");
            let doubtful = match self.stop.as_ref().map(|stop| stop.reason) {
                Some(EndReason::Signal) => classify::may_come_from_a_stop_signal(class),
                Some(EndReason::NodeUnfit) => class == FailureClass::Node,
                _ => false,
            };
            if doubtful {
                return self.goes_back(task, key);
            }
        }
        if let Some(why) = self.doubt.reported(task, report.failure) {
            self.stop(EndReason::NodeUnfit, Some(why));
        }
        self.store.append(&report);
        self.hand.reported(key, self.store.length());
    }

    /// Stores how far a task has come. What a slot told is there before its end.
    fn store_progress(&mut self, report: TaskReport) {
        if let Some(report) = EncodedReport::of(report, &mut self.encoder) {
            self.store.append(&report);
        }
    }

    fn goes_back(&mut self, task: TaskId, key: ChunkKey) {
        tracing::info!(task.id = task.0, "task goes back");
        self.hand.handed_back(key);
    }

    /// Why it all ended, for the end record.
    pub fn conclusion(&self) -> (EndReason, Option<String>) {
        if !self.store.is_synced() {
            return (EndReason::Failed, Some("the disk did not take the last results".into()));
        }
        match &self.stop {
            Some(stop) if self.pooled || !self.hand.is_clean() => (stop.reason, stop.detail.clone()),
            _ if self.no_worker.is_some() => (EndReason::Failed, self.no_worker.clone()),
            _ => (EndReason::Done, None),
        }
    }

    /// Ends what is idle.
    pub async fn close(self) {
        self.native.close();
        for (_, worker) in self.idle {
            worker.close().await;
        }
    }
}

/// Waits until `wake`; without one, until others had their turn.
async fn wait(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake.into()).await,
        None => yield_now().await,
    }
}
