//! Finds the control group that the job may divide, and divides it: runners in one part, each slot in one of its own.
//!
//! The rules are those of cgroups(7), "Delegation", and of <https://systemd.io/CGROUP_DELEGATION>: nobody takes what was
//! not handed to them.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::unistd::Uid;

use super::tree::{members, put, remove};
use super::{Cgroup, Memory};
use crate::process::ProcessMark;

/// The part in which runners are, and what else was in the group: a group that is divided has no members of its own.
const RUNNERS: &str = "qcbatch-runners";
/// How the parts of slots begin; their owner and a number follow.
const SLOT: &str = "qcbatch-slot-";
/// How often processes that start meanwhile are moved, too.
const MOVES: u32 = 10;

/// The runner that made a slot's group: `NAMESPACE-PID-STARTED` in the group's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Owner {
    /// Process numbers mean something within one of these only.
    process_namespace: u64,
    process: ProcessMark,
}

impl Owner {
    fn of_this_process() -> io::Result<Owner> {
        let process_namespace = fs::metadata("/proc/self/ns/pid")?.ino();
        Ok(Owner { process_namespace, process: ProcessMark { namespaces: None, ..ProcessMark::of_this()? } })
    }

    fn parse(name: &str) -> Option<Owner> {
        let mut fields = name.strip_prefix(SLOT)?.split('-');
        let process_namespace = fields.next()?.parse().ok()?;
        let process = ProcessMark {
            pid: fields.next()?.parse().ok()?,
            started: fields.next()?.parse().ok()?,
            namespaces: None,
        };
        Some(Owner { process_namespace, process })
    }

    /// How the names of its groups begin.
    fn prefix(self) -> String {
        let Owner { process_namespace, process } = self;
        format!("{SLOT}{process_namespace}-{}-{}-", process.pid, process.started)
    }
}

/// A control group that the job may divide.
#[derive(Debug)]
pub struct Delegated {
    /// Where slots' groups are made, with how their names begin.
    slots: PathBuf,
    memory: Memory,
    made: AtomicU32,
}

impl Delegated {
    /// That of this process, made ready; none where nobody handed it over, which is the usual case. Memory is not held
    /// where `scratch` is in memory: its files would count as the task's.
    pub fn find(scratch: &Path) -> Option<Delegated> {
        let memberships = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let own = folder_of(&memberships, &mounts)?;
        let folder = match own.file_name() {
            Some(name) if name == RUNNERS => own.parent()?,
            _ => &own,
        };
        if !is_handed_over(folder) {
            return None;
        }
        let divided = Owner::of_this_process().and_then(|owner| Ok((owner, divide(folder)?)));
        let (owner, controlled) = match divided {
            Ok(divided) => divided,
            Err(error) => {
                // Only an empty one goes.
                let _ = fs::remove_dir(folder.join(RUNNERS));
                tracing::warn!(%error, folder = %folder.display(), "the control group is not divided");
                return None;
            }
        };
        let in_memory = statfs(scratch).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC);
        let memory = if in_memory { Memory::Free } else { controlled };
        tracing::info!(folder = %folder.display(), ?memory, "tasks have control groups of their own");
        remove_left(folder, owner);
        Some(Delegated { slots: folder.join(owner.prefix()), memory, made: AtomicU32::new(0) })
    }

    /// How the paths of all slots' groups begin, for [`remove_slots`].
    pub fn slots(&self) -> &Path {
        &self.slots
    }

    /// A group for one slot; none where the kernel refuses.
    pub fn make(&self) -> Option<Cgroup> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let mut folder = self.slots.clone().into_os_string();
        folder.push(number.to_string());
        match Cgroup::make(folder.into(), self.memory) {
            Ok(group) => Some(group),
            Err(error) => {
                tracing::warn!(%error, "a slot goes without a control group");
                None
            }
        }
    }
}

/// Ends and removes all groups whose paths begin so.
pub fn remove_slots(slots: &Path) {
    let (Some(folder), Some(prefix)) = (slots.parent(), slots.file_name().and_then(OsStr::to_str)) else {
        return;
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix)) {
            remove(&entry.path());
        }
    }
}

