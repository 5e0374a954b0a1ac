//! A job that is stuck in the queue holds nothing up, and an outage is over when the scheduler answers.

use serde_json::json;

use crate::harness::simulator::{Dialect, Simulator};
use crate::harness::{Daemon, DaemonConfig, Database, Slurm, SlurmOptions, Within, inputs, wait_until};

const POOL: &str = "cores = 1\nmemory = \"2GiB\"\nfilling = \"fill\"\nidle = \"2s\"\nmax_jobs = 1";

/// Waits until the only job is queued, and gives what the scheduler calls it.
fn queued(database: &Database, daemon: &Daemon) -> String {
    let (found, _) = wait_until(
        "a pilot waits in the queue",
        Within::Minutes,
        || (database.sql("select scheduler_job_id from job where state = 'queued'"), daemon.log_tail()),
        |(found, _)| !found.is_empty(),
    );
    found
}

/// The record is computed by another job, the blocked one is named, and let go when a person's cancel leaves nothing to do.
fn assert_replaced_named_and_let_go(daemon: &mut Daemon, database: &Database, words: &str) {
    daemon.wait_complete(1);
    assert_eq!(database.sql("select state from job order by id limit 1"), "blocked");
    assert_eq!(
        database.count("select count(*) from job where id > 1 and state <> 'blocked'"),
        1,
        "one in its place"
    );
    let troubles = daemon.json(&["status"])["troubles"].to_string();
    assert!(troubles.contains("queue of pool cluster: one job is blocked"), "{troubles}");
    assert!(troubles.contains(words), "{troubles}");
    daemon.submit(&inputs::energy("nosuchprogram", "x", None, inputs::hydrogen(0.7)), &[]);
    let hopeless = database.sql("select max(id) from record");
    daemon.ask(["cancel", hopeless.as_str()]);
    wait_until(
        "the blocked job is let go",
        Within::Minutes,
        || (database.sql("select state, outcome from job order by id limit 1"), daemon.log_tail()),
        |(found, _)| found == "ended|cancelled",
    );
}

fn simulated(dialect: Dialect, reason: &str) {
    let simulator = Simulator::new(dialect);
    simulator.mischief(&json!({"starts_nothing": true}));
    let database = Database::fresh();
    let pool =
        format!("name = \"cluster\"\nadapter = \"{}\"\nprograms = [\"mopac\"]\n{POOL}", dialect.adapter());
    let config = DaemonConfig::on(&database).with_pool(&pool).with_env("PATH", &simulator.path());
    let mut daemon = Daemon::start(&config);
    daemon.submit(&inputs::water_mopac(), &[]);
    queued(&database, &daemon);
    let id = simulator.jobs()[0]["id"].to_string();
    simulator.control(&["block", &id, reason]);
    simulator.mischief(&json!({}));
    assert_replaced_named_and_let_go(&mut daemon, &database, reason);
}

#[test]
fn a_blocked_pilot_is_replaced_named_and_let_go_on_slurm() {
    simulated(Dialect::Slurm, "PartitionTimeLimit");
}

#[test]
fn a_blocked_pilot_is_replaced_named_and_let_go_on_pbs() {
    simulated(Dialect::Pbs, "job held, too many failed attempts to run");
}

#[test]
fn a_pilot_that_a_person_holds_is_replaced_named_and_let_go_on_a_real_slurm() {
    let slurm = Slurm::start_with(SlurmOptions { cpus: 2, ..SlurmOptions::default() });
    let database = Database::fresh();
    let pool = format!("programs = [\"mopac\"]\n{POOL}");
    let mut daemon = Daemon::start(&DaemonConfig::on(&database).with_slurm_pool(&slurm, &pool));
    // Somebody else has the whole node, so that the pilot waits.
    slurm.ask("sbatch", &["--exclusive", "-J", "other", "-o", "/dev/null", "--wrap", "sleep 600"]);
    wait_until(
        "the node is taken",
        Within::Minutes,
        || slurm.jobs(),
        |jobs| jobs.iter().any(|job| job.name == "other" && job.state == "RUNNING"),
    );
    daemon.submit(&inputs::water_mopac(), &[]);
    let id = queued(&database, &daemon);
    slurm.ask("scontrol", &["hold", &id]);
    slurm.ask("scancel", &["--name", "other"]);
    // Slurm takes a hold by root, as in a container, for the administrator's.
    let held = if nix::unistd::geteuid().is_root() { "JobHeldAdmin" } else { "JobHeldUser" };
    assert_replaced_named_and_let_go(&mut daemon, &database, held);
}

#[test]
fn the_first_answer_after_an_outage_ends_the_waiting_of_submissions() {
    let simulator = Simulator::new(Dialect::Slurm);
    simulator.mischief(&json!({"down": true}));
    let database = Database::fresh();
    let pool = format!("name = \"cluster\"\nadapter = \"slurm\"\n{POOL}");
    let config = DaemonConfig::on(&database).with_pool(&pool).with_env("PATH", &simulator.path());
    let mut daemon = Daemon::start(&config);
    daemon.submit(&inputs::water_mopac(), &[]);
    let (not_before, _) = wait_until(
        "the submission is put off",
        Within::Minutes,
        || (database.sql("select extract(epoch from not_before) from submission"), daemon.log_tail()),
        |(not_before, _)| !not_before.is_empty(),
    );
    simulator.mischief(&json!({}));
    daemon.wait_complete(1);
    let called_on = database.sql("select extract(epoch from called_on) from submission");
    let (called_on, not_before): (f64, f64) = (called_on.parse().unwrap(), not_before.parse().unwrap());
    assert!(called_on < not_before, "it was called {} s after its time", called_on - not_before);
}
