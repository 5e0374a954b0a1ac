//! What the tests of schedulers ask of the database: results come while jobs run, and each of them once.

use super::{Daemon, Database, Within, wait_until};

/// Waits until a job runs and has stored a result, with more to come; `running` looks for such a job.
#[track_caller]
pub fn wait_for_a_first_result<J: std::fmt::Debug>(
    daemon: &Daemon,
    database: &Database,
    running: impl Fn() -> Option<J>,
) -> J {
    let complete = || database.count("select count(*) from record where status = 'complete'");
    let (_, job, _) = wait_until(
        "a first result is stored while the job runs",
        Within::Minutes,
        || (complete(), running(), daemon.log_tail()),
        |(complete, job, _)| *complete > 0 && job.is_some(),
    );
    job.expect("seen above")
}

/// Every record complete, with exactly one successful attempt each.
#[track_caller]
pub fn wait_each_complete_once(daemon: &Daemon, database: &Database, count: usize) {
    daemon.wait_complete(count);
    let complete = database.count("select count(*) from compute_history where status = 'complete'");
    assert_eq!(usize::try_from(complete), Ok(count), "results were stored twice");
}
