//! From a prediction to what a task is given that does not say what it needs. Pure.

use super::{Estimate, Level, Prediction};
use crate::model::resources::TaskResources;
use crate::plan::retry::RanOut;

/// What history says of a task, for the packer: how long it will take, and what it is given where it says nothing.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Expectation {
    /// How long it will probably take; none where no run of its program is known.
    pub seconds: Option<f64>,
    /// Time limit; none where history says too little, so that the configured default holds.
    pub walltime_seconds: Option<u64>,
    /// Memory, likewise.
    pub memory_bytes: Option<u64>,
    /// What its own earlier attempts ran out of.
    pub ran_out: RanOut,
}

impl Expectation {
    /// What the task asks for in a pool that has at most `most`: its own words, and where it says nothing what history
    /// says. Nodes of its own are whole: it is given all that they have.
    pub fn completes(&self, asks: &TaskResources, most: &TaskResources) -> TaskResources {
        let wide = asks.nodes.is_some_and(|nodes| nodes > 1);
        TaskResources {
            walltime_seconds: asks.walltime_seconds.or(self.walltime_seconds),
            cores: asks.cores.or(if wide { most.cores } else { None }),
            memory_bytes: asks.memory_bytes.or(if wide { most.memory_bytes } else { self.memory_bytes }),
            ..asks.clone()
        }
    }
}

/// Runs of the same method, or the same calculation, from which on its history replaces the configured default.
const ENOUGH: u64 = 5;

/// Limits are so many times what 19 of 20 calculations need: exceeding one costs a whole run.
const TIME_SAFETY: f64 = 2.0;
const MEMORY_SAFETY: f64 = 1.5;

/// No task is given less: a slow start, a busy file system.
const LEAST_SECONDS: u64 = 300;
const LEAST_BYTES: u64 = 512 << 20;

/// What `prediction` means for a task, in a pool that has at most `most`, where the configuration gives `defaults`.
///
/// With enough history of the same calculation, or of its method in another basis, the limit is twice what 19 of 20 need
/// (memory: one and a half times). With less, of the same program and work, history may raise the default and not lower
/// it. Limits are rounded up to few steps, so that tasks that are alike go together.
pub fn expectation(prediction: &Prediction, most: &TaskResources, defaults: &TaskResources) -> Expectation {
    let Prediction { wall_seconds, memory_bytes } = prediction;
    let known = wall_seconds.evidence.level > Level::Prior;
    Expectation {
        seconds: known.then_some(wall_seconds.median),
        walltime_seconds: limit(
            wall_seconds,
            TIME_SAFETY,
            LEAST_SECONDS,
            most.walltime_seconds,
            defaults.walltime_seconds,
        ),
        memory_bytes: limit(
            memory_bytes,
            MEMORY_SAFETY,
            LEAST_BYTES,
            most.memory_bytes,
            defaults.memory_bytes,
        ),
        ran_out: RanOut::default(),
    }
}

fn limit(
    estimate: &Estimate,
    safety: f64,
    least: u64,
    most: Option<u64>,
    default: Option<u64>,
) -> Option<u64> {
    let evidence = &estimate.evidence;
    let needed = rounded_up((estimate.high * safety) as u64, least);
    let limit = match evidence.level {
        Level::Method | Level::Key | Level::Place if evidence.runs >= ENOUGH => needed,
        Level::Work | Level::Method | Level::Key | Level::Place => needed.max(default?),
        Level::Prior | Level::Program => return None,
    };
    Some(most.map_or(limit, |most| limit.min(most)))
}

/// `value` rounded up to one of the steps least, 1.5 least, 2 least, 3 least, 4 least …
fn rounded_up(value: u64, least: u64) -> u64 {
    let mut step = least;
    while step < value && step < u64::MAX / 4 {
        if step + step / 2 >= value {
            return step + step / 2;
        }
        step *= 2;
    }
    step
}

#[cfg(test)]
mod tests;