/// Ends and removes the groups of runners that were killed, as far as `me` can tell.
fn remove_left(folder: &Path, me: Owner) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(Owner::parse);
        let gone =
            |owner: Owner| owner.process_namespace == me.process_namespace && owner.process.is_surely_gone();
        if owner.is_some_and(gone) {
            tracing::info!(group = ?name, "left by a runner that was killed");
            remove(&entry.path());
        }
    }
}

/// The folder of a process's own control group, from what `/proc/PID/cgroup` and `/proc/PID/mountinfo` say.
fn folder_of(memberships: &str, mounts: &str) -> Option<PathBuf> {
    let path = memberships.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        if kind.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = place.split(' ').skip(3);
        let (root, mount_point) = (fields.next()?, fields.next()?);
        let below = Path::new(path).strip_prefix(root).ok()?;
        Some(Path::new(mount_point).join(below))
    })
}

/// Whether a group was handed to us. Systemd marks what it hands over; elsewhere it is a folder that is ours. Root may
/// write anywhere, and a user in all that a systemd of the user's own manages: there only the mark counts.
fn is_handed_over(folder: &Path) -> bool {
    // The root of the hierarchy has no type: it is the system's. One of threads cannot be divided.
    let kind = fs::read_to_string(folder.join("cgroup.type")).unwrap_or_default();
    // A runner that is a task's leaves the slot whole.
    let is_slot = |part: &OsStr| part.to_str().is_some_and(|name| name.starts_with(SLOT));
    if kind.trim_end() != "domain" || folder.iter().any(is_slot) {
        return false;
    }
    let marked = |name: &str| {
        let mut value = [0; 8];
        rustix::fs::getxattr(folder, name, &mut value).is_ok_and(|length| value.get(..length) == Some(b"1"))
    };
    if marked("user.delegate") || marked("trusted.delegate") {
        return true;
    }
    let own = Uid::effective();
    let own_systemd = |part: &OsStr| {
        part.to_str().is_some_and(|name| name.starts_with("user@") && name.ends_with(".service"))
    };
    !own.is_root()
        && fs::metadata(folder).is_ok_and(|metadata| metadata.uid() == own.as_raw())
        && !folder.iter().any(own_systemd)
}

/// Moves the group's members into a part of it, and lets the parts be limited, where the memory controller was handed over.
fn divide(folder: &Path) -> io::Result<Memory> {
    let runners = folder.join(RUNNERS);
    match fs::create_dir(&runners) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for _ in 0..MOVES {
        let members = members(folder);
        if members.is_empty() {
            break;
        }
        for pid in members {
            // It may have ended.
            let _ = put(&runners.join("cgroup.procs"), &pid.to_string());
        }
    }
    let controllers = fs::read_to_string(folder.join("cgroup.controllers"))?;
    if !controllers.split_whitespace().any(|name| name == "memory") {
        return Ok(Memory::Free);
    }
    put(&folder.join("cgroup.subtree_control"), "+memory")?;
    Ok(Memory::Held)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
        24 29 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw\n\
        31 24 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        30 24 0:26 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_folder_is_that_of_the_unified_hierarchy() {
        let found = |memberships, mounts| folder_of(memberships, mounts);
        let both = "4:memory:/job\n0::/user.slice/a b\n";
        assert_eq!(found(both, MOUNTS), Some("/sys/fs/cgroup/unified/user.slice/a b".into()));
        assert_eq!(found("4:memory:/job\n", MOUNTS), None);
        assert_eq!(found("0::/\n", ""), None);
        assert_eq!(found("0::/\n", "no mountinfo - \n - cgroup2\n"), None);
    }

    #[test]
    fn a_mount_of_a_part_of_the_hierarchy_shows_that_part_only() {
        let mounts = MOUNTS.replace(":26 / ", ":26 /pod ");
        assert_eq!(folder_of("0::/pod/job\n", &mounts), Some("/sys/fs/cgroup/unified/job".into()));
        assert_eq!(folder_of("0::/elsewhere\n", &mounts), None);
    }

    #[test]
    fn the_owner_of_a_group_is_read_from_its_name() {
        let owner = Owner::of_this_process().unwrap();
        assert_eq!(Owner::parse(&format!("{}12", owner.prefix())), Some(owner));
        assert_eq!(Owner::parse("qcbatch-slot-12-x-3-1"), None);
        assert_eq!(Owner::parse(RUNNERS), None);
    }

    #[test]
    fn what_nobody_handed_over_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_handed_over(folder.path()));
    }
}
