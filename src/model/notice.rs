//! What the daemon tells whoever holds a chunk, or a job that was made for one task: which attempts nobody waits for any
//! more, and how many tasks it may keep that it has not begun. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ids::{ChunkId, JobId, TaskId};

/// Whom a notice is for. Its text is the name of the notice's file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Holder {
    /// The runner that has claimed this chunk, or will.
    Chunk(ChunkId),
    /// The runner of this job, which was made for one task.
    Job(JobId),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Chunk(id) => write!(f, "chunk-{id}"),
            Holder::Job(id) => write!(f, "job-{id}"),
        }
    }
}

/// The text names nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not the name of a notice")]
pub struct NotAHolder;

impl FromStr for Holder {
    type Err = NotAHolder;

    fn from_str(text: &str) -> Result<Holder, NotAHolder> {
        let (kind, id) = text.split_once('-').ok_or(NotAHolder)?;
        match kind {
            "chunk" => id.parse().map(Holder::Chunk).map_err(|_| NotAHolder),
            "job" => id.parse().map(Holder::Job).map_err(|_| NotAHolder),
            _ => Err(NotAHolder),
        }
    }
}

/// One attempt of a task: a task that is handed out again is another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// The task.
    pub task_id: TaskId,
    /// Its number, as the order gave it.
    pub attempt: u32,
}

/// The whole content of a notice; a later one replaces it.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Notice {
    /// Attempts that nobody waits for any more: they are not begun, and those that run are ended.
    #[serde(default)]
    pub recalled: Vec<Attempt>,
    /// Others have nothing to do: tasks that were not begun are to be given back.
    #[serde(default)]
    pub give_back: Option<GiveBack>,
}

/// A request to give tasks back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GiveBack {
    /// Another one for each request: a request is heeded once.
    pub number: u64,
    /// So many tasks that are not begun may be kept.
    pub keep: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_read_back_from_its_name() {
        for holder in [Holder::Chunk(ChunkId(7)), Holder::Job(JobId(12))] {
            assert_eq!(holder.to_string().parse(), Ok(holder));
        }
        for text in ["", "chunk-", "chunk-x", "node-1", "chunk", ".tmp-abc"] {
            assert_eq!(text.parse::<Holder>(), Err(NotAHolder), "{text}");
        }
    }
}
