//! Which waiting tasks are staged in which chunks, and which jobs are submitted to work on them. Pure.
//!
//! Jobs are pilots: they take chunks of their pool as long as they have work, cores and time, so that which job runs
//! which task is settled only when it runs. Tasks that must not share a job are bound to one of their own.

mod chunks;
mod jobs;
mod live;

use std::collections::HashMap;
use std::time::Duration;

pub use live::{LiveGroup, Phase};

use self::chunks::Buffer;
use self::jobs::NewPilots;
use super::packing::{Need, Shape, TaskDefaults, Waiting, bound_resources, misfit, need_of};
use crate::model::chunk::ChunkNeed;
use crate::model::ids::TaskId;
use crate::model::resources::JobResources;
use crate::model::task::Placement;

/// A task that was lost so often is suspected of ending its jobs: it gets one of its own.
const SUSPECT_LOSSES: u32 = 2;

/// What there is.
#[derive(Clone, Debug)]
pub struct Snapshot<'a> {
    /// Tasks that the pool may run, best first.
    pub waiting: &'a [Waiting],
    /// How many such tasks there are, those in `waiting` among them.
    pub backlog: usize,
    /// Chunks that are staged or being staged, and that no job has claimed.
    pub unclaimed: &'a [Unclaimed],
    /// The pool's pilots that have not ended.
    pub live: &'a [LiveGroup],
    /// How many jobs more the pool may have.
    pub free_jobs: u32,
}

/// Chunks alike that no job has claimed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Unclaimed {
    /// What each of their tasks needs.
    pub need: Need,
    /// That of each of their tasks.
    pub compute_priority: u8,
    /// How many chunks.
    pub chunks: u32,
    /// Their tasks.
    pub tasks: u32,
    /// How long all of them take, one after the other.
    pub expected_seconds: f64,
}

/// Tasks that are to be staged in one file.
#[derive(Clone, PartialEq, Debug)]
pub struct ChunkPlan {
    /// That of each of its tasks.
    pub compute_priority: u8,
    /// What each of its tasks needs.
    pub need: Need,
    /// How long all of them take, one after the other.
    pub expected_seconds: f64,
    /// Its tasks.
    pub tasks: Vec<TaskId>,
}

/// Jobs to be submitted in one call.
#[derive(Clone, PartialEq, Debug)]
pub struct JobsPlan {
    /// What each of them asks for.
    pub resources: JobResources,
    /// What they are.
    pub kind: JobKind,
    /// Tasks that they are made for, all together.
    pub tasks: u32,
}

/// What jobs are for.
#[derive(Clone, PartialEq, Debug)]
pub enum JobKind {
    /// So many pilots.
    Pilots(u32),
    /// One job for one task.
    Bound {
        /// The task.
        task: TaskId,
        /// Whether it was asked for; it may be suspected, or run on several nodes, instead.
        placement: Placement,
    },
}

/// What is to be done.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Plan {
    /// Chunks to be staged.
    pub chunks: Vec<ChunkPlan>,
    /// Jobs to be submitted.
    pub jobs: Vec<JobsPlan>,
    /// Pilots in the queue that nothing is left for.
    pub surplus: Surplus,
    /// Tasks that no job of the pool can hold, and why.
    pub unfit: Vec<(TaskId, String)>,
}

/// Pilots in the queue that nothing is left for.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Surplus {
    /// That wait for their turn.
    pub queued: u32,
    /// That wait for a person.
    pub blocked: u32,
}

impl Surplus {
    /// Whether there is none.
    pub fn is_none(self) -> bool {
        self == Surplus::default()
    }

    /// The lesser of both, kind by kind.
    pub fn min(self, other: Surplus) -> Surplus {
        Surplus { queued: self.queued.min(other.queued), blocked: self.blocked.min(other.blocked) }
    }
}

/// How many jobs more a pool may have. Those that wait for a person take no places, so that a job that is stuck holds nothing
/// up; should their replacements be blocked as well, there are twice `max_jobs` at most.
pub fn free_jobs(max_jobs: u32, live: u32, blocked: u32) -> u32 {
    let places = max_jobs.saturating_sub(live.saturating_sub(blocked));
    places.min(max_jobs.saturating_mul(2).saturating_sub(live))
}

/// How long a pilot waits in the queue until others may be submitted beside it.
pub const LATE: Duration = Duration::from_secs(30 * 60);

/// How long pilots in the queue stay that nothing is left for. After a person cancelled work none is expected.
pub fn patience(since_cancel: Option<Duration>) -> Duration {
    const PATIENCE: Duration = Duration::from_secs(60);
    if since_cancel.is_some_and(|ago| ago < PATIENCE) { Duration::ZERO } else { PATIENCE }
}

/// Waiting tasks alike, best first.
struct Group {
    compute_priority: u8,
    need: Need,
    tasks: Vec<WaitingTask>,
}

#[derive(Clone, Copy)]
struct WaitingTask {
    id: TaskId,
    losses: u32,
    expected_seconds: f64,
}

