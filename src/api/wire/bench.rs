//! What `qcbatch bench` asks for: times of its records, meters of the daemon and of jobs, removal. Pure data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::ids::{JobId, PoolName, RecordId};

/// `POST /v1/bench/timings`, `/v1/bench/open` and `/v1/bench/remove`: the records of one benchmark.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchQuery {
    /// Their compute tag; it begins with `bench-`.
    pub compute_tag: String,
    /// None of them is older than this one; spares a look at all others.
    #[serde(default)]
    pub from: Option<RecordId>,
}

/// `POST /v1/bench/meters`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeterQuery {
    /// The pool whose scheduler is meant.
    pub pool: PoolName,
    /// Jobs to look at, at most 1 000.
    #[serde(default)]
    pub jobs: Vec<JobId>,
}

/// What the daemon has used since its start, and what there is now.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Meters {
    /// The daemon's own process.
    pub daemon: ProcessMeter,
    /// Commands of the pool's scheduler that were run, by verb.
    pub scheduler_calls: BTreeMap<String, u64>,
    /// Shortest time between two of its polls.
    pub poll_interval_seconds: f64,
    /// Size of the database on disk, indexes included.
    pub database_bytes: u64,
    /// The jobs that were asked about, as far as they exist.
    pub jobs: Vec<JobMeter>,
}

/// One process.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct ProcessMeter {
    /// Memory that it holds.
    pub resident_bytes: u64,
    /// The most that it ever held.
    pub peak_resident_bytes: u64,
    /// User and system time.
    pub cpu_seconds: f64,
}

/// One job.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JobMeter {
    /// The job.
    pub job_id: JobId,
    /// Its cores.
    pub cores: u32,
    /// When it was found to have ended.
    pub ended_on: Option<Timestamp>,
    /// Files in its directory, that included; none once it is swept.
    pub inodes: Option<u64>,
    /// Memory that its runner held at its last heartbeat.
    pub runner_resident_bytes: Option<u64>,
}

/// What was removed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RemovalReceipt {
    /// Records that were cancelled first.
    pub cancelled: u64,
    /// Records.
    pub records: u64,
    /// Molecules that nothing else refers to.
    pub molecules: u64,
}
