//! A private directory that names everything a test starts: dropping it ends every process that mentions it in its command
//! line or environment, and removes it. A watcher process does the same when the test process dies first.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

const REAPER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/harness/reap.sh");

/// The watcher: it sees our end of its standard input close, and reaps what is still on its list.
static WATCHER: LazyLock<Mutex<(Child, ChildStdin)>> = LazyLock::new(|| {
    let mut child = Command::new("/bin/sh")
        .args([REAPER, "watch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Its own group: Ctrl-C ends the test, not the one that cleans up after it.
        .process_group(0)
        .spawn()
        .expect("every Unix has /bin/sh");
    let stdin = child.stdin.take().expect("the child was given a pipe");
    Mutex::new((child, stdin))
});

fn tell_watcher(line: &str) {
    let mut watcher = WATCHER.lock().unwrap_or_else(PoisonError::into_inner);
    writeln!(watcher.1, "{line}").expect("the watcher ends only after its standard input closes");
}

/// A directory `/tmp/qcb-XXXXXX`: short, because sockets inside it have at most 107 bytes of path.
pub struct PrivateDir {
    path: PathBuf,
}

impl PrivateDir {
    /// Creates one. Others may look into it (munge and PostgreSQL run as users of their own); its contents have their own modes.
    pub fn new() -> PrivateDir {
        let path =
            tempfile::Builder::new().prefix("qcb-").tempdir_in("/tmp").expect("/tmp is writable").keep();
        tell_watcher(&format!("+{}", path.display()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the directory is ours");
        PrivateDir { path }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file or directory in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Puts a program of this name into it: a shell script with this body.
    pub fn program(&self, name: &str, body: &str) {
        let path = self.path.join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("the directory is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    }

    /// A new directory in it, with this mode.
    pub fn subdirectory(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir(&path).expect("the name is used once");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the directory is ours");
        path
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        if std::env::var_os("QCBATCH_TEST_KEEP").is_some() && std::thread::panicking() {
            eprintln!("kept for a look, with its processes: {}", self.path.display());
            return tell_watcher(&format!("-{}", self.path.display()));
        }
        let mut reaper = Command::new("/bin/sh")
            .args([REAPER, "now"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("every Unix has /bin/sh");
        let mut stdin = reaper.stdin.take().expect("the child was given a pipe");
        let told = writeln!(stdin, "{}", self.path.display());
        drop(stdin);
        if told.is_ok() && reaper.wait().is_ok_and(|status| status.success()) {
            tell_watcher(&format!("-{}", self.path.display()));
        }
    }
}
