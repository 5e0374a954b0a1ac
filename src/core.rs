//! The crate `qcbatch-core`: the rooms between `model` and the daemon that need neither database nor HTTP. The compiler keeps
//! them from using `store`, `api`, `daemon` and `cli`.

pub use qcbatch_base::{model, process};

pub mod config;
pub mod failpoint;
pub mod intake;
pub mod jobscript;
pub mod node;
pub mod permit;
pub mod plan;
pub mod scheduler;
pub mod spool;
pub mod trial;
