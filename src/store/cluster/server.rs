//! Starts, stops and looks at the cluster's server through `pg_ctl`.
//! A lock file keeps two starters apart; the server itself outlives whoever started it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::ClusterError;
use super::initialise::{configure, initialise, version_of};
use super::place::Place;
use super::programs::{self, Need, Programs};
use super::run::{self, Ran};
use super::{PrivateCluster, database};
use crate::process::is_zombie;

/// Making a cluster on a slow disk is the longest thing that happens under the lock.
const LOCK_LIMIT: Duration = Duration::from_secs(360);
const CONTROL_LIMIT: Duration = Duration::from_secs(150);
/// A log beyond this size is put aside at the next start; one old log is kept.
const LOG_BYTES: u64 = 16 << 20;

/// How [`PrivateCluster::start`] found the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Started {
    /// It was not running; whoever gets this answer stops it at their clean end.
    ByUs,
    /// It was running and stays so.
    AlreadyRunning,
}

/// How [`PrivateCluster::stop`] found the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stopped {
    /// It was running.
    ByUs,
    /// There was nothing to stop.
    NotRunning,
}

/// The cluster's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClusterStatus {
    /// There is no cluster yet.
    NotInitialised,
    /// There is one whose server does not run.
    Stopped,
    /// Its server runs.
    Running {
        /// Process id of the server.
        pid: i32,
    },
}

impl PrivateCluster {
    /// Makes the cluster if there is none, starts its server unless it runs, and makes the database. Safe to call from
    /// several processes at once. The server leaves the caller's session and survives its terminal.
    pub async fn start(&self) -> Result<Started, ClusterError> {
        let place = Place::prepare(self).await?;
        let _lock = lock(&place).await?;
        let installed = programs::find(Need::Server, self.bin_dir.as_deref(), &place.account).await?;
        let programs = match version_of(&place.data())? {
            Some(version) => suiting(&place, version, installed)?,
            None => {
                let newest = newest(installed);
                initialise(&place, &newest).await?;
                newest
            }
        };
        let started = if running_pid(&place, &programs).await?.is_some() {
            Started::AlreadyRunning
        } else {
            launch(&place, &programs).await?;
            Started::ByUs
        };
        database::ensure(&self.database_target()?).await?;
        Ok(started)
    }

    /// Stops the server: open transactions are rolled back, what was committed is on disk.
    pub async fn stop(&self) -> Result<Stopped, ClusterError> {
        let place = Place::locate(self)?;
        let Some(version) = version_of(&place.data())? else { return Ok(Stopped::NotRunning) };
        let _lock = lock(&place).await?;
        let installed = programs::find(Need::Server, self.bin_dir.as_deref(), &place.account).await?;
        let programs = suiting(&place, version, installed)?;
        if running_pid(&place, &programs).await?.is_none() {
            return Ok(Stopped::NotRunning);
        }
        let args = ["stop", "-D", "data", "-m", "fast", "-w", "-t", "120"];
        control(&place, &programs, &args).await?.or_fail()?;
        Ok(Stopped::ByUs)
    }

    /// Whether there is a cluster and whether its server runs. Changes nothing.
    pub async fn status(&self) -> Result<ClusterStatus, ClusterError> {
        let place = Place::locate(self)?;
        let Some(version) = version_of(&place.data())? else { return Ok(ClusterStatus::NotInitialised) };
        let installed = programs::find(Need::Server, self.bin_dir.as_deref(), &place.account).await?;
        let programs = suiting(&place, version, installed)?;
        let pid = running_pid(&place, &programs).await?;
        Ok(pid.map_or(ClusterStatus::Stopped, |pid| ClusterStatus::Running { pid }))
    }
}

