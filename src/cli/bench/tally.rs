//! From the times of single tasks to rates, latencies and occupancy. Pure.
//!
//! Three clocks are at work: this program's, the database's and the node's. No difference is taken between two of them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::occupancy::{Held, Occupancy, Stay, Until};
use super::percentile::Spread;
use crate::api::wire::JobMeter;
use crate::model::ids::JobId;
use crate::model::record::RecordStatus;
use crate::model::timing::TaskTiming;

/// Steps of the picture of occupancy.
const STEPS: usize = 200;

/// How fast a stage went.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(super) struct Stage {
    /// From its first task to its last.
    pub seconds: f64,
    /// Tasks in each of them.
    pub tasks_per_second: f64,
}

impl Stage {
    /// `tasks` in `seconds`; none where there were no tasks or no time passed.
    pub(super) fn of(tasks: u64, seconds: f64) -> Option<Stage> {
        (tasks > 0 && seconds > 0.0).then(|| Stage { seconds, tasks_per_second: tasks as f64 / seconds })
    }
}

/// The first and the last of some moments, and how many there were.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
struct Span {
    moments: u64,
    first: f64,
    last: f64,
}

impl Span {
    fn add(&mut self, from: f64, to: f64) {
        self.first = if self.moments == 0 { from } else { self.first.min(from) };
        self.last = if self.moments == 0 { to } else { self.last.max(to) };
        self.moments += 1;
    }

    fn stage(&self) -> Option<Stage> {
        Stage::of(self.moments, self.last - self.first)
    }
}

/// What the times of a benchmark's records add up to.
#[derive(Clone, Default, Debug)]
pub(super) struct Tally {
    /// Records that are complete.
    pub completed: u64,
    /// Records that are not.
    pub failed: u64,
    starts: Span,
    runs: Span,
    stored: Span,
    latencies: Vec<f64>,
    walls: Vec<f64>,
    stays: Vec<Stay>,
    jobs: BTreeSet<JobId>,
}

impl Tally {
    /// Takes one record in.
    pub(super) fn add(&mut self, timing: &TaskTiming) {
        match timing.status {
            RecordStatus::Complete => self.completed += 1,
            _ => self.failed += 1,
        }
        if let Some(stored_on) = timing.stored_on {
            let stored = seconds(stored_on);
            self.stored.add(stored, stored);
            self.latencies.push(stored - seconds(timing.created_on));
        }
        self.walls.extend(timing.wall_seconds);
        self.jobs.extend(timing.job_id);
        if let (Some(start), Some(wall), Some(job)) = (timing.started_on, timing.wall_seconds, timing.job_id)
        {
            self.starts.add(start, start);
            self.runs.add(start, start + wall);
            self.stays.push(Stay { start, wall, cores: timing.cores.unwrap_or(1), job });
        }
    }

    /// The jobs that ran something.
    pub(super) fn jobs(&self) -> Vec<JobId> {
        self.jobs.iter().copied().collect()
    }

    /// From the first start of a task to the last, on the nodes.
    pub(super) fn claim(&self) -> Option<Stage> {
        self.starts.stage()
    }

    /// From the first start to the last end, on the nodes.
    pub(super) fn run(&self) -> Option<Stage> {
        self.runs.stage()
    }

    /// From the first stored result to the last.
    pub(super) fn ingest(&self) -> Option<Stage> {
        self.stored.stage()
    }

    /// From the begin of the intake to the stored result, each by the database's clock.
    pub(super) fn submit_to_stored(&self) -> Option<Spread> {
        Spread::of(self.latencies.iter().copied())
    }

    /// On the node.
    pub(super) fn wall(&self) -> Option<Spread> {
        Spread::of(self.walls.iter().copied())
    }

    /// Cores over time.
    pub(super) fn occupancy(&self, jobs: &[JobMeter]) -> Option<Occupancy> {
        let held = |job: &JobMeter| {
            let ended_early = job.ended_on.is_some_and(|ended_on| seconds(ended_on) < self.stored.last);
            let until = if ended_early { Until::ItsLastTask } else { Until::TheEnd };
            (job.job_id, Held { cores: job.cores, until })
        };
        let held: BTreeMap<JobId, Held> = jobs.iter().map(held).collect();
        Occupancy::of(&self.stays, &held, STEPS)
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_microsecond() as f64 * 1e-6
}

#[cfg(test)]
mod tests;
