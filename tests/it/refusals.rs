//! What a pool does whose jobs do nothing, or are refused for their number.

use serde_json::{Value, json};

use crate::harness::simulator::{Dialect, Simulator};
use crate::harness::{Daemon, DaemonConfig, Database, Within, inputs, wait_until};

fn submit_sleepers(daemon: &mut Daemon, pool: &str, count: u32) {
    let tasks: Value = (0..count)
        .map(|number| {
            let molecule = inputs::hydrogen(0.7 + f64::from(number) / 100.0);
            inputs::energy("synthetic", "sleep", None, molecule)
        })
        .collect();
    daemon.submit(&tasks, &["--pool", pool, "--keywords", "milliseconds=500"]);
}

#[test]
fn an_array_that_is_more_than_the_scheduler_takes_becomes_smaller_ones() {
    let simulator = Simulator::new(Dialect::Slurm);
    simulator.mischief(&json!({"submit_limit": 3}));
    let database = Database::fresh();
    let pool =
        "name = \"cluster\"\nadapter = \"slurm\"\ncores = 1\ntasks_per_job = 1\nmax_jobs = 8\nidle = \"1s\"";
    let config = DaemonConfig::on(&database).with_pool(pool).with_env("PATH", &simulator.path());
    let mut daemon = Daemon::start(&config);
    submit_sleepers(&mut daemon, "cluster", 8);
    wait_until(
        "all are complete",
        Within::Minutes,
        || (database.sql("select count(*) from record where status = 'complete'"), daemon.log_tail()),
        |(complete, _)| complete == "8",
    );
    assert_eq!(database.count("select count(*) from compute_history"), 8, "each ran once");
    let refused = "select coalesce(max(array_size), 0) from submission where state = 'rejected'";
    assert!(database.count(refused) > 3, "no array was too large: nothing was tried");
    let accepted = "select max(array_size) from submission where scheduler_job_id is not null";
    assert!(database.count(accepted) <= 3);
}

/// A queue of PBS with small arrays and few jobs: where the scheduler tells, nothing is tried in vain; where it does not, the
/// refusals teach, and no pool pauses for good.
#[test]
fn a_queues_limits_are_kept_whether_they_are_told_or_not() {
    let limits = json!({"workq": {"array_size": 2, "submitted": 3, "walltime": 86400}});
    for tells_no_limits in [false, true] {
        let simulator = Simulator::new(Dialect::Pbs);
        simulator.mischief(&json!({"queue_limits": limits, "tells_no_limits": tells_no_limits}));
        let database = Database::fresh();
        let pool = "name = \"cluster\"\nadapter = \"pbs\"\nqueue = \"workq\"\ncores = 1\ntasks_per_job = 2\nmax_jobs = 6\n\
                    idle = \"1s\"";
        let config = DaemonConfig::on(&database).with_pool(pool).with_env("PATH", &simulator.path());
        let mut daemon = Daemon::start(&config);
        if !tells_no_limits {
            let limits = |daemon: &mut Daemon| daemon.json(&["status"])["pools"][0]["limits"].clone();
            wait_until(
                "the limits are told",
                Within::AMoment,
                || (limits(&mut daemon), daemon.log_tail()),
                |(found, _)| found == "walltime 24 h, arrays of 2, 3 jobs",
            );
        }
        submit_sleepers(&mut daemon, "cluster", 6);
        wait_until(
            "all are complete",
            Within::Minutes,
            || (database.sql("select count(*) from record where status = 'complete'"), daemon.log_tail()),
            |(complete, _)| complete == "6",
        );
        assert_eq!(database.count("select count(*) from compute_history"), 6, "each ran once");
        let refused = database.count("select count(*) from submission where last_error is not null");
        assert_eq!(refused > 0, tells_no_limits, "{refused} refusals");
        let accepted = "select max(array_size) from submission where scheduler_job_id is not null";
        assert!(database.count(accepted) <= 2);
    }
}

#[test]
fn a_closed_queue_is_named_where_its_records_wait() {
    let simulator = Simulator::new(Dialect::Slurm);
    simulator.mischief(&json!({"queue_limits": {"main": {"state": "DRAIN"}}, "starts_nothing": true}));
    let database = Database::fresh();
    let pool = "name = \"cluster\"\nadapter = \"slurm\"\nqueue = \"main\"\ncores = 1\nmax_jobs = 2";
    let config = DaemonConfig::on(&database).with_pool(pool).with_env("PATH", &simulator.path());
    let mut daemon = Daemon::start(&config);
    submit_sleepers(&mut daemon, "cluster", 1);
    let wanted = "pool cluster: its queue is closed (DRAIN): nothing starts there";
    wait_until(
        "`show` says that nothing starts there",
        Within::Minutes,
        || {
            let said =
                daemon.json(&["show", "1"])["task"]["waiting_reason"].as_str().unwrap_or_default().to_owned();
            (said, daemon.log_tail())
        },
        |(said, _)| said.contains(wanted),
    );
}

#[test]
fn a_pool_whose_jobs_run_nothing_stops_and_says_why() {
    let database = Database::fresh();
    let config = DaemonConfig::on(&database).with_local_pool("cores = 1\nmax_jobs = 1\nsetup = [\"exit 7\"]");
    let mut daemon = Daemon::start(&config);
    submit_sleepers(&mut daemon, "local", 1);
    let paused = |daemon: &mut Daemon| daemon.json(&["status"])["pools"][0]["paused"].clone();
    let mut reason = paused(&mut daemon);
    wait_until(
        "the pool is paused",
        Within::Minutes,
        || {
            reason = paused(&mut daemon);
            (reason.clone(), daemon.log_tail())
        },
        |(reason, _)| !reason.is_null(),
    );
    let reason = paused(&mut daemon).to_string();
    assert!(reason.contains("3 jobs in a row ran nothing; the last: "), "{reason}");
    assert_eq!(database.count("select count(*) from job"), 3, "no fourth is submitted");
}

#[test]
fn a_task_whose_default_limits_fit_no_pool_with_its_program_is_told_so() {
    let database = Database::fresh();
    let config = DaemonConfig::on(&database)
        .with_local_pool("programs = [\"mopac\"]\nwalltime = \"30m\"\nmemory = \"1GiB\"")
        .with_pool("name = \"long\"\nadapter = \"local\"\nprograms = [\"psi4\"]\nwalltime = \"1d\"")
        .with_env("QCBATCH_DEFAULTS__WALLTIME", "1h")
        .with_env("QCBATCH_DEFAULTS__MEMORY", "2GiB");
    let mut daemon = Daemon::start(&config);
    daemon.submit(&inputs::water_mopac(), &[]);
    let told = daemon.ask(["show", "1"]);
    assert!(
        told.contains("no pool can run it (local: asks for 2.0 GiB, a job of the pool has 1.0 GiB"),
        "{told}"
    );
    wait_until(
        "status tells of it",
        Within::Minutes,
        || (daemon.json(&["status"])["waiting"].to_string(), daemon.log_tail()),
        |(waiting, _)| waiting.contains("one record waits: no pool can run it (local: asks for 2.0 GiB"),
    );
    // One that says what it needs runs there: the default time limit fits any pool.
    daemon.submit(&inputs::water_mopac(), &["--memory", "512MiB", "--new"]);
    wait_until(
        "the other is complete",
        Within::Minutes,
        || (database.sql("select status from record order by id"), daemon.log_tail()),
        |(found, _)| found == "waiting\ncomplete",
    );
}
