//! The main job on a real Slurm, and what Slurm does to jobs: cancels them, ends them at their walltime, does not answer.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::harness::inputs::{self, TOLERANCE, WATER_HF_STO3G};
use crate::harness::slurm::SlurmJob;
use crate::harness::{Daemon, DaemonConfig, Database, Slurm, SlurmOptions, Within, stored, wait_until};

/// A cluster, a database and a daemon between them.
struct Site {
    daemon: Daemon,
    database: Database,
    slurm: Slurm,
}

impl Site {
    /// One core for each job, so that a handful of tasks takes a while.
    fn start(options: SlurmOptions, pool: &str) -> Site {
        let slurm = Slurm::start_with(options);
        let database = Database::fresh();
        let pool = format!("cores = 1\nmemory = \"4GiB\"\ntasks_per_job = 100\nidle = \"5s\"\n{pool}");
        let config = DaemonConfig::on(&database).with_slurm_pool(&slurm, &pool);
        Site { daemon: Daemon::start(&config), database, slurm }
    }

    /// A job that runs and has stored a result, with more to come.
    #[track_caller]
    fn wait_for_a_first_result(&self) -> SlurmJob {
        let running = || self.slurm.jobs().into_iter().find(|job| job.state == "RUNNING");
        stored::wait_for_a_first_result(&self.daemon, &self.database, running)
    }

    #[track_caller]
    fn wait_each_complete_once(&self, count: usize) {
        stored::wait_each_complete_once(&self.daemon, &self.database, count);
    }

    /// The process id of the node runner of the only job so far.
    #[track_caller]
    fn runner(&self) -> Pid {
        let start = wait_until(
            "the node runner writes its start record",
            Within::Minutes,
            || find(&self.daemon.spool(), "start.json"),
            |found| !found.is_empty(),
        );
        let record: Value = serde_json::from_str(&fs::read_to_string(&start[0]).unwrap()).unwrap();
        Pid::from_raw(i32::try_from(record["pid"].as_i64().unwrap()).unwrap())
    }
}

fn find(directory: &Path, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => find(&path, name),
            false if path.file_name().is_some_and(|found| found == name) => vec![path],
            false => Vec::new(),
        })
        .collect()
}

#[test]
fn water_gets_its_reference_energy_through_slurm() {
    let mut site = Site::start(SlurmOptions::default(), "");
    site.daemon.submit(&json!([inputs::water_psi4(), inputs::water_mopac()]), &[]);
    let records = site.daemon.wait_complete(2);
    let psi4 = records.iter().find(|record| record["program"] == "psi4").unwrap();
    let energy = psi4["return_energy"].as_f64().unwrap();
    assert!((energy - WATER_HF_STO3G).abs() < TOLERANCE, "{energy} is not {WATER_HF_STO3G}");
    let jobs = site.slurm.jobs();
    assert!(jobs.iter().all(|job| job.name.starts_with("qcb-")), "jobs carry their tag: {jobs:?}");
}

#[test]
fn tasks_of_a_cancelled_job_come_back_and_finish() {
    let mut site = Site::start(SlurmOptions::default(), "");
    site.daemon.submit(&inputs::many_mopac(60), &[]);
    let job = site.wait_for_a_first_result();
    site.slurm.scancel(&job.id);
    site.wait_each_complete_once(60);
    assert!(site.slurm.jobs().len() > 1, "another job finished what was left");
}

#[test]
fn tasks_of_a_job_killed_at_its_walltime_come_back_and_finish() {
    let options = SlurmOptions { kill_wait_seconds: 2, ..SlurmOptions::default() };
    let mut site = Site::start(options, "walltime = \"1m\"");
    site.daemon.submit(&inputs::many_mopac(60), &["--walltime", "30s"]);
    site.wait_for_a_first_result();
    // Frozen, it neither works nor hears the warning: Slurm must kill it.
    kill(site.runner(), Signal::SIGSTOP).unwrap();
    site.wait_each_complete_once(60);
}

#[test]
fn tasks_of_a_killed_node_runner_come_back_and_finish() {
    let mut site = Site::start(SlurmOptions::default(), "");
    site.daemon.submit(&inputs::many_mopac(60), &[]);
    site.wait_for_a_first_result();
    kill(site.runner(), Signal::SIGKILL).unwrap();
    site.wait_each_complete_once(60);
}

#[test]
fn a_submission_whose_answer_was_lost_is_adopted_not_repeated() {
    let mut site = Site::start(SlurmOptions { message_timeout_seconds: 3, ..SlurmOptions::default() }, "");
    site.slurm.pause_controller();
    site.daemon.submit(&inputs::water_mopac(), &[]);
    wait_until(
        "the daemon has called sbatch and got no answer",
        Within::Minutes,
        || (site.database.sql("select state from submission"), site.daemon.log_tail()),
        |(state, _)| state == "unknown",
    );
    site.slurm.resume_controller();
    site.wait_each_complete_once(1);
    let jobs = site.slurm.jobs();
    assert_eq!(jobs.len(), 1, "one job: {jobs:?}");
    assert_eq!(
        site.database.sql("select tag from submission"),
        jobs[0].name,
        "it is the one that was adopted"
    );
}