/// Decides for one pool.
pub fn plan(snapshot: &Snapshot<'_>, shape: &Shape, defaults: TaskDefaults) -> Plan {
    let mut plan = Plan::default();
    let Sorted { alone, mut wide, groups } = sort(snapshot.waiting, shape, defaults, &mut plan);
    let mut free = snapshot.free_jobs;
    plan.bind(alone, shape, &mut free);
    let after_pilots = wide.split_off(before_pilots(&wide, &groups, free));
    plan.bind(wide, shape, &mut free);
    let demands = jobs::demands(snapshot, &groups);
    let wanted = jobs::wanted(&demands, snapshot.live, shape, free);
    plan.surplus = wanted.surplus;
    free -= wanted.new.iter().map(|new| new.jobs).sum::<u32>().min(free);
    let mut live = snapshot.live.to_vec();
    for NewPilots { need, resources, jobs, tasks } in wanted.new {
        live.push(LiveGroup {
            phase: Phase::Coming,
            jobs,
            nodes: shape.nodes(),
            node: super::packing::size(shape, need),
            left: resources.walltime,
            tasks_left: shape.tasks_per_job.map(|most| u64::from(most) * u64::from(jobs)),
        });
        for array in split(jobs, shape.max_array) {
            let tasks = (tasks * f64::from(array) / f64::from(jobs)).round() as u32;
            plan.jobs.push(JobsPlan { resources: resources.clone(), kind: JobKind::Pilots(array), tasks });
        }
    }
    plan.bind(after_pilots, shape, &mut free);
    let mut buffer = Buffer::new(snapshot.unclaimed, &live, snapshot.backlog, snapshot.waiting.len());
    // What is more urgent and finds no job waits for one to run dry: the less urgent must not keep them all at work.
    let starved = groups.iter().filter(|group| wanted.starved.contains(&group.need));
    let starved = starved.map(|group| group.compute_priority).max().unwrap_or(0);
    for group in groups.into_iter().filter(|group| group.compute_priority >= starved) {
        plan.chunks.extend(buffer.deal(group, shape));
    }
    plan
}

/// A task that gets a job of its own.
struct BoundTask {
    need: Need,
    id: TaskId,
    placement: Placement,
    compute_priority: u8,
}

/// The waiting tasks by how they are run, each in the order of the queue.
struct Sorted {
    /// Asked for a job of their own, or suspected.
    alone: Vec<BoundTask>,
    /// Over several nodes.
    wide: Vec<BoundTask>,
    /// The others by what they need, in the order of their first.
    groups: Vec<Group>,
}

impl Plan {
    /// One job for each task, as long as jobs are free.
    fn bind(&mut self, tasks: Vec<BoundTask>, shape: &Shape, free: &mut u32) {
        for BoundTask { need, id: task, placement, .. } in tasks.into_iter().take(*free as usize) {
            *free -= 1;
            let resources = bound_resources(shape, need);
            self.jobs.push(JobsPlan { resources, kind: JobKind::Bound { task, placement }, tasks: 1 });
        }
    }
}

/// How many of the tasks over several nodes get their jobs before pilots do: the more urgent ones, and as many of those
/// as urgent as take half of what is free, so that neither kind waits for the other's end.
fn before_pilots(wide: &[BoundTask], groups: &[Group], free: u32) -> usize {
    let Some(pressing) = groups.iter().map(|group| group.compute_priority).max() else { return wide.len() };
    let more_urgent = wide.iter().filter(|task| task.compute_priority > pressing).count();
    let as_urgent = wide.iter().filter(|task| task.compute_priority == pressing).count();
    more_urgent + as_urgent.min((free as usize).saturating_sub(more_urgent).div_ceil(2))
}

/// Parts the waiting tasks: those that no job of the pool can hold, those that get jobs of their own, and the others by
/// priority and need.
fn sort(waiting: &[Waiting], shape: &Shape, defaults: TaskDefaults, plan: &mut Plan) -> Sorted {
    let (mut alone, mut wide) = (Vec::new(), Vec::new());
    let mut groups: Vec<Group> = Vec::new();
    let mut places: HashMap<(u8, Need), usize> = HashMap::new();
    for task in waiting {
        let need = need_of(task, shape, defaults);
        if let Some(reason) = misfit(need, shape) {
            plan.unfit.push((task.task_id, reason));
            continue;
        }
        let Waiting { task_id: id, placement, compute_priority, .. } = *task;
        let bound = BoundTask { need, id, placement, compute_priority };
        if placement == Placement::Dedicated || task.losses >= SUSPECT_LOSSES {
            alone.push(bound);
            continue;
        }
        if need.nodes > 1 {
            wide.push(bound);
            continue;
        }
        let place = *places.entry((task.compute_priority, need)).or_insert_with(|| {
            groups.push(Group { compute_priority: task.compute_priority, need, tasks: Vec::new() });
            groups.len() - 1
        });
        let expected_seconds = task.expected_seconds.max(0.0);
        groups[place].tasks.push(WaitingTask { id: task.task_id, losses: task.losses, expected_seconds });
    }
    Sorted { alone, wide, groups }
}

fn split(jobs: u32, most: u32) -> impl Iterator<Item = u32> {
    let most = most.max(1);
    (0..jobs.div_ceil(most)).map(move |index| most.min(jobs - index * most))
}

impl Need {
    /// The same in the name of a chunk, whose tasks run on one node.
    pub fn of_chunk(self) -> ChunkNeed {
        let Need { cores, memory_bytes, walltime_seconds, gpus, nodes: _ } = self;
        ChunkNeed { cores, memory_bytes, gpus, walltime_seconds }
    }
}

impl From<ChunkNeed> for Need {
    fn from(need: ChunkNeed) -> Need {
        let ChunkNeed { cores, memory_bytes, walltime_seconds, gpus } = need;
        Need { cores, memory_bytes, walltime_seconds, gpus, nodes: 1 }
    }
}

#[cfg(test)]
mod tests;
