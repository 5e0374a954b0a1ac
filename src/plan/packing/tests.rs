//! The promises of `plan::packing`: nothing is dealt twice or over a limit, what does not fit says why.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::model::resources::NodeSharing;
use crate::plan::retry::RanOut;

const GIB: u64 = 1 << 30;
const DEFAULTS: TaskDefaults =
    TaskDefaults { cores: 1, memory_bytes: 2 * GIB, walltime: Duration::from_secs(3600) };

fn shape() -> Shape {
    Shape {
        base: JobResources {
            nodes: 1,
            tasks: 1,
            cores: 1,
            memory_bytes: None,
            gpus: 0,
            gpu_type: None,
            walltime: Duration::ZERO,
            queue: None,
            account: None,
            qos: None,
            constraint: None,
            reservation: None,
            sharing: NodeSharing::Shared,
            extra: Vec::new(),
        },
        cores: None,
        memory_bytes: None,
        walltime: None,
        tasks_per_job: 10,
        max_array: 1000,
        filling: Filling::Fill,
        margin: Duration::from_secs(120),
    }
}

fn task(id: i64) -> Waiting {
    Waiting {
        task_id: TaskId(id),
        placement: Placement::Shared,
        asks: TaskResources::default(),
        expectation: Expectation::default(),
        tries: 0,
        last_failure: None,
    }
}

fn sizes(packed: &Packed) -> Vec<Vec<usize>> {
    packed.submissions.iter().map(|sub| sub.jobs.iter().map(|job| job.tasks.len()).collect()).collect()
}

#[test]
fn a_thousand_one_task_jobs_are_one_array() {
    let waiting: Vec<Waiting> = (0..1000).map(task).collect();
    let packed = pack(&waiting, &Shape { tasks_per_job: 1, ..shape() }, DEFAULTS, 5000);
    assert_eq!(sizes(&packed), [vec![1; 1000]]);
}

#[test]
fn a_shared_queue_gets_few_full_jobs_and_a_laptop_many_even_ones() {
    let waiting: Vec<Waiting> = (0..12).map(task).collect();
    assert_eq!(sizes(&pack(&waiting, &shape(), DEFAULTS, 4)), [[6, 6]]);
    let own = Shape { filling: Filling::Spread, ..shape() };
    assert_eq!(sizes(&pack(&waiting, &own, DEFAULTS, 4)), [[3, 3, 3, 3]]);
}

#[test]
fn a_job_gets_the_time_its_tasks_need() {
    let waiting: Vec<Waiting> = (0..4).map(task).collect();
    let packed = pack(&waiting, &shape(), DEFAULTS, 1);
    assert_eq!(packed.submissions[0].resources.walltime, Duration::from_secs(4 * 3600 + 240));
    let two_at_once = Shape { cores: Some(2), memory_bytes: Some(8 * GIB), ..shape() };
    let packed = pack(&waiting, &two_at_once, DEFAULTS, 1);
    assert_eq!(packed.submissions[0].resources.walltime, Duration::from_secs(2 * 3600 + 240));
}

#[test]
fn a_dedicated_task_has_a_job_of_its_own() {
    let waiting = [task(1), Waiting { placement: Placement::Dedicated, ..task(2) }, task(3)];
    let packed = pack(&waiting, &shape(), DEFAULTS, 9);
    assert_eq!(packed.submissions.len(), 2);
    assert_eq!(packed.submissions[0].jobs[0].tasks, [TaskId(2)]);
    assert_eq!(packed.submissions[1].jobs[0].tasks, [TaskId(1), TaskId(3)]);
}

#[test]
fn what_can_never_fit_says_why() {
    let large = Waiting { asks: TaskResources { cores: Some(64), ..Default::default() }, ..task(7) };
    let packed = pack(&[large], &Shape { cores: Some(16), ..shape() }, DEFAULTS, 9);
    assert!(packed.submissions.is_empty());
    assert_eq!(packed.unfit, [(TaskId(7), "asks for 64 cores, a job of the pool has 16".to_owned())]);
}

#[test]
fn a_task_that_ran_out_of_memory_asks_for_more() {
    let failed = Waiting { tries: 2, last_failure: Some(FailureClass::Memory), ..task(1) };
    let need = need_of(&failed, &shape(), DEFAULTS);
    assert_eq!(need.memory_bytes, 2 * GIB * 9 / 4);
    assert_eq!(need.walltime_seconds, 3600);
}

fn any_task() -> impl Strategy<Value = Waiting> {
    (1u32..5, 1u64..9, 1u64..100, any::<bool>()).prop_map(|(cores, gib, minutes, alone)| Waiting {
        placement: if alone { Placement::Dedicated } else { Placement::Shared },
        asks: TaskResources {
            cores: Some(cores),
            memory_bytes: Some(gib * GIB),
            walltime_seconds: Some(minutes * 60),
        },
        ..task(0)
    })
}

proptest! {
    #[test]
    fn nothing_twice_nothing_over_a_limit(
        mut waiting in prop::collection::vec(any_task(), 0..60),
        free in 0u32..20, per_job in 1u32..8, max_array in 1u32..6, spread: bool,
        cores in prop::option::of(1u32..8), walltime in prop::option::of(1u64..200),
    ) {
        for (id, task) in waiting.iter_mut().enumerate() {
            task.task_id = TaskId(id as i64);
        }
        let shape = Shape {
            tasks_per_job: per_job, max_array, cores,
            walltime: walltime.map(|minutes| Duration::from_secs(minutes * 60)),
            filling: if spread { Filling::Spread } else { Filling::Fill },
            ..shape()
        };
        let packed = pack(&waiting, &shape, DEFAULTS, free);
        let mut seen = HashSet::new();
        let mut jobs = 0;
        for submission in &packed.submissions {
            prop_assert!(!submission.jobs.is_empty() && submission.jobs.len() <= max_array as usize);
            for job in &submission.jobs {
                jobs += 1;
                prop_assert!(!job.tasks.is_empty() && job.tasks.len() <= per_job as usize);
                for id in &job.tasks {
                    prop_assert!(seen.insert(*id), "{id} dealt twice");
                    let need = need_of(&waiting[id.0 as usize], &shape, DEFAULTS);
                    prop_assert!(need.cores <= submission.resources.cores);
                    prop_assert!(Some(need.memory_bytes) <= submission.resources.memory_bytes);
                    prop_assert!(need.walltime_seconds <= submission.resources.walltime.as_secs());
                }
            }
        }
        prop_assert!(jobs <= free);
        for (id, _) in &packed.unfit {
            prop_assert!(seen.insert(*id), "{id} both dealt and unfit");
        }
    }
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
