//! The promises of `plan::packing`: what a task is given, and what a job asks for.

use super::*;
use crate::plan::retry::RanOut;

pub(in crate::plan) const GIB: u64 = 1 << 30;
pub(in crate::plan) const DEFAULTS: TaskDefaults =
    TaskDefaults { cores: 1, memory_bytes: 2 * GIB, walltime: Duration::from_secs(3600) };

pub(in crate::plan) fn shape() -> Shape {
    Shape {
        base: JobResources::of_cores(1, Duration::ZERO),
        cores: None,
        memory_bytes: None,
        walltime: None,
        tasks_per_job: None,
        task_nodes: 1,
        max_array: 1000,
        filling: Filling::Fill,
        margin: Duration::from_secs(120),
    }
}

pub(in crate::plan) fn task(id: i64) -> Waiting {
    Waiting {
        task_id: TaskId(id),
        placement: Placement::Shared,
        asks: TaskResources::default(),
        expectation: Expectation::default(),
        compute_priority: 1,
        tries: 0,
        losses: 0,
        last_failure: None,
        expected_seconds: 10.0,
    }
}

#[test]
fn a_job_has_time_for_its_start_and_its_end() {
    let need = need_of(&task(1), &shape(), DEFAULTS);
    let resources = job_resources(&shape(), need, Duration::from_secs(3600));
    assert_eq!(resources.walltime, Duration::from_secs(3600 + 240));
    let short = Shape { walltime: Some(Duration::from_secs(600)), ..shape() };
    assert_eq!(job_resources(&short, need, Duration::from_secs(3600)).walltime, Duration::from_secs(600));
}

#[test]
fn tasks_run_side_by_side_as_cores_and_memory_allow() {
    let need = need_of(&task(1), &shape(), DEFAULTS);
    assert_eq!(
        size(&shape(), need),
        NodeSize { cores: 1, memory_bytes: 2 * GIB, gpus: 0 },
        "a job of a pool that does not say is as large as its tasks"
    );
    let large = Shape { cores: Some(16), memory_bytes: Some(24 * GIB), ..shape() };
    assert_eq!(size(&large, need).slots(need), 12);
    let with_gpus = Shape { base: JobResources { gpus: 4, ..large.base.clone() }, ..large };
    assert_eq!(size(&with_gpus, need).slots(need), 12, "a task that asks for none needs none");
    assert_eq!(size(&with_gpus, need).slots(Need { gpus: 2, ..need }), 2);
}

#[test]
fn what_can_never_fit_says_why() {
    let large = Waiting { asks: TaskResources { cores: Some(64), ..Default::default() }, ..task(7) };
    let shape = Shape { cores: Some(16), ..shape() };
    let reason = misfit(need_of(&large, &shape, DEFAULTS), &shape);
    assert_eq!(reason.as_deref(), Some("asks for 64 cores, a job of the pool has 16"));
}

#[test]
fn a_task_that_ran_out_of_memory_asks_for_more() {
    let failed = Waiting { tries: 2, last_failure: Some(FailureClass::Memory), ..task(1) };
    let need = need_of(&failed, &shape(), DEFAULTS);
    assert_eq!(need.memory_bytes, 2 * GIB * 9 / 4);
    assert_eq!(need.walltime_seconds, 3600);
}

#[test]
fn a_task_that_says_nothing_gets_what_history_says_and_more_than_it_ever_ran_out_of() {
    let expectation = Expectation {
        seconds: Some(20.0),
        walltime_seconds: Some(300),
        memory_bytes: Some(GIB / 2),
        ..Expectation::default()
    };
    let known = Waiting { expectation, ..task(1) };
    let need = need_of(&known, &shape(), DEFAULTS);
    assert_eq!((need.walltime_seconds, need.memory_bytes), (300, GIB / 2));

    let asks = TaskResources { walltime_seconds: Some(50), ..TaskResources::default() };
    let need = need_of(&Waiting { asks, ..known.clone() }, &shape(), DEFAULTS);
    assert_eq!((need.walltime_seconds, need.memory_bytes), (50, GIB / 2));

    let ran_out = RanOut { walltime_seconds: Some(600), memory_bytes: None };
    let expectation = Expectation { ran_out, ..expectation };
    let again = Waiting { expectation, tries: 1, last_failure: Some(FailureClass::Walltime), ..known };
    assert_eq!(need_of(&again, &shape(), DEFAULTS).walltime_seconds, 900);
}

#[test]
fn the_default_time_limit_fits_the_pool_and_one_that_was_asked_for_does_not_change() {
    let hour = Shape { walltime: Some(Duration::from_secs(3600)), ..shape() };
    let defaults = DEFAULTS.within(&hour);
    assert_eq!(
        (defaults.walltime, DEFAULTS.within(&shape()).walltime),
        (Duration::from_secs(3480), DEFAULTS.walltime)
    );
    let need = need_of(&task(1), &hour, defaults);
    assert_eq!((need.walltime_seconds, misfit(need, &hour)), (3480, None));
    let asks = TaskResources { walltime_seconds: Some(3600), ..TaskResources::default() };
    let need = need_of(&Waiting { asks, ..task(1) }, &hour, defaults);
    assert_eq!(
        misfit(need, &hour).as_deref(),
        Some("asks for 60 min, a job of the pool has 58 min for its tasks")
    );
}
