//! Optimizations that are stopped half-way leave where they were, and go on from there.

use std::collections::BTreeSet;

use nix::sys::signal::{Signal, kill};
use qcbatch::model::failure::FailureClass;
use qcbatch::model::task::{Progress, TaskOutcome, TaskReport};
use serde_json::{Value, json};

use crate::fixture::*;
use crate::native::{QcEngine, calculation, result};

/// Hydrogen peroxide, stretched and twisted: some twenty steps of a second or more each.
fn peroxide() -> Value {
    json!({"symbols": ["H", "O", "O", "H"],
        "geometry": [1.9, 1.7, 0.4, 0.0, 1.5, 0.0, 0.0, -1.5, 0.0, -1.2, -2.1, 1.9]})
}

fn optimization(program: &str, method: &str, basis: &str) -> Value {
    json!({"record_type": "optimization", "program": "geometric", "protocols": {},
        "keywords": {"convergence_set": "GAU_VERYTIGHT"},
        "qc_specification": {"program": program, "driver": "deferred", "method": method, "basis": basis,
            "keywords": {}, "protocols": {}}})
}

fn progress_of(reports: &[TaskReport]) -> &Progress {
    let told = reports.iter().rev().find_map(|report| match &report.outcome {
        TaskOutcome::Progress(progress) => Some(progress),
        _ => None,
    });
    told.unwrap_or_else(|| panic!("no progress in {reports:?}"))
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// A gradient begins after the one before it was told; this many have begun when two at least were told.
const BEGUN: usize = 4;

/// Lets so many gradients of Psi4 begin below the runner: each has a scratch directory of its own.
fn wait_for_gradients(runner: &Runner, begun: usize) {
    let mut seen = BTreeSet::new();
    until("gradients of Psi4", || {
        seen.extend(runner.descendants("psi4").into_iter().filter_map(psi4_scratch));
        (seen.len() >= begun).then_some(())
    });
}

fn farthest(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn goes_on(generation: Generation, specification: &Value, stop: impl FnOnce(&Runner)) -> Vec<TaskReport> {
    let first = Job::new(generation).task_on(specification.clone(), peroxide()).staged();
    let runner = first.start();
    wait_for_gradients(&runner, BEGUN);
    stop(&runner);
    runner.wait();
    let reports = first.reports();
    let progress = progress_of(&reports);
    let initial = numbers(&peroxide()["geometry"]);
    assert!(progress.gradients >= 2, "{progress:?}");
    assert!(farthest(&progress.geometry, &initial) > 1e-3, "it is not where it began: {progress:?}");

    // What the daemon stages next.
    let mut molecule = peroxide();
    molecule["geometry"] = json!(progress.geometry);
    let second = Job::new(generation).task_on(specification.clone(), molecule).staged();
    assert_eq!(second.run(), 0);
    // On a slow machine it tells of its midst as well.
    let result = result_of(second.reports().last().unwrap());
    let began = numbers(&result["trajectory"][0]["molecule"]["geometry"]);
    assert!(farthest(&began, &progress.geometry) < 1e-7, "the first gradient is where the last one was");
    let energies = numbers(&result["energies"]);
    let there = progress.energy.unwrap();
    assert!((energies[0] - there).abs() < 1e-6, "{} {there}", energies[0]);
    assert!(energies.last().unwrap() < &there);
    reports
}

#[test]
fn an_optimization_whose_worker_is_killed_leaves_its_geometry() {
    let reports = goes_on(Generation::V1, &optimization("psi4", "hf", "sto-3g"), |runner| {
        for worker in runner.descendants("python") {
            // What it had just forked may be gone.
            let _ = kill(worker, Signal::SIGKILL);
        }
    });
    assert_eq!(error_of(reports.last().unwrap()).0, FailureClass::Memory);
}

/// Both generations of the worker tell of every gradient but the first, in the order of the trajectory.
fn tells(generation: Generation) {
    let mut calculation = calculation("mopac", "energy", "pm7", json!({}), peroxide());
    calculation.specification = serde_json::from_value(optimization("mopac", "pm7", "")).unwrap();
    let (told, reply) = QcEngine::start(generation).ask_hearing(&calculation);
    let result = result(&reply);
    let trajectory = result["trajectory"].as_array().unwrap();
    assert!(trajectory.len() > 5);
    assert_eq!(told.len(), trajectory.len() - 1);
    for (index, progress) in told.iter().enumerate() {
        assert_eq!(progress.gradients as usize, index + 2);
        let point = &trajectory[index + 1];
        assert!(farthest(&progress.geometry, &numbers(&point["molecule"]["geometry"])) < 1e-7);
        assert_eq!(json!(progress.energy), point["properties"]["return_energy"]);
    }
}

#[test]
fn the_worker_of_the_older_generation_tells_of_each_gradient() {
    tells(Generation::V1);
}

#[test]
fn the_worker_of_the_newer_generation_tells_of_each_gradient() {
    tells(Generation::V2);
}

#[test]
fn an_optimization_that_is_handed_back_leaves_its_geometry_and_no_result() {
    let job = Job::new(Generation::V1).task_on(optimization("psi4", "hf", "6-31g*"), peroxide()).staged();
    let runner = job.start();
    wait_for_gradients(&runner, BEGUN);
    runner.signal(Signal::SIGTERM);
    assert_eq!(runner.wait(), 128 + 15);
    assert_eq!(job.end().results, 0, "progress is no result");
    assert!(progress_of(&job.reports()).gradients >= 2);
}

#[test]
fn an_optimization_that_ends_tells_nothing_of_its_midst() {
    let job = Job::new(Generation::V1).task(pm7_optimization()).staged();
    assert_eq!(job.run(), 0);
    assert_eq!(job.reports().len(), 1);
    result_of(&job.reports()[0]);
}
