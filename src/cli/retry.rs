//! `qcbatch retry`: failed and cancelled records wait for another try.

use super::change::{ChangeArgs, change};
use super::error::CliError;
use super::exit_code::ExitCode;
use super::session::Session;
use crate::model::record::RecordStatus;

pub(super) async fn run(args: ChangeArgs, session: &Session) -> Result<ExitCode, CliError> {
    change(&args, "/v1/records/retry", RecordStatus::Waiting, session).await
}
