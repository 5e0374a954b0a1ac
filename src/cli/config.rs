//! `qcbatch config show|init|check`: needs no daemon.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::daemon::wrong_configuration;
use super::error::CliError;
use super::exit_code::ExitCode;
use super::format;
use super::screen::{OutputMode, write_out};
use super::session::Session;
use crate::config::{LoadOptions, Origins, TEMPLATE, check_file};
use crate::daemon;

/// What was typed.
#[derive(Args, Debug)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Print the effective configuration with the origin of each value; secrets are hidden
    Show {
        /// Print the values without their origins
        #[arg(long)]
        plain: bool,
    },
    /// Write a commented configuration file with every key at its default
    Init {
        /// File to write; by default the user's own configuration file
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Replace an existing file
        #[arg(long)]
        force: bool,
    },
    /// Check the effective configuration, or each of the given files on its own
    Check {
        /// The files
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

pub(super) fn run(args: ConfigArgs, session: &Session) -> Result<ExitCode, CliError> {
    match args.command {
        ConfigCommand::Show { plain } => show(if plain { Origins::Hidden } else { Origins::Shown }, session),
        ConfigCommand::Init { file, force } => {
            init(file, if force { Overwrite::Allowed } else { Overwrite::Refused }, session)
        }
        ConfigCommand::Check { files } => check(&files, session),
    }
}

fn show(origins: Origins, session: &Session) -> Result<ExitCode, CliError> {
    let loaded = session.load()?;
    match session.screen.mode {
        OutputMode::Json => {
            let mut text =
                serde_json::to_string_pretty(&loaded.config).map_err(|source| CliError::Render { source })?;
            text.push('\n');
            write_out(text.as_bytes())?;
        }
        _ => write_out(loaded.show(origins).as_bytes())?,
    }
    Ok(ExitCode::Success)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Overwrite {
    Allowed,
    Refused,
}

fn init(file: Option<PathBuf>, overwrite: Overwrite, session: &Session) -> Result<ExitCode, CliError> {
    let file = match file {
        Some(file) => file,
        None => LoadOptions::of_process(session.machine()?).user_file(),
    };
    write_template(&file, overwrite)?;
    session.screen.note(&format!("wrote {}; every key in it is a comment at its default", file.display()));
    Ok(ExitCode::Success)
}

/// A file that may later hold a password is 0600 from the start.
fn write_template(file: &Path, overwrite: Overwrite) -> Result<(), CliError> {
    let failed = |source| CliError::local(format!("cannot write {}", file.display()), source);
    if let Some(directory) = file.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    match overwrite {
        Overwrite::Allowed => options.create(true).truncate(true),
        Overwrite::Refused => options.create_new(true),
    };
    let mut opened = match options.open(file) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(CliError::Failed {
                message: format!("{} exists and is left as it is", file.display()),
                hint: Some("name another file, or replace it with --force".to_owned()),
            });
        }
        opened => opened.map_err(failed)?,
    };
    opened.write_all(TEMPLATE.as_bytes()).and_then(|()| opened.sync_all()).map_err(failed)
}

fn check(files: &[PathBuf], session: &Session) -> Result<ExitCode, CliError> {
    if files.is_empty() {
        let loaded = session.load()?;
        for warning in &loaded.warnings {
            session.screen.note(&warning.render(session.render_style()));
        }
        if let Err(error) = daemon::check_files(&loaded.config) {
            return Err(match wrong_configuration(&error) {
                Some(report) => CliError::Config { report },
                None => CliError::local("cannot check what the configuration names", error),
            });
        }
        let read: Vec<String> = loaded.files.iter().map(|file| file.display().to_string()).collect();
        let from = if read.is_empty() { "built-in defaults".to_owned() } else { read.join(", ") };
        session.screen.note(&format!("the configuration in force is fine ({from})"));
        return Ok(ExitCode::Success);
    }
    let machine = session.machine()?;
    let mut errors = 0;
    for file in files {
        let checked = check_file(file, &machine, session.render_style());
        if !checked.rendered.is_empty() {
            let _ = writeln!(anstream::stderr(), "{}\n", checked.rendered);
        }
        session.screen.note(&format!(
            "{}: {}, {}",
            file.display(),
            format::count(checked.errors as u64, "error"),
            format::count(checked.warnings as u64, "warning")
        ));
        errors += checked.errors;
    }
    Ok(if errors == 0 { ExitCode::Success } else { ExitCode::BadConfig })
}
