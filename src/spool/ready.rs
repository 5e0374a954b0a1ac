//! A pool's `ready` directory: chunks that any job of the pool may claim by renaming one into its own directory.
//!
//! Whoever renames a chunk has it; nobody copies, locks or asks. Nothing is written here, only moved away.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::chunk;
use super::error::SpoolError;
use super::layout::{CLAIMED_PREFIX, JobDirectory};
use super::listing;
use crate::model::chunk::ChunkName;
use crate::model::task::TaskOrder;
use crate::permit::Permit;

/// Chunks that wait in `ready`, most urgent first. A directory that is not there holds none.
pub fn list(ready: &Path) -> Result<Vec<ChunkName>, SpoolError> {
    list_names(ready, "")
}

/// Chunks that a job's runner has claimed and not finished, most urgent first.
pub fn claimed(directory: &JobDirectory) -> Result<Vec<ChunkName>, SpoolError> {
    list_names(directory.path(), CLAIMED_PREFIX)
}

fn list_names(directory: &Path, prefix: &str) -> Result<Vec<ChunkName>, SpoolError> {
    let chunk = |name: OsString| name.to_str()?.strip_prefix(prefix)?.parse().ok();
    let mut names: Vec<ChunkName> = listing::names(directory)?.into_iter().filter_map(chunk).collect();
    names.sort_unstable_by_key(|name| (std::cmp::Reverse(name.compute_priority), name.chunk_id));
    Ok(names)
}

/// Takes a chunk for the job of `directory` and no other. Returns the path to read it from; none when somebody else was
/// faster.
pub fn claim(
    ready: &Path,
    name: &ChunkName,
    directory: &JobDirectory,
) -> Result<Option<PathBuf>, SpoolError> {
    let (from, to) = (ready.join(name.to_string()), directory.claimed(name));
    match fs::rename(&from, &to) {
        Ok(()) => Ok(Some(to)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // NFS repeats a rename whose answer was lost, and the repetition finds nothing to rename. Listing the
            // directory anew makes it forget that the target was not there.
            let ours = claimed(directory)?.contains(name);
            Ok((ours || to.exists()).then_some(to))
        }
        Err(error) => Err(SpoolError::io("claim", &from)(error)),
    }
}

/// Puts `orders`, all that is left to do of several claimed chunks, into one file that has all their names: a job then
/// holds many chunks with one straggler each and few inodes.
pub fn fold(
    directory: &JobDirectory,
    paths: &[PathBuf],
    orders: impl IntoIterator<Item = TaskOrder>,
) -> Result<(), SpoolError> {
    let Some((first, others)) = paths.split_first() else { return Ok(()) };
    chunk::write_chunk(first, &Permit::without_lease(), orders)?;
    let link = directory.path().join("folding");
    for other in others {
        finish(&link)?;
        fs::hard_link(first, &link).map_err(SpoolError::io("link", first))?;
        fs::rename(&link, other).map_err(SpoolError::io("replace", other))?;
    }
    Ok(())
}

/// Removes a claimed chunk whose reports are all safe. It is fine if it is gone.
pub fn finish(path: &Path) -> Result<(), SpoolError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SpoolError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
