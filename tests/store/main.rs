//! The store's aggregates against a real PostgreSQL: each test has a server of its own. Needs PostgreSQL's server
//! programs.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod change;
mod chunk;
mod export;
#[path = "../postgres/fixture.rs"]
#[allow(dead_code, reason = "shared with another test target")]
mod fixture;
mod identity;
mod ingest;
mod intake;
mod looking;
mod measure;
mod migration;
mod nodes;
mod numbers;
mod poison;
mod queue;
mod recall;
mod removal;
mod restart;
mod runtime;
mod schema;
mod submission;
mod transitions;
mod world;
