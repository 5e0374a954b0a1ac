//! The main job on a real Grid Engine, and what it does to jobs: deletes them, does not answer, loses its answer.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::harness::gridengine::{self, GridEngine, GridEngineJob, GridEngineOptions};
use crate::harness::inputs::{self, TOLERANCE, WATER_HF_STO3G};
use crate::harness::{Daemon, DaemonConfig, Database, Within, stored, wait_until};

/// A cell, a database and a daemon between them.
struct Site {
    daemon: Daemon,
    database: Database,
    cell: GridEngine,
}

impl Site {
    /// One core for each job. `qsub`: a script in the place of the real one. The adapter is less patient than for real sites.
    fn start(qsub: Option<&str>) -> Site {
        let cell = GridEngine::start(&GridEngineOptions::default());
        let adapters = cell.path("adapters");
        fs::create_dir(&adapters).unwrap();
        fs::write(adapters.join("sge.toml"), "[calls]\nsubmit_timeout = \"5s\"\nlookup_gap = \"2s\"\n")
            .unwrap();
        let database = Database::fresh();
        let mut config = DaemonConfig::on(&database).with_gridengine_pool(
            &cell,
            &adapters,
            "cores = 1\nmemory = \"4GiB\"\ntasks_per_job = 100\nidle = \"5s\"",
        );
        if let Some(script) = qsub {
            let programs = cell.path("programs");
            fs::create_dir(&programs).unwrap();
            fs::write(programs.join("qsub"), format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(programs.join("qsub"), fs::Permissions::from_mode(0o755)).unwrap();
            let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
            config = config.with_env("PATH", &path);
        }
        Site { daemon: Daemon::start(&config), database, cell }
    }

    /// A job that runs and has stored a result, with more to come.
    #[track_caller]
    fn wait_for_a_first_result(&self) -> GridEngineJob {
        let running = || self.cell.jobs().into_iter().find(|job| job.state == "r");
        stored::wait_for_a_first_result(&self.daemon, &self.database, running)
    }

    #[track_caller]
    fn wait_each_complete_once(&self, count: usize) {
        stored::wait_each_complete_once(&self.daemon, &self.database, count);
    }

    /// The names of the jobs that ran, once none is left.
    #[track_caller]
    fn names_of_all_jobs(&self) -> Vec<String> {
        wait_until("no job is left", Within::Minutes, || self.cell.jobs(), Vec::is_empty);
        self.cell.names_in_books()
    }
}

#[test]
fn water_gets_its_reference_energy_through_gridengine() {
    if !gridengine::installed("water_gets_its_reference_energy_through_gridengine") {
        return;
    }
    let mut site = Site::start(None);
    site.daemon.submit(&json!([inputs::water_psi4(), inputs::water_mopac()]), &[]);
    let records = site.daemon.wait_complete(2);
    let psi4 = records.iter().find(|record| record["program"] == "psi4").unwrap();
    let energy = psi4["return_energy"].as_f64().unwrap();
    assert!((energy - WATER_HF_STO3G).abs() < TOLERANCE, "{energy} is not {WATER_HF_STO3G}");
    let names = site.names_of_all_jobs();
    assert!(
        !names.is_empty() && names.iter().all(|name| name.starts_with("qcb-")),
        "jobs carry their tag: {names:?}"
    );
}

#[test]
fn tasks_of_a_job_deleted_with_qdel_come_back_and_finish() {
    if !gridengine::installed("tasks_of_a_job_deleted_with_qdel_come_back_and_finish") {
        return;
    }
    let mut site = Site::start(None);
    site.daemon.submit(&inputs::many_mopac(60), &[]);
    let job = site.wait_for_a_first_result();
    site.cell.ask("qdel", &[&job.id]);
    site.wait_each_complete_once(60);
    assert!(site.names_of_all_jobs().len() > 1, "another job finished what was left");
}

#[test]
fn a_submission_to_a_frozen_master_is_not_repeated_blindly() {
    if !gridengine::installed("a_submission_to_a_frozen_master_is_not_repeated_blindly") {
        return;
    }
    let mut site = Site::start(None);
    site.cell.pause_master();
    site.daemon.submit(&inputs::water_mopac(), &[]);
    wait_until(
        "the daemon has called qsub and got no answer",
        Within::Minutes,
        || (site.database.sql("select state from submission"), site.daemon.log_tail()),
        |(state, _)| state == "unknown",
    );
    site.cell.resume_master();
    site.wait_each_complete_once(1);
    assert_eq!(site.names_of_all_jobs().len(), 1, "one job");
}

#[test]
fn a_submission_whose_answer_gridengine_lost_is_adopted_not_repeated() {
    if !gridengine::installed("a_submission_whose_answer_gridengine_lost_is_adopted_not_repeated") {
        return;
    }
    let mut site = Site::start(Some(
        "/usr/bin/qsub \"$@\" >/dev/null || exit\n\
         echo 'Unable to run job: failed receiving gdi request response for mid=1 (got syncron message receive timeout error).' >&2\n\
         echo Exiting. >&2\nexit 1",
    ));
    site.daemon.submit(&inputs::water_mopac(), &[]);
    site.wait_each_complete_once(1);
    let names = site.names_of_all_jobs();
    assert_eq!(names.len(), 1, "one job: {names:?}");
    assert_eq!(site.database.sql("select tag from submission"), names[0], "it is the one that was adopted");
}
