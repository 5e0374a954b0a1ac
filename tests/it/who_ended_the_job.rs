//! An end record says that a job has ended, the scheduler and its books why: a job killed for memory is told from one that
//! was cancelled on every scheduler, and what an administrator did to a job is nobody's fault.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::inputs::{energy, hydrogen};
use crate::harness::private_dir::PrivateDir;
use crate::harness::simulator::{Dialect, Simulator};
use crate::harness::{Daemon, DaemonConfig, Database, Within, wait_until};

/// Simulated schedulers, a pool of each, and a MOPAC that never ends unless somebody ends it.
struct Site {
    daemon: Daemon,
    database: Database,
    schedulers: Vec<Simulator>,
    _programs: PrivateDir,
}

/// The pool of a scheduler has its name.
fn pool(simulator: &Simulator, programs: &Path, settings: &str) -> String {
    let name = simulator.dialect().adapter();
    let programs = programs.display();
    format!(
        "name = \"{name}\"\nadapter = \"{name}\"\ncores = 1\ngrace = \"20s\"\nevidence_grace = \"1s\"\nidle = \"3s\"\n\
         setup = [\"export PATH={programs}:$PATH\"]\n{settings}"
    )
}

impl Site {
    fn start(dialects: &[Dialect], mischief: &Value, settings: &str) -> Site {
        let programs = PrivateDir::new();
        programs.program("mopac", "exec sleep 300");
        let schedulers: Vec<Simulator> = dialects.iter().map(|dialect| Simulator::new(*dialect)).collect();
        let database = Database::fresh();
        let mut config = DaemonConfig::on(&database);
        let mut path: Vec<PathBuf> = Vec::new();
        for simulator in &schedulers {
            simulator.mischief(mischief);
            config = config.with_pool(&pool(simulator, programs.path(), settings));
            path.push(simulator.bin());
        }
        let path: String = path.iter().map(|bin| format!("{}:", bin.display())).collect();
        let path = path + &crate::harness::slurm::search_path();
        let daemon = Daemon::start(&config.with_env("PATH", &path));
        Site { daemon, database, schedulers, _programs: programs }
    }

    /// `count` tasks for each pool, and waits until all of them run.
    #[track_caller]
    fn submit_and_wait_until_they_run(&mut self, count: u32) {
        for (number, scheduler) in (0..).zip(&self.schedulers) {
            let of_pool = |task: u32| hydrogen(0.7 + 0.1 * f64::from(number) + 0.001 * f64::from(task));
            let tasks: Value = (0..count).map(|task| energy("mopac", "pm7", None, of_pool(task))).collect();
            let pool = scheduler.dialect().adapter();
            self.daemon.submit(&tasks, &["--pool", pool, "--memory", "300MiB", "--walltime", "10m"]);
        }
        let wanted = count as usize * self.schedulers.len();
        wait_until(
            "every task is in the heartbeat of its job",
            Within::Minutes,
            || (running_by_heartbeat(&self.daemon.spool()), self.daemon.log_tail()),
            |(running, _)| *running == wanted,
        );
    }

    #[track_caller]
    fn wait_for(&self, what: &str, question: &str, answer: &str) {
        wait_until(
            what,
            Within::Minutes,
            || (self.database.sql(question), self.daemon.log_tail()),
            |(found, _)| found == answer,
        );
    }
}

/// How many tasks run by the heartbeats of all jobs.
fn running_by_heartbeat(spool: &Path) -> usize {
    let listed = |directory: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let jobs = listed(spool).into_iter().flat_map(|pool| listed(&pool)).flat_map(|tag| listed(&tag));
    let running = |job: PathBuf| {
        let text = std::fs::read_to_string(job.join("heartbeat.json")).ok()?;
        serde_json::from_str::<Value>(&text).ok()?["running"].as_array().map(Vec::len)
    };
    jobs.filter_map(running).sum()
}

