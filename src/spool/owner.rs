//! Owner files: whose a spool or a state directory is. Written whole; the first one of two daemons that begin at once
//! has the directory.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::atomic;
use super::error::SpoolError;
use crate::permit::Permit;

/// The owner file at `path`; none where there is none, or only the beginning of one that a crash left.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, SpoolError> {
    match atomic::read_json(path) {
        Ok(owner) => Ok(Some(owner)),
        Err(error) if error.is_absent() => Ok(None),
        Err(SpoolError::Document { source, .. }) if source.is_eof() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an owner file was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Made {
    /// It was.
    Yes,
    /// Somebody else was quicker: read it again.
    No,
}

/// Makes the owner file where there is none.
pub fn make(path: &Path, owner: &impl Serialize, permit: &Permit) -> Result<Made, SpoolError> {
    permit.check()?;
    if std::fs::metadata(path).is_ok_and(|found| found.len() == 0) {
        replace(path, owner, permit)?;
        return Ok(Made::Yes);
    }
    let document = |source| SpoolError::Document { path: path.to_owned(), line: 0, source };
    let bytes = serde_json::to_vec(owner).map_err(document)?;
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Made::No),
        opened => opened.map_err(SpoolError::io("create", path))?,
    };
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(SpoolError::io("write", path))?;
    atomic::sync_directory(atomic::parent(path))?;
    Ok(Made::Yes)
}

/// Writes the owner file anew.
pub fn replace(path: &Path, owner: &impl Serialize, permit: &Permit) -> Result<(), SpoolError> {
    permit.check()?;
    atomic::write_json(path, owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_has_it_and_a_torn_file_is_none() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("owner.json");
        assert_eq!(read::<String>(&path).unwrap(), None);
        let free = Permit::without_lease();
        let make = |path: &Path, owner: &str| make(path, &owner, &free);
        assert_eq!(make(&path, "first").unwrap(), Made::Yes);
        assert_eq!(make(&path, "second").unwrap(), Made::No);
        assert_eq!(read(&path).unwrap(), Some("first".to_owned()));
        replace(&path, &"third", &free).unwrap();
        assert_eq!(read(&path).unwrap(), Some("third".to_owned()));
        std::fs::write(&path, "").unwrap();
        assert_eq!(read::<String>(&path).unwrap(), None);
        assert_eq!(make(&path, "fourth").unwrap(), Made::Yes);
        assert_eq!(read(&path).unwrap(), Some("fourth".to_owned()));
        std::fs::write(&path, "{}").unwrap();
        assert!(read::<String>(&path).is_err(), "what says something else is nobody's to overwrite");
    }
}
