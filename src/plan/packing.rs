//! What a waiting task needs in a pool, and what a job made for such tasks asks for. Pure.

use std::time::Duration;

use crate::model::failure::FailureClass;
use crate::model::ids::TaskId;
use crate::model::resources::{Filling, JobResources, NodeSharing, TaskResources};
use crate::model::task::Placement;
use crate::plan::fit::too_large;
use crate::plan::predict::Expectation;
use crate::plan::retry::grown;

/// Time of a job before its first task: module loads, activation, the worker's imports; and Slurm may warn a minute
/// early (sbatch(1)).
const START_ALLOWANCE: Duration = Duration::from_secs(120);

/// A waiting task that the pool's programs and tags suit, best first.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// The task.
    pub task_id: TaskId,
    /// Whether it may share a job.
    pub placement: Placement,
    /// What it asks for.
    pub asks: TaskResources,
    /// What history says of it.
    pub expectation: Expectation,
    /// 0 low, 1 normal, 2 high.
    pub compute_priority: u8,
    /// Own tries it has spent.
    pub tries: u32,
    /// Attempts lost without fault of its own.
    pub losses: u32,
    /// Why the last attempt failed.
    pub last_failure: Option<FailureClass>,
    /// How long it will take, as far as anybody knows.
    pub expected_seconds: f64,
}

/// What a task that says nothing is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskDefaults {
    /// Cores.
    pub cores: u32,
    /// Memory.
    pub memory_bytes: u64,
    /// Time.
    pub walltime: Duration,
}

/// What one task needs, nothing left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Need {
    /// Cores.
    pub cores: u32,
    /// Memory.
    pub memory_bytes: u64,
    /// Time, in whole seconds.
    pub walltime_seconds: u64,
    /// GPUs.
    pub gpus: u32,
    /// Nodes over which it runs with MPI; the others are of each.
    pub nodes: u32,
}

/// A pool as the packer sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// What every job of the pool asks for besides cores, memory and walltime.
    pub base: JobResources,
    /// Cores of a job; taken from its tasks where the pool does not say.
    pub cores: Option<u32>,
    /// Memory of a job, likewise.
    pub memory_bytes: Option<u64>,
    /// Longest walltime of a job; one whose tasks need less asks for less.
    pub walltime: Option<Duration>,
    /// Most tasks that one job takes; no limit where the pool sets none.
    pub tasks_per_job: Option<u32>,
    /// Most nodes of one task.
    pub task_nodes: u32,
    /// Most jobs of one array.
    pub max_array: u32,
    /// Whether few jobs work through the tasks one after the other, or many side by side.
    pub filling: Filling,
    /// Added to the time of the tasks for start, staging and end of a job.
    pub margin: Duration,
}

impl Shape {
    /// The most that one task may ask for; no limit where the pool sets none.
    pub fn most(&self) -> TaskResources {
        TaskResources {
            cores: self.cores_per_node(),
            memory_bytes: self.memory_bytes,
            walltime_seconds: self.walltime.map(|walltime| walltime.saturating_sub(self.margin).as_secs()),
            gpus: Some(self.base.gpus),
            nodes: Some(self.task_nodes),
        }
    }

    /// Nodes of a job.
    pub fn nodes(&self) -> u32 {
        self.base.nodes.max(1)
    }

    /// Cores of each node of a job, where the pool says them.
    fn cores_per_node(&self) -> Option<u32> {
        self.cores.map(|cores| cores.saturating_mul(self.base.tasks_per_node()))
    }

    /// Most tasks that the runner of one node takes.
    pub fn tasks_per_runner(&self) -> Option<u32> {
        self.tasks_per_job.map(|most| (most / self.nodes()).max(1))
    }
}

impl TaskDefaults {
    /// The same in a pool of this shape. A task that names no time limit of its own gets the default one, or all the time
    /// that a job of the pool has for its tasks where that is less: a limit is no need.
    pub fn within(self, shape: &Shape) -> TaskDefaults {
        let most = shape.most().walltime_seconds.map_or(Duration::MAX, Duration::from_secs);
        TaskDefaults { walltime: self.walltime.min(most), ..self }
    }

    /// The same as resources with nothing left open.
    pub fn resources(&self) -> TaskResources {
        TaskResources {
            cores: Some(self.cores),
            memory_bytes: Some(self.memory_bytes),
            walltime_seconds: Some(self.walltime.as_secs()),
            gpus: Some(0),
            nodes: Some(1),
        }
    }
}

