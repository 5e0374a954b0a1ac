//! `qcbatch show`: everything about one record.

use clap::Args;

use super::error::CliError;
use super::exit_code::ExitCode;
use super::session::Session;
use crate::model::ids::RecordId;
use crate::model::view::RecordDetail;

/// What was typed.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// The record
    #[arg(value_name = "ID")]
    id: RecordId,
}

pub(super) async fn run(args: ShowArgs, session: &Session) -> Result<ExitCode, CliError> {
    let detail: RecordDetail = session.client()?.get(&format!("/v1/records/{}", args.id)).await?;
    session.screen.print(&detail)?;
    Ok(ExitCode::Success)
}
