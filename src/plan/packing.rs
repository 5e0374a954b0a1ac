//! Which waiting tasks go together into which jobs, and which jobs into one array. Pure.

use std::time::Duration;

use crate::model::failure::FailureClass;
use crate::model::ids::TaskId;
use crate::model::resources::{Filling, JobResources, TaskResources};
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
    /// Own tries it has spent.
    pub tries: u32,
    /// Why the last of them failed.
    pub last_failure: Option<FailureClass>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Cores.
    pub cores: u32,
    /// Memory.
    pub memory_bytes: u64,
    /// Time, in whole seconds.
    pub walltime_seconds: u64,
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
    /// Most tasks one job is given.
    pub tasks_per_job: u32,
    /// Most jobs of one array.
    pub max_array: u32,
    /// Whether tasks fill one job after the other, or spread over the free jobs.
    pub filling: Filling,
    /// Added to the time of the tasks for start, staging and end of a job.
    pub margin: Duration,
}

impl Shape {
    /// The most that one task may ask for; no limit where the pool sets none.
    pub fn most(&self) -> TaskResources {
        TaskResources {
            cores: self.cores,
            memory_bytes: self.memory_bytes,
            walltime_seconds: self.walltime.map(|walltime| walltime.saturating_sub(self.margin).as_secs()),
        }
    }
}

impl TaskDefaults {
    /// The same as resources with nothing left open.
    pub fn resources(&self) -> TaskResources {
        TaskResources {
            cores: Some(self.cores),
            memory_bytes: Some(self.memory_bytes),
            walltime_seconds: Some(self.walltime.as_secs()),
        }
    }
}

/// One job to submit.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedJob {
    /// Its tasks, in the order they run.
    pub tasks: Vec<TaskId>,
    /// Whether it is one task's own.
    pub placement: Placement,
}

/// One call of the submit command.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedSubmission {
    /// What each of its jobs asks for.
    pub resources: JobResources,
    /// Its jobs; more than one make an array.
    pub jobs: Vec<PackedJob>,
}

/// What the packer decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Packed {
    /// What to submit.
    pub submissions: Vec<PackedSubmission>,
    /// Tasks that no job of this pool can hold, and why.
    pub unfit: Vec<(TaskId, String)>,
}

/// Deals `waiting` to at most `free_jobs` jobs of the pool.
pub fn pack(waiting: &[Waiting], shape: &Shape, defaults: TaskDefaults, free_jobs: u32) -> Packed {
    let mut packed = Packed::default();
    let mut dedicated = Vec::new();
    let mut shared: Vec<(Need, Vec<TaskId>)> = Vec::new();
    for task in waiting {
        let need = need_of(task, shape, defaults);
        if let Some(reason) = misfit(need, shape) {
            packed.unfit.push((task.task_id, reason));
            continue;
        }
        match task.placement {
            Placement::Dedicated => dedicated.push((need, task.task_id)),
            Placement::Shared => match shared.iter_mut().find(|(other, _)| *other == need) {
                Some((_, tasks)) => tasks.push(task.task_id),
                None => shared.push((need, vec![task.task_id])),
            },
        }
    }
    let mut free = free_jobs as usize;
    for (need, task_id) in dedicated.into_iter().take(free) {
        free -= 1;
        let job = PackedJob { tasks: vec![task_id], placement: Placement::Dedicated };
        packed
            .submissions
            .push(PackedSubmission { resources: job_resources(shape, need, 1), jobs: vec![job] });
    }
    for (need, tasks) in shared {
        let jobs = deal(tasks, shape, free);
        free -= jobs.len();
        for array in jobs.chunks(shape.max_array.max(1) as usize) {
            let most = array.iter().map(|job| job.tasks.len()).max().unwrap_or(1);
            packed
                .submissions
                .push(PackedSubmission { resources: job_resources(shape, need, most), jobs: array.to_vec() });
        }
    }
    packed
}

/// What a task is given in a pool: its own request, else what history says, else the default; more of it after a failure
/// for want of it.
pub fn need_of(task: &Waiting, shape: &Shape, defaults: TaskDefaults) -> Need {
    let failures_of = |class| if task.last_failure == Some(class) { task.tries } else { 0 };
    let asks = task.expectation.completes(&task.asks);
    let ran_out = task.expectation.ran_out;
    let most = shape.most();
    Need {
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
    }
}

fn misfit(need: Need, shape: &Shape) -> Option<String> {
    let asks = TaskResources {
        cores: Some(need.cores),
        memory_bytes: Some(need.memory_bytes),
        walltime_seconds: Some(need.walltime_seconds),
    };
    too_large(&asks, &shape.most())
}

fn deal(tasks: Vec<TaskId>, shape: &Shape, free_jobs: usize) -> Vec<PackedJob> {
    if tasks.is_empty() || free_jobs == 0 {
        return Vec::new();
    }
    let most = shape.tasks_per_job.max(1) as usize;
    let jobs = match shape.filling {
        Filling::Fill => tasks.len().div_ceil(most),
        Filling::Spread => tasks.len(),
    }
    .min(free_jobs);
    let each = tasks.len().div_ceil(jobs).min(most);
    tasks
        .chunks(each)
        .take(jobs)
        .map(|tasks| PackedJob { tasks: tasks.to_vec(), placement: Placement::Shared })
        .collect()
}

/// What a job asks for that runs `tasks` tasks of this need, side by side where the pool's job is larger than one.
fn job_resources(shape: &Shape, need: Need, tasks: usize) -> JobResources {
    let cores = shape.cores.unwrap_or(need.cores);
    let memory = shape.memory_bytes.unwrap_or(need.memory_bytes);
    let by_cores = u64::from(cores / need.cores.max(1));
    let by_memory = memory / need.memory_bytes.max(1);
    let slots = by_cores.min(by_memory).max(1);
    let rounds = (tasks as u64).div_ceil(slots);
    let time_of_tasks = Duration::from_secs(need.walltime_seconds.saturating_mul(rounds));
    JobResources {
        cores,
        memory_bytes: Some(memory),
        walltime: time_of_tasks
            .saturating_add(shape.margin)
            .saturating_add(START_ALLOWANCE)
            .min(shape.walltime.unwrap_or(Duration::MAX)),
        ..shape.base.clone()
    }
}

#[cfg(test)]
mod tests;
