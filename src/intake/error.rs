//! What can go wrong between a path and a calculation, said as `file:line: …`.

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::qcschema::InputError;

/// Why an input was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// A document that is read but wrong.
    #[error("{name}:{line}: {error}")]
    Input {
        /// The file.
        name: Arc<str>,
        /// The line.
        line: u64,
        /// What is wrong and where in the document.
        error: InputError,
    },
    /// Text that is no document.
    #[error("{name}:{line}: {reason}")]
    Malformed {
        /// The file.
        name: Arc<str>,
        /// The line.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A file or stream that cannot be read.
    #[error("{name} cannot be read")]
    Read {
        /// The file.
        name: Arc<str>,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A directory without a single input.
    #[error("{} holds no input (files named *.json, *.jsonl, *.ndjson or *.xyz, or these with .zst)", path.display())]
    EmptyDirectory {
        /// The directory.
        path: PathBuf,
    },
}
