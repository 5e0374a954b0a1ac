//! `qcbatch bench`: sends synthetic tasks the whole way through one pool and tells how fast each part was.
//! A client of the daemon like every other command; what it stored it removes again.

use std::time::Duration;

use super::error::CliError;
use super::exit_code::ExitCode;
use super::format;
use super::session::Session;
use crate::api::client::Client;
use crate::api::wire::{BenchQuery, RemovalReceipt};
use crate::model::ids::PoolName;
use crate::model::timing::BENCH_TAG_PREFIX;
use crate::model::view::StatusSummary;

mod args;
mod axis;
mod course;
mod feed;
mod figures;
mod occupancy;
mod percentile;
mod report;
mod summary;
mod svg;
mod tally;

pub use args::BenchArgs;

use course::Bench;

/// Removing many thousand records takes its time.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(3600);

pub(super) async fn run(args: BenchArgs, session: &Session) -> Result<ExitCode, CliError> {
    let client = session.client()?;
    if let Some(compute_tag) = args.remove {
        let removed = remove(&client, &BenchQuery { compute_tag, from: None }).await?;
        session.screen.note(&format!("{} removed", format::count(removed.records, "record")));
        return Ok(ExitCode::Success);
    }
    let pool = chosen_pool(&client, args.pool.clone()).await?;
    let compute_tag = format!("{BENCH_TAG_PREFIX}{:012x}", rand::random::<u64>() >> 16);
    let bench = Bench { args: &args, client: &client, screen: &session.screen, pool, compute_tag };
    bench.run().await
}

async fn remove(client: &Client, query: &BenchQuery) -> Result<RemovalReceipt, CliError> {
    Ok(client.with_answer_timeout(REMOVAL_TIMEOUT).post("/v1/bench/remove", query).await?)
}

/// The pool that was named, or the only one.
async fn chosen_pool(client: &Client, named: Option<String>) -> Result<PoolName, CliError> {
    if let Some(name) = named {
        return Ok(PoolName(name));
    }
    let status: StatusSummary = client.get("/v1/status").await?;
    match status.pools.as_slice() {
        [only] => Ok(only.name.clone()),
        pools => {
            let names: Vec<String> = pools.iter().map(|pool| pool.name.to_string()).collect();
            Err(CliError::usage(format!("say which with --pool; the pools are {}", names.join(", "))))
        }
    }
}
