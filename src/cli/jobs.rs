//! `qcbatch jobs`: batch jobs, live ones unless asked otherwise.

use clap::Args;

use super::error::CliError;
use super::exit_code::ExitCode;
use super::report::JobList;
use super::session::Session;
use crate::api::wire::JobQuery;
use crate::model::ids::PoolName;
use crate::model::job::JobState;
use crate::model::view::JobLine;

/// What was typed.
#[derive(Args, Debug)]
pub struct JobsArgs {
    /// Jobs of this pool
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Filters")]
    pool: Vec<String>,

    /// State: planned, queued, blocked, running, suspended, ending, missing or ended
    #[arg(long, short = 's', value_name = "STATE", value_delimiter = ',', value_parser = parse_state, help_heading = "Filters")]
    state: Vec<JobState>,

    /// Ended jobs too
    #[arg(long, short = 'a', conflicts_with = "state", help_heading = "Filters")]
    all: bool,

    /// Maximum number of jobs to list
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

pub(super) async fn run(args: JobsArgs, session: &Session) -> Result<ExitCode, CliError> {
    let state = if args.all { JobState::ALL.to_vec() } else { args.state };
    let query = JobQuery { pool: args.pool.into_iter().map(PoolName).collect(), state, limit: args.limit };
    let jobs: Vec<JobLine> = session.client()?.post("/v1/jobs/query", &query).await?;
    session.screen.print(&JobList(jobs))?;
    Ok(ExitCode::Success)
}

fn parse_state(text: &str) -> Result<JobState, String> {
    JobState::parse(&text.to_lowercase()).ok_or_else(|| {
        let words: Vec<&str> = JobState::ALL.into_iter().map(JobState::as_str).collect();
        format!("the states are {}", words.join(", "))
    })
}
