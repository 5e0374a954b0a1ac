//! Integration tests against the real parts: PostgreSQL, Slurm, Grid Engine, MOPAC, Psi4, and the built `qcbatch` program.

#![expect(clippy::unwrap_used, reason = "a test that panics says where")]

mod harness;

mod adapter_change;
mod adapter_check;
mod afterok;
mod bench;
mod clock;
mod conformance;
mod crashes;
#[cfg(feature = "failpoints")]
mod failpoints;
mod good_guest;
mod gpus;
mod harness_works;
mod identity;
mod inbox;
mod intake_turns;
mod let_go;
mod main_job_gridengine;
mod main_job_local;
mod main_job_slurm;
mod mpi;
mod one_stops_no_other;
mod predictions;
mod private_database;
mod refusals;
mod restart;
mod several_nodes;
mod sharing;
mod stuck;
mod sweep;
