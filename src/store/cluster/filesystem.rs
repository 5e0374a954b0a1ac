//! Which filesystems must not hold a database. One `statfs`, nothing else.

use std::path::Path;

use nix::sys::statfs::statfs;

use super::error::ClusterError;

/// Whether the cluster may lie on a filesystem that other machines share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SharedFilesystem {
    /// The rule: locks and fsync cannot be relied on there.
    Refuse,
    /// Somebody who knows theirs has allowed it.
    Allow,
}

/// Magic numbers as `statfs` reports them: linux/magic.h for those in the kernel, the projects' headers for the rest.
const SHARED: [(u32, &str); 11] = [
    (0x0000_6969, "NFS"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0x00C3_6400, "CephFS"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB"),
    (0x5346_414F, "AFS"),
    (0x2003_0528, "OrangeFS"),
    (0xAAD7_AAEA, "PanFS"),
    (0x0116_1970, "GFS2"),
];

/// Refuses `directory` on a shared filesystem unless that is allowed.
pub(super) fn check(directory: &Path, shared: SharedFilesystem) -> Result<(), ClusterError> {
    if shared == SharedFilesystem::Allow {
        return Ok(());
    }
    let found = statfs(directory)
        .map_err(|errno| ClusterError::file("find the filesystem of", directory)(errno.into()))?;
    // The field is signed on some machines and 32 bits wide on others; the numbers are 32 bits wide.
    let magic = found.filesystem_type().0 as u32;
    match name_of(magic) {
        Some(filesystem) => {
            Err(ClusterError::SharedFilesystem { directory: directory.to_owned(), filesystem })
        }
        None => Ok(()),
    }
}

fn name_of(magic: u32) -> Option<&'static str> {
    SHARED.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_filesystems_are_known_and_local_ones_are_not() {
        assert_eq!(name_of(0x6969), Some("NFS"));
        assert_eq!(name_of(0x0BD0_0BD0), Some("Lustre"));
        let (ext4, xfs, tmpfs) = (0xEF53, 0x5846_5342, 0x0102_1994);
        for local in [ext4, xfs, tmpfs] {
            assert_eq!(name_of(local), None);
        }
        check(Path::new("/proc"), SharedFilesystem::Refuse).unwrap();
    }
}
