//! Runs native programs: at once where nothing is started, else on threads that each run one process after another.
//!
//! A thread writes the input, starts the program, reads what it left and makes the report, so that the runner's loop
//! only appends bytes.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::sync::mpsc::UnboundedSender;

use super::group::{self, Ended, Watch};
use super::{Finished, Invocation, NativeProgram, Step};
use crate::model::ids::TaskId;
use crate::model::task::{TaskOrder, TaskReport};
use crate::model::timing::SYNTHETIC;
use crate::node::budget::{Grant, Share};
use crate::node::cgroup::{Cgroup, Delegated};
use crate::node::classify;
use crate::node::clock::had_its_time;
use crate::node::error::{NodeError, chain};
use crate::node::memory;
use crate::node::report::{AttemptFacts, Outputs};
use crate::node::scratch::TaskScratch;
use crate::node::slot::{AttemptEnd, ERROR_DELAY, KillCause, SlotContext, SlotEnd, killed};
use crate::node::stopwatch::Stopwatch;
use crate::node::store::EncodedReport;
use crate::spool::frame::Encoder;

/// A larger output file is left out.
const MOST_FILE_BYTES: u64 = 256 << 20;

/// A calculation that is ready to be run.
#[derive(Clone)]
pub struct Prepared {
    /// By whom.
    pub program: &'static dyn NativeProgram,
    /// What to do.
    pub invocation: Invocation,
}

/// Programs that this job runs itself, and where their executables are.
pub struct NativePrograms {
    offered: HashMap<&'static str, &'static dyn NativeProgram>,
    search: Vec<PathBuf>,
    found: HashMap<String, Option<PathBuf>>,
}

impl NativePrograms {
    /// Those of `names` whose executables are in `search`, and the synthetic one.
    pub fn new(names: &[String], search: Vec<PathBuf>) -> NativePrograms {
        let mut programs = NativePrograms { offered: HashMap::new(), search, found: HashMap::new() };
        for name in names.iter().map(String::as_str).chain([SYNTHETIC]) {
            let Some(program) = super::find(name) else {
                tracing::warn!(program = name, "not run natively: no such program");
                continue;
            };
            match program.executable() {
                Some(executable) if programs.resolve(executable).is_none() => {
                    tracing::warn!(program = name, executable, "not run natively: not in PATH");
                }
                _ => {
                    programs.offered.insert(program.name(), program);
                }
            }
        }
        programs
    }

    /// What to do for an order; none where QCEngine is to do it.
    pub fn prepare(&mut self, order: &TaskOrder, share: Share) -> Option<Prepared> {
        let program = *self.offered.get(order.calculation.specification.qc().program.as_str())?;
        let mut invocation = program.prepare(&order.calculation, share)?;
        if let Step::Process { arguments, .. } = &mut invocation.step {
            let executable = arguments.first_mut()?;
            if !executable.contains('/') {
                *executable = self.resolve(executable)?.to_str()?.to_owned();
            }
        }
        Some(Prepared { program, invocation })
    }

    fn resolve(&mut self, executable: &str) -> Option<&Path> {
        let search = &self.search;
        let look = || search.iter().map(|folder| folder.join(executable)).find(|path| is_executable(path));
        self.found.entry(executable.to_owned()).or_insert_with(look).as_deref()
    }
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
}

/// The report of a calculation for which nothing is started.
pub fn answer_at_once(
    context: &SlotContext,
    order: &TaskOrder,
    share: Share,
    program: &dyn NativeProgram,
    stopwatch: &Stopwatch,
) -> TaskReport {
    let finished = Finished {
        wall_seconds: stopwatch.elapsed().as_secs_f64(),
        hostname: context.reporter.environment.hostname.clone(),
        ..Finished::default()
    };
    let reply = program.read(&order.calculation, share, &finished);
    let facts = AttemptFacts::now(share, stopwatch, reply.cpu_seconds);
    context.reporter.answered(order, facts, reply, None)
}

/// A calculation that takes its time and does nothing.
pub async fn sleep(
    context: Arc<SlotContext>,
    order: TaskOrder,
    granted: Grant,
    program: &'static dyn NativeProgram,
    length: Duration,
) -> SlotEnd {
    let stopwatch = Stopwatch::start();
    let mut kill = context.kill.clone();
    let limit = Duration::from_secs(order.walltime_seconds);
    let share = granted.share;
    let report = tokio::select! {
        () = tokio::time::sleep(length) => {
            Some(answer_at_once(&context, &order, share, program, &stopwatch))
        }
        () = tokio::time::sleep(limit) => {
            let facts = AttemptFacts::now(share, &stopwatch, 0.0);
            Some(context.reporter.timed_out(&order, facts, Outputs::default()))
        }
        _ = killed(&mut kill) => None,
        () = context.recall_of(&order) => None,
    };
    let end = report.map_or(AttemptEnd::HandedBack, |report| AttemptEnd::Reported(Box::new(report)));
    SlotEnd { task_id: order.task_id, granted, worker: None, end }
}

