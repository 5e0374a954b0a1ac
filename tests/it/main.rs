//! Integration tests against the real parts: PostgreSQL, Slurm, MOPAC, Psi4, and the built `qcbatch` program.

mod harness;

mod harness_works;
