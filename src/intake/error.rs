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
    #[error(
        "{} holds no input (files named *.json, *.jsonl, *.ndjson, *.xyz, *.extxyz, *.sdf, *.mol or *.psi4, or these \
         with .gz, .bz2, .xz or .zst)",
        path.display()
    )]
    EmptyDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// Entries of a directory that have the name of an input and cannot be looked at.
    #[error("{}", told(entries))]
    Unseen {
        /// Each with the reason.
        entries: Vec<(PathBuf, std::io::Error)>,
    },
    /// A file that holds files.
    #[error("{name} is an archive, which is not looked into (unpack it, and name the directory)")]
    Archive {
        /// The file.
        name: Arc<str>,
    },
}

/// Entries named in one message.
const MOST_NAMED: usize = 10;

fn told(entries: &[(PathBuf, std::io::Error)]) -> String {
    let one = |(path, cause): &(PathBuf, std::io::Error)| {
        format!("{} cannot be looked at: {cause}", path.display())
    };
    let mut lines: Vec<String> = entries.iter().take(MOST_NAMED).map(one).collect();
    if entries.len() > MOST_NAMED {
        lines.push(format!("and {} more", entries.len() - MOST_NAMED));
    }
    lines.join("; ")
}
