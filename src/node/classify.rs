//! From QCEngine's error types and from signals to our classes of failure. What programs say stands in `reasons`. Pure.

use nix::sys::signal::Signal;

use crate::model::failure::FailureClass;
use crate::model::task::TaskOutcome;

/// The class that QCEngine's error type says, where it says one.
pub fn of_known_error_type(error_type: &str) -> Option<FailureClass> {
    match error_type {
        "input_error" => Some(FailureClass::Input),
        "convergence_error" => Some(FailureClass::Convergence),
        "memory_error" => Some(FailureClass::Memory),
        "resource_error" => Some(FailureClass::Node),
        _ => None,
    }
}

/// The class of a failure of which nothing is known but QCEngine's error type.
pub fn of_error_type(error_type: &str) -> FailureClass {
    of_known_error_type(error_type).unwrap_or(FailureClass::Program)
}

/// The class of the failure of a program or worker that a signal killed, or that exited by itself (`None`).
///
/// SIGKILL is what the kernel and schedulers use at the memory limit. SIGTERM, SIGINT and SIGHUP come from outside.
pub fn of_signal(signal: Option<Signal>) -> FailureClass {
    match signal {
        Some(Signal::SIGKILL) => FailureClass::Memory,
        Some(Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP) => FailureClass::Infrastructure,
        _ => FailureClass::Program,
    }
}

/// Whether a signal came from outside: what the program had said before is no reason for its end.
pub fn is_from_outside(signal: Option<Signal>) -> bool {
    matches!(signal, Some(Signal::SIGKILL | Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP))
}

/// Whether an outcome may be the work of the signal that stops the job.
pub fn is_doubtful(outcome: &TaskOutcome) -> bool {
    matches!(outcome, TaskOutcome::Error { class, .. } if may_come_from_a_stop_signal(*class))
}

/// Whether a failure of this class may be the work of the signal that stops the job, which the scheduler sends to the
/// programs as well as to the runner.
pub fn may_come_from_a_stop_signal(class: FailureClass) -> bool {
    match class {
        FailureClass::Memory | FailureClass::Node | FailureClass::Program | FailureClass::Infrastructure => {
            true
        }
        FailureClass::Input | FailureClass::Convergence | FailureClass::Walltime => false,
    }
}

#[cfg(test)]
mod tests;
