//! HTTP for every client: over the Unix socket for the CLI. No business rules.
//! `wire` is what travels, `local` the server, `client` the other end.

pub mod client;
pub mod local;
pub mod wire;
