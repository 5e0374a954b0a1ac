//! Pure decisions: what was seen goes in, what to do comes out. No I/O, no clocks, no randomness.
//!
//! `packing` says what a task needs and what a job asks for, `pilots` which tasks are staged and which jobs submitted,
//! `submission` leads one call of the scheduler through lost answers,
//! `job` judges one job from scheduler and evidence, `poll` says whether an answer can be believed, `retry` what a
//! failure costs, `fit` which pool can run a task at all, `predict` how long it will take and what it is given.

pub mod backoff;
pub mod fit;
pub mod job;
pub mod outage;
pub mod packing;
pub mod pilots;
pub mod poll;
pub mod predict;
pub mod retry;
pub mod sharing;
pub mod submission;
pub mod waiting;
