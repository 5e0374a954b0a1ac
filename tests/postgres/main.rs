//! The store against real PostgreSQL servers: each test makes its own cluster in a temporary directory and stops it,
//! also when it fails. Needs PostgreSQL's server programs; some tests need root (another user) or openssl.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod backup;
mod cluster;
mod fixture;
mod lease;
mod migrate;
mod place;
mod restore;
mod tls;
