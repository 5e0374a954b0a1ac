//! What people and programs see of one benchmark.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::*;
use crate::cli::bench::figures::{
    DaemonFigures, DatabaseFigures, JobFigures, Latencies, OccupancyFigures, SchedulerFigures, Stages,
};
use crate::cli::screen::{OutputMode, Progress};
use crate::cli::table::Colour;
use crate::model::ids::PoolName;

fn screen(width: Option<usize>) -> Screen {
    Screen {
        mode: OutputMode::Table,
        width,
        colour: Colour::Off,
        now: Timestamp::UNIX_EPOCH,
        zone: TimeZone::UTC,
        progress: Progress::Hidden,
    }
}

fn report() -> BenchReport {
    BenchReport {
        compute_tag: "bench-0123".to_owned(),
        pool: PoolName("cpu".to_owned()),
        program: "sleep:100".to_owned(),
        payload_bytes: 0,
        tasks: 1000,
        completed: 999,
        failed: 1,
        stages: Stages {
            intake: Stage::of(1000, 0.2),
            claim: None,
            run: Stage::of(1000, 51.2),
            ingest: Stage::of(1000, 50.9),
            end_to_end: Stage::of(1000, 125.0),
        },
        latency_seconds: Latencies {
            submit_to_stored: Some(Spread { p50: 26.4, p99: 51.7, max: 185.0 }),
            run: Some(Spread { p50: 0.1004, p99: 0.104, max: 2.5 }),
        },
        occupancy: Some(OccupancyFigures { fraction: Some(0.982), held_cores: 2.0, seconds: 51.2 }),
        jobs: JobFigures { count: 2, most_inodes: Some(9), runner_resident_bytes: Some(14 << 20) },
        scheduler: SchedulerFigures {
            calls: [("poll".to_owned(), 12), ("submit".to_owned(), 1)].into(),
            poll_intervals: 12.5,
        },
        database: DatabaseFigures { grown_bytes: 2_150_000, bytes_per_record: Some(2150.0) },
        daemon: DaemonFigures { resident_bytes: 41 << 20, peak_resident_bytes: 45 << 20, cpu_seconds: 1.25 },
        records: Afterlife::Kept,
    }
}

#[test]
fn people_see_tables() {
    insta::assert_snapshot!(report().table(&screen(None)), @r"
    1000 tasks of sleep:100 on pool cpu: 999 complete, 1 failed

    STAGE       TASKS/S  SECONDS
    intake         5000     0.20
    claim             -        -
    run              20    51.20
    ingest           20    50.90
    end to end     8.00   125.00

    LATENCY               P50      P99    MAX
    submit to stored      26s      52s  3m05s
    on the node       100.4ms  104.0ms  2.50s

    FIGURE                    VALUE
    core occupancy            98.2 % of 2.0 cores over 51s
    jobs                      2
    inodes of a job, at most  9
    scheduler calls           12 poll, 1 submit
    poll intervals passed     12.5
    database, per record      2.1 KiB
    daemon, resident          41 MiB
    daemon, peak resident     45 MiB
    daemon, processor time    1.25s
    runner, resident          14 MiB

    kept; remove with: qcbatch bench --remove bench-0123
    ");
}

#[test]
fn narrow_terminals_see_the_same_cut() {
    insta::assert_snapshot!(report().table(&screen(Some(44))), @r"
    1000 tasks of sleep:100 on pool cpu: 999 complete, 1 failed

    STAGE       TASKS/S  SECONDS
    intake         5000     0.20
    claim             -        -
    run              20    51.20
    ingest           20    50.90
    end to end     8.00   125.00

    LATENCY               P50      P99    MAX
    submit to stored      26s      52s  3m05s
    on the node       100.4ms  104.0ms  2.50s

    FIGURE                    VALUE
    core occupancy            98.2 % of 2.0 cores…
    jobs                      2
    inodes of a job, at most  9
    scheduler calls           12 poll, 1 submit
    poll intervals passed     12.5
    database, per record      2.1 KiB
    daemon, resident          41 MiB
    daemon, peak resident     45 MiB
    daemon, processor time    1.25s
    runner, resident          14 MiB

    kept; remove with: qcbatch bench --remove bench-0123
    ");
}

#[test]
fn programs_see_one_document() {
    insta::assert_json_snapshot!("bench_json", report());
    assert_eq!(report().quiet(), "8.0\n");
}
