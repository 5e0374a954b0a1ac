//! `qcbatch db`: the private PostgreSQL and its backups; needs no daemon. `psql`, `backup` and `restore` work with an
//! external server too.

use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::error::CliError;
use super::exit_code::ExitCode;
use super::screen::{Report, Screen};
use super::session::Session;
use crate::config::Config;
use crate::daemon::database;
use crate::daemon::state_lock::StateLock;
use crate::store::DatabaseTarget;
use crate::store::backup::{backup, psql};
use crate::store::cluster::{ClusterError, ClusterStatus, PrivateCluster, Programs, Started, Stopped};
use crate::store::restore::{Existing, restore};

/// What was typed.
#[derive(Args, Debug)]
pub struct DbArgs {
    #[command(subcommand)]
    command: DbCommand,
}

#[derive(Subcommand, Debug)]
enum DbCommand {
    /// Start the private server; create its cluster if there is none
    Start,
    /// Stop the private server; refused while a daemon uses it
    Stop {
        /// Stop it even while a daemon uses it; the daemon pauses until `qcbatch db start`
        #[arg(long)]
        force: bool,
    },
    /// Show whether the private server runs
    Status,
    /// Open psql on the database
    Psql {
        /// Arguments of psql, after `--`
        #[arg(last = true, value_name = "ARGUMENT")]
        arguments: Vec<String>,
    },
    /// Write the whole database to a file
    Backup {
        /// File to write; it appears only when it is complete
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Restore a backup, whole or not at all; the daemon must be stopped
    Restore {
        /// The backup
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Drop everything that is in the database now
        #[arg(long)]
        replace: bool,
    },
}

pub(super) async fn run(args: DbArgs, session: &Session) -> Result<ExitCode, CliError> {
    let config = session.config()?;
    match args.command {
        DbCommand::Start => start(&private(&config)?, session).await,
        DbCommand::Stop { force } => {
            let cluster = private(&config)?;
            match force {
                true => cluster.keep_stopped().map_err(cannot_stop)?,
                false => refuse_under_a_daemon(&config)?,
            }
            stop(&cluster, session).await
        }
        DbCommand::Status => status(&config, session).await,
        DbCommand::Psql { arguments } => open_psql(&config, &arguments).await,
        DbCommand::Backup { file } => write_backup(&config, &file, session).await,
        DbCommand::Restore { file, replace } => {
            let existing = if replace { Existing::Replace } else { Existing::Refuse };
            restore_backup(&config, &file, existing, session).await
        }
    }
}

/// The private cluster of a configuration without an external server.
fn private(config: &Config) -> Result<PrivateCluster, CliError> {
    match &config.database.url {
        None => Ok(database::private_cluster(config)),
        Some(_) => Err(CliError::Failed {
            message: "`[database] url` names an external server, which qcbatch neither starts nor stops"
                .to_owned(),
            hint: None,
        }),
    }
}

async fn start(cluster: &PrivateCluster, session: &Session) -> Result<ExitCode, CliError> {
    let started = cluster
        .start()
        .await
        .map_err(|error| CliError::local("cannot start the private PostgreSQL", error))?;
    cluster.let_start().map_err(|error| CliError::local("cannot start the private PostgreSQL", error))?;
    session.screen.note(match started {
        Started::ByUs => "the private PostgreSQL is started",
        Started::AlreadyRunning => "the private PostgreSQL was running already",
    });
    Ok(ExitCode::Success)
}

fn cannot_stop(error: ClusterError) -> CliError {
    CliError::local("cannot stop the private PostgreSQL", error)
}

/// A daemon whose database is stopped can do nothing, and would start it again.
fn refuse_under_a_daemon(config: &Config) -> Result<(), CliError> {
    if UnixStream::connect(&config.daemon.socket).is_err() {
        return Ok(());
    }
    Err(CliError::Failed {
        message: "a daemon works with the private PostgreSQL".to_owned(),
        hint: Some(
            "stop the daemon, which stops it too; or `qcbatch db stop --force`: the daemon then waits for \
             `qcbatch db start`"
                .to_owned(),
        ),
    })
}

async fn stop(cluster: &PrivateCluster, session: &Session) -> Result<ExitCode, CliError> {
    let stopped = cluster.stop().await.map_err(cannot_stop)?;
    session.screen.note(match stopped {
        Stopped::ByUs => "the private PostgreSQL is stopped",
        Stopped::NotRunning => "the private PostgreSQL was not running",
    });
    Ok(ExitCode::Success)
}

/// The answer of `db status`.
#[derive(Debug, Serialize)]
struct DatabaseStatus {
    kind: &'static str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    place: String,
}

impl Report for DatabaseStatus {
    fn table(&self, _: &Screen) -> String {
        let pid = self.pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
        format!("{} PostgreSQL: {}{pid}, {}\n", self.kind, self.state, self.place)
    }

