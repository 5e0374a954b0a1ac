//! What nobody waits for any more is taken back: jobs in the queue whose work was cancelled, and chunks of a pool that its
//! scheduler refuses.

use serde_json::json;

use crate::harness::simulator::{Dialect, Simulator};
use crate::harness::{Daemon, DaemonConfig, Database, Within, inputs, stored, wait_until};

const POOL: &str = "cores = 1\ntasks_per_job = 100\ngrace = \"5s\"\nidle = \"3s\"";

fn pool(name: &str, dialect: Dialect) -> String {
    format!("name = \"{name}\"\nadapter = \"{}\"\n{POOL}", dialect.adapter())
}

/// Submits where nothing starts, cancels every record when its job waits in the queue, and waits for the job's end.
fn cancelled_in_the_queue(options: &[&str]) {
    let simulator = Simulator::new(Dialect::Slurm);
    simulator.mischief(&json!({"starts_nothing": true}));
    let database = Database::fresh();
    let config = DaemonConfig::on(&database)
        .with_pool(&pool("cluster", Dialect::Slurm))
        .with_env("PATH", &simulator.path());
    let mut daemon = Daemon::start(&config);
    daemon.submit(&inputs::water_mopac(), options);
    wait_until(
        "a job waits in the queue",
        Within::Minutes,
        || (database.sql("select state from job"), daemon.log_tail()),
        |(state, _)| state == "queued",
    );
    let record = daemon.records()[0]["id"].to_string();
    daemon.ask(["cancel", record.as_str()]);
    wait_until(
        "the job is cancelled",
        Within::Minutes,
        || (database.sql("select state, outcome from job"), daemon.log_tail()),
        |(found, _)| found == "ended|cancelled",
    );
    assert_eq!(simulator.calls("scancel"), 1);
    assert_eq!(database.sql("select status from record"), "cancelled");
    let pools = daemon.json(&["status"])["pools"].clone();
    assert!(pools[0]["paused"].is_null(), "it says nothing of the pool: {pools}");
}

#[test]
fn a_pilot_in_the_queue_is_let_go_when_nothing_is_left_for_it() {
    cancelled_in_the_queue(&[]);
}

#[test]
fn a_job_of_its_own_is_withdrawn_with_its_record() {
    cancelled_in_the_queue(&["--now"]);
}

#[test]
fn a_pilot_that_started_while_it_was_let_go_costs_its_tasks_nothing() {
    let database = Database::fresh();
    let config = DaemonConfig::on(&database).with_local_pool("cores = 1\nmax_jobs = 1");
    let mut daemon = Daemon::start(&config);
    // Longer than a runner waits for its tasks after a signal.
    let sleeper = inputs::energy("synthetic", "sleep", None, inputs::hydrogen(0.7));
    daemon.submit(&sleeper, &["--pool", "local", "--keywords", "milliseconds=25000"]);
    wait_until(
        "the task runs",
        Within::Minutes,
        || (database.sql("select status from record"), daemon.log_tail()),
        |(status, _)| status == "running",
    );
    // What the planner does with one in the queue, a moment before it hears that it runs.
    database.sql("update job set cancel_requested_on = now()");
    wait_until(
        "the job is cancelled",
        Within::Minutes,
        || (database.sql("select state, outcome from job where id = 1"), daemon.log_tail()),
        |(found, _)| found == "ended|cancelled",
    );
    assert_eq!(database.sql("select tries, losses from task"), "0|0");
    daemon.wait_complete(1);
    stored::wait_each_complete_once(&daemon, &database, 1);
}

#[test]
fn what_is_staged_for_a_paused_pool_goes_to_another() {
    let (refusing, taking) = (Simulator::new(Dialect::Slurm), Simulator::new(Dialect::Lsf));
    refusing.mischief(&json!({"refuses": true, "refusal": "policy"}));
    let database = Database::fresh();
    let config = DaemonConfig::on(&database)
        .with_pool(&pool("refusing", Dialect::Slurm))
        .with_pool(&pool("taking", Dialect::Lsf))
        .with_env("PATH", &format!("{}:{}", refusing.bin().display(), taking.path()));
    let mut daemon = Daemon::start(&config);
    daemon.submit(&inputs::water_mopac(), &[]);
    stored::wait_each_complete_once(&daemon, &database, 1);
    assert_eq!(
        database.sql("select distinct pool, state from submission order by pool"),
        "refusing|rejected\ntaking|accepted"
    );
    assert!(refusing.jobs().is_empty(), "{:?}", refusing.jobs());
}