/// The number of the scheduler's only running job.
fn running_job(simulator: &Simulator) -> String {
    let jobs = simulator.jobs();
    let running = jobs.iter().find(|job| job["state"] == "RUNNING").expect("its job runs");
    running["id"].to_string()
}

fn killed_for_memory(dialects: &[Dialect]) {
    let mut site = Site::start(dialects, &json!({}), "");
    site.submit_and_wait_until_they_run(1);
    for simulator in &site.schedulers {
        simulator.control(&["memory", &running_job(simulator)]);
    }
    let pools = dialects.len();
    site.wait_for(
        "each of the jobs counts as killed for its memory",
        "select count(*) from job where outcome = 'memory'",
        &pools.to_string(),
    );
    assert_eq!(
        site.database.sql("select distinct tries, losses, last_failure from task"),
        "1|0|memory",
        "it was the task's, which had the job for itself"
    );
    site.wait_for(
        "each task comes back with more memory than it had",
        "select count(*) from (select pool, min((resources->>'memory_bytes')::bigint) as first,
            max((resources->>'memory_bytes')::bigint) as last from submission group by pool) as asked
         where last > first",
        &pools.to_string(),
    );
    let status = site.daemon.json(&["status"]);
    for pool in status["pools"].as_array().unwrap() {
        assert!(pool["paused"].is_null(), "a task's memory is no fault of its pool: {pool}");
    }
}

#[test]
fn a_job_killed_for_memory_comes_back_with_more_on_slurm_pbs_and_lsf() {
    killed_for_memory(&[Dialect::Slurm, Dialect::Pbs, Dialect::Lsf]);
}

#[test]
fn a_job_killed_for_memory_comes_back_with_more_on_volclava() {
    killed_for_memory(&[Dialect::Volclava]);
}

#[test]
fn a_job_killed_for_memory_comes_back_with_more_on_torque() {
    killed_for_memory(&[Dialect::Torque]);
}

#[test]
fn a_job_killed_for_memory_comes_back_with_more_on_grid_engine() {
    killed_for_memory(&[Dialect::Sge]);
}

#[test]
fn elements_deleted_without_a_history_do_not_end_as_their_array_did() {
    let mischief = json!({"no_accounting": true, "kill_wait": 0});
    let mut site = Site::start(&[Dialect::Pbs], &mischief, "tasks_per_job = 1\nmax_jobs = 3");
    site.submit_and_wait_until_they_run(3);
    let array = running_job(&site.schedulers[0]);
    for element in [0, 1] {
        site.schedulers[0].control(&["cancel", &format!("{array}_{element}")]);
    }
    site.wait_for("two elements are over", "select count(*) from job where state = 'ended'", "2");
    assert_eq!(
        site.database.sql("select distinct outcome, exit_code, signal from job where state = 'ended'"),
        "cancelled||",
        "the exit code that is shown is their array's"
    );
    assert_eq!(site.database.sql("select count(*) from task where tries > 0"), "0");
}

#[test]
fn a_restarted_node_daemon_does_not_pause_the_pool() {
    let mut site = Site::start(&[Dialect::Pbs], &json!({}), "tasks_per_job = 1\nmax_jobs = 3");
    site.submit_and_wait_until_they_run(3);
    let array = running_job(&site.schedulers[0]);
    // What it does to the jobs of the one before it: they are killed, and their exit codes are lost.
    site.schedulers[0].control(&["complete", &array]);
    site.wait_for(
        "the three jobs are over, and their scheduler says that they completed",
        "select count(*) from job where outcome = 'completed'",
        "3",
    );
    assert_eq!(site.database.sql("select distinct tries, losses from task"), "0|1");
    let status = site.daemon.json(&["status"]);
    assert!(status["pools"][0]["paused"].is_null(), "{status}");
    site.wait_for("the tasks go on in further jobs", "select count(*) from job where state = 'running'", "3");
}
