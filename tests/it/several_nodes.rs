//! Jobs of two nodes on a real Slurm with two nodes: a runner works on each, hears of the job's end, and dies alone.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::harness::inputs::{energy, hydrogen};
use crate::harness::slurm::SlurmJob;
use crate::harness::{Daemon, DaemonConfig, Database, Slurm, SlurmOptions, Within, wait_until};

/// A cluster of two nodes, and a daemon with a pool whose only job has both.
struct Site {
    daemon: Daemon,
    database: Database,
    slurm: Slurm,
}

impl Site {
    fn start(settings: &str) -> Site {
        let slurm = Slurm::start_with(SlurmOptions { nodes: 2, ..SlurmOptions::default() });
        let database = Database::fresh();
        let pool = format!("nodes = 2\ncores = 2\nmemory = \"1GiB\"\nmax_jobs = 1\n{settings}");
        let config = DaemonConfig::on(&database).with_slurm_pool(&slurm, &pool);
        Site { daemon: Daemon::start(&config), database, slurm }
    }

    /// Tasks that sleep for so long, once the daemon has seen how long that is: it deals tasks that it knows nothing of
    /// into one chunk.
    fn submit_sleepers(&mut self, count: u32, milliseconds: u32) {
        self.submit_some(0..4, milliseconds);
        self.daemon.wait_complete(4);
        self.submit_some(4..count, milliseconds);
    }

    fn submit_some(&mut self, numbers: Range<u32>, milliseconds: u32) {
        let tasks: Value = numbers
            .map(|number| energy("synthetic", "sleep", None, hydrogen(0.7 + 0.001 * f64::from(number))))
            .collect();
        let keywords = format!("milliseconds={milliseconds}");
        let options = ["--pool", "cluster", "--keywords", &keywords, "--memory", "64MiB", "--walltime", "1m"];
        self.daemon.submit(&tasks, &options);
    }

    /// The directories of the only job's two nodes, once both runners have stored a result.
    #[track_caller]
    fn wait_for_results_of_both(&self) -> [PathBuf; 2] {
        let (jobs, _) = wait_until(
            "a job has a directory",
            Within::Minutes,
            || (job_directories(&self.daemon.spool().join("cluster")), self.daemon.log_tail()),
            |(jobs, _)| !jobs.is_empty(),
        );
        let nodes = [jobs[0].clone(), jobs[0].join("node-1")];
        wait_until(
            "both runners have written results",
            Within::Minutes,
            || {
                (
                    nodes.clone().map(|node| length(&node.join("results"))),
                    self.slurm.logs(),
                    self.daemon.log_tail(),
                )
            },
            |(lengths, _, _)| lengths.iter().all(|length| *length > 0),
        );
        nodes
    }

    fn running_job(&self) -> SlurmJob {
        self.slurm.jobs().into_iter().find(|job| job.state == "RUNNING").expect("the job runs")
    }

    /// Every record complete, with one successful attempt each, and all by one job.
    #[track_caller]
    fn wait_each_complete_once(&self, count: i64) {
        self.daemon.wait_complete(usize::try_from(count).unwrap());
        let complete = "select count(*) from compute_history where status = 'complete'";
        assert_eq!(self.database.count(complete), count, "results were stored twice");
    }
}

