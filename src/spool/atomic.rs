//! Files that are there whole or not at all: temporary file, fsync, rename, fsync of the directory.
//!
//! Files are 0600 and directories 0700, whatever the umask.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

use super::error::SpoolError;
use super::foreign::read_foreign;
use crate::permit::Permit;

/// Who may do what with a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// 0600.
    Data,
    /// 0700: scripts.
    Program,
}

impl Access {
    fn permissions(self) -> Permissions {
        Permissions::from_mode(match self {
            Access::Data => 0o600,
            Access::Program => 0o700,
        })
    }
}

/// A file that `write` fills and that then appears at `path` at once, replacing what was there.
pub fn write_with(
    path: &Path,
    access: Access,
    write: impl FnOnce(&mut File) -> Result<(), SpoolError>,
) -> Result<(), SpoolError> {
    write_permitted(path, access, &Permit::without_lease(), write)
}

/// The same, if `permit` is still good when the file is about to appear.
pub fn write_permitted(
    path: &Path,
    access: Access,
    permit: &Permit,
    write: impl FnOnce(&mut File) -> Result<(), SpoolError>,
) -> Result<(), SpoolError> {
    let directory = parent(path);
    let mut file = temporary(directory, access).map_err(SpoolError::io("create a file beside", path))?;
    write(file.as_file_mut())?;
    file.as_file().sync_all().map_err(SpoolError::io("sync", path))?;
    permit.check()?;
    file.persist(path).map_err(|error| error.error).map_err(SpoolError::io("write", path))?;
    sync_directory(directory)
}

/// `bytes` at `path`, whole or not at all.
pub fn write_bytes(path: &Path, access: Access, bytes: &[u8]) -> Result<(), SpoolError> {
    write_with(path, access, |file| file.write_all(bytes).map_err(SpoolError::io("write", path)))
}

/// A JSON document at `path`, whole or not at all.
pub fn write_json(path: &Path, document: &impl Serialize) -> Result<(), SpoolError> {
    let document_error = |source| SpoolError::Document { path: path.to_owned(), line: 0, source };
    let mut bytes = serde_json::to_vec(document).map_err(document_error)?;
    bytes.push(b'\n');
    write_bytes(path, Access::Data, &bytes)
}

/// Longest document that is read: manifests, evidence.
const DOCUMENT_BYTES: u64 = 1 << 20;

/// The JSON document at `path`, opened anew each time.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, SpoolError> {
    let bytes = read_foreign(path, DOCUMENT_BYTES)?;
    serde_json::from_slice(&bytes).map_err(|source| SpoolError::Document {
        path: path.to_owned(),
        line: 0,
        source,
    })
}

/// Makes `path` and what is missing above it, 0700 each. It is fine if it exists.
pub fn create_directory(path: &Path) -> Result<(), SpoolError> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    if above != path {
        create_directory(above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => sync_directory(above),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(SpoolError::io("create directory", path)(error)),
    }
}

/// Opens `path` for reading and writing without truncating; creates it 0600 and makes its name durable.
pub fn open_or_create(path: &Path) -> Result<File, SpoolError> {
    let existed = path.exists();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(SpoolError::io("open", path))?;
    if !existed {
        sync_directory(parent(path))?;
    }
    Ok(file)
}

/// Opens `path` for appending; creates it 0600.
pub fn open_append(path: &Path) -> Result<File, SpoolError> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(SpoolError::io("open", path))
}

/// Makes renames and new names in `directory` durable.
pub fn sync_directory(directory: &Path) -> Result<(), SpoolError> {
    File::open(directory).and_then(|handle| handle.sync_all()).map_err(SpoolError::io("sync", directory))
}

/// The directory that holds `path`.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        Some(_) => Path::new("."),
        None => path,
    }
}

fn temporary(directory: &Path, access: Access) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(".tmp-").permissions(access.permissions()).tempfile_in(directory)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_and_directories_are_private_and_no_temporary_file_stays() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a/b");
        create_directory(&directory).unwrap();
        create_directory(&directory).unwrap();
        write_bytes(&directory.join("data"), Access::Data, b"1").unwrap();
        write_bytes(&directory.join("data"), Access::Data, b"2").unwrap();
        write_bytes(&directory.join("job.sh"), Access::Program, b"#!/bin/bash\n").unwrap();
        assert_eq!(fs::read(directory.join("data")).unwrap(), b"2");
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(mode(&directory.join("data")), 0o600);
        assert_eq!(mode(&directory.join("job.sh")), 0o700);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_content() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("data");
        write_bytes(&path, Access::Data, b"old").unwrap();
        let failed = write_with(&path, Access::Data, |file| {
            file.write_all(b"ne").map_err(SpoolError::io("write", &path))?;
            Err(SpoolError::io("write", &path)(io::Error::from_raw_os_error(28)))
        });
        assert!(failed.unwrap_err().is_full());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
