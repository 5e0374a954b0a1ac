//! Work that was claimed and not begun is shared when others are idle, whatever was expected of it; and a cancelled task gives its
//! slot to other work.

use std::collections::BTreeSet;
use std::fs;

use serde_json::json;

use crate::harness::simulator::{Dialect, Simulator};
use crate::harness::{Daemon, DaemonConfig, Database, Within, inputs, wait_until};

/// Synthetic calculations that sleep, each on a molecule of its own, in files of one directory.
fn sleepers(daemon: &Daemon, name: &str, count: u32, milliseconds: u32) -> std::path::PathBuf {
    let directory = daemon.state().join(name);
    fs::create_dir(&directory).unwrap();
    for number in 0..count {
        let bond = 0.5 + f64::from(number) * 1e-3 + f64::from(milliseconds) * 1e-7;
        let mut input = inputs::energy("synthetic", "sleep", None, inputs::hydrogen(bond));
        input["input_data"]["keywords"] = json!({ "milliseconds": milliseconds });
        fs::write(directory.join(format!("{number}.json")), input.to_string()).unwrap();
    }
    directory
}

#[test]
fn tasks_that_take_a_thousand_times_as_long_as_those_before_keep_sixteen_slots_busy() {
    const SLOTS: usize = 16;
    let simulator = Simulator::new(Dialect::Slurm);
    simulator.mischief(&json!({"slots": SLOTS}));
    let database = Database::fresh();
    let pool =
        format!("name = \"cluster\"\nadapter = \"slurm\"\ncores = 1\nmax_jobs = {SLOTS}\nidle = \"30s\"");
    let config = DaemonConfig::on(&database).with_pool(&pool).with_env("PATH", &simulator.path());
    let daemon = Daemon::start(&config);
    // History says a millisecond each: one job could do them all.
    let short = sleepers(&daemon, "short", 60, 1);
    daemon.ask(["submit", "--pool", "cluster", "--wait", short.to_str().unwrap()]);
    let long = sleepers(&daemon, "long", 400, 1000);
    daemon.ask(["submit", "--pool", "cluster", "--wait", long.to_str().unwrap()]);
    assert_eq!(database.count("select count(*) from record where status = 'complete'"), 460);
    assert_eq!(database.count("select count(*) from compute_history"), 460, "each was computed once");

    let lines = database.sql(
        "select job_id, extract(epoch from started_on), wall_seconds from compute_history where wall_seconds > 0.9",
    );
    let mut runs: Vec<(String, f64, f64)> = lines
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split('|').collect();
            let (start, seconds): (f64, f64) = (fields[1].parse().unwrap(), fields[2].parse().unwrap());
            (fields[0].to_owned(), start, start + seconds)
        })
        .collect();
    runs.sort_by(|one, other| one.1.total_cmp(&other.1));
    let jobs: BTreeSet<&String> = runs.iter().map(|(job, ..)| job).collect();
    assert!(jobs.len() >= SLOTS, "every job that could run had work: {}", jobs.len());
    let at_once = |moment: f64| runs.iter().filter(|(_, from, to)| *from <= moment && moment < *to).count();
    let busy: Vec<usize> = runs.iter().map(|(_, start, _)| at_once(*start)).collect();
    assert_eq!(busy.iter().max(), Some(&SLOTS), "all of them side by side");
    // In the middle, when all jobs have begun and the work does not run out yet.
    let (from, to) = (runs[runs.len() / 4].1, runs[runs.len() * 3 / 4].1);
    let worked: f64 = runs.iter().map(|(_, start, end)| (end.min(to) - start.max(from)).max(0.0)).sum();
    let share = worked / ((to - from) * SLOTS as f64);
    // Nearly all of it where nothing else runs; with one job that hoards the work it would be a sixteenth.
    assert!(share > 0.4, "the slots worked for {share:.2} of the time between {from} and {to}");
}

#[test]
fn a_cancelled_task_gives_its_slot_to_work_that_waits() {
    let database = Database::fresh();
    let config = DaemonConfig::on(&database).with_local_pool("cores = 1\nmax_jobs = 2\nidle = \"30s\"");
    let daemon = Daemon::start(&config);
    // Far longer than a test waits for anything.
    let endless = sleepers(&daemon, "endless", 4, 3_000_000);
    daemon.ask(["submit", "--pool", "local", endless.to_str().unwrap()]);
    wait_until(
        "two of them run",
        Within::Minutes,
        || (database.count("select count(*) from record where status = 'running'"), daemon.log_tail()),
        |(running, _)| *running >= 2,
    );
    let short = sleepers(&daemon, "short", 4, 10);
    daemon.ask(["submit", "--pool", "local", short.to_str().unwrap()]);
    let ids = database
        .sql("select string_agg(id::text, ' ') from (select id from record order by id limit 4) first");
    let jobs_before = database.count("select count(*) from job");
    daemon.ask(std::iter::once("cancel").chain(ids.split(' ')).collect::<Vec<_>>());
    wait_until(
        "the others are done",
        Within::Minutes,
        || (database.count("select count(*) from record where status = 'complete'"), daemon.log_tail()),
        |(done, _)| *done == 4,
    );
    assert_eq!(database.count("select count(*) from job"), jobs_before, "the jobs that were there did it");
    assert_eq!(database.count("select count(*) from record where status = 'cancelled'"), 4);
}

#[test]
fn pilots_in_the_queue_go_at_once_when_everything_is_cancelled() {
    let simulator = Simulator::new(Dialect::Slurm);
    simulator.mischief(&json!({"starts_nothing": true}));
    let database = Database::fresh();
    let pool = "name = \"cluster\"\nadapter = \"slurm\"\ncores = 1\ntasks_per_job = 2\nmax_jobs = 50";
    let config = DaemonConfig::on(&database).with_pool(pool).with_env("PATH", &simulator.path());
    let daemon = Daemon::start(&config);
    let tasks = sleepers(&daemon, "tasks", 40, 10);
    daemon.ask(["submit", "--pool", "cluster", tasks.to_str().unwrap()]);
    wait_until(
        "pilots wait in the queue",
        Within::Minutes,
        || (database.count("select count(*) from job where state = 'queued'"), daemon.log_tail()),
        |(queued, _)| *queued == 20,
    );
    daemon.ask(["cancel", "--all"]);
    // Measured by the database: from the decision to let them go back to the cancellation.
    wait_until(
        "they are asked to end",
        Within::Minutes,
        || {
            (
                database.count("select count(*) from job where cancel_requested_on is not null"),
                daemon.log_tail(),
            )
        },
        |(asked, _)| *asked == 20,
    );
    let seconds = database.sql(
        "select extract(epoch from max(j.cancel_requested_on) - max(r.modified_on))::integer from job j, record r",
    );
    assert!(
        seconds.parse::<i64>().unwrap() < 50,
        "{seconds} s: less than the minute that pilots wait otherwise"
    );
}
