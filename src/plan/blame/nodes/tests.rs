//! The promises of `plan::blame::nodes`: a node at fault is found, a wrong task is not taken for one.

use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn attempt(
    node: &'static str,
    program: &'static str,
    task: i64,
    failure: Option<FailureClass>,
) -> Attempt<'static> {
    Attempt { cluster: "slurm", node, program, task: TaskId(task), failure, said: "No space left on device" }
}

const NODE: Option<FailureClass> = Some(FailureClass::Node);
const PROGRAM: Option<FailureClass> = Some(FailureClass::Program);

/// What comes of attempts, one a second.
fn observe(nodes: &mut Nodes, attempts: &[Attempt<'_>], from: i64) -> Vec<(Blame, Vec<AtFault>)> {
    (from..).zip(attempts).map(|(second, attempt)| nodes.observe(*attempt, at(second))).collect()
}

fn names(nodes: &Nodes, second: i64) -> Vec<&str> {
    nodes.avoided(at(second)).map(|(name, _)| name.as_str()).collect()
}

#[test]
fn different_tasks_that_fail_one_after_the_other_are_the_nodes_fault() {
    let mut nodes = Nodes::default();
    let seen = observe(
        &mut nodes,
        &[
            attempt("a", "mopac", 1, NODE),
            attempt("a", "mopac", 1, NODE),
            attempt("a", "mopac", 2, NODE),
            attempt("a", "mopac", 3, NODE),
            attempt("a", "mopac", 4, NODE),
        ],
        0,
    );
    let blame: Vec<Blame> = seen.iter().map(|(blame, _)| *blame).collect();
    assert_eq!(blame, [Blame::Task, Blame::Task, Blame::Task, Blame::Node, Blame::Node]);
    let at_fault = AtFault { node: "a".to_owned(), tasks: vec![TaskId(1), TaskId(2)] };
    assert_eq!(seen[3].1, [at_fault], "those before cost their tasks nothing either");
    let (_, avoided) = nodes.avoided(at(5)).next().unwrap();
    assert_eq!(
        avoided.reason,
        "3 different mopac tasks failed there one after the other (the last: No space left on device)"
    );
}

#[test]
fn one_task_that_fails_again_and_again_is_no_nodes_fault() {
    let mut nodes = Nodes::default();
    let again = vec![attempt("a", "mopac", 1, NODE); 20];
    assert!(observe(&mut nodes, &again, 0).iter().all(|(blame, _)| *blame == Blame::Task));
    assert_eq!(names(&nodes, 30), [""; 0]);
}

#[test]
fn a_task_that_completes_between_them_speaks_for_the_node() {
    let mut nodes = Nodes::default();
    for task in 0..20 {
        let failure = if task % 3 == 2 { None } else { NODE };
        let (blame, _) = nodes.observe(attempt("a", "mopac", task, failure), at(task));
        assert_eq!(blame, Blame::Task);
    }
}

#[test]
fn a_program_that_works_nowhere_beside_others_that_do_is_not_there() {
    let mut nodes = Nodes::default();
    for task in 0..20 {
        nodes.observe(attempt("a", "mopac", 100 + task, None), at(task));
        let (blame, _) = nodes.observe(attempt("a", "nwchem", task, NODE), at(task));
        assert_eq!(blame, Blame::Task, "its tasks end, with the reason");
    }
    assert_eq!(names(&nodes, 30), [""; 0]);
    // It works on another node: here it is missing.
    nodes.observe(attempt("b", "nwchem", 50, None), at(40));
    nodes.observe(attempt("a", "mopac", 200, None), at(41));
    assert_eq!(nodes.observe(attempt("a", "nwchem", 51, NODE), at(42)).0, Blame::Node);
    assert_eq!(names(&nodes, 43), ["a"]);
}

#[test]
fn what_a_program_says_of_itself_needs_the_same_tasks_to_succeed_elsewhere() {
    let mut nodes = Nodes::default();
    let fail: Vec<_> = (1..=4).map(|task| attempt("a", "xtb", task, PROGRAM)).collect();
    assert!(observe(&mut nodes, &fail, 0).iter().all(|(blame, _)| *blame == Blame::Task));
    assert_eq!(nodes.observe(attempt("b", "xtb", 1, None), at(10)).1, []);
    let (_, found) = nodes.observe(attempt("b", "xtb", 2, None), at(11));
    assert_eq!(found, [AtFault { node: "a".to_owned(), tasks: vec![TaskId(3), TaskId(4)] }]);
    assert_eq!(names(&nodes, 12), ["a"]);
}

#[test]
fn an_avoided_node_is_tried_again_later_and_later_and_pardoned_when_it_works() {
    let mut nodes = Nodes::default();
    observe(&mut nodes, &[1, 2, 3].map(|task| attempt("a", "mopac", task, NODE)), 0);
    assert_eq!((names(&nodes, 601), names(&nodes, 602)), (vec!["a"], vec![]));
    // One failure is enough now, and costs nothing.
    assert_eq!(nodes.observe(attempt("a", "mopac", 4, NODE), at(700)).0, Blame::Node);
    assert_eq!((names(&nodes, 700 + 1199), names(&nodes, 700 + 1200)), (vec!["a"], vec![]));
    nodes.observe(attempt("a", "mopac", 5, None), at(5000));
    assert!(nodes.all().is_empty());
    assert_eq!(nodes.observe(attempt("a", "mopac", 6, NODE), at(5001)).0, Blame::Task);
}

#[test]
fn a_python_that_starts_elsewhere_is_the_nodes_and_otherwise_the_pools() {
    let mut nodes = Nodes::default();
    assert_eq!(nodes.python_does_not_start("slurm", "a", "no qcengine", at(0)), Blame::Task);
    nodes.python_works("a", at(1));
    assert_eq!(
        nodes.python_does_not_start("slurm", "a", "no qcengine", at(2)),
        Blame::Task,
        "it has gone since"
    );
    nodes.python_works("b", at(3));
    assert_eq!(nodes.python_does_not_start("slurm", "a", "no qcengine", at(4)), Blame::Node);
    assert_eq!(names(&nodes, 5), ["a"]);
}

#[test]
fn what_is_cleared_is_forgotten() {
    let mut nodes = Nodes::default();
    for node in ["a", "b"] {
        observe(&mut nodes, &[1, 2, 3].map(|task| attempt(node, "mopac", task, NODE)), 0);
    }
    assert_eq!(nodes.clear(Some("c")), [""; 0]);
    assert_eq!(nodes.clear(Some("a")), ["a"]);
    assert_eq!(nodes.observe(attempt("a", "mopac", 9, NODE), at(9)).0, Blame::Task);
    assert_eq!(nodes.clear(None), ["b"]);
}

proptest! {
    /// Tasks that fail by themselves wherever they run put no node under suspicion, in whatever order they come.
    #[test]
    fn tasks_that_fail_everywhere_are_not_taken_for_bad_nodes(
        order in prop::collection::vec((0usize..4, 0i64..30), 0..300),
    ) {
        let mut nodes = Nodes::default();
        for (second, (node, task)) in (0..).zip(order) {
            let node = ["a", "b", "c", "d"][node];
            // Every third task is a good one.
            let failure = if task % 3 == 0 { None } else { PROGRAM };
            let (blame, found) = nodes.observe(attempt(node, "psi4", task, failure), at(second));
            prop_assert_eq!(blame, Blame::Task);
            prop_assert!(found.is_empty());
        }
    }

    /// Of several nodes that run the same tasks, the one where everything fails is avoided, and no other.
    #[test]
    fn the_broken_node_is_found_and_no_other(
        order in prop::collection::vec(0usize..3, 200), class in prop::sample::select(vec![NODE, PROGRAM]),
    ) {
        let mut nodes = Nodes::default();
        let mut left: std::collections::VecDeque<i64> = (0..100).collect();
        for (second, node) in (0..).zip(order) {
            let Some(task) = left.pop_front() else { break };
            let node = ["broken", "b", "c"][node];
            if node == "broken" {
                nodes.observe(attempt(node, "psi4", task, class), at(second));
                left.push_front(task);
            } else {
                nodes.observe(attempt(node, "psi4", task, None), at(second));
            }
            // A task that fails comes after the others.
            left.rotate_left(usize::from(node == "broken").min(left.len()));
        }
        prop_assert!(names(&nodes, 199).iter().all(|name| *name == "broken"));
    }

    /// However often a node fails, it is tried again within a day.
    #[test]
    fn no_node_is_avoided_for_ever(times in 1u32..40) {
        let mut nodes = Nodes::default();
        let mut second = 0;
        for task in 0..i64::from(times) + 3 {
            nodes.observe(attempt("a", "mopac", task, NODE), at(second));
            if let Some((_, avoided)) = nodes.avoided(at(second)).next() {
                let span = avoided.until.duration_since(at(second)).as_secs();
                prop_assert!((1..=24 * 3600).contains(&span));
                second += span;
            }
            second += 1;
        }
    }
}