/// What a thread is given.
struct NativeTask {
    order: TaskOrder,
    granted: Grant,
    prepared: Prepared,
}

/// What a thread gives back.
pub struct NativeEnd {
    /// The task.
    pub task_id: TaskId,
    /// Its share of the job.
    pub granted: Grant,
    /// Its report.
    pub report: NativeReport,
    slot: usize,
}

/// What became of a task.
pub enum NativeReport {
    /// It has a report; none where no report can be stored.
    Stored(Option<EncodedReport>),
    /// It goes back without one.
    HandedBack,
}

/// Threads that run processes, as many as tasks ever ran side by side.
pub struct NativeSlots {
    context: Arc<SlotContext>,
    ends: UnboundedSender<NativeEnd>,
    slots: Vec<NativeSlot>,
    idle: Vec<usize>,
}

struct NativeSlot {
    tasks: mpsc::Sender<NativeTask>,
    thread: JoinHandle<()>,
}

impl NativeSlots {
    /// No thread yet; each gives back what it did through `ends`.
    pub fn new(context: Arc<SlotContext>, ends: UnboundedSender<NativeEnd>) -> NativeSlots {
        NativeSlots { context, ends, slots: vec![], idle: vec![] }
    }

    /// Starts a task.
    pub fn start(&mut self, order: TaskOrder, granted: Grant, prepared: Prepared) -> Result<(), NodeError> {
        let slot = match self.idle.pop() {
            Some(slot) => slot,
            None => self.add()?,
        };
        let gone = |_| NodeError::Start(io::Error::other("the thread of a slot is gone"));
        self.slots[slot].tasks.send(NativeTask { order, granted, prepared }).map_err(gone)
    }

    fn add(&mut self) -> Result<usize, NodeError> {
        let slot = self.slots.len();
        let (sender, tasks) = mpsc::channel::<NativeTask>();
        let (context, ends) = (self.context.clone(), self.ends.clone());
        let mut encoder =
            Encoder::within(context.limits).map_err(|error| NodeError::Start(io::Error::other(error)))?;
        let log = tracing::dispatcher::get_default(Clone::clone);
        let work = move || {
            let _log = tracing::dispatcher::set_default(&log);
            let cgroup = context.cgroups.as_ref().and_then(Delegated::make);
            while let Ok(NativeTask { order, granted, prepared }) = tasks.recv() {
                let report = match attempt(&context, &order, &granted, &prepared, cgroup.as_ref()) {
                    Some(report) => NativeReport::Stored(EncodedReport::of(report, &mut encoder)),
                    None => NativeReport::HandedBack,
                };
                if ends.send(NativeEnd { task_id: order.task_id, granted, report, slot }).is_err() {
                    return;
                }
            }
        };
        let thread =
            std::thread::Builder::new().name("native".into()).spawn(work).map_err(NodeError::Start)?;
        self.slots.push(NativeSlot { tasks: sender, thread });
        Ok(slot)
    }

    /// Ends the threads, which have nothing to do any more, with what they hold: scratch and control groups are gone then.
    pub fn close(self) {
        for NativeSlot { tasks, thread } in self.slots {
            drop(tasks);
            if thread.join().is_err() {
                tracing::error!("the thread of a slot panicked");
            }
        }
    }

    /// The thread that gave this end is free again.
    pub fn freed(&mut self, end: &NativeEnd) {
        self.idle.push(end.slot);
    }
}

/// Why a process was killed.
enum Why {
    OwnLimit,
    Job(KillCause),
    Memory(u64),
}

