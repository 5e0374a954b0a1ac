//! The adapter engine and job scripts against recorded answers and real shells.
//! Starts only its own children; writes only into temporary directories.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a failed step of a test ends it")]

mod catalogue;
mod classes;
mod job_script;
mod lsf;
mod messages;
mod nodes;
mod parsing;
mod pbs;
mod replay;
mod scripts;
mod setup;
mod sge;
mod sites;
mod states;
mod support;
mod torque;
mod volclava;
mod warning;
