//! How much room the filesystem has left, so that nothing is staged onto a full one. Reads `statvfs` only.

use std::io;
use std::path::Path;

use super::error::SpoolError;

/// Room left for us on one filesystem. Quotas are not in it: they show as errors (`SpoolError::is_full`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FreeSpace {
    /// Bytes.
    pub bytes: u64,
    /// Inodes; none where the filesystem does not count them (btrfs, some network filesystems).
    pub inodes: Option<u64>,
}

/// Room left on the filesystem that holds `path`.
pub fn free_space(path: &Path) -> Result<FreeSpace, SpoolError> {
    let answer = nix::sys::statvfs::statvfs(path)
        .map_err(io::Error::from)
        .map_err(SpoolError::io("ask for free space of", path))?;
    let inodes = (answer.files() > 0).then(|| answer.files_available());
    Ok(FreeSpace { bytes: answer.blocks_available().saturating_mul(answer.fragment_size()), inodes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_room_and_a_missing_one_is_an_error_with_its_path() {
        let root = tempfile::tempdir().unwrap();
        assert!(free_space(root.path()).unwrap().bytes > 0);
        let error = free_space(&root.path().join("none")).unwrap_err();
        assert!(error.is_absent() && error.to_string().contains("none"));
    }
}