    fn quiet(&self) -> String {
        format!("{}\n", self.state)
    }
}

async fn status(config: &Config, session: &Session) -> Result<ExitCode, CliError> {
    if config.database.url.is_some() {
        let target = target(config)?;
        let connected = crate::store::Store::connect(&target, 1).await;
        connected.map_err(|error| CliError::local("the external PostgreSQL does not answer", error))?;
        let status =
            DatabaseStatus { kind: "external", state: "answers", pid: None, place: target.to_string() };
        session.screen.print(&status)?;
        return Ok(ExitCode::Success);
    }
    let cluster = database::private_cluster(config);
    let failed = |error| CliError::local("cannot look at the private PostgreSQL", error);
    let found = cluster.status().await.map_err(failed)?;
    let (state, pid) = match found {
        ClusterStatus::NotInitialised => ("not made yet", None),
        ClusterStatus::Stopped => ("stopped", None),
        ClusterStatus::Running { pid } => ("running", Some(pid)),
    };
    let place = cluster.home().map_err(failed)?.display().to_string();
    session.screen.print(&DatabaseStatus { kind: "private", state, pid, place })?;
    Ok(if pid.is_some() { ExitCode::Success } else { ExitCode::Failed })
}

/// The database of a configuration.
fn target(config: &Config) -> Result<DatabaseTarget, CliError> {
    match database::external_target(config) {
        Some(target) => target.map_err(|error| CliError::local("cannot use `[database] url`", error)),
        None => database::private_cluster(config)
            .database_target()
            .map_err(|error| CliError::local("cannot find the private PostgreSQL", error)),
    }
}

async fn programs(config: &Config) -> Result<Programs, CliError> {
    Programs::client(config.database.bin_dir.as_deref())
        .await
        .map_err(|error| CliError::local("cannot find PostgreSQL's programs", error))
}

async fn open_psql(config: &Config, arguments: &[String]) -> Result<ExitCode, CliError> {
    let target = target(config)?;
    let mut command = psql(&target, &programs(config).await?, arguments);
    Err(CliError::local("cannot run psql", command.exec()))
}

async fn write_backup(config: &Config, file: &Path, session: &Session) -> Result<ExitCode, CliError> {
    let target = target(config)?;
    backup(&target, &programs(config).await?, file)
        .await
        .map_err(|error| CliError::local("cannot back the database up", error))?;
    session.screen.note(&format!("the database is in {}", file.display()));
    Ok(ExitCode::Success)
}

async fn restore_backup(
    config: &Config,
    file: &Path,
    existing: Existing,
    session: &Session,
) -> Result<ExitCode, CliError> {
    // An external server may serve other hosts: there the lease alone tells.
    let _lock = match &config.database.url {
        Some(_) => None,
        None => {
            let locked = StateLock::take(config);
            Some(locked.map_err(|error| CliError::local("nothing was restored", error))?)
        }
    };
    let target = target(config)?;
    restore(&target, &programs(config).await?, file, existing).await.map_err(|error| CliError::Local {
        action: "nothing was restored".to_owned(),
        hint: match error {
            crate::store::cluster::ClusterError::NotEmpty { .. } => {
                Some("to drop what is in it: qcbatch db restore --replace".to_owned())
            }
            _ => None,
        },
        source: Box::new(error),
    })?;
    session.screen.note(&format!("the database is as {} has it", file.display()));
    Ok(ExitCode::Success)
}
