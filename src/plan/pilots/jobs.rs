//! How many pilots a backlog wants, of which shape, and how many in the queue it has no need of. Pure.

use std::time::Duration;

use super::live::{LiveGroup, Phase};
use super::{Group, Snapshot, Surplus};
use crate::model::resources::{Filling, JobResources};
use crate::plan::packing::{Need, Shape, job_resources, size};

/// Work that a pilot of a pool that fills its jobs is worth submitting for.
const FULL_JOB: Duration = Duration::from_secs(3600);

/// Work that a pilot of a pool that spreads its tasks is worth submitting for.
const SHORT_JOB: f64 = 1.0;

/// A pilot asks for so many times the work that falls to it: it may get more, and some tasks take longer.
const WALLTIME_FACTOR: f64 = 2.0;

/// So many jobs that have waited long count as one that comes: there are twice as many as wanted at most, however long all wait.
const LATE_PER_JOB: u32 = 2;

/// All tasks of one need that no job has.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Demand {
    pub(super) need: Need,
    pub(super) tasks: f64,
    pub(super) seconds: f64,
}

/// Pilots to be submitted.
#[derive(PartialEq, Debug)]
pub(super) struct NewPilots {
    /// What they are made for.
    pub(super) need: Need,
    /// What each asks for.
    pub(super) resources: JobResources,
    /// How many.
    pub(super) jobs: u32,
    /// Tasks that they are made for, all together.
    pub(super) tasks: f64,
}

/// What is wanted.
#[derive(Default, PartialEq, Debug)]
pub(super) struct Wanted {
    /// New pilots.
    pub(super) new: Vec<NewPilots>,
    /// Needs that no pilot can meet, and for which none may be submitted now.
    pub(super) starved: Vec<Need>,
    /// Pilots in the queue that nothing is left for.
    pub(super) surplus: Surplus,
}

/// Tasks that wait, read or not, and tasks that are staged, by what they need; the most urgent first.
pub(super) fn demands(snapshot: &Snapshot<'_>, groups: &[Group]) -> Vec<Demand> {
    // Those that were not read are taken to be like those that were.
    let scale = (snapshot.backlog as f64 / snapshot.waiting.len().max(1) as f64).max(1.0);
    let mut demands: Vec<Demand> = Vec::new();
    let mut add = |need: Need, tasks: f64, seconds: f64| match demands.iter_mut().find(|one| one.need == need)
    {
        Some(demand) => {
            demand.tasks += tasks;
            demand.seconds += seconds;
        }
        None => demands.push(Demand { need, tasks, seconds }),
    };
    for group in groups {
        let seconds: f64 = group.tasks.iter().map(|task| task.expected_seconds).sum();
        add(group.need, group.tasks.len() as f64 * scale, seconds * scale);
    }
    for chunks in snapshot.unclaimed {
        add(chunks.need, f64::from(chunks.tasks), chunks.expected_seconds);
    }
    demands
}

/// Compares what the demands want with the pilots that there are; at most `free` are new.
pub(super) fn wanted(demands: &[Demand], live: &[LiveGroup], shape: &Shape, mut free: u32) -> Wanted {
    let mut left: Vec<LiveGroup> = live.to_vec();
    let mut wanted = Wanted::default();
    for demand in demands {
        let mut missing = jobs_for(demand, shape);
        let all = missing;
        let mut late = 0;
        // Who waits long or for a person is kept as long as there is work for it.
        for group in left.iter_mut().filter(|group| group.fits(demand.need)) {
            match group.phase {
                Phase::Late => {
                    late += able(group, shape);
                    group.jobs = group.jobs.saturating_sub(all.saturating_mul(LATE_PER_JOB));
                }
                Phase::Blocked => group.jobs = group.jobs.saturating_sub(all),
                Phase::Coming | Phase::Idle | Phase::Busy => {}
            }
        }
        missing -= missing.min(late / LATE_PER_JOB);
        for group in &mut left {
            if group.fits(demand.need) && serves(group, shape.filling) {
                let served = missing.min(able(group, shape));
                missing -= served;
                group.jobs -= served;
            }
        }
        let new = missing.min(free);
        if new > 0 {
            free -= new;
            let resources = resources(demand, shape, new);
            wanted.new.push(NewPilots { need: demand.need, resources, jobs: new, tasks: demand.tasks });
        } else if missing > 0 && !live.iter().any(|group| group.fits(demand.need)) {
            wanted.starved.push(demand.need);
        }
    }
    for group in left {
        match group.phase {
            Phase::Coming | Phase::Late => wanted.surplus.queued += group.jobs,
            Phase::Blocked => wanted.surplus.blocked += group.jobs,
            Phase::Idle | Phase::Busy => {}
        }
    }
    wanted
}

/// Whether the jobs count for tasks that no job has. One at work does where few jobs are wanted: it will come to them.
fn serves(group: &LiveGroup, filling: Filling) -> bool {
    match group.phase {
        Phase::Coming | Phase::Idle => true,
        Phase::Busy => filling == Filling::Fill,
        Phase::Late | Phase::Blocked => false,
    }
}

/// How many of its jobs may take as many tasks as a new one.
fn able(group: &LiveGroup, shape: &Shape) -> u32 {
    match (group.tasks_left, shape.tasks_per_job) {
        (Some(left), Some(most)) => {
            let jobs = left.div_ceil(u64::from(most.max(1)));
            group.jobs.min(u32::try_from(jobs).unwrap_or(u32::MAX))
        }
        _ => group.jobs,
    }
}

/// How many jobs a demand wants.
fn jobs_for(demand: &Demand, shape: &Shape) -> u32 {
    if demand.tasks < 0.5 {
        return 0;
    }
    let slots = f64::from(size(shape, demand.need).slots(demand.need)) * f64::from(shape.nodes());
    let by_limit = shape.tasks_per_job.map_or(0.0, |most| demand.tasks / f64::from(most.max(1)));
    let by_time = match shape.filling {
        Filling::Fill => demand.seconds / (slots * full_job(shape)),
        Filling::Spread => (demand.tasks / slots).min(demand.seconds / SHORT_JOB),
    };
    // A float that is too large becomes the greatest number.
    by_limit.max(by_time).ceil().max(1.0) as u32
}

fn full_job(shape: &Shape) -> f64 {
    let most = shape.most().walltime_seconds.map_or(FULL_JOB, Duration::from_secs);
    FULL_JOB.min(most).as_secs_f64().max(1.0)
}

/// What one of `jobs` new pilots asks for: time for the longest task that it may take, and for its share of the work.
fn resources(demand: &Demand, shape: &Shape, jobs: u32) -> JobResources {
    let slots = f64::from(size(shape, demand.need).slots(demand.need)) * f64::from(shape.nodes());
    let share = demand.seconds / (f64::from(jobs) * slots) * WALLTIME_FACTOR;
    let share = Duration::try_from_secs_f64(share.ceil()).unwrap_or(Duration::MAX);
    let longest = Duration::from_secs(demand.need.walltime_seconds);
    // Many different walltimes would make many submissions, and no scheduler cares for seconds.
    let minutes = share.as_secs().div_ceil(60).checked_next_power_of_two().unwrap_or(u64::MAX);
    let share = Duration::from_secs(minutes.saturating_mul(60));
    job_resources(shape, demand.need, longest.saturating_add(share))
}
