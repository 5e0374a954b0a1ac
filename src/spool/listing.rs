//! What a directory of the spool holds. Reads only.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use super::error::SpoolError;

/// The names in `directory`; none where it is not there.
pub(super) fn names(directory: &Path) -> Result<Vec<OsString>, SpoolError> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(SpoolError::io("list", directory))?,
    };
    entries
        .map(|entry| entry.map(|entry| entry.file_name()).map_err(SpoolError::io("list", directory)))
        .collect()
}
