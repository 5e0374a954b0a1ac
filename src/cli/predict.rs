//! `qcbatch predict`: how long calculations will take, and what that is concluded from.

use clap::Args;

use super::error::CliError;
use super::exit_code::ExitCode;
use super::session::Session;
use super::submit::{DocumentArgs, TaskArgs, send};
use crate::api::wire::PredictedCalculation;
use crate::cli::report::Predictions;

/// What was typed.
#[derive(Args, Debug)]
pub struct PredictArgs {
    #[command(flatten)]
    documents: DocumentArgs,

    #[command(flatten)]
    task: TaskArgs,
}

pub(super) async fn run(args: PredictArgs, session: &Session) -> Result<ExitCode, CliError> {
    let client = session.client()?;
    let options = args.task.options(&args.documents)?;
    let predicted: Vec<PredictedCalculation> =
        send(&args.documents, options, &client, "/v1/predict", &session.screen).await?;
    session.screen.print(&Predictions(predicted))?;
    Ok(ExitCode::Success)
}
