//! Control groups (cgroup v2), where the job may divide its own: the kernel holds what a slot runs to its memory, and all
//! of it ends together, whatever process groups it made. Touches the cgroup file system only.

mod delegated;
mod tree;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

pub use self::delegated::{Delegated, remove_slots};
use self::tree::put;

/// A shell that becomes a member of a group ($0) and then the program: what the program starts can be nowhere else. Where the
/// kernel refuses, the program runs all the same.
const ENTER: &str = r#"{ echo 0 >"$0/cgroup.procs"; } 2>/dev/null; exec "$@""#;

/// Whether the kernel holds members to their memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// It does.
    Held,
    /// It cannot, or would count what is none: files in memory, should scratch lie there.
    Free,
}

/// The control group of one slot. When dropped, it ends all that is in it and is removed.
#[derive(Debug)]
pub struct Cgroup {
    folder: PathBuf,
    memory: Memory,
    before: Mutex<Events>,
}

/// What the kernel counts of a group's memory (`memory.events`).
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Events {
    /// The group was at its limit, and nothing could be reclaimed.
    oom: u64,
    /// Members were killed for memory: this group's, that of a group above, or the node's.
    oom_kill: u64,
}

impl Events {
    fn parse(text: &str) -> Events {
        let count = |name: &str| {
            let value =
                text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
            value.unwrap_or(0)
        };
        Events { oom: count("oom"), oom_kill: count("oom_kill") }
    }
}

impl Cgroup {
    fn make(folder: PathBuf, memory: Memory) -> io::Result<Cgroup> {
        fs::create_dir(&folder)?;
        let group = Cgroup { folder, memory, before: Mutex::default() };
        if memory == Memory::Held {
            // One process of many that is gone would leave the others waiting for it. (Since Linux 4.19; swap may be off.)
            let _ = put(&group.folder.join("memory.oom.group"), "1");
            let _ = put(&group.folder.join("memory.swap.max"), "0");
        }
        Ok(group)
    }

    /// A command that runs `program` as a member; its arguments are added to it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", ENTER]).arg(&self.folder).arg(program);
        command
    }

    /// Members may hold so much from now on; with more the kernel kills them, at once if need be. Waits while the kernel
    /// takes back what it can.
    pub fn hold_to(&self, memory_bytes: u64) {
        if self.memory == Memory::Free {
            return;
        }
        *self.before.lock().unwrap_or_else(PoisonError::into_inner) = self.events();
        if let Err(error) = put(&self.folder.join("memory.max"), &memory_bytes.to_string()) {
            tracing::warn!(%error, "a slot's memory is not limited");
        }
    }

    /// Whether the kernel killed members for their own memory since `hold_to`.
    pub fn went_over(&self) -> bool {
        let before = *self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.events();
        now.oom > before.oom && now.oom_kill > before.oom_kill
    }

    /// Kills all that is in it.
    pub fn kill(&self) {
        tree::kill_all(&self.folder);
    }

    fn events(&self) -> Events {
        Events::parse(&fs::read_to_string(self.folder.join("memory.events")).unwrap_or_default())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        tree::remove(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_was_full_is_told_from_one_that_lost_members_to_a_group_above() {
        let text = "low 0\nhigh 0\nmax 12\noom 1\noom_kill 2\noom_group_kill 1\n";
        assert_eq!(Events::parse(text), Events { oom: 1, oom_kill: 2 });
        assert_eq!(Events::parse("oom 0\noom_kill 2\n"), Events { oom: 0, oom_kill: 2 });
        assert_eq!(Events::parse(""), Events::default());
    }
}
