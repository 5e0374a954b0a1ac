//! The adapter engine and job scripts against recorded answers, a real Slurm where there is one, and real shells.
//! Starts only its own children; writes only into temporary directories.

mod classes;
mod job_script;
mod parsing;
mod scripts;
mod states;
mod support;
