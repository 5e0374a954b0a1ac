//! `qcbatch pool`: the pools and whether they submit; ends a pause.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::error::CliError;
use super::exit_code::ExitCode;
use super::report::pools_table;
use super::screen::{Report, Screen};
use super::session::Session;
use crate::api::wire::{ResumeQuery, Resumed};
use crate::model::ids::PoolName;
use crate::model::view::{PoolSummary, StatusSummary};

/// What was typed.
#[derive(Args, Debug)]
pub struct PoolArgs {
    #[command(subcommand)]
    command: PoolCommand,
}

#[derive(Subcommand, Debug)]
enum PoolCommand {
    /// List the pools: their jobs, and why one does not submit
    List,
    /// End a pool's pause and try at once
    Resume {
        /// Name of the pool
        #[arg(value_name = "NAME")]
        name: String,
    },
}

pub(super) async fn run(args: PoolArgs, session: &Session) -> Result<ExitCode, CliError> {
    let client = session.client()?;
    match args.command {
        PoolCommand::List => {
            let status: StatusSummary = client.get("/v1/status").await?;
            session.screen.print(&Pools { pools: status.pools })?;
        }
        PoolCommand::Resume { name } => {
            let query = ResumeQuery { pool: PoolName(name) };
            let resumed: Resumed = client.post("/v1/pools/resume", &query).await?;
            session.screen.print(&resumed)?;
        }
    }
    Ok(ExitCode::Success)
}

/// The answer of `pool list`.
#[derive(Debug, Serialize)]
struct Pools {
    pools: Vec<PoolSummary>,
}

impl Report for Pools {
    fn table(&self, screen: &Screen) -> String {
        let mut text = pools_table(&self.pools, screen);
        for pool in &self.pools {
            for reason in pool.paused.iter().chain(&pool.without_python) {
                text.push_str(&format!("pool {}: {}\n", pool.name, super::table::printable(reason)));
            }
        }
        text
    }

    fn quiet(&self) -> String {
        self.pools.iter().map(|pool| format!("{}\n", pool.name)).collect()
    }
}

impl Report for Resumed {
    fn table(&self, _: &Screen) -> String {
        match &self.paused {
            Some(reason) => format!("pool {} submits again; it was paused: {reason}\n", self.pool),
            None => format!("pool {} was not paused\n", self.pool),
        }
    }

    fn quiet(&self) -> String {
        format!("{}\n", self.pool)
    }
}
