//! Why a node runner cannot work. Touches nothing.

use std::io;
use std::path::PathBuf;

pub use crate::model::causes::chain;
use crate::spool::SpoolError;

/// Why a node runner cannot work.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The process itself.
    #[error("the node runner cannot start")]
    Start(#[source] io::Error),
    /// A file of the job directory.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// Scratch is unusable.
    #[error("cannot {action} scratch directory `{}`", path.display())]
    Scratch {
        /// A verb.
        action: &'static str,
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program that the runner runs itself.
    #[error("cannot run `{program}`")]
    Program {
        /// Its executable.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No worker could be started.
    #[error(
        "the Python worker did not start: {message} (`[worker] python` and a pool's `worker_python` name the interpreter)"
    )]
    Worker {
        /// What it or the system said, a sentence that names the interpreter.
        message: String,
    },
}
