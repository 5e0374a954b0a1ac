//! qcbatch: quantum-chemistry tasks in, batch jobs out, results in PostgreSQL.
//!
//! Arrows point down: `cli`, `api`, `daemon`, `trial` use `plan`, `store`, `scheduler`, `spool`, `node`, `jobscript`, `intake`,
//! `config`; all of them use `model`. `model` and `plan` are pure; `process` knows this machine's processes, `permit` whether
//! this daemon may act outside the database; `failpoint` is where tests break the program.

pub mod api;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod failpoint;
pub mod intake;
pub mod jobscript;
pub mod model;
pub mod node;
pub mod permit;
pub mod plan;
pub mod process;
pub mod scheduler;
pub mod spool;
pub mod store;
pub mod trial;
