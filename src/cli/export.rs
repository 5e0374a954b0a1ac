//! `qcbatch export`: results as JSON lines of QCSchema, streamed; memory does not grow with their number.

use std::io::{self, BufWriter, Write};

use clap::Args;

use super::error::CliError;
use super::exit_code::ExitCode;
use super::format;
use super::selection::SelectionArgs;
use super::session::Session;
use crate::model::view::RecordFilter;

/// What was typed.
#[derive(Args, Debug)]
pub struct ExportArgs {
    #[command(flatten)]
    selection: SelectionArgs,
}

pub(super) async fn run(args: ExportArgs, session: &Session) -> Result<ExitCode, CliError> {
    let screen = &session.screen;
    let filter: RecordFilter = args.selection.resolve(screen.now, &screen.zone)?;
    let mut lines = session.client()?.post_for_lines("/v1/records/export", &filter).await?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut results = 0u64;
    while let Some(line) = lines.next().await? {
        out.write_all(&line).and_then(|()| out.write_all(b"\n")).map_err(output_error)?;
        results += 1;
    }
    out.flush().map_err(output_error)?;
    screen.note(&format!("exported {}", format::count(results, "result")));
    Ok(ExitCode::Success)
}

fn output_error(source: io::Error) -> CliError {
    match source.kind() {
        io::ErrorKind::BrokenPipe => CliError::PipeClosed,
        _ => CliError::Output { source },
    }
}