/// Runs one process to its end. No report: the task goes back.
fn attempt(
    context: &SlotContext,
    order: &TaskOrder,
    granted: &Grant,
    prepared: &Prepared,
    cgroup: Option<&Cgroup>,
) -> Option<TaskReport> {
    let share = granted.share;
    let stopwatch = Stopwatch::start();
    let reporter = &context.reporter;
    let node_failed = |error: &dyn std::error::Error| {
        Some(reporter.node_failed(order, AttemptFacts::now(share, &stopwatch, 0.0), chain(error)))
    };
    let Invocation { files, step, outputs } = &prepared.invocation;
    let Step::Process { arguments, environment } = step else { return None };
    let scratch = match (files.is_empty() && outputs.is_empty()).then_some(()) {
        Some(()) => None,
        None => match context.scratch.for_task(order) {
            Ok(scratch) => Some(scratch),
            Err(error) => return node_failed(&error),
        },
    };
    if let Some(scratch) = &scratch
        && let Err(error) = write_files(scratch.path(), files)
    {
        return node_failed(&error);
    }
    let (program, arguments) = arguments.split_first()?;
    let mut command = match cgroup {
        Some(cgroup) => cgroup.command(program),
        None => Command::new(program),
    };
    command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
    command.envs(super::gpu_environment(&granted.gpus));
    if let Some(scratch) = &scratch {
        command.current_dir(scratch.path()).env("TMPDIR", scratch.path());
    }
    let limit = Duration::from_secs(order.walltime_seconds);
    let memory_limit = memory::limit_of(share.memory_bytes);
    if let Some(cgroup) = cgroup {
        cgroup.hold_to(memory_limit);
    }
    let mut peak = 0;
    let mut guarded = None;
    let watch = |group, now: Instant| {
        let kill = *context.kill.borrow();
        let own_limit = stopwatch.started() + limit;
        if now >= kill.at {
            return Watch::Kill(Why::Job(kill.cause));
        }
        if context.is_recalled(order) {
            return Watch::Kill(Why::Job(KillCause::Recalled));
        }
        if now >= own_limit {
            return Watch::Kill(Why::OwnLimit);
        }
        if now.duration_since(stopwatch.started()) >= memory::FIRST_LOOK {
            guarded.get_or_insert_with(|| {
                context.guard.watch(group);
                group
            });
            peak = memory::of_tree(group).max(peak);
            if peak > memory_limit {
                return Watch::Kill(Why::Memory(peak));
            }
        }
        Watch::Until(kill.at.min(own_limit))
    };
    let ended = group::run(command, cgroup, watch);
    if let Some(group) = guarded {
        context.guard.forget(group);
    }
    let mut ended = match ended {
        Ok(ended) => ended,
        Err(error) => {
            tracing::warn!(%error, program, "not started");
            return node_failed(&NodeError::Program { program: program.clone(), source: error });
        }
    };
    if ended.killed.is_none() && !ended.status.success() && cgroup.is_some_and(Cgroup::went_over) {
        ended.killed = Some(Why::Memory(memory_limit));
    }
    let facts = AttemptFacts {
        peak_memory_bytes: Some(peak.max(ended.peak_memory_bytes)),
        ..AttemptFacts::now(share, &stopwatch, ended.cpu_seconds)
    };
    let report = report(context, order, share, prepared, facts, ended, scratch.as_ref());
    if let Some(report) = &report
        && classify::is_doubtful(&report.outcome)
    {
        std::thread::sleep(ERROR_DELAY);
    }
    report
}

fn report(
    context: &SlotContext,
    order: &TaskOrder,
    share: Share,
    prepared: &Prepared,
    mut facts: AttemptFacts,
    ended: Ended<Why>,
    scratch: Option<&TaskScratch>,
) -> Option<TaskReport> {
    let reporter = &context.reporter;
    let limit = Duration::from_secs(order.walltime_seconds);
    let signal = ended.status.signal();
    let outputs = |ended: Ended<Why>| Outputs { stdout: text(ended.stdout), stderr: text(ended.stderr) };
    match ended.killed {
        Some(Why::Job(cause)) if cause != KillCause::JobEnds || !had_its_time(limit, facts.wall) => None,
        Some(Why::Memory(peak)) => {
            facts.peak_memory_bytes = Some(peak);
            let limit = memory::limit_of(share.memory_bytes);
            Some(reporter.over_memory(order, facts, limit, outputs(ended)))
        }
        Some(Why::OwnLimit | Why::Job(_)) => Some(reporter.timed_out(order, facts, outputs(ended))),
        None if signal.is_some() => {
            let signal = signal.and_then(|number| Signal::try_from(number).ok());
            Some(reporter.program_died(order, facts, signal, outputs(ended)))
        }
        None => {
            let files = scratch.map(|scratch| read_files(scratch.path(), &prepared.invocation.outputs));
            let finished = Finished {
                status: Some(ended.status),
                stdout: ended.stdout,
                stderr: ended.stderr,
                files: files.unwrap_or_default(),
                wall_seconds: facts.wall.as_secs_f64(),
                cpu_seconds: ended.cpu_seconds,
                hostname: reporter.environment.hostname.clone(),
            };
            let reply = prepared.program.read(&order.calculation, share, &finished);
            let reply = match scratch {
                Some(scratch) => scratch.explain(reply),
                None => reply,
            };
            Some(reporter.answered(order, facts, reply, None))
        }
    }
}

fn text(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn write_files(folder: &Path, files: &[(String, Vec<u8>)]) -> Result<(), NodeError> {
    for (name, bytes) in files {
        let path = folder.join(name);
        let failed = |source| NodeError::Scratch { action: "write into", path: path.clone(), source };
        fs::write(&path, bytes).map_err(failed)?;
    }
    Ok(())
}

fn read_files(folder: &Path, names: &[String]) -> BTreeMap<String, Vec<u8>> {
    let read = |name: &String| {
        let path = folder.join(name);
        let length = fs::metadata(&path).ok()?.len();
        if length > MOST_FILE_BYTES {
            tracing::warn!(path = %path.display(), length, "output file is too large and left out");
            return None;
        }
        Some((name.clone(), fs::read(&path).ok()?))
    };
    names.iter().filter_map(read).collect()
}
