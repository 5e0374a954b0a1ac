//! Pilots as the planner sees them. Pure.

use std::time::Duration;

use crate::plan::packing::{Need, NodeSize};

/// A running job with less time than this is not counted on.
const LEAST_LEFT: Duration = Duration::from_secs(60);

/// Pilots that stand alike.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LiveGroup {
    /// How far they have come.
    pub phase: Phase,
    /// How many.
    pub jobs: u32,
    /// Nodes of each, with a runner on each node.
    pub nodes: u32,
    /// What each node has.
    pub node: NodeSize,
    /// Time that each of them has left.
    pub left: Duration,
    /// Tasks that all of them together may still take; no limit where open.
    pub tasks_left: Option<u64>,
}

/// How far a pilot has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Planned, being submitted, or in the queue.
    Coming,
    /// In the queue for long: it may come today or never.
    Late,
    /// In the queue, where it waits for a person: held, refused by every node, its start failed.
    Blocked,
    /// Runs, and has nothing to do.
    Idle,
    /// Runs, and has work.
    Busy,
}

impl Phase {
    /// Whether its jobs run.
    pub const fn runs(self) -> bool {
        matches!(self, Phase::Idle | Phase::Busy)
    }
}

impl LiveGroup {
    /// Whether its jobs can run tasks of this need.
    pub(in crate::plan) fn fits(&self, need: Need) -> bool {
        let time = LEAST_LEFT.min(Duration::from_secs(need.walltime_seconds) / 2);
        self.node.fits(need) && self.left >= time
    }

    /// Their node runners.
    pub(super) fn runners(&self) -> u64 {
        u64::from(self.jobs) * u64::from(self.nodes.max(1))
    }

    /// How many tasks of this need they run side by side.
    pub(in crate::plan) fn slots(&self, need: Need) -> u64 {
        self.runners() * u64::from(self.node.slots(need))
    }
}
