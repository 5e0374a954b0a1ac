//! Why a task failed, and whether trying again can help. Pure.

use serde::{Deserialize, Serialize};

/// Classes of failure; each is retried in its own way (`plan::retry`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The request is wrong; no retry helps.
    Input,
    /// SCF or optimization did not converge; the same run again gives the same answer.
    Convergence,
    /// Out of memory: retried with more.
    Memory,
    /// Out of time: retried with more.
    Walltime,
    /// The node's fault (program or library missing, disk, launch): retried elsewhere.
    Node,
    /// The program failed or crashed for a reason of its own.
    Program,
    /// Job lost, preempted, cancelled from outside: never spends the task's own tries.
    Infrastructure,
}

impl FailureClass {
    /// Every class.
    pub const ALL: [FailureClass; 7] = [
        FailureClass::Input,
        FailureClass::Convergence,
        FailureClass::Memory,
        FailureClass::Walltime,
        FailureClass::Node,
        FailureClass::Program,
        FailureClass::Infrastructure,
    ];

    /// The word used in SQL, JSON and the CLI.
    pub const fn as_str(self) -> &'static str {
        match self {
            FailureClass::Input => "input",
            FailureClass::Convergence => "convergence",
            FailureClass::Memory => "memory",
            FailureClass::Walltime => "walltime",
            FailureClass::Node => "node",
            FailureClass::Program => "program",
            FailureClass::Infrastructure => "infrastructure",
        }
    }

    /// Whether the next attempt may go on where this one was stopped. What failed of itself begins anew: where it was may
    /// be why it failed.
    pub const fn keeps_progress(self) -> bool {
        match self {
            FailureClass::Memory
            | FailureClass::Walltime
            | FailureClass::Node
            | FailureClass::Infrastructure => true,
            FailureClass::Input | FailureClass::Convergence | FailureClass::Program => false,
        }
    }

    /// The class that `word` names.
    pub fn parse(word: &str) -> Option<FailureClass> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }
}

/// Who is to blame for a failed attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blame {
    /// The task, or what it asked for: it costs one of its tries.
    Task,
    /// The node: it costs the task none.
    Node,
}

/// What one task has gone through so far.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct TaskTally {
    /// Own tries spent.
    pub tries: u32,
    /// Attempts lost without fault of the task.
    pub losses: u32,
}

/// One earlier attempt of a record.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct EarlierAttempt {
    /// Why it failed.
    pub failure: FailureClass,
    /// How long it ran.
    pub wall_seconds: Option<f64>,
    /// Memory it was given.
    pub memory_bytes: Option<u64>,
    /// The most that it held.
    pub peak_memory_bytes: Option<u64>,
}

/// What becomes of a task whose attempt failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RetryDecision {
    /// It waits again, at least this long.
    Retry {
        /// Delay before it may be handed out.
        after: std::time::Duration,
    },
    /// The record ends in error.
    Fail,
}
