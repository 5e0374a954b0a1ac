//! The real parts that the tests run against: PostgreSQL, Slurm, Grid Engine, the daemon, QCEngine. Each lives in a private directory,
//! is stopped when it is dropped, and by a watcher process when the test process itself is killed.

pub mod daemon;
pub mod gridengine;
pub mod gridengine_conf;
pub mod inputs;
pub mod munge;
pub mod ports;
pub mod postgres;
pub mod private_dir;
pub mod python;
pub mod server;
pub mod simulator;
pub mod slurm;
pub mod slurm_conf;
pub mod stored;
pub mod wait;

pub use daemon::{Daemon, DaemonConfig};
pub use postgres::Database;
pub use slurm::{Slurm, SlurmOptions};
pub use wait::{Within, wait_until};

/// Tells people something whether or not the test passes: the test runner keeps what `eprintln!` prints to itself.
pub fn say(text: &str) {
    use std::io::Write;
    // Nobody reads: nobody is told.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
