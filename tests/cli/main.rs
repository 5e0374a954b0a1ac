//! The command line and the local API against each other: the built program, a real server on a real socket, a real
//! PostgreSQL. Needs PostgreSQL's server programs; some tests need root (another user).

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

#[path = "../it/harness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "these tests use a part of the harness")]
mod harness;

mod aside;
mod bench;
mod connection;
mod fixture;
mod looking;
mod predictions;
mod standalone;
mod submission;
mod work;
