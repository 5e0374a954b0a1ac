//! Processes of this machine, told apart from later ones with the same number and from those of other containers.
//! Reads `/proc` and sends signal 0.

use std::io;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// Linux tells times in `/proc` in hundredths of a second (`USER_HZ`) on every architecture it runs on here.
const TICKS_PER_SECOND: f64 = 100.0;

/// One process: its number and when it started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProcessMark {
    /// The process.
    pub pid: i32,
    /// When it started, in clock ticks since the boot (field 22 of `/proc/<pid>/stat`).
    pub started: i64,
    /// Where both numbers mean something; not noted by older versions, nor by those who keep it elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Namespaces>,
}

/// The namespaces (namespaces(7)) that numbers and start times of processes are told in. A container has others than its
/// host, even where both have one host name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Namespaces {
    /// Of process numbers.
    pub pid: u64,
    /// Of the clock since boot; 0 where the kernel has none.
    pub time: u64,
}

impl Namespaces {
    /// Those of this process.
    pub fn of_this() -> io::Result<Namespaces> {
        let pid = std::fs::metadata("/proc/self/ns/pid")?.ino();
        let time = match std::fs::metadata("/proc/self/ns/time") {
            Ok(namespace) => namespace.ino(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(Namespaces { pid, time })
    }
}

impl ProcessMark {
    /// This process.
    pub fn of_this() -> io::Result<ProcessMark> {
        ProcessMark::of(Pid::this().as_raw())
    }

    /// The process that has this number now.
    pub fn of(pid: i32) -> io::Result<ProcessMark> {
        Ok(ProcessMark { pid, started: Stat::read(pid)?.started, namespaces: Some(Namespaces::of_this()?) })
    }

    /// Whether it cannot be running any more: its number is free, in other hands, or a zombie's. False where this
    /// user may not know, and of a process of other namespaces, whose number means nothing here.
    pub fn is_surely_gone(self) -> bool {
        if self.namespaces.is_some_and(|theirs| !Namespaces::of_this().is_ok_and(|ours| ours == theirs)) {
            return false;
        }
        // Signal 0 first: where /proc hides other users' processes, only it tells hidden from gone.
        if kill(Pid::from_raw(self.pid), None) == Err(Errno::ESRCH) {
            return true;
        }
        Stat::read(self.pid).is_ok_and(|stat| stat.ended || stat.started != self.started)
    }
}

/// Whether the process with this number has ended and only waits for its parent to look: it answers signals, yet it is
/// gone. In containers whose first process never looks, that lasts.
pub fn is_zombie(pid: i32) -> bool {
    Stat::read(pid).is_ok_and(|stat| stat.ended)
}

/// What a process has used.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Usage {
    /// Memory that it holds now.
    pub resident_bytes: u64,
    /// The most that it ever held.
    pub peak_resident_bytes: u64,
    /// User and system time.
    pub cpu_seconds: f64,
}

impl Usage {
    /// Of this process.
    pub fn of_this() -> io::Result<Usage> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let times = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF)?;
        let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 * 1e-6;
        let kib = |name: &str| -> io::Result<u64> {
            let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_suffix("kB"));
            value.and_then(|value| value.trim().parse().ok()).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("/proc/self/status has no {name}"))
            })
        };
        Ok(Usage {
            resident_bytes: kib("VmRSS:")? << 10,
            peak_resident_bytes: kib("VmHWM:")? << 10,
            cpu_seconds: seconds(times.user_time()) + seconds(times.system_time()),
        })
    }
}

/// What `/proc/<pid>/stat` tells of a process.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Stat {
    /// Its process group.
    pub group: i32,
    /// User and system time, its own and that of its finished children.
    pub cpu_seconds: f64,
    /// When it started, in clock ticks since the boot.
    started: i64,
    ended: bool,
}

impl Stat {
    /// Asks about the process that has this number now.
    pub fn read(pid: i32) -> io::Result<Stat> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Stat::parse(&text).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is not as proc(5) says"))
        })
    }

    /// proc(5): `pid (comm) state ppid pgrp …`; comm may itself hold blanks and parentheses, so the last one counts.
    /// Here field 3 is the first.
    fn parse(text: &str) -> Option<Stat> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let ticks: f64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<f64>().ok()).sum();
        Some(Stat {
            group: fields.get(2)?.parse().ok()?,
            cpu_seconds: ticks / TICKS_PER_SECOND,
            started: fields.get(19)?.parse().ok()?,
            ended: matches!(*fields.first()?, "Z" | "X" | "x"),
        })
    }
}

#[cfg(test)]
mod tests;
