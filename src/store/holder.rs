//! Which process holds a lease, and whether it is surely dead. Reads `/proc`; no SQL.

use std::fmt;
use std::io;

use nix::unistd::gethostname;

use crate::process::{Namespaces, ProcessMark};

/// The process that holds a lease: enough to recognise it on its own machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaseHolder {
    /// The machine.
    pub hostname: String,
    /// The machine's boot (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
    /// The process.
    pub pid: i32,
    /// When it started, in clock ticks since the boot (field 22 of `/proc/<pid>/stat`): tells it from a later
    /// process with the same number.
    pub pid_started: i64,
    /// Where these numbers mean something; unknown of daemons of older versions.
    pub namespaces: Option<Namespaces>,
}

/// The namespaces as the lease's row has them; unknown where a daemon of an older version wrote it.
pub(super) fn stored_namespaces(pid: Option<i64>, time: Option<i64>) -> Option<Namespaces> {
    let (pid, time) = pid.zip(time)?;
    Some(Namespaces { pid: pid.cast_unsigned(), time: time.cast_unsigned() })
}

impl LeaseHolder {
    /// This process.
    pub fn this_process() -> io::Result<LeaseHolder> {
        let process = ProcessMark::of_this()?;
        Ok(LeaseHolder {
            hostname: gethostname()?.to_string_lossy().into_owned(),
            boot_id: this_boot()?,
            pid: process.pid,
            pid_started: process.started,
            namespaces: process.namespaces,
        })
    }

    /// Whether the process cannot be running any more: it belongs to an earlier boot of this machine, or to this boot
    /// and its number is free or in other hands. False whenever this machine cannot know, as of a daemon in a container.
    pub fn is_surely_dead(&self) -> bool {
        match self.boot() {
            Boot::Unknown => false,
            Boot::Earlier => true,
            Boot::This => self.namespaces.is_some() && self.mark().is_surely_gone(),
        }
    }

    /// Whether the process surely runs on this machine.
    pub fn is_surely_alive_here(&self) -> bool {
        let here = Namespaces::of_this().ok();
        self.boot() == Boot::This
            && here.is_some()
            && self.namespaces == here
            && ProcessMark::of(self.pid).is_ok_and(|mark| mark == self.mark())
            && !self.mark().is_surely_gone()
    }

    fn mark(&self) -> ProcessMark {
        ProcessMark { pid: self.pid, started: self.pid_started, namespaces: self.namespaces }
    }

    fn boot(&self) -> Boot {
        let (Ok(hostname), Ok(boot_id)) = (gethostname(), this_boot()) else { return Boot::Unknown };
        // Many machines may call themselves `localhost`; that name proves nothing.
        if hostname.to_str() != Some(self.hostname.as_str()) || self.hostname.starts_with("localhost") {
            return Boot::Unknown;
        }
        if self.boot_id == boot_id { Boot::This } else { Boot::Earlier }
    }
}

/// Which boot of this machine a holder belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Boot {
    This,
    Earlier,
    /// Another machine's, perhaps.
    Unknown,
}

impl fmt::Display for LeaseHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.pid, self.hostname)
    }
}

fn this_boot() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive() {
        let holder = LeaseHolder::this_process().unwrap();
        assert!(holder.pid_started > 0);
        assert!(!holder.is_surely_dead());
    }

    #[test]
    fn an_ended_process_is_dead() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let pid_started = ProcessMark::of(pid).unwrap().started;
        let holder = LeaseHolder { pid, pid_started, ..LeaseHolder::this_process().unwrap() };
        assert!(!holder.is_surely_dead());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(holder.is_surely_dead());
    }

    #[test]
    fn a_reused_number_and_an_earlier_boot_are_dead_but_another_machine_is_not_known() {
        let this = LeaseHolder::this_process().unwrap();
        assert!(LeaseHolder { pid_started: this.pid_started - 1, ..this.clone() }.is_surely_dead());
        let earlier = LeaseHolder { boot_id: "earlier".to_owned(), ..this.clone() };
        assert!(earlier.is_surely_dead());
        assert!(!LeaseHolder { hostname: "elsewhere".to_owned(), ..earlier }.is_surely_dead());
    }

    #[test]
    fn a_process_of_another_container_is_neither_surely_dead_nor_surely_alive() {
        let this = LeaseHolder::this_process().unwrap();
        assert!(this.is_surely_alive_here());
        let ours = this.namespaces.unwrap();
        for theirs in [
            Some(Namespaces { pid: ours.pid + 1, ..ours }),
            Some(Namespaces { time: ours.time + 1, ..ours }),
            None,
        ] {
            // The number is free here, which says nothing of a process in there.
            let holder = LeaseHolder { pid: i32::MAX, namespaces: theirs, ..this.clone() };
            assert!(!holder.is_surely_dead(), "{theirs:?}");
            let holder = LeaseHolder { namespaces: theirs, ..this.clone() };
            assert!(!holder.is_surely_dead() && !holder.is_surely_alive_here(), "{theirs:?}");
        }
        let earlier = LeaseHolder { boot_id: "earlier".to_owned(), namespaces: None, ..this };
        assert!(earlier.is_surely_dead(), "no container outlives its machine's boot");
    }
}
