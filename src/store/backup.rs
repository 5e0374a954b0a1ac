//! Backs a database up into one file, restores it whole or not at all, and opens `psql` on it: by PostgreSQL's own
//! programs, for the private cluster as for any server. Passwords travel in the environment only.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::cluster::run::finish;
use super::cluster::{ClusterError, Programs};
use super::libpq;
use super::target::DatabaseTarget;

/// Big databases take hours; a day means that something hangs.
const DUMP_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Writes the whole database of `target` to `file` (0600, pg_dump's custom format). The file appears, or replaces an
/// older one, only when complete.
pub async fn backup(target: &DatabaseTarget, programs: &Programs, file: &Path) -> Result<(), ClusterError> {
    let file = std::path::absolute(file).map_err(ClusterError::file("find", file))?;
    let parent = file.parent().unwrap_or(Path::new("/"));
    let partial = tempfile::Builder::new()
        .prefix(".qcbatch-backup-")
        .tempfile_in(parent)
        .map_err(ClusterError::file("create a file in", parent))?;
    let output = partial.as_file().try_clone().map_err(ClusterError::file("write", &file))?;
    let mut command = client(target, programs, "pg_dump");
    // To standard output, which is a plain file: no path in an argument vector, and pg_dump can still seek in it.
    command.args(["--format=custom", "--no-owner", "--no-privileges", "--no-password"]).stdout(output);
    finish(&programs.path("pg_dump"), command, DUMP_LIMIT).await?.or_fail()?;
    partial.as_file().sync_all().map_err(ClusterError::file("write", &file))?;
    partial.persist(&file).map_err(|error| ClusterError::file("write", &file)(error.error))?;
    std::fs::File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(ClusterError::file("sync", parent))
}

/// `psql` on `target`, to be run in place of this process (`exec`): the terminal is its own.
pub fn psql<A: AsRef<OsStr>>(
    target: &DatabaseTarget,
    programs: &Programs,
    args: &[A],
) -> std::process::Command {
    let mut command = std::process::Command::new(programs.path("psql"));
    for name in libpq::MISLEADING {
        command.env_remove(name);
    }
    command.args(args).envs(libpq::environment(target, programs));
    command
}

/// One of PostgreSQL's client programs, led to `target`, without input, its words kept.
pub(super) fn client(target: &DatabaseTarget, programs: &Programs, program: &str) -> Command {
    let mut command = Command::new(programs.path(program));
    for name in libpq::MISLEADING {
        command.env_remove(name);
    }
    command.envs(libpq::environment(target, programs)).env("LC_ALL", "C").current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}
