//! Who is to blame when something fails: the task, the node, the pool's set-up, or nobody. Pure.
//!
//! An end record says that a job has ended, the scheduler and its books why; what other tasks do on the same node, and the
//! same task on other nodes, tells the node's faults from the task's.

mod jobs;
mod nodes;

pub use jobs::{EndedJob, Python, Ran, Results, RunnerSeen, ran, tasks_that_shared};
pub use nodes::{AtFault, Attempt, Avoided, Nodes};
