//! The scheduler of this machine, for when there is no other: `adapters/local.toml` calls it as `qcbatch local …` and
//! the engine treats it as any scheduler. Touches its state directory and the processes it started.
//!
//! Each submission has a *supervisor*: a detached process that outlives daemon and terminal, waits for free cores,
//! runs the script (once per array element), warns and ends it at its walltime, and writes down how it ended. A
//! submission whose supervisor is gone is over: its script is killed and reported as a node failure.

mod control;
mod element;
mod entry;
mod list;
mod machine;
mod slots;
mod state;
mod submit;
mod supervise;

use std::path::PathBuf;

pub use control::{cancel, hold, release};
pub use entry::{Entry, Phase};
pub use list::{find, list};
pub use machine::memory_bytes;
pub use state::LocalState;
pub use submit::submit;
pub use supervise::supervise;

use crate::model::ids::Tag;

/// Most elements of one array.
pub const ARRAY_SIZE_MAX: u32 = 1000;
/// How long an ended submission stays listed.
pub const FINISHED_KEPT_SECONDS: u64 = 3600;
/// Time between TERM and KILL.
pub const KILL_WAIT_SECONDS: u64 = 30;

/// Why a request was not carried out. `adapters/local.toml` knows these words.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// More cores than there are.
    #[error("asks for {asked} cores; this machine gives {total}")]
    TooManyCores {
        /// Cores asked for.
        asked: u32,
        /// Cores there are.
        total: u32,
    },
    /// Too large an array.
    #[error("an array of {size} elements; at most {ARRAY_SIZE_MAX} are taken")]
    ArrayTooLarge {
        /// Elements asked for.
        size: u32,
    },
    /// The same tag a second time.
    #[error("tag {tag} was submitted before as {id}")]
    TagTaken {
        /// The tag.
        tag: Tag,
        /// The id it got then.
        id: u64,
    },
    /// A missing script.
    #[error("no such script: {}", path.display())]
    NoScript {
        /// Where it should be.
        path: PathBuf,
    },
    /// The supervisor did not come up.
    #[error("the supervisor of {id} did not start")]
    NoSupervisor {
        /// The submission.
        id: u64,
    },
    /// The state directory.
    #[error("cannot {action} {}", path.display())]
    State {
        /// `open`, `create`, `lock`, `read`, `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
