//! `qcbatch local …`: the scheduler of this machine. Hidden: `adapters/local.toml` calls it.

use clap::Args;

use super::error::CliError;
use super::exit_code::ExitCode;

/// What the adapter gives.
#[derive(Args, Debug)]
pub struct LocalArgs {}

pub(super) fn run(_args: LocalArgs) -> Result<ExitCode, CliError> {
    Ok(ExitCode::Bug)
}
