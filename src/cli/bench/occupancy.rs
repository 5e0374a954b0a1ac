//! How many cores were busy when, from the times of tasks. Pure.

use std::collections::BTreeMap;

use crate::model::ids::JobId;

/// A task on its cores, by its node's clock.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Stay {
    /// Start, in seconds.
    pub start: f64,
    /// Elapsed time, in seconds.
    pub wall: f64,
    /// Cores.
    pub cores: u32,
    /// The job that held them.
    pub job: JobId,
}

/// What a job held.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Held {
    /// Its cores.
    pub cores: u32,
    /// Until when.
    pub until: Until,
}

/// When a job gave its cores back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Until {
    /// It had ended before the last task of all was done: with its own last one.
    ItsLastTask,
    /// It was there to the end.
    TheEnd,
}

/// Cores over time, from the first start to the last end, in equal steps.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Occupancy {
    /// Length of a step.
    pub step_seconds: f64,
    /// Cores that were busy, on average, in each step.
    pub busy: Vec<f64>,
    /// Cores that jobs held, on average, in each step.
    pub held: Vec<f64>,
}

impl Occupancy {
    /// In `steps` steps; none where no task has a start.
    pub(super) fn of(stays: &[Stay], jobs: &BTreeMap<JobId, Held>, steps: usize) -> Option<Occupancy> {
        let first = stays.iter().map(|stay| stay.start).min_by(f64::total_cmp)?;
        let last = stays.iter().map(|stay| stay.start + stay.wall).max_by(f64::total_cmp)?;
        // Tasks that take no time at all still make a picture.
        let step_seconds = ((last - first) / steps as f64).max(1e-6);
        let mut occupancy = Occupancy { step_seconds, busy: vec![0.0; steps], held: vec![0.0; steps] };
        let mut windows: BTreeMap<JobId, (f64, f64)> = BTreeMap::new();
        for stay in stays {
            let (start, end) = (stay.start - first, stay.start + stay.wall - first);
            spread(&mut occupancy.busy, step_seconds, start, end, f64::from(stay.cores));
            let window = windows.entry(stay.job).or_insert((start, end));
            *window = (window.0.min(start), window.1.max(end));
        }
        for (job, (start, end)) in windows {
            let Some(held) = jobs.get(&job) else { continue };
            let end = if held.until == Until::TheEnd { last - first } else { end };
            spread(&mut occupancy.held, step_seconds, start, end, f64::from(held.cores));
        }
        Some(occupancy)
    }

    /// Seconds that cores were busy, added up.
    pub(super) fn busy_core_seconds(&self) -> f64 {
        self.busy.iter().sum::<f64>() * self.step_seconds
    }

    /// Seconds that cores were held, added up.
    pub(super) fn held_core_seconds(&self) -> f64 {
        self.held.iter().sum::<f64>() * self.step_seconds
    }

    /// The part of the held time that was busy.
    pub(super) fn fraction(&self) -> Option<f64> {
        let held = self.held_core_seconds();
        (held > 0.0).then(|| self.busy_core_seconds() / held)
    }

    /// From the first start to the last end.
    pub(super) fn seconds(&self) -> f64 {
        self.step_seconds * self.busy.len() as f64
    }
}

/// Adds `cores` from `start` to `end` to the steps that it covers, each by its share.
fn spread(steps: &mut [f64], step: f64, start: f64, end: f64, cores: f64) {
    let first = (start / step).floor().max(0.0) as usize;
    for (index, level) in steps.iter_mut().enumerate().skip(first) {
        let (from, to) = (index as f64 * step, (index + 1) as f64 * step);
        if from >= end {
            return;
        }
        *level += cores * (end.min(to) - start.max(from)).max(0.0) / step;
    }
}

#[cfg(test)]
mod tests;
