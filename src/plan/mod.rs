//! Pure decisions: what was seen goes in, what to do comes out. No I/O, no clocks, no randomness.
//!
//! `packing` says what a task needs and what a job asks for, `pilots` which tasks are staged and which jobs submitted,
//! `submission` leads one call of the scheduler through lost answers,
//! `job` judges one job from scheduler and evidence, `poll` says whether an answer can be believed, `retry` what a
//! failure costs, `owner` whose a spool is, `fit` which pool can run a task at all, `predict` how long it will take and what
//! it is given, `limits` how many jobs more a scheduler will take, `intake` how long one submission may keep others waiting,
//! `poison` what is done with results that cannot be stored.

pub mod backoff;
pub mod fit;
pub mod intake;
pub mod job;
pub mod limits;
pub mod outage;
pub mod owner;
pub mod packing;
pub mod pilots;
pub mod poison;
pub mod poll;
pub mod predict;
pub mod retry;
pub mod sharing;
pub mod submission;
pub mod waiting;
