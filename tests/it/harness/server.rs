//! What the private schedulers have in common: servers that are frozen and let go, clients that are asked, logs that are shown.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Sends a signal to a server of ours.
pub fn signal(server: &Child, signal: Signal) {
    let id = i32::try_from(server.id()).expect("process ids are positive i32");
    kill(Pid::from_raw(id), signal).expect("the server runs and is ours");
}

/// Runs a client command in this environment and gives what came of it.
pub fn client<N: AsRef<OsStr>, V: AsRef<OsStr>>(
    program: &str,
    arguments: &[&str],
    environment: impl IntoIterator<Item = (N, V)>,
) -> Output {
    Command::new(program)
        .args(arguments)
        .envs(environment)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program} is installed (make test-setup): {error}"))
}

/// The standard output of a client command that must have succeeded.
#[track_caller]
pub fn output_of(program: &str, arguments: &[&str], output: &Output, logs: impl Fn() -> String) -> String {
    assert!(output.status.success(), "{program} {arguments:?} failed: {output:?}\n{}", logs());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The ends of these logs, for failure messages.
pub fn tails(directory: &Path, names: &[impl AsRef<str>]) -> String {
    let tail = |name: &str| {
        let text = fs::read_to_string(directory.join(name)).unwrap_or_default();
        let skip = text.lines().count().saturating_sub(30);
        let tail: Vec<&str> = text.lines().skip(skip).collect();
        format!("--- {name}\n{}\n", tail.join("\n"))
    };
    names.iter().map(|name| tail(name.as_ref())).collect()
}
