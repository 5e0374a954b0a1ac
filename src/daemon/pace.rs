//! How long tasks take, as far as this daemon has seen: enough to size chunks before anything better is known.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::ids::TaskId;
use crate::model::task::TaskReport;
use crate::store::queue::{Candidate, DemandId};

/// Reports after which an earlier one counts no more than the next.
const WINDOW: f64 = 200.0;
/// A task that says nothing else is expected to take this part of the time it asks for …
const PART_OF_LIMIT: f64 = 0.1;
/// … and not more than this, in seconds.
const MOST_UNKNOWN: f64 = 600.0;
/// Tasks remembered; more are staged only in pools whose pace is known.
const MOST_REMEMBERED: usize = 200_000;

/// What was seen.
#[derive(Default)]
pub struct Pace(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    means: HashMap<DemandId, Mean>,
    /// What tasks that are still out have taken at least.
    least: HashMap<DemandId, f64>,
    /// What the tasks that are out demand.
    out: HashMap<TaskId, DemandId>,
}

#[derive(Clone, Copy, Default)]
struct Mean {
    seconds: f64,
    count: f64,
}

impl Mean {
    fn add(&mut self, seconds: f64) {
        self.count = (self.count + 1.0).min(WINDOW);
        self.seconds += (seconds - self.seconds) / self.count;
    }
}

impl Pace {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a task is expected to take, in seconds; `limit` is the time it is given.
    pub fn expected(&self, task: &Candidate, limit_seconds: u64) -> f64 {
        match self.lock().means.get(&task.demand) {
            Some(mean) => mean.seconds,
            None => unknown(limit_seconds),
        }
    }

    /// What a task takes at least, by those that are out and have not ended: history and means may know only shorter ones.
    pub fn at_least(&self, task: &Candidate) -> f64 {
        self.lock().least.get(&task.demand).copied().unwrap_or(0.0)
    }

    /// Tasks of this demand were seen to take at least so long.
    pub fn takes_at_least(&self, demand: DemandId, seconds: f64) {
        let mut inner = self.lock();
        if inner.means.get(&demand).is_none_or(|mean| mean.seconds < seconds) {
            let least = inner.least.entry(demand).or_default();
            *least = least.max(seconds);
        }
    }

    /// These tasks are handed out.
    pub fn handed_out(&self, tasks: impl IntoIterator<Item = (TaskId, DemandId)>) {
        let mut inner = self.lock();
        if inner.out.len() < MOST_REMEMBERED {
            inner.out.extend(tasks);
        }
    }

    /// They were reported.
    pub fn reported(&self, reports: &[TaskReport]) {
        let mut inner = self.lock();
        for report in reports {
            if let Some(demand) = inner.out.remove(&report.task_id) {
                inner.least.remove(&demand);
                inner.means.entry(demand).or_default().add(report.provenance.wall_seconds.max(0.0));
            }
        }
    }
}

/// How long a task is expected to take of which nothing is known but the time it is given, in seconds.
pub fn unknown(limit_seconds: u64) -> f64 {
    (limit_seconds as f64 * PART_OF_LIMIT).min(MOST_UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_exact_at_first_and_follows_later() {
        let mut mean = Mean::default();
        for seconds in [1.0, 3.0] {
            mean.add(seconds);
        }
        assert!((mean.seconds - 2.0).abs() < 1e-12);
        for _ in 0..2000 {
            mean.add(10.0);
        }
        assert!((mean.seconds - 10.0).abs() < 0.01);
    }
}
