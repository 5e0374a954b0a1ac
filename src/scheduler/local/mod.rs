//! The `local` executor: a small scheduler on this machine, so that the engine needs no exception for it.
//! Starts detached supervisors and job scripts; writes only into its state directory and the jobs' logs.
//!
//! Each submission has a directory named by its tag (`mkdir` makes a second one with the same tag impossible) and a
//! supervisor process of its own session, which outlives the daemon. The supervisor starts the array's elements as
//! cores become free, warns, ends and records them. Cores are counted by file locks that the kernel lets go when a
//! supervisor dies. Whatever runs without its supervisor is killed and recorded as lost with the node, so that nothing
//! runs beyond its walltime and the tasks come back: see `reap`.

mod command;
mod control;
mod entry;
mod journal;
mod launch;
mod list;
mod process;
mod reap;
mod run_element;
mod slots;
mod state;
mod submit;
mod supervise;

use std::path::PathBuf;

pub use command::{LocalCommand, run};
pub use slots::machine_cores;

/// Why a command of the local executor failed. Adapters match these texts.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A file of the state cannot be used.
    #[error("cannot {what} {}", path.display())]
    State {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A job that can never start.
    #[error("the job asks for {asked} cores; this machine gives {total}")]
    TooManyCores {
        /// What it asks for.
        asked: u32,
        /// What there is.
        total: u32,
    },
    /// A script that is not there.
    #[error("no such script: {}", path.display())]
    NoScript {
        /// Its path.
        path: PathBuf,
    },
    /// An array of no size, or a bigger one than is taken.
    #[error("an array of {size} elements; 1 to {most} are taken")]
    ArraySize {
        /// What was asked.
        size: u32,
        /// Most elements taken.
        most: u32,
    },
    /// A tag that was used.
    #[error("{tag} was submitted before as {id}")]
    Taken {
        /// The tag.
        tag: String,
        /// The submission that carries it.
        id: u64,
    },
    /// An id that is none.
    #[error("`{id}` is not a job id, such as 17 or 17_3")]
    NotAnId {
        /// The text.
        id: String,
    },
    /// The supervisor did not come up.
    #[error("cannot start the supervisor: {why}")]
    Supervisor {
        /// What happened.
        why: String,
    },
}

impl LocalError {
    fn state(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> LocalError {
        let path = path.into();
        move |source| LocalError::State { what, path, source }
    }
}
