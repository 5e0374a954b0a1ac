//! The promises of `node::classify`.

use super::*;

#[test]
fn error_types_that_say_a_class_are_believed() {
    use FailureClass::*;
    let table = [
        ("input_error", Input),
        ("convergence_error", Convergence),
        ("memory_error", Memory),
        ("resource_error", Node),
        ("random_error", Program),
        ("unknown_error", Program),
        ("", Program),
    ];
    for (error_type, class) in table {
        assert_eq!(of_error_type(error_type), class, "{error_type}");
    }
}

#[test]
fn a_worker_killed_for_memory_is_told_from_one_that_crashed() {
    assert_eq!(of_signal(Some(Signal::SIGKILL)), FailureClass::Memory);
    assert_eq!(of_signal(Some(Signal::SIGSEGV)), FailureClass::Program);
    assert_eq!(of_signal(Some(Signal::SIGTERM)), FailureClass::Infrastructure);
    assert_eq!(of_signal(None), FailureClass::Program);
}
