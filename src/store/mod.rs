//! PostgreSQL through diesel, one file per aggregate. No business rules.

pub mod backup;
pub mod cluster;
pub mod connect;
pub mod error;
mod holder;
pub mod lease;
mod libpq;
mod migrate;
pub mod restore;
pub mod target;
pub mod tls;

pub use connect::Store;
pub use error::StoreError;
pub use target::{DatabaseTarget, TlsMode};
