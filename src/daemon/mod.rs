//! The daemon: loops that tie the rooms together, the lease, signals. No parsing, no SQL.
//!
//! Each loop is woken by a timer or a nudge, reads what is stored and seen, lets `plan` decide, and acts. None of them
//! keeps anything that a restart would miss.

mod audit;
mod board;
mod canceller;
mod clusters;
pub mod database;
pub mod doubts;
mod ending;
mod error;
mod follow;
mod forecast;
mod housekeeping;
mod inbox;
pub mod ingester;
mod keeper;
mod lease;
mod local_api;
pub mod logging;
mod looks;
mod notices;
mod observer;
mod ownership;
mod pace;
mod planner;
mod poller;
mod pools;
mod preview;
mod setup;
mod sharing;
mod sightings;
mod site;
mod stager;
mod staging;
mod start;
pub mod state_lock;
mod stuck;
mod submitter;
mod troubles;

pub use error::DaemonError;
pub use setup::SetupError;
pub use start::run;
