//! What can go wrong with a file of the spool. Touches nothing.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::identity::SPOOL_FORMAT;
use crate::permit::NotPermitted;

/// Why a file of the spool could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The operating system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// A verb, such as `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
    /// A document of ours does not read as one.
    #[error("`{}`{} is not the document it should be", path.display(), at_line(*line))]
    Document {
        /// The file.
        path: PathBuf,
        /// Line of a chunk, from 1; 0 for files that are one document.
        line: u64,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A later version of the program wrote it.
    #[error(
        "`{}` was written by a later version of qcbatch (format {format}; this one knows up to {SPOOL_FORMAT})",
        path.display()
    )]
    Later {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// Something else lies where a file should be: a link, a FIFO, a directory.
    #[error("`{}` is not a regular file", path.display())]
    NotAFile {
        /// Where it lies.
        path: PathBuf,
    },
    /// A file is longer than any that we write.
    #[error("`{}` is longer than the {most_bytes} bytes that are read of it", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        most_bytes: u64,
    },
    /// A directory holds more entries than any job makes.
    #[error("`{}` holds more than {most} entries", path.display())]
    Overfull {
        /// The directory.
        path: PathBuf,
        /// The limit.
        most: usize,
    },
    /// A look did not come back in time, or a former one has not come back yet.
    #[error("`{}` does not answer (tried for {seconds} s)", path.display())]
    NoAnswer {
        /// The file or directory that was looked at.
        path: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Another copy of the job renamed the chunk first.
    #[error("the chunk of `{}` is claimed already", directory.display())]
    AlreadyClaimed {
        /// The job directory.
        directory: PathBuf,
    },
    /// This daemon may not change the spool now.
    #[error(transparent)]
    NotPermitted(#[from] NotPermitted),
    /// There is no chunk, claimed or not.
    #[error("`{}` holds no chunk; it was not staged or has been swept", directory.display())]
    NotStaged {
        /// The job directory.
        directory: PathBuf,
    },
}

fn at_line(line: u64) -> String {
    if line == 0 { String::new() } else { format!(" line {line}") }
}

impl SpoolError {
    /// For `map_err`: names the action and the path that an I/O error belongs to.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
        let path = path.to_owned();
        move |source| SpoolError::Io { action, path, source }
    }

    /// Refuses what a later version wrote at `path`.
    pub fn refuse_later(path: &Path, format: u32) -> Result<(), SpoolError> {
        match format > SPOOL_FORMAT {
            true => Err(SpoolError::Later { path: path.to_owned(), format }),
            false => Ok(()),
        }
    }

    /// The operating system's error, where there is one.
    pub fn io_error(&self) -> Option<&io::Error> {
        match self {
            SpoolError::Io { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Whether the filesystem or the quota is full: wait and try again, nothing else helps.
    pub fn is_full(&self) -> bool {
        self.io_error().is_some_and(|source| {
            matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        })
    }

    /// Whether the file or directory is not there (as far as this host sees).
    pub fn is_absent(&self) -> bool {
        self.io_error().is_some_and(|source| source.kind() == io::ErrorKind::NotFound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_used_up_quota_are_told_from_other_errors() {
        let error = |code: nix::errno::Errno| {
            SpoolError::io("write", Path::new("results"))(io::Error::from_raw_os_error(code as i32))
        };
        assert!(error(nix::errno::Errno::ENOSPC).is_full());
        assert!(error(nix::errno::Errno::EDQUOT).is_full());
        assert!(!error(nix::errno::Errno::EACCES).is_full());
        assert!(error(nix::errno::Errno::ENOENT).is_absent());
    }

    #[test]
    fn the_message_names_the_path_and_leaves_the_cause_to_its_source() {
        let error = SpoolError::io("write", Path::new("/s/results"))(io::Error::from_raw_os_error(28));
        assert_eq!(error.to_string(), "cannot write `/s/results`");
    }
}
