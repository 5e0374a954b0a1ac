//! The adapter engine and the local executor. No knowledge of one scheduler.
