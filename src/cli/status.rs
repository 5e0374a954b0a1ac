//! `qcbatch status`.

use clap::Args;

use super::error::CliError;
use super::exit_code::ExitCode;
use super::session::Session;
use crate::model::view::StatusSummary;

/// `status` takes no arguments of its own.
#[derive(Args, Debug)]
pub struct StatusArgs {}

pub(super) async fn run(_: StatusArgs, session: &Session) -> Result<ExitCode, CliError> {
    let summary: StatusSummary = session.client()?.get("/v1/status").await?;
    session.screen.print(&summary)?;
    Ok(if summary.database_away.is_some() { ExitCode::Failed } else { ExitCode::Success })
}
