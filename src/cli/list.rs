//! `qcbatch list`: records by filter, newest first.

use clap::Args;

use super::error::CliError;
use super::exit_code::ExitCode;
use super::selection::SelectionArgs;
use super::session::Session;
use crate::api::wire::RecordQuery;
use crate::model::ids::RecordId;
use crate::model::view::RecordPage;

/// Records asked for at once when all are wanted.
const PAGE: u32 = 1000;

/// What was typed.
#[derive(Args, Debug)]
pub struct ListArgs {
    #[command(flatten)]
    selection: SelectionArgs,

    /// Maximum number of records to list
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,

    /// List only records older than this one (the next page)
    #[arg(long, value_name = "ID")]
    before: Option<RecordId>,

    /// List all records that match
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

pub(super) async fn run(args: ListArgs, session: &Session) -> Result<ExitCode, CliError> {
    let screen = &session.screen;
    let filter = args.selection.resolve(screen.now, &screen.zone)?;
    let client = session.client()?;
    let limit = if args.all { PAGE } else { args.limit };
    let mut query = RecordQuery { filter, before: args.before, limit };
    let mut page: RecordPage = client.post("/v1/records/query", &query).await?;
    while let (true, Some(next)) = (args.all, page.next) {
        query.before = Some(next);
        let older: RecordPage = client.post("/v1/records/query", &query).await?;
        page.records.extend(older.records);
        page.next = older.next;
    }
    screen.print(&page)?;
    Ok(ExitCode::Success)
}
