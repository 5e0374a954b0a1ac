//! How much memory this machine has for jobs: what the kernel tells, or the limit of our control group where that is less.
//! Reads `/proc` and `/sys`.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of memory that jobs on this machine may use together; none where nobody tells.
pub fn memory_bytes() -> Option<u64> {
    let total = total(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limit = group_limit(Path::new("/sys/fs/cgroup"), &group);
    Some(limit.map_or(total, |limit| limit.min(total)))
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The least `memory.max` of the control group (version 2) that `/proc/self/cgroup` names, and of those above it.
fn group_limit(root: &Path, own: &str) -> Option<u64> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let group: PathBuf = root.join(path.trim_start_matches('/'));
    let limits = group.ancestors().take_while(|group| group.starts_with(root));
    limits.filter_map(|group| fs::read_to_string(group.join("memory.max")).ok()?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_above_us_counts() {
        let root = tempfile::tempdir().unwrap();
        let group = root.path().join("user.slice/session");
        fs::create_dir_all(&group).unwrap();
        assert_eq!(group_limit(root.path(), "0::/user.slice/session\n"), None);
        fs::write(group.join("memory.max"), "max\n").unwrap();
        fs::write(root.path().join("user.slice/memory.max"), "1073741824\n").unwrap();
        assert_eq!(group_limit(root.path(), "1:name=x:/\n0::/user.slice/session\n"), Some(1 << 30));
        assert_eq!(total("MemTotal:       24587908 kB\nMemFree: 1 kB\n"), Some(24_587_908 * 1024));
        assert!(memory_bytes().unwrap() > 1 << 28);
    }
}
