//! Runs PostgreSQL's programs: as the server's user, with a scrubbed environment, never for ever.
//! Argument vectors only.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::account::Account;
use super::error::ClusterError;

/// What a program left behind.
pub(in crate::store) struct Ran {
    pub(in crate::store) status: ExitStatus,
    pub(in crate::store) stdout: String,
    pub(in crate::store) stderr: String,
    argv: String,
}

impl Ran {
    /// Success, or an error with the end of the program's own words.
    pub(in crate::store) fn or_fail(self) -> Result<Ran, ClusterError> {
        if self.status.success() { Ok(self) } else { Err(self.failure(None)) }
    }

    /// The failure; `log` says more than the program did.
    pub(super) fn failure(&self, log: Option<&str>) -> ClusterError {
        let words = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let message = match log {
            Some(log) => format!("{}; server.log: {}", last_lines(words, 3), last_lines(log, 6)),
            None => last_lines(words, 6),
        };
        ClusterError::Program { argv: self.argv.clone(), status: self.status.to_string(), message }
    }
}

/// Runs `program` in `directory` as `account` and waits at most `limit`, after which it is killed.
pub(super) async fn run<A: AsRef<OsStr>>(
    program: &Path,
    args: &[A],
    directory: &Path,
    account: &Account,
    limit: Duration,
) -> Result<Ran, ClusterError> {
    let mut command = Command::new(program);
    command.args(args).current_dir(directory).env_clear().envs(environment());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    if let Some((uid, gid)) = account.switch_to() {
        // std also gives up root's supplementary groups here.
        command.uid(uid).gid(gid);
    }
    finish(program, command, limit).await
}

/// Runs a command that is otherwise complete.
pub(in crate::store) async fn finish(
    program: &Path,
    mut command: Command,
    limit: Duration,
) -> Result<Ran, ClusterError> {
    let argv = argv(command.as_std());
    let child =
        command.spawn().map_err(|source| ClusterError::Spawn { program: program.to_owned(), source })?;
    let output = match timeout(limit, child.wait_with_output()).await {
        Ok(output) => output.map_err(|source| ClusterError::Spawn { program: program.to_owned(), source })?,
        Err(_) => return Err(ClusterError::TimedOut { argv, seconds: limit.as_secs() }),
    };
    Ok(Ran {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        argv,
    })
}

/// Whether `account` can make `directory` its working directory, asked of the kernel itself.
pub(super) async fn can_enter(directory: &Path, account: &Account) -> Result<bool, ClusterError> {
    let shell = Path::new("/bin/sh");
    match run(shell, &["-c", ":"], directory, account, Duration::from_secs(30)).await {
        Ok(ran) => Ok(ran.status.success()),
        Err(ClusterError::Spawn { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Only what finds programs and libraries; PG* variables of the user's would lead elsewhere.
fn environment() -> impl Iterator<Item = (&'static str, std::ffi::OsString)> {
    let kept = ["PATH", "LD_LIBRARY_PATH", "TZ"].into_iter();
    kept.filter_map(|name| Some((name, std::env::var_os(name)?)))
        .chain([("LC_ALL", "C".into()), ("HOME", "/".into())])
}

fn argv(command: &std::process::Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let first = lines.len().saturating_sub(count);
    lines.get(first..).unwrap_or_default().join(" | ")
}
