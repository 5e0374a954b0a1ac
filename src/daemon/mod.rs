//! The loops that tie the rooms together, the lease and signals. No parsing, no SQL.

pub mod logging;
