//! Ends the programs of a runner that was killed: a second process that waits for the runner's end and then kills the
//! process groups and ends the control groups that it was told of. Python workers see to this themselves.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::cgroup;

/// The option of `qcbatch node` that makes it a guard.
pub const OPTION: &str = "--guard";

/// Before the path with which control groups begin.
const CGROUPS: char = '@';

/// The guard of this runner; started with the first program that runs for a while.
#[derive(Default, Debug)]
pub struct Guard {
    words: Mutex<Option<ChildStdin>>,
}

impl Guard {
    /// Kill this group should the runner be killed.
    pub fn watch(&self, group: Pid) {
        self.say('+', group);
    }

    /// The group is gone.
    pub fn forget(&self, group: Pid) {
        self.say('-', group);
    }

    /// End the control groups whose paths begin so should the runner be killed.
    pub fn watch_cgroups(&self, slots: &Path) {
        self.say(CGROUPS, slots.display());
    }

    fn say(&self, sign: char, what: impl Display) {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        if words.is_none() {
            *words = start();
        }
        // Without a guard programs are only as safe as the scheduler makes them.
        if let Some(words) = words.as_mut()
            && let Err(error) = words.write_all(format!("{sign}{what}\n").as_bytes())
        {
            tracing::warn!(%error, "the guard is gone");
        }
    }
}

fn start() -> Option<ChildStdin> {
    let program = std::env::current_exe().ok()?;
    let child = Command::new(program)
        .args(["node", OPTION])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    match child {
        Ok(mut child) => child.stdin.take(),
        Err(error) => {
            tracing::warn!(%error, "no guard for programs");
            None
        }
    }
}

/// The guard itself: listens until the runner is gone, then kills what is left.
pub fn run(words: impl BufRead) {
    let Left { groups, cgroups } = left(words);
    for group in groups {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    if let Some(slots) = cgroups {
        cgroup::remove_slots(&slots);
    }
}

/// What the runner had when it ended.
#[derive(Default)]
struct Left {
    groups: BTreeSet<i32>,
    cgroups: Option<PathBuf>,
}

fn left(words: impl BufRead) -> Left {
    let Left { mut groups, mut cgroups } = Left::default();
    for word in words.lines().map_while(Result::ok) {
        let Some((sign, number)) = word.split_at_checked(1) else { continue };
        if sign.starts_with(CGROUPS) {
            cgroups = Some(PathBuf::from(number));
            continue;
        }
        match (sign, number.parse::<i32>()) {
            // 0 and 1 would mean the guard's own group, or everything.
            ("+", Ok(group @ 2..)) => _ = groups.insert(group),
            ("-", Ok(group)) => _ = groups.remove(&group),
            _ => {}
        }
    }
    Left { groups, cgroups }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_forgotten_is_left() {
        let groups = |words: &str| left(words.as_bytes()).groups.into_iter().collect::<Vec<_>>();
        assert_eq!(groups("+10\n+11\n-10\n+12\n"), [11, 12]);
        assert!(groups("+0\n+1\n+-5\n+\n\nnonsense\n+1x\n").is_empty());
        assert_eq!(left(&b"+10\n@/a b/c\n"[..]).cgroups, Some("/a b/c".into()));
    }
}
