//! PostgreSQL through diesel, one file per aggregate. No business rules.

pub mod backup;
pub mod cluster;
pub mod connect;
mod count;
mod demand;
pub mod error;
mod event;
mod history;
mod holder;
pub mod ingest;
pub mod intake;
pub mod job;
pub mod lease;
mod libpq;
mod migrate;
mod molecule;
pub mod output;
mod over;
pub mod queue;
pub mod release;
pub mod restore;
mod schema;
mod specification;
pub mod staging;
pub mod submission;
pub mod target;
pub mod tls;
mod types;
mod write;

pub use connect::Store;
pub use error::StoreError;
pub use intake::{AddedRecord, Intake, NewRecord, Novelty, Reuse};
pub use output::OutputType;
pub use target::{DatabaseTarget, TlsMode};
pub use write::Writer;