fn job_directories(pool: &Path) -> Vec<PathBuf> {
    let submissions = fs::read_dir(pool).into_iter().flatten().flatten().map(|entry| entry.path());
    submissions
        .map(|submission| submission.join("0"))
        .filter(|job| job.join("manifest.json").exists())
        .collect()
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn document(path: PathBuf) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[track_caller]
fn wait_for_end_records(site: &Site, nodes: &[PathBuf]) -> Vec<Value> {
    wait_until(
        "each runner writes its end record",
        Within::Minutes,
        || {
            (
                nodes.iter().all(|node| node.join("end.json").exists()),
                site.slurm.logs(),
                site.daemon.log_tail(),
            )
        },
        |(ended, _, _)| *ended,
    );
    nodes.iter().map(|node| document(node.join("end.json"))).collect()
}

#[test]
fn a_job_of_two_nodes_runs_tasks_on_both() {
    let mut site = Site::start("idle = \"8s\"");
    site.submit_sleepers(60, 500);
    let nodes = site.wait_for_results_of_both();
    site.wait_each_complete_once(60);
    let ends = wait_for_end_records(&site, &nodes);
    let results: Vec<u64> = ends.iter().map(|end| end["results"].as_u64().unwrap()).collect();
    assert_eq!(results.iter().sum::<u64>(), 60);
    assert!(ends.iter().all(|end| end["reason"] == "done"), "{ends:?}");
    site.slurm.wait_idle();
    let jobs = site.slurm.jobs();
    assert_eq!((jobs.len(), jobs[0].state.as_str()), (1, "COMPLETED"), "{jobs:?}");
    let inodes = |node: &PathBuf| fs::read_dir(node).unwrap().count();
    assert!(inodes(&nodes[1]) < 12, "a further node costs twelve inodes, with its directory");
    wait_until(
        "the daemon ends the job as completed, with what both nodes did",
        Within::Minutes,
        || site.database.sql("select outcome || ' ' || tasks from job"),
        |outcome| outcome == "completed 60",
    );
}

#[test]
fn a_killed_runner_loses_only_what_its_node_had() {
    let mut site = Site::start("idle = \"8s\"");
    site.submit_sleepers(60, 1000);
    let nodes = site.wait_for_results_of_both();
    let start = document(nodes[1].join("start.json"));
    // Between two chunks it holds nothing that could be lost.
    wait_until(
        "the second node has a chunk at work",
        Within::Minutes,
        || {
            let names = std::fs::read_dir(&nodes[1]).unwrap().map(|entry| entry.unwrap().file_name());
            names.map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>()
        },
        |names| names.iter().any(|name| name.starts_with("chunk-")),
    );
    kill(Pid::from_raw(i32::try_from(start["pid"].as_i64().unwrap()).unwrap()), Signal::SIGKILL).unwrap();
    let released = "select count(*) from event where kind = 'released'";
    wait_until(
        "its tasks wait again",
        Within::Minutes,
        || (site.database.count(released), site.daemon.log_tail()),
        |(released, _)| *released > 0,
    );
    site.running_job();
    assert!(!nodes[0].join("end.json").exists(), "the other runner works on");
    assert_eq!(document(nodes[1].join("end.json"))["reason"], "failed");
    site.wait_each_complete_once(60);
    let of_the_node = format!("{released} and message like 'the runner on node 2 of job%'");
    assert_eq!(site.database.count(released), site.database.count(&of_the_node));
    let losses = "select count(*) from event where kind = 'released' and message not like '%(failed)%'";
    assert_eq!(site.database.count(losses), 0);
    assert_eq!(site.slurm.jobs().len(), 1, "the rest was done by the same job");
}

#[test]
fn a_warning_before_the_walltime_reaches_both_runners() {
    let mut site = Site::start("idle = \"30s\"");
    site.submit_sleepers(200, 1000);
    let nodes = site.wait_for_results_of_both();
    // As Slurm itself does it: to the batch script only.
    site.slurm.ask("scancel", &["--batch", "--signal=USR2", &site.running_job().id]);
    let ends = wait_for_end_records(&site, &nodes);
    assert!(ends.iter().all(|end| end["reason"] == "walltime_near" && end["exit_code"] == 0), "{ends:?}");
    wait_until(
        "what they had not begun waits again, and nothing is charged for it",
        Within::Minutes,
        || (site.database.sql("select outcome from job order by id limit 1"), site.daemon.log_tail()),
        |(outcome, _)| outcome == "walltime",
    );
    assert_eq!(site.database.count("select count(*) from task where losses > 0 or tries > 0"), 0);
}
