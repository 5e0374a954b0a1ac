//! From what became of an attempt to the report that is stored. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::budget::Share;
use super::classify;
use super::environment::NodeEnvironment;
use super::reasons::{self, Ending, Failed};
use super::stopwatch::Stopwatch;
use super::worker::{Death, Reply};
use crate::model::calculation::Specification;
use crate::model::failure::FailureClass;
use crate::model::ids::JobId;
use crate::model::task::{Progress, TaskOrder, TaskOutcome, TaskProvenance, TaskReport};

/// What is the same for all that one attempt may say.
#[derive(Clone, Debug)]
pub struct AttemptFacts {
    /// What it was given.
    pub granted: Share,
    /// When it began by the node's clock.
    pub started_on: f64,
    /// How long it took.
    pub wall: Duration,
    /// Processor time.
    pub cpu_seconds: f64,
    /// The most memory that was held, where it was measured.
    pub peak_memory_bytes: Option<u64>,
    /// QCEngine's version, where it was used.
    pub qcengine_version: Option<String>,
}

impl AttemptFacts {
    /// Of an attempt that ends now.
    pub fn now(granted: Share, stopwatch: &Stopwatch, cpu_seconds: f64) -> AttemptFacts {
        AttemptFacts {
            granted,
            started_on: stopwatch.started_on(),
            wall: stopwatch.elapsed(),
            cpu_seconds,
            peak_memory_bytes: None,
            qcengine_version: None,
        }
    }
}

/// Makes reports of one job.
#[derive(Clone, Debug)]
pub struct Reporter {
    /// Where the job runs.
    pub environment: NodeEnvironment,
    /// The job.
    pub job_id: JobId,
}

impl Reporter {
    fn report(&self, order: &TaskOrder, facts: AttemptFacts, outcome: TaskOutcome) -> TaskReport {
        TaskReport {
            issue: order.issue,
            task_id: order.task_id,
            record_id: order.record_id,
            attempt: order.attempt,
            outcome,
            stdout: None,
            stderr: None,
            native_files: BTreeMap::new(),
            provenance: TaskProvenance {
                hostname: self.environment.hostname.clone(),
                job_id: self.job_id,
                scheduler_job_id: self.environment.scheduler_job_id.clone(),
                cores: facts.granted.cores.saturating_mul(order.nodes),
                memory_bytes: facts.granted.memory_bytes,
                nodes: order.nodes,
                wall_seconds: facts.wall.as_secs_f64(),
                cpu_seconds: facts.cpu_seconds,
                started_on: Some(facts.started_on),
                peak_memory_bytes: facts.peak_memory_bytes,
                program: Some(order.calculation.specification.qc().program.clone()),
                program_version: None,
                qcengine_version: facts.qcengine_version,
            },
        }
    }

    /// The worker answered. `worker_stderr` is what it wrote beside the program's own standard error.
    pub fn answered(
        &self,
        order: &TaskOrder,
        facts: AttemptFacts,
        reply: Reply,
        worker_stderr: Option<String>,
    ) -> TaskReport {
        let stderr = joined(reply.stderr, worker_stderr);
        let outcome = match (reply.result, reply.error) {
            (Some(result), None) => TaskOutcome::Complete { result },
            (_, Some(error)) => {
                let verdict = reasons::judge(&Failed {
                    programs: &programs(order),
                    error_type: &error.error_type,
                    message: &error.error_message,
                    stdout: reply.stdout.as_deref(),
                    stderr: stderr.as_deref(),
                    ending: reply.exit_code.map(Ending::of_python),
                });
                TaskOutcome::Error {
                    class: verdict.class,
                    error_type: error.error_type,
                    message: reasons::told(&verdict.says, &error.error_message),
                }
            }
            (None, None) => TaskOutcome::Error {
                class: FailureClass::Program,
                error_type: "unknown_error".into(),
                message: "the worker answered with neither result nor error".into(),
            },
        };
        let mut report = self.report(order, facts, outcome);
        report.stdout = reply.stdout;
        report.stderr = stderr;
        report.native_files = reply.native_files;
        report.provenance.program = reply.program.or(report.provenance.program);
        report.provenance.program_version = reply.program_version;
        report
    }

    /// The attempt has come so far.
    pub fn progress(&self, order: &TaskOrder, facts: AttemptFacts, progress: Progress) -> TaskReport {
        self.report(order, facts, TaskOutcome::Progress(progress))
    }

    /// The attempt was not begun and is given back.
    pub fn returned(&self, order: &TaskOrder) -> TaskReport {
        let nothing = Share { cores: 0, memory_bytes: 0, gpus: 0 };
        self.report(order, AttemptFacts::now(nothing, &Stopwatch::start(), 0.0), TaskOutcome::Returned)
    }

    /// The worker died of itself, or answered nonsense. `stdout` is what programs had printed.
    pub fn worker_died(
        &self,
        order: &TaskOrder,
        facts: AttemptFacts,
        death: Death,
        stdout: Option<String>,
        nonsense: Option<String>,
    ) -> TaskReport {
        let signal = death.signal();
        let (class, message) = match (&nonsense, signal, death.status) {
            (Some(nonsense), _, _) => {
                (FailureClass::Program, format!("the worker's answer does not read: {nonsense}"))
            }
            (None, Some(_), _) => killed("the worker", signal),
            (None, None, Some(status)) => {
                (classify::of_signal(None), format!("the worker ended with {status}"))
            }
            (None, None, None) => {
                (classify::of_signal(None), "the worker closed its pipe and did not end".to_owned())
            }
        };
        let ending = signal.map(|signal| Ending::Signal(signal as i32));
        let outputs = Outputs { stdout, stderr: death.stderr };
        let error = died(order, "worker_died", (class, message), ending, &outputs);
        with_outputs(self.report(order, facts, error), outputs)
    }

