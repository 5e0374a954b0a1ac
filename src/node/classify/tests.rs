//! The promises of `node::classify`.

use super::*;

#[test]
fn qcengines_errors_have_the_class_that_helps_on_retry() {
    use FailureClass::*;
    let table = [
        ("input_error", "QCEngine Input Error: MOPAC does not have method: ZZ", Input),
        ("input_error", "1 validation error: permission denied", Input),
        ("random_error", "QCEngine Random Error: PSIO Error", Program),
        ("unknown_error", "QCEngine Execution Error:\nTraceback", Program),
        (
            "resource_error",
            "QCEngine Resource Error: Program nwchem is registered with QCEngine, but cannot be found.",
            Node,
        ),
        ("resource_error", "Psi4 version '1.1' not understood.", Node),
        ("unknown_error", "PsiException: Could not converge SCF iterations in 100 iterations.", Convergence),
        (
            "unknown",
            "geometric.errors.GeomOptNotConvergedError: Optimizer.optimizeGeometry() failed to converge.",
            Convergence,
        ),
        ("convergence_error", "", Convergence),
        ("unknown_error", "what():  std::bad_alloc", Memory),
        ("unknown_error", "MemoryError: Unable to allocate 3.4 GiB; SCF did not converge", Memory),
        ("memory_error", "MemoryError()", Memory),
        ("unknown_error", "OSError: [Errno 28] No space left on device: '/scratch/x'", Node),
        ("execution_error", "psi4: error while loading shared libraries: libfoo.so.1", Node),
        (
            "unknown_error",
            "BasisSetNotFound: BasisSet::construct: Unable to find a basis set for atom 1",
            Input,
        ),
        ("", "", Program),
    ];
    for (error_type, message, class) in table {
        assert_eq!(of_qcengine(error_type, message), class, "{error_type}: {message}");
    }
}

#[test]
fn a_worker_killed_for_memory_is_told_from_one_that_crashed() {
    assert_eq!(of_dead_worker(Some(Signal::SIGKILL)), FailureClass::Memory);
    assert_eq!(of_dead_worker(Some(Signal::SIGSEGV)), FailureClass::Program);
    assert_eq!(of_dead_worker(Some(Signal::SIGTERM)), FailureClass::Infrastructure);
    assert_eq!(of_dead_worker(None), FailureClass::Program);
}

#[test]
fn every_text_of_the_table_is_lower_case_and_reachable() {
    for (index, (text, _)) in TEXTS.iter().enumerate() {
        assert_eq!(*text, text.to_lowercase());
        let first = TEXTS.iter().position(|(earlier, _)| text.contains(earlier));
        assert_eq!(first, Some(index), "`{text}` never decides");
    }
}
