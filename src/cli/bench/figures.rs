//! All figures of one benchmark, as `--json` prints them. Pure data.

use std::collections::BTreeMap;

use serde::Serialize;

use super::percentile::Spread;
use super::tally::Stage;
use crate::model::ids::PoolName;

/// All figures of one benchmark. What could not be measured is `null`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct BenchReport {
    /// Compute tag of its records.
    pub compute_tag: String,
    /// Where they ran.
    pub pool: PoolName,
    /// As it was asked for: `null`, `true`, `sleep:100`.
    pub program: String,
    /// Bytes that each task returned.
    pub payload_bytes: u64,
    /// How many there were.
    pub tasks: u64,
    /// How many are complete.
    pub completed: u64,
    /// How many ended otherwise.
    pub failed: u64,
    /// How fast each stage went.
    pub stages: Stages,
    /// How long single tasks took.
    pub latency_seconds: Latencies,
    /// Cores over time.
    pub occupancy: Option<OccupancyFigures>,
    /// The jobs that ran the tasks.
    pub jobs: JobFigures,
    /// What the scheduler was asked meanwhile.
    pub scheduler: SchedulerFigures,
    /// What the database grew by.
    pub database: DatabaseFigures,
    /// What the daemon used.
    pub daemon: DaemonFigures,
    /// Whether the records are still there.
    pub records: Afterlife,
}

/// How fast each stage went.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Stages {
    /// From the first byte of the request to the daemon's answer.
    pub intake: Option<Stage>,
    /// From the first start of a task to the last.
    pub claim: Option<Stage>,
    /// From the first start of a task to the last end.
    pub run: Option<Stage>,
    /// From the first stored result to the last.
    pub ingest: Option<Stage>,
    /// From the first byte of the request to the last stored result.
    pub end_to_end: Option<Stage>,
}

/// How long single tasks took.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Latencies {
    /// From the begin of the intake to the stored result.
    pub submit_to_stored: Option<Spread>,
    /// On the node.
    pub run: Option<Spread>,
}

/// Cores over time.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct OccupancyFigures {
    /// The part of the held time that was busy.
    pub fraction: Option<f64>,
    /// Cores that jobs held, on average.
    pub held_cores: f64,
    /// From the first start to the last end.
    pub seconds: f64,
}

/// The jobs that ran the tasks.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct JobFigures {
    /// How many.
    pub count: u64,
    /// Most files in the directory of one of them, that included.
    pub most_inodes: Option<u64>,
    /// Most memory that one's runner held.
    pub runner_resident_bytes: Option<u64>,
}

/// What the scheduler was asked meanwhile.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct SchedulerFigures {
    /// Commands by verb.
    pub calls: BTreeMap<String, u64>,
    /// How often the pool's `poll_interval` passed.
    pub poll_intervals: f64,
}

/// What the database grew by.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct DatabaseFigures {
    /// In all, indexes included.
    pub grown_bytes: u64,
    /// For each record.
    pub bytes_per_record: Option<f64>,
}

/// What the daemon used.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct DaemonFigures {
    /// Memory at the end.
    pub resident_bytes: u64,
    /// The most since its start.
    pub peak_resident_bytes: u64,
    /// Processor time meanwhile.
    pub cpu_seconds: f64,
}

/// What becomes of the records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Afterlife {
    /// They are gone, with all that hung on them.
    Removed,
    /// They are still there.
    Kept,
}
