//! What the configuration must know of the machine and its user: cores, home.
//! Touches: `detect` asks the operating system; all else takes a `Machine` as a value.

use std::path::PathBuf;

use nix::unistd::{Uid, User, gethostname};

/// The machine and user that a configuration is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: u32,
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_told() {
        let machine = Machine::detect().unwrap();
        assert!(machine.cores >= 1);
        assert!(machine.home.is_absolute());
    }
}
