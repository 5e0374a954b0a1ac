//! Processes named so that a reused pid is not taken for them, and the ends of whole sessions. Reads `/proc`.

use std::fs;
use std::io::ErrorKind;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// The variable that marks everything a job starts; its value is unique over all state directories of this machine.
pub(super) const MARK_VARIABLE: &str = "QCBATCH_LOCAL_MARK";

/// One process of one boot of one host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct ProcessIdentity {
    pub host: String,
    pub boot: String,
    pub pid: i32,
    /// Clock ticks between boot and the process's start.
    pub start_ticks: u64,
}

/// Whether a process is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Life {
    Alive,
    Dead,
    /// Dead, and the machine was started anew since: nothing it started is there.
    DeadWithItsBoot,
    /// It ran on another host, which alone can tell.
    Elsewhere,
}

impl ProcessIdentity {
    /// This process.
    pub fn own() -> ProcessIdentity {
        let pid = nix::unistd::getpid().as_raw();
        ProcessIdentity { host: host(), boot: boot(), pid, start_ticks: start_ticks(pid).unwrap_or(0) }
    }

    /// Whether it is there.
    pub fn life(&self) -> Life {
        if self.host != host() {
            Life::Elsewhere
        } else if self.boot != boot() {
            Life::DeadWithItsBoot
        } else if start_ticks(self.pid) == Some(self.start_ticks) {
            Life::Alive
        } else {
            Life::Dead
        }
    }
}

fn host() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// When `pid` started, in clock ticks since boot; `None` when it is gone or only waits to be buried.
pub(super) fn start_ticks(pid: i32) -> Option<u64> {
    let fields = stat(pid)?;
    (fields.first()? != "Z").then(|| fields.get(19)?.parse().ok()).flatten()
}

/// The fields of `/proc/PID/stat` from the third (state) on; the second may hold blanks and brackets.
fn stat(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Sends `signal` to one process; gone is as good as signalled.
pub(super) fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Kills everything in the session of `leader`, and everything that carries `mark` in its environment (what made a
/// session of its own). Looks again until nothing is left, because what is dying may still start something.
pub(super) fn kill_job(leader: i32, mark: &str) {
    const LOOKS_MAX: u32 = 20;
    for _ in 0..LOOKS_MAX {
        let members = members(leader, mark);
        if members.is_empty() {
            return;
        }
        for pid in members {
            signal(pid, Signal::SIGKILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn members(leader: i32, mark: &str) -> Vec<i32> {
    let mark = format!("{MARK_VARIABLE}={mark}");
    let own = nix::unistd::getpid().as_raw();
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != own && (in_session(*pid, leader) || carries(*pid, &mark)))
        .collect()
}

fn in_session(pid: i32, leader: i32) -> bool {
    stat(pid).is_some_and(|fields| {
        fields[0] != "Z" && fields.get(3).is_some_and(|session| *session == leader.to_string())
    })
}

fn carries(pid: i32, mark: &str) -> bool {
    match fs::read(format!("/proc/{pid}/environ")) {
        Ok(environment) => environment.split(|byte| *byte == 0).any(|one| one == mark.as_bytes()),
        // Gone meanwhile, or another user's.
        Err(error) => {
            debug_assert!(error.kind() != ErrorKind::InvalidInput);
            false
        }
    }
}
