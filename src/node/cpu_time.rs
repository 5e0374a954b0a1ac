//! Processor time of a worker's process group, for tasks whose worker cannot tell it any more. Reads `/proc` only.

use std::fs;

use nix::unistd::Pid;

use crate::process::Stat;

/// Seconds that all living processes of `group` and their finished children have used so far.
pub fn of_group(group: Pid) -> f64 {
    let Ok(entries) = fs::read_dir("/proc") else { return 0.0 };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Stat::read(pid).ok())
        .filter(|stat| stat.group == group.as_raw())
        .map(|stat| stat.cpu_seconds)
        .sum()
}

/// Seconds that one process and its finished children have used so far.
pub fn of_process(pid: Pid) -> f64 {
    Stat::read(pid.as_raw()).map_or(0.0, |stat| stat.cpu_seconds)
}
