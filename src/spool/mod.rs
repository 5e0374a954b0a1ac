//! Layout on the shared filesystem, framed result files, atomic writes. No SQL.
//!
//! Daemon and jobs talk through these files alone. Watching is polling: another node's writes wake nobody.

pub mod atomic;
pub mod chunk;
pub mod error;
pub mod evidence;
pub mod foreign;
pub mod frame;
pub mod layout;
mod listing;
pub mod notice;
pub mod owner;
pub mod publish;
pub mod ready;
pub mod results;
pub mod stage;
pub mod sweep;

pub use error::SpoolError;
pub use evidence::{Evidence, JobEvidence};
pub use frame::Finality;
pub use layout::{JobDirectory, Spool, SubmissionDirectory};
pub use results::{ResultBatch, ResultWriter, read_results};
