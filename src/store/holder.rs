//! Which process holds a lease, and whether it is surely dead. Reads `/proc` and sends signal 0; no SQL.

use std::fmt;
use std::io;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, gethostname};

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
}

impl LeaseHolder {
    /// This process.
    pub fn this_process() -> io::Result<LeaseHolder> {
        let pid = Pid::this().as_raw();
        let process = ProcessStat::read(pid)?;
        Ok(LeaseHolder {
            hostname: gethostname()?.to_string_lossy().into_owned(),
            boot_id: this_boot()?,
            pid,
            pid_started: process.started,
        })
    }

    /// Whether the process cannot be running any more: it belongs to an earlier boot of this machine, or to this boot
    /// and its number is free or in other hands. False whenever this machine cannot know.
    pub fn is_surely_dead(&self) -> bool {
        let (Ok(hostname), Ok(boot_id)) = (gethostname(), this_boot()) else { return false };
        // Many machines may call themselves `localhost`; that name proves nothing.
        if hostname.to_str() != Some(self.hostname.as_str()) || self.hostname.starts_with("localhost") {
            return false;
        }
        if self.boot_id != boot_id {
            return true;
        }
        // Signal 0 first: where /proc hides other users' processes, only it tells hidden from gone.
        if kill(Pid::from_raw(self.pid), None) == Err(Errno::ESRCH) {
            return true;
        }
        ProcessStat::read(self.pid).is_ok_and(|process| process.ended || process.started != self.pid_started)
    }
}

impl fmt::Display for LeaseHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.pid, self.hostname)
    }
}

/// Whether the process with this number has ended and only waits for its parent to look: it answers signals, yet it is
/// gone. In containers whose first process never looks, that lasts.
pub(super) fn is_zombie(pid: i32) -> bool {
    ProcessStat::read(pid).is_ok_and(|process| process.ended)
}

fn this_boot() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

struct ProcessStat {
    started: i64,
    /// A zombie: ended, only its parent has not looked yet.
    ended: bool,
}

impl ProcessStat {
    fn read(pid: i32) -> io::Result<ProcessStat> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        ProcessStat::parse(&text).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat has no start time"))
        })
    }

    /// proc(5): `pid (comm) state ppid …`; comm may itself hold blanks and parentheses, so the last one counts.
    fn parse(text: &str) -> Option<ProcessStat> {
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?;
        let started = fields.nth(18)?.parse().ok()?;
        Some(ProcessStat { started, ended: matches!(state, "Z" | "X" | "x") })
    }
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
        let pid_started = ProcessStat::read(pid).unwrap().started;
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
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text = "7 (a ) b) Z 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        let process = ProcessStat::parse(text).unwrap();
        assert_eq!((process.started, process.ended), (4711, true));
    }
}
