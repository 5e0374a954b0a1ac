//! From QCEngine's error types and programs' texts to our classes of failure. Pure; the table is the documentation.

use nix::sys::signal::Signal;

use crate::model::failure::FailureClass;
use crate::model::task::TaskOutcome;

/// Texts that tell more than the error type does, lower case; the first that occurs in the message decides.
const TEXTS: &[(&str, FailureClass)] = &[
    // Memory, before anything that a failed allocation makes a program say afterwards.
    ("out of memory", FailureClass::Memory),
    ("out-of-memory", FailureClass::Memory),
    ("memoryerror", FailureClass::Memory),
    ("bad_alloc", FailureClass::Memory),
    ("cannot allocate memory", FailureClass::Memory),
    ("could not allocate", FailureClass::Memory),
    ("unable to allocate", FailureClass::Memory),
    ("not enough memory", FailureClass::Memory),
    ("insufficient memory", FailureClass::Memory),
    ("memory is not sufficient", FailureClass::Memory),
    ("sigkill", FailureClass::Memory),
    ("returncode: -9", FailureClass::Memory),
    // The node: disk, libraries, processor, rights.
    ("no space left on device", FailureClass::Node),
    ("disk quota exceeded", FailureClass::Node),
    ("error while loading shared libraries", FailureClass::Node),
    ("illegal instruction", FailureClass::Node),
    ("read-only file system", FailureClass::Node),
    ("stale file handle", FailureClass::Node),
    ("permission denied", FailureClass::Node),
    ("is registered with qcengine, but cannot be found", FailureClass::Node),
    // A request that no program can answer.
    ("basissetnotfound", FailureClass::Input),
    ("unable to find a basis set", FailureClass::Input),
    ("missingmethoderror", FailureClass::Input),
    ("managedmethoderror", FailureClass::Input),
    ("validationerror", FailureClass::Input),
    ("is not registered with qcengine", FailureClass::Input),
    ("set_global_option", FailureClass::Input),
    // Not converged: SCF (Psi4, ORCA, Turbomole, MOPAC, xtb) and geometry (geomeTRIC, optking, berny).
    ("could not converge", FailureClass::Convergence),
    ("scfconvergenceerror", FailureClass::Convergence),
    ("optimizationconvergenceerror", FailureClass::Convergence),
    ("notconvergederror", FailureClass::Convergence),
    ("failed to converge", FailureClass::Convergence),
    ("did not converge", FailureClass::Convergence),
    ("not converged", FailureClass::Convergence),
    ("convergence failure", FailureClass::Convergence),
    ("failed to achieve scf", FailureClass::Convergence),
    ("unable to achieve self-consistence", FailureClass::Convergence),
    ("maximum iterations reached", FailureClass::Convergence),
    ("excess number of optimization cycles", FailureClass::Convergence),
];

/// The class of a failure that QCEngine reported.
pub fn of_qcengine(error_type: &str, message: &str) -> FailureClass {
    match error_type {
        "input_error" => return FailureClass::Input,
        "convergence_error" => return FailureClass::Convergence,
        "memory_error" => return FailureClass::Memory,
        _ => {}
    }
    let message = message.to_lowercase();
    if let Some((_, class)) = TEXTS.iter().find(|(text, _)| message.contains(text)) {
        return *class;
    }
    match error_type {
        "resource_error" => FailureClass::Node,
        _ => FailureClass::Program,
    }
}

/// The class of the failure of a worker that a signal killed, or that exited by itself (`None`).
///
/// SIGKILL is what the kernel and schedulers use at the memory limit. SIGTERM, SIGINT and SIGHUP come from outside.
pub fn of_dead_worker(signal: Option<Signal>) -> FailureClass {
    match signal {
        Some(Signal::SIGKILL) => FailureClass::Memory,
        Some(Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP) => FailureClass::Infrastructure,
        _ => FailureClass::Program,
    }
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
