//! The crate `qcbatch-core`: the rooms that need no database and no API. It is a crate of its own so that it compiles beside
//! diesel, and so that the compiler keeps `store`, `api`, `daemon` and `cli` out of the rooms below them.

pub mod config;
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
pub mod trial;
