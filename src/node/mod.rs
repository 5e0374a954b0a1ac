//! The node runner and its workers, inside a job. No SQL, no scheduler calls.
