//! Which jobs are to give tasks back that they hold and have not begun, so that others do not stand idle. Pure.
//!
//! Chunks are dealt by what tasks are expected to take, and expectations are wrong now and then: too many short tasks in one
//! chunk leave other jobs without work, and tasks that take a hundred times as long keep in one job what many could do. What
//! is seen of a chunk while it is worked through mends both: its tasks go back unbegun, and are dealt anew.

use std::time::Duration;

use super::packing::{Need, NodeSize};
use super::pilots::{LiveGroup, Unclaimed};
use crate::model::ids::ChunkId;

/// A chunk that was claimed a moment ago is left alone: reports take so long to be counted.
const SETTLED: Duration = Duration::from_secs(2);
/// Less work than this is not worth the way back and forth, in seconds.
const WORTH_SHARING: f64 = 3.0;
/// And less than this not worth the start of another job.
const WORTH_A_JOB: f64 = 20.0;
/// A chunk is dealt as work for about a minute. One that lasts so long yet was dealt wrongly, in seconds.
const OVERDUE: f64 = 300.0;
/// What the holder of such a chunk keeps, in seconds of work.
const KEPT: f64 = 60.0;

/// A running job as far as it is seen from outside.
#[derive(Clone, PartialEq, Debug)]
pub struct Hands {
    /// Its size and the time it has left; one job.
    pub job: LiveGroup,
    /// What it has claimed.
    pub chunks: Vec<HeldChunk>,
}

/// A chunk in the directory of a job.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct HeldChunk {
    /// The chunk.
    pub chunk: ChunkId,
    /// What each of its tasks needs.
    pub need: Need,
    /// How many tasks it had when it was first seen, less those that were asked back since.
    pub tasks: u32,
    /// How many of them are not reported yet.
    pub open: u32,
    /// Since when the job has it.
    pub held_for: Duration,
}

/// What a job is asked to give back: of this chunk it keeps so many tasks that it has not begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Give {
    /// The chunk.
    pub chunk: ChunkId,
    /// Tasks that may stay.
    pub keep: u32,
    /// Tasks that are asked back.
    pub given: u32,
}

/// How a chunk fares in its job.
struct Course {
    /// Tasks of it that can run side by side.
    slots: u32,
    /// Tasks that are not begun.
    unbegun: u32,
    /// What one task takes at least, in seconds.
    seconds: f64,
}

impl HeldChunk {
    /// How it fares in `job`; nothing where it was claimed a moment ago, or every task of it is begun.
    fn course(&self, job: &LiveGroup) -> Option<Course> {
        let slots = u32::try_from(job.slots(self.need)).unwrap_or(u32::MAX).max(1);
        let begun = self.open.min(slots);
        let unbegun = self.open - begun;
        if unbegun == 0 || self.held_for < SETTLED {
            return None;
        }
        Some(Course { slots, unbegun, seconds: self.least_seconds(job) })
    }

    /// What one of its tasks takes at least, as far as its time in `job` tells, in seconds.
    pub fn least_seconds(&self, job: &LiveGroup) -> f64 {
        let slots = job.slots(self.need).clamp(1, u64::from(self.tasks.max(1))) as u32;
        let begun = self.open.min(slots);
        let done = self.tasks.saturating_sub(self.open);
        // What it reported within the last moments may not be counted yet.
        let worked = self.held_for.saturating_sub(SETTLED).as_secs_f64();
        worked * f64::from(slots) / f64::from((done + begun).max(1))
    }
}

impl Hands {
    /// How many further tasks of this need the job could begin now.
    fn idle_slots(&self, need: Need) -> u32 {
        if !self.job.fits(need) || self.job.tasks_left == Some(0) {
            return 0;
        }
        let used = |of: fn(Need) -> u64| -> u64 {
            self.chunks.iter().map(|chunk| u64::from(chunk.open) * of(chunk.need)).sum()
        };
        let nodes = u64::from(self.job.nodes.max(1));
        let NodeSize { cores, memory_bytes, gpus } = self.job.node;
        let left = |has: u64, used: u64, each: u64| {
            has.saturating_mul(nodes).saturating_sub(used).checked_div(each).unwrap_or(u64::MAX)
        };
        let idle = left(u64::from(cores), used(|need| u64::from(need.cores)), u64::from(need.cores))
            .min(left(memory_bytes, used(|need| need.memory_bytes), need.memory_bytes))
            .min(left(u64::from(gpus), used(|need| u64::from(need.gpus)), u64::from(need.gpus)));
        u32::try_from(idle).unwrap_or(u32::MAX)
    }
}

/// Which of the running jobs of a pool are to give what back, with these chunks staged for whoever is free, and so many jobs that
/// may be started for what comes back.
pub fn share(jobs: &[Hands], unclaimed: &[Unclaimed], new_jobs: u32) -> Vec<Give> {
    let mut gives: Vec<Give> = Vec::new();
    let mut taken: Vec<(Need, u32)> = Vec::new();
    for (index, holder) in jobs.iter().enumerate() {
        for chunk in &holder.chunks {
            let Some(course) = chunk.course(&holder.job) else { continue };
            let left = f64::from(course.unbegun) * course.seconds / f64::from(course.slots);
            let others = jobs.iter().enumerate().filter(|(other, _)| *other != index);
            let idle = others.map(|(_, other)| other.idle_slots(chunk.need)).fold(0, u32::saturating_add);
            let idle = if left >= WORTH_A_JOB { idle.saturating_add(new_jobs) } else { idle };
            let before = taken.iter().filter(|(need, _)| *need == chunk.need).map(|(_, tasks)| tasks).sum();
            let idle = if has_work_ahead(unclaimed, chunk.need) { 0 } else { idle.saturating_sub(before) };
            let keep = if idle > 0 && left >= WORTH_SHARING {
                let share = f64::from(course.unbegun) * f64::from(course.slots)
                    / (f64::from(course.slots) + f64::from(idle));
                share as u32
            } else if left > OVERDUE {
                (KEPT * f64::from(course.slots) / course.seconds.max(1e-3)) as u32
            } else {
                continue;
            };
            if keep < course.unbegun {
                let given = course.unbegun - keep;
                taken.push((chunk.need, given));
                gives.push(Give { chunk: chunk.chunk, keep, given });
            }
        }
    }
    gives
}

/// Whether something is staged that a job for tasks of this need can take: it is claimed before anything is asked back.
fn has_work_ahead(unclaimed: &[Unclaimed], need: Need) -> bool {
    unclaimed.iter().any(|chunks| {
        let Need { cores, memory_bytes, gpus, .. } = chunks.need;
        chunks.tasks > 0 && cores <= need.cores && memory_bytes <= need.memory_bytes && gpus <= need.gpus
    })
}

#[cfg(test)]
mod tests;
