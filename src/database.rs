//! The crate `qcbatch-store`: the room `store`, which alone speaks SQL. It compiles beside `qcbatch-core`.

pub use qcbatch_base::{model, process};

pub mod store;
