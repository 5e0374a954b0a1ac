//! What can go wrong with the private cluster, each with what would be right.
//! Types only.

use std::io;
use std::path::PathBuf;

use super::super::error::StoreError;

/// A failure of the private cluster, or of PostgreSQL's own programs.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No usable installation.
    #[error(
        "no PostgreSQL {} or newer found; install it or set `[database] bin_dir` or QCBATCH_PG_BIN (tried: {})",
        super::OLDEST,
        if tried.is_empty() { "nothing on this machine".to_owned() } else { tried.join("; ") }
    )]
    NoPrograms {
        /// Each directory with the reason against it.
        tried: Vec<String>,
    },
    /// The cluster's files belong to another major version.
    #[error(
        "{directory} was made by PostgreSQL {cluster}, but only {} is installed; install {cluster}, or back up with it and restore",
        found.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
    )]
    VersionMismatch {
        /// The data directory.
        directory: PathBuf,
        /// Its major version.
        cluster: u32,
        /// Major versions that are installed.
        found: Vec<u32>,
    },
    /// The directory for the cluster holds something else.
    #[error("{directory} exists but is no PostgreSQL data directory; move it away")]
    NotACluster {
        /// The directory.
        directory: PathBuf,
    },
    /// Network filesystems lose locks and writes that PostgreSQL needs.
    #[error(
        "{directory} is on {filesystem}, where PostgreSQL can lose data; put `[site] state` on a local disk, use `[database] url`, or allow shared filesystems"
    )]
    SharedFilesystem {
        /// The directory.
        directory: PathBuf,
        /// The filesystem's name.
        filesystem: &'static str,
    },
    /// Root starts the server as somebody else, who does not exist.
    #[error("no unprivileged user `{name}` to run PostgreSQL as; set QCBATCH_PG_USER to an existing one")]
    NoSuchUser {
        /// The name.
        name: String,
    },
    /// Peer authentication goes by names.
    #[error("user id {uid} has no name in the user database, which PostgreSQL needs")]
    NamelessUser {
        /// The user id.
        uid: u32,
    },
    /// The cluster is another user's.
    #[error("{directory} belongs to user id {owner}; only that user or root may run it")]
    ForeignOwner {
        /// The data directory.
        directory: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// The server's user cannot reach the place.
    #[error("user `{user}` cannot enter {directory}; open its parent directories to them (chmod o+x)")]
    NotEnterable {
        /// The directory.
        directory: PathBuf,
        /// The user.
        user: String,
    },
    /// No short enough path for the Unix socket.
    #[error("no private directory for the database's socket could be made in {parent}")]
    NoSocketDirectory {
        /// Where it was tried.
        parent: PathBuf,
    },
    /// A path that PostgreSQL's configuration cannot hold.
    #[error("path {path:?} cannot be written into PostgreSQL's configuration; use one of printable UTF-8")]
    UnusablePath {
        /// The path.
        path: PathBuf,
    },
    /// Another process has been starting or stopping the cluster for too long.
    #[error("another process has been starting or stopping the database in {directory} for {seconds} s")]
    Locked {
        /// The cluster's directory.
        directory: PathBuf,
        /// How long this one waited.
        seconds: u64,
    },
    /// A file or directory could not be made or read.
    #[error("cannot {doing} {path}")]
    File {
        /// As in "create".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program could not be run at all.
    #[error("cannot run {program}")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program failed.
    #[error("`{argv}` failed ({status}): {message}")]
    Program {
        /// Its argument vector.
        argv: String,
        /// Exit status or signal.
        status: String,
        /// The end of what it, or the server's log, says.
        message: String,
    },
    /// A program did not end in time.
    #[error("`{argv}` did not end within {seconds} s")]
    TimedOut {
        /// Its argument vector.
        argv: String,
        /// The limit.
        seconds: u64,
    },
    /// The server runs, but the database cannot be used.
    #[error("private PostgreSQL runs but cannot be used")]
    Store(#[from] StoreError),
    /// A backup is only restored into an empty database, unless told.
    #[error("{target} is not empty ({tables} tables or types); tell restore to replace what is there")]
    NotEmpty {
        /// The database.
        target: String,
        /// What it holds.
        tables: i64,
    },
    /// A running daemon would write into what is being replaced.
    #[error("a daemon of site `{site}` is using {target}; stop it before restoring")]
    InUse {
        /// The database.
        target: String,
        /// The daemon's site.
        site: String,
    },
}

impl ClusterError {
    /// For `map_err` on what touches `path`.
    pub(in crate::store) fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> ClusterError {
        let path = path.into();
        move |source| ClusterError::File { doing, path, source }
    }
}
