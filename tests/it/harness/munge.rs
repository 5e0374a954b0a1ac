//! A private munged with its own key and socket. Started by root it runs as the user `munge`, as its package would have it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::unistd::{Uid, User};

use super::wait::{Within, wait_until};

/// A running munged; the private directory it lives in ends it.
pub struct Munge {
    /// What `AuthInfo=socket=` wants.
    pub socket: PathBuf,
    _process: Child,
}

impl Munge {
    /// Starts one inside `directory` (which must be empty and ours).
    pub fn start(directory: &Path) -> Munge {
        let user = if Uid::effective().is_root() {
            Some(User::from_name("munge").ok().flatten().expect("the munge package creates its user"))
        } else {
            None
        };
        let key = directory.join("key");
        fs::write(&key, rand::random::<[u8; 128]>()).expect("the directory is ours");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).expect("the key is ours");
        let mut command = Command::new("munged");
        if let Some(user) = &user {
            for path in [directory, &key] {
                chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                    .expect("root may give files away");
            }
            use std::os::unix::process::CommandExt;
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        let socket = directory.join("socket");
        let option = |name: &str, file: &str| format!("--{name}={}", directory.join(file).display());
        let process = command
            .arg("--foreground")
            .arg("--num-threads=2")
            .args([option("key-file", "key"), option("socket", "socket"), option("pid-file", "pid")])
            .args([option("seed-file", "seed"), option("log-file", "log")])
            .env("PATH", super::slurm::search_path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(directory.join("stderr")).expect("the directory is ours"))
            .spawn()
            .expect("munged is installed (make test-setup)");
        wait_until("munged makes its socket", Within::AMoment, || socket.exists(), |exists| *exists);
        Munge { socket, _process: process }
    }
}
