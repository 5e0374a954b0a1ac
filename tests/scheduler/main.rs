//! The adapter engine and job scripts against recorded answers, a real Slurm where there is one, and real shells.
//! Starts only its own children; writes only into temporary directories.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a failed step of a test ends it")]

mod classes;
mod job_script;
mod live_slurm;
mod parsing;
mod pbs;
mod scripts;
mod sites;
mod states;
mod support;
mod torque;
mod warning;
