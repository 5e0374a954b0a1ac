//! Every figure comes from one clock, and is right.

use super::*;
use crate::model::ids::RecordId;

fn timing(number: i64) -> TaskTiming {
    let at = |second| Timestamp::from_second(second).unwrap();
    TaskTiming {
        record_id: RecordId(number),
        status: RecordStatus::Complete,
        created_on: at(1000),
        stored_on: Some(at(1010 + 2 * number)),
        // The node's clock is a year ahead; nothing may come of that.
        started_on: Some(31_536_000.0 + number as f64),
        wall_seconds: Some(0.5),
        job_id: Some(JobId(1)),
        cores: Some(2),
    }
}

fn tally(timings: &[TaskTiming]) -> Tally {
    let mut tally = Tally::default();
    timings.iter().for_each(|timing| tally.add(timing));
    tally
}

fn job(ended_on: Option<i64>) -> JobMeter {
    JobMeter {
        job_id: JobId(1),
        cores: 4,
        ended_on: ended_on.map(|second| Timestamp::from_second(second).unwrap()),
        inodes: None,
        runner_resident_bytes: None,
    }
}

#[test]
fn every_stage_is_measured_by_one_clock() {
    let tally = tally(&(0..10).map(timing).collect::<Vec<_>>());
    let stage = |seconds, tasks_per_second| Some(Stage { seconds, tasks_per_second });
    assert_eq!(tally.claim(), stage(9.0, 10.0 / 9.0));
    assert_eq!(tally.run(), stage(9.5, 10.0 / 9.5));
    assert_eq!(tally.ingest(), stage(18.0, 10.0 / 18.0));
    assert_eq!(tally.submit_to_stored(), Some(Spread { p50: 18.0, p99: 28.0, max: 28.0 }));
    assert_eq!(tally.wall(), Some(Spread { p50: 0.5, p99: 0.5, max: 0.5 }));
    assert_eq!((tally.completed, tally.failed, tally.jobs()), (10, 0, vec![JobId(1)]));
}

#[test]
fn ten_half_seconds_on_two_of_four_cores() {
    let tally = tally(&(0..10).map(timing).collect::<Vec<_>>());
    let occupancy = tally.occupancy(&[job(None)]).unwrap();
    assert!((occupancy.busy_core_seconds() - 10.0).abs() < 1e-3, "{}", occupancy.busy_core_seconds());
    assert!((occupancy.held_core_seconds() - 38.0).abs() < 1e-3, "{}", occupancy.held_core_seconds());
}

#[test]
fn what_never_ran_counts_as_failed_and_is_no_time() {
    let lost = TaskTiming {
        status: RecordStatus::Error,
        stored_on: None,
        started_on: None,
        wall_seconds: None,
        job_id: None,
        ..timing(1)
    };
    let tally = tally(&[lost]);
    assert_eq!((tally.completed, tally.failed), (0, 1));
    assert_eq!((tally.claim(), tally.run(), tally.ingest(), tally.wall()), (None, None, None, None));
    assert_eq!(tally.occupancy(&[job(Some(7))]), None);
    assert_eq!(Stage::of(1, 0.0), None, "one moment is no rate");
}
