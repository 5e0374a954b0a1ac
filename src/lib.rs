//! qcbatch: quantum-chemistry tasks in, batch jobs out, results in PostgreSQL.
//!
//! Arrows point down: `cli`, `api`, `daemon`, `trial` use `plan`, `store`, `scheduler`, `spool`, `node`, `jobscript`, `intake`,
//! `config`; all of them use `model`. `model` and `plan` are pure; `process` knows this machine's processes, `permit` whether
//! this daemon may act outside the database; `failpoint` is where tests break the program. The rooms below `daemon` are the
//! crates `qcbatch-base`, `qcbatch-core` and `qcbatch-store`, whose roots stand beside this file.

pub use qcbatch_core::{
    config, failpoint, intake, jobscript, model, node, permit, plan, process, scheduler, spool, trial,
};
pub use qcbatch_store::store;

pub mod api;
pub mod cli;
pub mod daemon;