    /// A program that the runner started itself was killed by a signal; what it had written is kept.
    pub fn program_died(
        &self,
        order: &TaskOrder,
        facts: AttemptFacts,
        signal: Option<Signal>,
        outputs: Outputs,
    ) -> TaskReport {
        let ending = signal.map(|signal| Ending::Signal(signal as i32));
        let error = died(order, "program_died", killed("the program", signal), ending, &outputs);
        with_outputs(self.report(order, facts, error), outputs)
    }

    /// The task held more memory than it may.
    pub fn over_memory(
        &self,
        order: &TaskOrder,
        facts: AttemptFacts,
        limit_bytes: u64,
        outputs: Outputs,
    ) -> TaskReport {
        let message = format!(
            "the task held {} MiB and was killed; it may hold {} MiB ({} MiB were asked for)",
            facts.peak_memory_bytes.unwrap_or(0) >> 20,
            limit_bytes >> 20,
            order.memory_bytes >> 20,
        );
        let class = FailureClass::Memory;
        let error = TaskOutcome::Error { class, error_type: "memory_limit".into(), message };
        with_outputs(self.report(order, facts, error), outputs)
    }

    /// The task used up its own time.
    pub fn timed_out(&self, order: &TaskOrder, facts: AttemptFacts, outputs: Outputs) -> TaskReport {
        let message = format!(
            "not finished after {:.0} s; its limit is {} s",
            facts.wall.as_secs_f64(),
            order.walltime_seconds
        );
        let error =
            TaskOutcome::Error { class: FailureClass::Walltime, error_type: "timeout".into(), message };
        with_outputs(self.report(order, facts, error), outputs)
    }

    /// The program would compute something else than what was asked for, so nothing was started.
    pub fn refused(&self, order: &TaskOrder, facts: AttemptFacts, message: String) -> TaskReport {
        let error =
            TaskOutcome::Error { class: FailureClass::Input, error_type: "input_error".into(), message };
        self.report(order, facts, error)
    }

    /// The attempt could not be made on this node.
    pub fn node_failed(&self, order: &TaskOrder, facts: AttemptFacts, message: String) -> TaskReport {
        let error =
            TaskOutcome::Error { class: FailureClass::Node, error_type: "node_error".into(), message };
        self.report(order, facts, error)
    }

    /// The report does not fit into a frame with what the program printed and wrote: its result alone may.
    pub fn without_outputs(report: TaskReport, trouble: String) -> TaskReport {
        let texts =
            [&report.stdout, &report.stderr].into_iter().flatten().chain(report.native_files.values());
        let bytes: usize = texts.map(String::len).sum();
        let note = format!("[qcbatch: the outputs ({bytes} bytes) were left out: {trouble}]\n");
        TaskReport { stdout: Some(note), stderr: None, native_files: BTreeMap::new(), ..report }
    }

    /// The result does not fit into a frame: everything bulky is left out.
    pub fn not_storable(mut report: TaskReport, message: String) -> TaskReport {
        report.outcome = TaskOutcome::Error {
            class: FailureClass::Program,
            error_type: "result_too_large".into(),
            message,
        };
        report.stdout = None;
        report.stderr = None;
        report.native_files = BTreeMap::new();
        report
    }
}

/// What a program had written before it was stopped.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Outputs {
    /// To standard output.
    pub stdout: Option<String>,
    /// To standard error.
    pub stderr: Option<String>,
}

/// The programs of an order, the innermost first.
fn programs(order: &TaskOrder) -> Vec<&str> {
    match &order.calculation.specification {
        Specification::Singlepoint(specification) => vec![specification.program.as_str()],
        Specification::Optimization(specification) => {
            vec![specification.qc_specification.program.as_str(), specification.program.as_str()]
        }
    }
}

/// What a signal alone says.
fn killed(who: &str, signal: Option<Signal>) -> (FailureClass, String) {
    let name = signal.map_or("a signal", Signal::as_str);
    let class = classify::of_signal(signal);
    let hint = match class {
        FailureClass::Memory => ", which on a node is usually the memory limit",
        _ => "",
    };
    (class, format!("{who} was killed by {name}{hint}"))
}

/// The outcome of what died. The program may have said why before; if not, its end is all that is known.
fn died(
    order: &TaskOrder,
    error_type: &str,
    (class, message): (FailureClass, String),
    ending: Option<Ending>,
    outputs: &Outputs,
) -> TaskOutcome {
    let said = reasons::by_tables(&Failed {
        programs: &programs(order),
        error_type,
        message: "",
        stdout: outputs.stdout.as_deref(),
        stderr: outputs.stderr.as_deref(),
        ending,
    });
    let (class, message) = match said {
        Some(verdict) => (verdict.class, reasons::told(&verdict.says, &message)),
        None => (class, message),
    };
    TaskOutcome::Error { class, error_type: error_type.to_owned(), message }
}

fn with_outputs(report: TaskReport, outputs: Outputs) -> TaskReport {
    TaskReport { stdout: outputs.stdout, stderr: outputs.stderr, ..report }
}

fn joined(first: Option<String>, second: Option<String>) -> Option<String> {
    match (first, second) {
        (Some(first), Some(second)) => Some(format!("{first}\n{second}")),
        (first, second) => first.or(second),
    }
}
