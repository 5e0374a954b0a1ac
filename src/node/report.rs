//! From what became of an attempt to the report that is stored. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::budget::Share;
use super::classify;
use super::environment::NodeEnvironment;
use super::worker::{Death, Reply};
use crate::model::failure::FailureClass;
use crate::model::ids::JobId;
use crate::model::task::{TaskOrder, TaskOutcome, TaskProvenance, TaskReport};

/// What is the same for all that one attempt may say.
#[derive(Clone, Debug)]
pub struct AttemptFacts {
    /// What it was given.
    pub granted: Share,
    /// How long it took.
    pub wall: Duration,
    /// Processor time.
    pub cpu_seconds: f64,
    /// QCEngine's version.
    pub qcengine_version: Option<String>,
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
                cores: facts.granted.cores,
                memory_bytes: facts.granted.memory_bytes,
                wall_seconds: facts.wall.as_secs_f64(),
                cpu_seconds: facts.cpu_seconds,
                started_on: None,
                peak_memory_bytes: None,
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
        let outcome = match (reply.result, reply.error) {
            (Some(result), None) => TaskOutcome::Complete { result },
            (_, Some(error)) => TaskOutcome::Error {
                class: classify::of_qcengine(&error.error_type, &error.error_message),
                error_type: error.error_type,
                message: error.error_message,
            },
            (None, None) => TaskOutcome::Error {
                class: FailureClass::Program,
                error_type: "unknown_error".into(),
                message: "the worker answered with neither result nor error".into(),
            },
        };
        let mut report = self.report(order, facts, outcome);
        report.stdout = reply.stdout;
        report.stderr = joined(reply.stderr, worker_stderr);
        report.native_files = reply.native_files;
        report.provenance.program = reply.program.or(report.provenance.program);
        report.provenance.program_version = reply.program_version;
        report
    }

    /// The worker died of itself, or answered nonsense.
    pub fn worker_died(
        &self,
        order: &TaskOrder,
        facts: AttemptFacts,
        death: Death,
        nonsense: Option<String>,
    ) -> TaskReport {
        let class = match nonsense {
            Some(_) => FailureClass::Program,
            None => classify::of_dead_worker(death.signal()),
        };
        let message = match (&nonsense, death.signal(), death.status) {
            (Some(nonsense), _, _) => format!("the worker's answer does not read: {nonsense}"),
            (None, Some(signal), _) if class == FailureClass::Memory => {
                format!("the worker was killed by {signal}, which on a node is usually the memory limit")
            }
            (None, Some(signal), _) => format!("the worker was killed by {signal}"),
            (None, None, Some(status)) => format!("the worker ended with {status}"),
            (None, None, None) => "the worker closed its pipe and did not end".into(),
        };
        let error = TaskOutcome::Error { class, error_type: "worker_died".into(), message };
        let mut report = self.report(order, facts, error);
        report.stderr = death.stderr;
        report
    }

    /// The task used up its own time.
    pub fn timed_out(&self, order: &TaskOrder, facts: AttemptFacts, stderr: Option<String>) -> TaskReport {
        let message = format!(
            "not finished after {:.0} s; its limit is {} s",
            facts.wall.as_secs_f64(),
            order.walltime_seconds
        );
        let error =
            TaskOutcome::Error { class: FailureClass::Walltime, error_type: "timeout".into(), message };
        let mut report = self.report(order, facts, error);
        report.stderr = stderr;
        report
    }

    /// The attempt could not be made on this node.
    pub fn node_failed(&self, order: &TaskOrder, facts: AttemptFacts, message: String) -> TaskReport {
        let error =
            TaskOutcome::Error { class: FailureClass::Node, error_type: "node_error".into(), message };
        self.report(order, facts, error)
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

fn joined(first: Option<String>, second: Option<String>) -> Option<String> {
    match (first, second) {
        (Some(first), Some(second)) => Some(format!("{first}\n{second}")),
        (first, second) => first.or(second),
    }
}
