//! `qcbatch cancel`: ends records that have not ended, and their jobs where nothing else is left in them.

use super::change::{ChangeArgs, change};
use super::error::CliError;
use super::exit_code::ExitCode;
use super::session::Session;
use crate::model::record::RecordStatus;

pub(super) async fn run(args: ChangeArgs, session: &Session) -> Result<ExitCode, CliError> {
    change(&args, "/v1/records/cancel", RecordStatus::Cancelled, session).await
}
