//! A control group with all below it: its members, their end, its removal.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How often a group whose processes were killed is tried to be removed, and how long between: processes take a moment to
/// leave it.
const REMOVALS: u32 = 100;
const REMOVAL_PAUSE: Duration = Duration::from_millis(5);
/// How often all members are killed one by one where the kernel does not do it in one step, and how long between.
const KILL_ROUNDS: u32 = 100;
const KILL_PAUSE: Duration = Duration::from_millis(1);

/// Ends all that is in a group and removes it with the groups below: containers and MPI launchers make some.
pub(super) fn remove(folder: &Path) {
    kill_all(folder);
    for _ in 0..REMOVALS {
        match remove_empty(folder) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => thread::sleep(REMOVAL_PAUSE),
            _ => return,
        }
    }
    tracing::warn!(folder = %folder.display(), "a control group is left: something in it does not end");
}

fn remove_empty(folder: &Path) -> io::Result<()> {
    for below in groups_below(folder) {
        remove_empty(&below)?;
    }
    fs::remove_dir(folder)
}

fn groups_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Kills the members of a group and of all below it.
pub(super) fn kill_all(folder: &Path) {
    // Since Linux 5.14.
    if put(&folder.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    for _ in 0..KILL_ROUNDS {
        let members = all_members(folder);
        if members.is_empty() {
            return;
        }
        for pid in members {
            let _ = kill(pid, Signal::SIGKILL);
        }
        thread::sleep(KILL_PAUSE);
    }
}

fn all_members(folder: &Path) -> Vec<Pid> {
    let mut found = members(folder);
    found.extend(groups_below(folder).iter().flat_map(|below| all_members(below)));
    found
}

/// The members of one group. Those of another process namespace have the number 0, and are nobody's to signal.
pub(super) fn members(folder: &Path) -> Vec<Pid> {
    let pids = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    pids.lines().filter_map(|pid| pid.parse().ok()).filter(|pid| *pid > 0).map(Pid::from_raw).collect()
}

/// Writes into a file of the kernel's: nothing is created.
pub(super) fn put(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}
