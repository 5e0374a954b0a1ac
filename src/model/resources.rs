//! What a task or a job asks for, in words that belong to no scheduler. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What one task asks for; what is `None` comes from the pool it runs in.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TaskResources {
    /// Cores the program may use.
    pub cores: Option<u32>,
    /// Memory the program may use, in bytes.
    pub memory_bytes: Option<u64>,
    /// Longest time it may take, in whole seconds.
    pub walltime_seconds: Option<u64>,
    /// GPUs that it gets for itself; none where it says nothing.
    pub gpus: Option<u32>,
    /// Nodes over which the program runs with MPI, all of them its own; cores, memory and GPUs are of each. One where it
    /// says nothing.
    pub nodes: Option<u32>,
}

/// What one batch job asks its scheduler for. Adapters turn it into directives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobResources {
    /// Nodes, usually 1.
    pub nodes: u32,
    /// Scheduler tasks (MPI ranks or slots) per job, the same number on each node, usually 1.
    pub tasks: u32,
    /// Cores per scheduler task.
    pub cores: u32,
    /// Memory per node, in bytes.
    pub memory_bytes: Option<u64>,
    /// GPUs per node.
    pub gpus: u32,
    /// Kind of GPU where a site has several.
    pub gpu_type: Option<String>,
    /// The job is killed after this.
    pub walltime: Duration,
    /// Queue, or partition.
    pub queue: Option<String>,
    /// Account, or project.
    pub account: Option<String>,
    /// Quality of service.
    pub qos: Option<String>,
    /// Node features asked for.
    pub constraint: Option<String>,
    /// Named reservation.
    pub reservation: Option<String>,
    /// Whether nodes are shared with other jobs.
    pub sharing: NodeSharing,
    /// Directive lines passed on word by word.
    pub extra: Vec<String>,
}

impl JobResources {
    /// One process with `cores` on one node, and nothing else asked for.
    pub fn of_cores(cores: u32, walltime: Duration) -> JobResources {
        JobResources {
            nodes: 1,
            tasks: 1,
            cores,
            memory_bytes: None,
            gpus: 0,
            gpu_type: None,
            walltime,
            queue: None,
            account: None,
            qos: None,
            constraint: None,
            reservation: None,
            sharing: NodeSharing::Shared,
            extra: Vec::new(),
        }
    }

    /// Scheduler tasks on each of its nodes.
    pub fn tasks_per_node(&self) -> u32 {
        self.tasks.max(1).div_ceil(self.nodes.max(1))
    }

    /// Cores on each of its nodes.
    pub fn cores_per_node(&self) -> u32 {
        self.cores.max(1).saturating_mul(self.tasks_per_node())
    }
}

/// Whether a job's nodes may run other jobs too.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeSharing {
    /// The site's default.
    #[default]
    Shared,
    /// Whole nodes.
    Exclusive,
}

/// What a command of a pool's `setup` that fails means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetupErrors {
    /// The job ends before any task and says which command failed.
    Fatal,
    /// The job goes on.
    Ignored,
}

/// How many jobs a backlog gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filling {
    /// As few jobs as possible: what a shared queue wants.
    Fill,
    /// As many jobs as are free: what a machine of one's own wants.
    Spread,
}
