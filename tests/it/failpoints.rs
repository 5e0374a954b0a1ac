//! The program is killed at every fail-point, one after another: each record completes, each result is stored once, and
//! no submission has a second scheduler job. A fail-point that the scenario does not visit fails the test.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use qcbatch::failpoint::FailPoint;

use crate::harness::private_dir::PrivateDir;
use crate::harness::{Daemon, DaemonConfig, Database, Within, inputs, wait_until};

/// Scenarios at once: most of their time they wait for a tick.
const AT_ONCE: usize = 4;
const RECORDS: u32 = 4;

/// Which process visits a fail-point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Visitor {
    Daemon,
    Runner,
    /// `qcbatch local submit`, which `tests/local_scheduler.rs` kills.
    LocalScheduler,
}

fn visitor(point: FailPoint) -> Visitor {
    match point {
        FailPoint::LeaseTaken
        | FailPoint::RecordsStored
        | FailPoint::InboxAnswered
        | FailPoint::ChunksPlanned
        | FailPoint::ChunksWritten
        | FailPoint::ChunksReady
        | FailPoint::ChunksPublished
        | FailPoint::SubmissionPlanned
        | FailPoint::SubmissionStaged
        | FailPoint::SubmissionCommitted
        | FailPoint::SubmitAnswered
        | FailPoint::SubmissionAccepted
        | FailPoint::ResultsStored
        | FailPoint::JobEndStored
        | FailPoint::SubmissionSwept => Visitor::Daemon,
        FailPoint::TicketClaimed
        | FailPoint::ChunkClaimed
        | FailPoint::ResultsAppended
        | FailPoint::ChunkFinished
        | FailPoint::RunnerEnded => Visitor::Runner,
        FailPoint::LocalSubmitted => Visitor::LocalScheduler,
    }
}

#[test]
fn a_daemon_killed_at_any_fail_point_loses_and_doubles_nothing() {
    at_each(Visitor::Daemon, daemon_dies_at);
}

#[test]
fn a_runner_killed_at_any_fail_point_loses_and_doubles_nothing() {
    at_each(Visitor::Runner, runner_dies_at);
}

#[test]
fn a_result_file_that_is_refused_for_a_while_is_written_in_the_end() {
    let database = Database::fresh();
    let setup = "setup = [\"export FAILPOINTS='results-appended=2*return(enospc)'\"]";
    let daemon = Daemon::start(&DaemonConfig::on(&database).with_local_pool(&pool(setup)));
    put(&daemon);
    daemon.wait_complete(RECORDS as usize);
    stored_once(&database);
}

/// Runs the scenario for each fail-point of a visitor, some at once.
fn at_each(wanted: Visitor, scenario: fn(FailPoint)) {
    let points = FailPoint::ALL.iter().copied().filter(|point| visitor(*point) == wanted);
    let open = Mutex::new(points.collect::<Vec<_>>());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(point) = next(&open) {
                    scenario(point);
                }
            });
        }
    });
}

fn next(open: &Mutex<Vec<FailPoint>>) -> Option<FailPoint> {
    open.lock().unwrap().pop()
}

fn pool(more: &str) -> String {
    format!("idle = \"1s\"\ngrace = \"5s\"\nevidence_grace = \"2s\"\n{more}")
}

fn kill_once(point: FailPoint, mark: &Path) -> String {
    format!("{}=return(kill-once:{})", point.name(), mark.display())
}

fn daemon_dies_at(point: FailPoint) {
    let (database, place) = (Database::fresh(), PrivateDir::new());
    let mark = place.join("died");
    let config = DaemonConfig::on(&database).with_local_pool(&pool(""));
    let mut daemon = Daemon::start(&config);
    daemon.stop();
    daemon.configure(&config.with_env("FAILPOINTS", &kill_once(point, &mark)));
    daemon.spawn(&[]);
    put(&daemon);
    if point == FailPoint::SubmissionSwept {
        daemon.wait_ready();
        daemon.wait_complete(RECORDS as usize);
        jobs_are_over(&database);
        database.sql("update job set ended_on = ended_on - interval '1 year'");
        daemon.stop();
        daemon.spawn(&[]);
    }
    wait_until(
        &format!("the daemon visits {}", point.name()),
        Within::AMoment,
        || (mark.exists(), daemon.log_tail()),
        |(died, _)| *died,
    );
    daemon.wait_dead();
    daemon.start_again();
    daemon.wait_complete(RECORDS as usize);
    stored_once(&database);
}

fn runner_dies_at(point: FailPoint) {
    let (database, place) = (Database::fresh(), PrivateDir::new());
    let mark = place.join("died");
    let setup = format!("setup = [\"export FAILPOINTS='{}'\"]", kill_once(point, &mark));
    let daemon = Daemon::start(&DaemonConfig::on(&database).with_local_pool(&pool(&setup)));
    put(&daemon);
    wait_until(
        &format!("a runner visits {}", point.name()),
        Within::AMoment,
        || (mark.exists(), daemon.log_tail()),
        |(died, _)| *died,
    );
    daemon.wait_complete(RECORDS as usize);
    stored_once(&database);
}

/// Through the inbox, which a daemon that is not up yet looks into once it is.
fn put(daemon: &Daemon) -> PathBuf {
    let inbox = daemon.state().join("inbox");
    let unfinished = inbox.join("work.json.tmp");
    let input = inbox.join("work.json");
    std::fs::write(&unfinished, inputs::many_mopac(RECORDS).to_string()).unwrap();
    std::fs::rename(unfinished, &input).unwrap();
    input
}

fn jobs_are_over(database: &Database) {
    wait_until(
        "every job is over",
        Within::Minutes,
        || database.count("select count(*) from job where state <> 'ended'"),
        |open| *open == 0,
    );
}

#[track_caller]
fn stored_once(database: &Database) {
    let results = "select count(*) from compute_history where status = 'complete'";
    assert_eq!(database.count(results), i64::from(RECORDS), "each result is stored once");
    assert_eq!(database.count("select count(*) from record"), i64::from(RECORDS), "no record is doubled");
    let doubled = "select count(*) from (select scheduler_job_id from job where scheduler_job_id is not null \
                   group by scheduler_job_id having count(*) > 1) as doubled";
    assert_eq!(database.count(doubled), 0, "each job is followed once");
}