/// What a task is given in a pool: its own request, else what history says, else the default; more of it after a failure
/// for want of it.
pub fn need_of(task: &Waiting, shape: &Shape, defaults: TaskDefaults) -> Need {
    let failures_of = |class| if task.last_failure == Some(class) { task.tries } else { 0 };
    let most = shape.most();
    let asks = task.expectation.completes(&task.asks, &most);
    let ran_out = task.expectation.ran_out;
    Need {
        nodes: asks.nodes.unwrap_or(1).max(1),
        cores: asks.cores.unwrap_or(defaults.cores),
        memory_bytes: grown(
            asks.memory_bytes.unwrap_or(defaults.memory_bytes),
            failures_of(FailureClass::Memory),
            ran_out.memory_bytes,
            most.memory_bytes,
        ),
        walltime_seconds: grown(
            asks.walltime_seconds.unwrap_or(defaults.walltime.as_secs()),
            failures_of(FailureClass::Walltime),
            ran_out.walltime_seconds,
            most.walltime_seconds,
        ),
        gpus: asks.gpus.unwrap_or(0),
    }
}

/// Why no job of the pool can hold a task of this need; nothing where one can.
pub(super) fn misfit(need: Need, shape: &Shape) -> Option<String> {
    let asks = TaskResources {
        cores: Some(need.cores),
        memory_bytes: Some(need.memory_bytes),
        walltime_seconds: Some(need.walltime_seconds),
        gpus: Some(need.gpus),
        nodes: Some(need.nodes),
    };
    too_large(&asks, &shape.most())
}

/// What a node of a job has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeSize {
    /// Cores.
    pub cores: u32,
    /// Memory.
    pub memory_bytes: u64,
    /// GPUs.
    pub gpus: u32,
}

impl NodeSize {
    /// How many tasks of this need run side by side on it, one at least.
    pub(super) fn slots(self, need: Need) -> u32 {
        let by_cores = u64::from(self.cores / need.cores.max(1));
        let by_memory = self.memory_bytes / need.memory_bytes.max(1);
        let by_gpus = self.gpus.checked_div(need.gpus).map_or(u64::MAX, u64::from);
        u32::try_from(by_cores.min(by_memory).min(by_gpus).max(1)).unwrap_or(u32::MAX)
    }

    /// Whether a task of this need fits.
    pub(super) fn fits(self, need: Need) -> bool {
        self.cores >= need.cores && self.memory_bytes >= need.memory_bytes && self.gpus >= need.gpus
    }
}

/// Each node of a job of the pool that is made for tasks of this need.
pub(super) fn size(shape: &Shape, need: Need) -> NodeSize {
    NodeSize {
        cores: shape.cores.unwrap_or(need.cores).saturating_mul(shape.base.tasks_per_node()),
        memory_bytes: shape.memory_bytes.unwrap_or(need.memory_bytes),
        gpus: shape.base.gpus,
    }
}

/// What a job asks for that works on tasks of this need for `time`.
pub(super) fn job_resources(shape: &Shape, need: Need, time: Duration) -> JobResources {
    JobResources {
        cores: shape.cores.unwrap_or(need.cores),
        memory_bytes: Some(shape.memory_bytes.unwrap_or(need.memory_bytes)),
        walltime: time
            .saturating_add(shape.margin)
            .saturating_add(START_ALLOWANCE)
            .min(shape.walltime.unwrap_or(Duration::MAX)),
        ..shape.base.clone()
    }
}

/// What a job asks for that is made for one task of this need. A task that runs on several nodes has them to itself, and a
/// scheduler's task on every core: that is what MPI's launchers count.
pub(super) fn bound_resources(shape: &Shape, need: Need) -> JobResources {
    let resources = job_resources(shape, need, Duration::from_secs(need.walltime_seconds));
    let (tasks_per_node, cores_per_node) = (resources.tasks_per_node(), resources.cores_per_node());
    if need.nodes > 1 {
        let tasks = need.nodes.saturating_mul(cores_per_node);
        return JobResources {
            nodes: need.nodes,
            tasks,
            cores: 1,
            sharing: NodeSharing::Exclusive,
            ..resources
        };
    }
    JobResources { nodes: 1, tasks: tasks_per_node, ..resources }
}

#[cfg(test)]
pub(in crate::plan) mod tests;