async fn launch(place: &Place, programs: &Programs) -> Result<(), ClusterError> {
    let socket_directory = place.prepare_socket_directory()?;
    configure(place, &socket_directory)?;
    remove_stale(place, &socket_directory.join(".s.PGSQL.5432.lock"))?;
    let log = place.log();
    if std::fs::metadata(&log).is_ok_and(|metadata| metadata.len() > LOG_BYTES) {
        let old = place.home.join("server.log.old");
        std::fs::rename(&log, old).map_err(ClusterError::file("put aside", &log))?;
    }
    // pg_ctl hands its arguments to a shell: relative names keep the user's paths out of it.
    let args = ["start", "-D", "data", "-l", "server.log", "-w", "-t", "120"];
    let ran = control(place, programs, &args).await?;
    if ran.status.success() {
        return Ok(());
    }
    let text = std::fs::read(&log).unwrap_or_default();
    Err(ran.failure(Some(&String::from_utf8_lossy(&text))))
}

async fn control(place: &Place, programs: &Programs, args: &[&str]) -> Result<Ran, ClusterError> {
    run::run(&programs.path("pg_ctl"), args, &place.home, &place.account, CONTROL_LIMIT).await
}

/// The server's process id, if it runs.
async fn running_pid(place: &Place, programs: &Programs) -> Result<Option<i32>, ClusterError> {
    let ran = control(place, programs, &["status", "-D", "data"]).await?;
    match ran.status.code() {
        Some(0) => {}
        // pg_ctl(1): 3 not running.
        Some(3) => return Ok(None),
        _ => return Err(ran.failure(None)),
    }
    if remove_stale(place, &place.data().join("postmaster.pid"))? {
        return Ok(None);
    }
    Ok(marked_pid(&place.data().join("postmaster.pid")))
}

/// The process id in the first line of a mark that a server leaves while it runs.
fn marked_pid(mark: &Path) -> Option<i32> {
    std::fs::read_to_string(mark).ok()?.lines().next()?.trim().parse().ok()
}

/// Removes a mark whose server is surely gone; says whether it did.
fn remove_stale(place: &Place, mark: &Path) -> Result<bool, ClusterError> {
    match marked_pid(mark) {
        Some(pid) if !is_server(place, pid)? => {
            tracing::warn!(pid, mark = %mark.display(), "removing the mark of a database server that is gone");
            std::fs::remove_file(mark).map_err(ClusterError::file("remove", mark))?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Whether the process with the number in the mark can be the server. `pg_ctl` and the server itself only ask whether
/// there is any process of that number, so that a zombie, or after a reboot somebody else, would keep the server down.
/// Sessions that outlive a killed server are safe: a new one finds their shared memory in use and refuses.
fn is_server(place: &Place, pid: i32) -> Result<bool, ClusterError> {
    if is_zombie(pid) {
        return Ok(false);
    }
    // A server works inside its data directory, which no other process of its user does.
    let data = place.data().canonicalize().map_err(ClusterError::file("find", place.data()))?;
    let works_in: Option<PathBuf> = std::fs::read_link(format!("/proc/{pid}/cwd")).ok();
    Ok(works_in.is_none_or(|directory| directory == data))
}

/// The installation for an existing cluster; PostgreSQL never opens another major version's files.
fn suiting(place: &Place, version: u32, installed: Vec<Programs>) -> Result<Programs, ClusterError> {
    let mut found: Vec<u32> = installed.iter().map(|programs| programs.major).collect();
    found.sort_unstable();
    found.dedup();
    installed
        .into_iter()
        .find(|programs| programs.major == version)
        .ok_or_else(|| ClusterError::VersionMismatch { directory: place.data(), cluster: version, found })
}

fn newest(installed: Vec<Programs>) -> Programs {
    let mut installed = installed.into_iter();
    let first = installed.next().expect("`find` returns at least one installation or an error");
    // Of equal ones the first: it was looked for first.
    installed.fold(first, |best, next| if next.major > best.major { next } else { best })
}

/// Waits for the lock without blocking a thread; the operating system frees it when its holder ends.
async fn lock(place: &Place) -> Result<std::fs::File, ClusterError> {
    let file = place.open_lock()?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) if begun.elapsed() < LOCK_LIMIT => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(ClusterError::Locked {
                    directory: place.home.clone(),
                    seconds: LOCK_LIMIT.as_secs(),
                });
            }
            Err(std::fs::TryLockError::Error(source)) => {
                return Err(ClusterError::File {
                    doing: "lock",
                    path: place.home.join("start.lock"),
                    source,
                });
            }
        }
    }
}
