//! The crate `qcbatch-base`: what every other room uses. It is pure except for `process`, which knows this machine's processes.

pub mod model;
pub mod process;
