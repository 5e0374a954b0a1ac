//! `qcbatch nodes`: nodes that are avoided because they were found to be at fault.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::error::CliError;
use super::exit_code::ExitCode;
use super::format;
use super::screen::{Report, Screen};
use super::session::Session;
use super::table::{Column, printable, render};
use crate::api::wire::{ClearNodesQuery, ClearedNodes, Reach};
use crate::model::view::AvoidedNode;

/// What was typed.
#[derive(Args, Debug)]
pub struct NodesArgs {
    #[command(subcommand)]
    command: NodesCommand,
}

#[derive(Subcommand, Debug)]
enum NodesCommand {
    /// List avoided nodes, each with the reason and the time until which it is avoided
    List,
    /// Allow nodes again at once
    Clear {
        /// Names of nodes
        #[arg(value_name = "NODE", required_unless_present = "all", conflicts_with = "all")]
        nodes: Vec<String>,
        /// Every node
        #[arg(long)]
        all: bool,
    },
}

pub(super) async fn run(args: NodesArgs, session: &Session) -> Result<ExitCode, CliError> {
    let client = session.client()?;
    match args.command {
        NodesCommand::List => {
            let nodes: Vec<AvoidedNode> = client.get("/v1/nodes").await?;
            session.screen.print(&NodeList(nodes))?;
            Ok(ExitCode::Success)
        }
        NodesCommand::Clear { nodes, all } => {
            let reach = if all { Reach::Everything } else { Reach::Filtered };
            let asked = nodes.clone();
            let query = ClearNodesQuery { nodes, reach };
            let answer: ClearedNodes = client.post("/v1/nodes/clear", &query).await?;
            session.screen.print(&answer)?;
            match asked.iter().find(|name| !answer.cleared.contains(name)) {
                Some(name) => {
                    Err(CliError::NotFound { message: format!("nothing is held against node `{name}`") })
                }
                None => Ok(ExitCode::Success),
            }
        }
    }
}

/// The answer of `nodes list`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct NodeList(Vec<AvoidedNode>);

const NODES: [Column; 5] = [
    Column::left("NODE", 0),
    Column::left("ADAPTER", 3),
    Column::right("TIMES", 2),
    Column::left("STATE", 0),
    Column::left("REASON", 1).cut_to(12),
];

impl Report for NodeList {
    fn table(&self, screen: &Screen) -> String {
        if self.0.is_empty() {
            return "no node is avoided\n".to_owned();
        }
        let rows: Vec<Vec<String>> = self.0.iter().map(|node| row(node, screen)).collect();
        render(&NODES, &rows, screen.width, screen.colour)
    }

    fn quiet(&self) -> String {
        self.0.iter().map(|node| format!("{}\n", node.node)).collect()
    }
}

fn row(node: &AvoidedNode, screen: &Screen) -> Vec<String> {
    let state = match node.until > screen.now {
        true => format!("avoided for {}", format::age(screen.now, node.until)),
        false => "tried again".to_owned(),
    };
    vec![node.node.clone(), node.adapter.clone(), node.times.to_string(), state, printable(&node.reason)]
}

impl Report for ClearedNodes {
    fn table(&self, _: &Screen) -> String {
        match self.cleared.len() {
            0 => String::new(),
            _ => format!("used again: {}\n", self.cleared.join(", ")),
        }
    }

    fn quiet(&self) -> String {
        self.cleared.iter().map(|name| format!("{name}\n")).collect()
    }
}
