//! Control groups (cgroup v2), where the job may divide its own: the kernel holds what a slot runs to its memory, and all
//! of it ends together, whatever process groups it made. Touches the cgroup file system only.

mod delegated;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub use self::delegated::Delegated;

/// How often a group whose processes were killed is tried to be removed, and how long between: processes take a moment to
/// leave it.
const REMOVALS: u32 = 100;
const REMOVAL_PAUSE: Duration = Duration::from_millis(5);
/// How often all members of a group are killed where the kernel does not do it in one step.
const KILL_ROUNDS: u32 = 100;

/// The control group of one slot. When dropped, it ends all that is in it and is removed.
#[derive(Debug)]
pub struct Cgroup {
    folder: PathBuf,
    kills_before: AtomicU64,
}

impl Cgroup {
    fn make(folder: PathBuf) -> io::Result<Cgroup> {
        fs::create_dir(&folder)?;
        // Without the memory controller these files do not exist, and nothing is limited here. A task that is over its
        // memory ends whole: one process of many that is gone leaves the others waiting for it.
        let _ = put(&folder.join("memory.oom.group"), "1");
        let _ = put(&folder.join("memory.swap.max"), "0");
        Ok(Cgroup { folder, kills_before: AtomicU64::new(0) })
    }

    /// Takes in a process and what it starts from now on.
    pub fn admit(&self, pid: Pid) {
        if let Err(error) = put(&self.folder.join("cgroup.procs"), &pid.to_string()) {
            tracing::debug!(%error, %pid, "not taken into its control group");
        }
    }

    /// What is in it may hold so much from now on; more, and the kernel kills it.
    pub fn hold_to(&self, memory_bytes: u64) {
        self.kills_before.store(self.kills(), Ordering::Relaxed);
        let _ = put(&self.folder.join("memory.max"), &memory_bytes.to_string());
    }

    /// Whether the kernel killed something since `hold_to`.
    pub fn went_over(&self) -> bool {
        self.kills() > self.kills_before.load(Ordering::Relaxed)
    }

    /// Kills all that is in it.
    pub fn kill(&self) {
        kill_all(&self.folder);
    }

    fn kills(&self) -> u64 {
        let events = fs::read_to_string(self.folder.join("memory.events")).unwrap_or_default();
        events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// Ends all that is in a group and removes it.
fn remove(folder: &Path) {
    kill_all(folder);
    for _ in 0..REMOVALS {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => thread::sleep(REMOVAL_PAUSE),
            _ => return,
        }
    }
    tracing::warn!(folder = %folder.display(), "a control group is left: something in it does not end");
}

fn kill_all(folder: &Path) {
    // Since Linux 5.14.
    if put(&folder.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    for _ in 0..KILL_ROUNDS {
        let members = members(folder);
        if members.is_empty() {
            return;
        }
        for pid in members {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

fn members(folder: &Path) -> Vec<Pid> {
    let pids = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    pids.lines().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()
}

/// Writes into a file of the kernel's: nothing is created.
fn put(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}
