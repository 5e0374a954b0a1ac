//! What is kept of one submission: what was asked, and what its supervisor says of each element. Pure.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::slots::Use;
use crate::model::ids::Tag;
use crate::process::ProcessMark;

/// `entry.json`: what was asked. Never changes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The submission's number.
    pub id: u64,
    /// Its tag.
    pub tag: Tag,
    /// Elements; 1 is a single job.
    pub array_size: u32,
    /// Cores of each element.
    pub cores: u32,
    /// Cores that all elements of all submissions may use together.
    pub cores_total: u32,
    /// Memory of each element; 0 where it is not known.
    #[serde(default)]
    pub memory_bytes: u64,
    /// Memory that all elements of all submissions may use together; 0 where it is not known.
    #[serde(default)]
    pub memory_total_bytes: u64,
    /// An element is ended after this.
    pub walltime_seconds: u64,
    /// It is warned (USR2) so long before.
    pub warning_seconds: u64,
    /// Where it runs.
    pub directory: PathBuf,
    /// File for its output; `%a` is the element's index.
    pub log: PathBuf,
    /// What runs.
    pub script: PathBuf,
    /// When it was submitted, seconds since the epoch.
    pub submitted_on: i64,
}

impl Entry {
    /// The id of element `index` as `list` shows it.
    pub fn element_id(&self, index: u32) -> String {
        if self.array_size > 1 { format!("{}_{index}", self.id) } else { self.id.to_string() }
    }

    /// What one of its elements uses.
    pub(super) fn use_of_element(&self) -> Use {
        Use { cores: self.cores, memory_bytes: self.memory_bytes }
    }

    /// What the machine has.
    pub(super) fn machine(&self) -> Use {
        let memory_bytes = if self.memory_total_bytes == 0 { u64::MAX } else { self.memory_total_bytes };
        Use { cores: self.cores_total, memory_bytes }
    }

    /// The log file of element `index`.
    pub fn log_of(&self, index: u32) -> PathBuf {
        PathBuf::from(self.log.to_string_lossy().replace("%a", &index.to_string()))
    }
}

/// `status.json`: what the supervisor says. Written by it alone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The supervisor.
    pub supervisor: ProcessMark,
    /// Each element, by index.
    pub elements: Vec<Element>,
}

/// One element.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
pub struct Element {
    /// How far it is.
    pub phase: Phase,
    /// The script's process, while it runs.
    pub process: Option<ProcessMark>,
    /// Exit code, if it exited.
    pub exit_code: Option<i32>,
    /// Signal, if one ended it.
    pub signal: Option<i32>,
    /// Start, seconds since the epoch.
    pub started_on: Option<i64>,
    /// End, seconds since the epoch.
    pub ended_on: Option<i64>,
}

/// How far an element is.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Phase {
    /// Waits for cores.
    #[default]
    Queued,
    /// Held by a person.
    Held,
    /// Runs.
    Running,
    /// Exited with 0.
    Completed,
    /// Exited otherwise.
    Failed,
    /// Cancelled.
    Cancelled,
    /// Ended at its walltime.
    Walltime,
    /// Its supervisor died.
    NodeFailure,
}

impl Phase {
    /// The word in a listing; `adapters/local.toml` maps it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Queued => "QUEUED",
            Phase::Held => "HELD",
            Phase::Running => "RUNNING",
            Phase::Completed => "COMPLETED",
            Phase::Failed => "FAILED",
            Phase::Cancelled => "CANCELLED",
            Phase::Walltime => "WALLTIME",
            Phase::NodeFailure => "NODE_FAILURE",
        }
    }

    /// Whether it is over.
    pub const fn is_ended(self) -> bool {
        !matches!(self, Phase::Queued | Phase::Held | Phase::Running)
    }
}

impl Element {
    /// Its line of a listing: `id|STATE|code:signal|started|ended|reason`.
    pub fn line(&self, id: &str) -> String {
        let number = |number: Option<i64>| number.map_or_else(String::new, |number| number.to_string());
        let exit = match (self.exit_code, self.signal) {
            (None, None) => String::new(),
            (code, signal) => format!("{}:{}", code.unwrap_or(0), signal.unwrap_or(0)),
        };
        let reason = match self.phase {
            Phase::Queued => "cores or memory",
            Phase::Held => "held",
            Phase::NodeFailure => "its supervisor died",
            _ => "",
        };
        format!(
            "{id}|{}|{exit}|{}|{}|{reason}",
            self.phase.as_str(),
            number(self.started_on),
            number(self.ended_on)
        )
    }
}
