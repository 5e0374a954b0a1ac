//! Core seconds are neither lost nor counted twice.

use proptest::prelude::*;

use super::*;

fn stay(start: f64, wall: f64, job: i64) -> Stay {
    Stay { start, wall, cores: 1, job: JobId(job) }
}

fn held(cores: u32, until: Until) -> Held {
    Held { cores, until }
}

#[test]
fn two_tasks_one_after_the_other_keep_half_of_two_cores_busy() {
    let stays = [stay(100.0, 2.0, 1), stay(102.0, 2.0, 1)];
    let jobs = BTreeMap::from([(JobId(1), held(2, Until::TheEnd))]);
    let occupancy = Occupancy::of(&stays, &jobs, 4).unwrap();
    assert_eq!(occupancy.busy, [1.0; 4]);
    assert_eq!(occupancy.held, [2.0; 4]);
    assert_eq!((occupancy.seconds(), occupancy.fraction()), (4.0, Some(0.5)));
}

#[test]
fn a_job_that_stayed_idle_holds_its_cores_and_one_that_ended_does_not() {
    let stays = [stay(0.0, 4.0, 1), stay(0.0, 2.0, 2)];
    let with = |until| BTreeMap::from([(JobId(1), held(1, Until::TheEnd)), (JobId(2), held(1, until))]);
    let idle = Occupancy::of(&stays, &with(Until::TheEnd), 4).unwrap();
    assert_eq!(idle.held, [2.0; 4]);
    let ended = Occupancy::of(&stays, &with(Until::ItsLastTask), 4).unwrap();
    assert_eq!(ended.held, [2.0, 2.0, 1.0, 1.0]);
    assert_eq!((idle.fraction(), ended.fraction()), (Some(0.75), Some(1.0)));
}

#[test]
fn nothing_ran_and_nothing_took_time() {
    assert_eq!(Occupancy::of(&[], &BTreeMap::new(), 4), None);
    let occupancy = Occupancy::of(&[stay(7.0, 0.0, 1)], &BTreeMap::new(), 4).unwrap();
    assert_eq!((occupancy.busy_core_seconds(), occupancy.fraction()), (0.0, None));
}

proptest! {
    #[test]
    fn no_second_is_lost_or_counted_twice(
        tasks in proptest::collection::vec((0.0..1e3, 0.001..1e2, 1u32..8), 1..60),
        steps in 1usize..200,
    ) {
        let stays: Vec<Stay> = tasks.iter()
            .map(|(start, wall, cores)| Stay { start: 1.7e9 + start, wall: *wall, cores: *cores, job: JobId(1) })
            .collect();
        let expected: f64 = stays.iter().map(|stay| stay.wall * f64::from(stay.cores)).sum();
        let found = Occupancy::of(&stays, &BTreeMap::new(), steps).unwrap().busy_core_seconds();
        // Seconds since the epoch leave about a microsecond of resolution.
        prop_assert!((found - expected).abs() < 1e-4 * stays.len() as f64 + 1e-6 * expected, "{} {}", found, expected);
    }
}
