//! From what was observed of a benchmark to its figures. Pure.

use std::time::Duration;

use super::course::Bench;
use super::figures::{
    Afterlife, BenchReport, DaemonFigures, DatabaseFigures, JobFigures, Latencies, OccupancyFigures,
    SchedulerFigures, Stages,
};
use super::tally::{Stage, Tally};
use crate::api::wire::Meters;

/// What was observed.
pub(super) struct Observed<'a> {
    /// The times of all records.
    pub tally: &'a Tally,
    /// The meters at the begin.
    pub before: &'a Meters,
    /// The meters at the end.
    pub after: &'a Meters,
    /// From the first byte of the request to the daemon's answer.
    pub intake: Duration,
    /// From there to the end of the last task.
    pub whole: Duration,
}

/// The figures of `bench`, whose records are still there.
pub(super) fn summary(bench: &Bench<'_>, observed: &Observed<'_>) -> BenchReport {
    let Observed { tally, before, after, intake, whole } = *observed;
    let tasks = u64::from(bench.args.tasks);
    let grown_bytes = after.database_bytes.saturating_sub(before.database_bytes);
    let calls = after.scheduler_calls.iter().filter_map(|(verb, count)| {
        let count = count - before.scheduler_calls.get(verb).copied().unwrap_or(0).min(*count);
        (count > 0).then(|| (verb.clone(), count))
    });
    BenchReport {
        compute_tag: bench.compute_tag.clone(),
        pool: bench.pool.clone(),
        program: bench.args.program.to_string(),
        payload_bytes: bench.args.payload,
        tasks,
        completed: tally.completed,
        failed: tally.failed,
        stages: Stages {
            intake: Stage::of(tasks, intake.as_secs_f64()),
            claim: tally.claim(),
            run: tally.run(),
            ingest: tally.ingest(),
            end_to_end: Stage::of(tasks, whole.as_secs_f64()),
        },
        latency_seconds: Latencies { submit_to_stored: tally.submit_to_stored(), run: tally.wall() },
        occupancy: tally.occupancy(&after.jobs).map(|occupancy| OccupancyFigures {
            fraction: occupancy.fraction(),
            held_cores: occupancy.held_core_seconds() / occupancy.seconds(),
            seconds: occupancy.seconds(),
        }),
        jobs: JobFigures {
            count: tally.jobs().len() as u64,
            most_inodes: after.jobs.iter().filter_map(|job| job.inodes).max(),
            runner_resident_bytes: after.jobs.iter().filter_map(|job| job.runner_resident_bytes).max(),
        },
        scheduler: SchedulerFigures {
            calls: calls.collect(),
            poll_intervals: whole.as_secs_f64() / after.poll_interval_seconds,
        },
        database: DatabaseFigures {
            grown_bytes,
            bytes_per_record: (tally.completed > 0).then(|| grown_bytes as f64 / tally.completed as f64),
        },
        daemon: DaemonFigures {
            resident_bytes: after.daemon.resident_bytes,
            peak_resident_bytes: after.daemon.peak_resident_bytes,
            cpu_seconds: after.daemon.cpu_seconds - before.daemon.cpu_seconds,
        },
        records: Afterlife::Kept,
    }
}
