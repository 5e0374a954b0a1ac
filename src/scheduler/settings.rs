//! What the engine must be told of this machine and user, and the environment it gives to scheduler commands.
//! Reads the process's environment and the user database, once.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use nix::unistd::{Uid, User};

use super::adapter::Adapter;

/// What the engine is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our own program, for adapters that call it (`local`).
    pub program: PathBuf,
    /// Where such adapters keep their state.
    pub state_directory: PathBuf,
    /// Cores that `local` may use.
    pub machine_cores: u32,
    /// The user's name as schedulers know it.
    pub user: String,
    /// Where scheduler commands are looked for; our own `PATH` unless a site says otherwise.
    pub search_path: OsString,
}

impl Settings {
    /// Settings of the installed program: its own path, this machine's cores, commands looked for in `search_first` before `PATH`.
    pub fn as_installed(state_directory: PathBuf, search_first: &[PathBuf]) -> io::Result<Settings> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let cores = u32::try_from(cores).unwrap_or(u32::MAX);
        let mut settings = Settings::of_this_process(std::env::current_exe()?, state_directory, cores);
        settings.search_first(search_first);
        Ok(settings)
    }

    /// Settings for the user who runs this process.
    pub fn of_this_process(program: PathBuf, state_directory: PathBuf, machine_cores: u32) -> Settings {
        let search_path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        Settings { program, state_directory, machine_cores, user: user_name(), search_path }
    }

    /// Looks for scheduler commands in `directories` first.
    pub fn search_first(&mut self, directories: &[PathBuf]) {
        let paths =
            directories.iter().cloned().chain(std::env::split_paths(&self.search_path).collect::<Vec<_>>());
        if let Ok(joined) = std::env::join_paths(paths) {
            self.search_path = joined;
        }
    }

    /// The whole environment of a scheduler command: a fixed few variables and what the adapter lets pass or sets.
    pub fn environment(&self, adapter: &Adapter) -> Vec<(OsString, OsString)> {
        let home = std::env::var_os("HOME")
            .or_else(|| User::from_uid(Uid::effective()).ok().flatten().map(|user| user.dir.into_os_string()))
            .unwrap_or_else(|| "/".into());
        let mut environment: Vec<(OsString, OsString)> = vec![
            ("PATH".into(), self.search_path.clone()),
            ("HOME".into(), home),
            ("USER".into(), self.user.clone().into()),
            ("LOGNAME".into(), self.user.clone().into()),
            ("LC_ALL".into(), "C".into()),
            ("TZ".into(), "UTC".into()),
        ];
        for name in &adapter.environment_pass {
            environment.extend(std::env::var_os(name).map(|value| (name.into(), value)));
        }
        environment.extend(adapter.environment_set.iter().map(|(name, value)| (name.into(), value.into())));
        environment
    }
}

/// The effective user's name; its number where the user database does not know it.
fn user_name() -> String {
    let uid = Uid::effective();
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}
