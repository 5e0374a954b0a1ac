//! What the configuration must know of the machine and its user: cores, memory, home.
//! Touches: `detect` asks the operating system; all else takes a `Machine` as a value.

use std::path::PathBuf;

use nix::unistd::{Uid, User, gethostname};

/// Part of the memory that the default pool uses, in percent: the rest is for the daemon, its database and people.
const USABLE_MEMORY_PERCENT: u64 = 80;

const MEBIBYTE: u64 = 1 << 20;

/// The machine and user that a configuration is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: u32,
    /// Memory that this process may use, in bytes.
    pub memory_bytes: u64,
    /// Name of the host.
    pub hostname: String,
    /// The user's home directory.
    pub home: PathBuf,
    /// The user's name.
    pub user: String,
}

/// What the operating system did not tell.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// No entry in the user database and no variable in its place.
    #[error("cannot tell the {what} of user {uid}; set the variable `{variable}`")]
    NoUser {
        /// Name or home directory.
        what: &'static str,
        /// The user.
        uid: u32,
        /// What would help.
        variable: &'static str,
    },
    /// `/proc/meminfo` is missing or strange.
    #[error("cannot tell how much memory this machine has; `/proc/meminfo` should have a line `MemTotal`")]
    NoMemory,
}

impl Machine {
    /// This machine and user. `HOME` outranks the user database.
    pub fn detect() -> Result<Machine, MachineError> {
        let uid = Uid::effective();
        let entry = User::from_uid(uid).ok().flatten();
        let no_user = |what, variable| MachineError::NoUser { what, uid: uid.as_raw(), variable };
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        let user = std::env::var("USER").ok().filter(|user| !user.is_empty());
        Ok(Machine {
            cores: std::thread::available_parallelism()
                .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
            memory_bytes: memory_bytes().ok_or(MachineError::NoMemory)?,
            hostname: gethostname()
                .ok()
                .and_then(|name| name.into_string().ok())
                .unwrap_or_else(|| "localhost".into()),
            home: home
                .or_else(|| entry.as_ref().map(|entry| entry.dir.clone()))
                .ok_or_else(|| no_user("home directory", "HOME"))?,
            user: entry.map(|entry| entry.name).or(user).ok_or_else(|| no_user("name", "USER"))?,
        })
    }

    /// What the default pool may use, in whole MiB.
    pub fn usable_memory_bytes(&self) -> u64 {
        (self.memory_bytes / MEBIBYTE * USABLE_MEMORY_PERCENT / 100).max(1) * MEBIBYTE
    }
}

/// The machine's memory, or the limit of this process's control group where that is lower.
fn memory_bytes() -> Option<u64> {
    let total = total_of_meminfo(&std::fs::read_to_string("/proc/meminfo").ok()?)?;
    let limit =
        std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    Some(limit.map_or(total, |limit: u64| limit.min(total)))
}

fn total_of_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_told() {
        let machine = Machine::detect().unwrap();
        assert!(machine.cores >= 1);
        assert!(machine.memory_bytes > 64 * MEBIBYTE);
        assert!(machine.usable_memory_bytes() < machine.memory_bytes);
        assert!(machine.home.is_absolute());
    }

    #[test]
    fn meminfo_is_read() {
        assert_eq!(total_of_meminfo("MemTotal:       24000000 kB\nMemFree: 1 kB\n"), Some(24_576_000_000));
        assert_eq!(total_of_meminfo("MemFree: 1 kB\n"), None);
    }
}
