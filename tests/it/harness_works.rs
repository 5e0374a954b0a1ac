//! The parts that other tests stand on: a private Slurm runs jobs, PostgreSQL gives fresh databases, nothing is left behind.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::harness::postgres::Postgres;
use crate::harness::private_dir::PrivateDir;
use crate::harness::wait::{Within, wait_until};
use crate::harness::{Database, Slurm};

#[test]
fn slurm_runs_a_job_and_lists_it_afterwards() {
    let slurm = Slurm::start();
    let directory = PrivateDir::new();
    let result = directory.join("result");
    let wrap = format!("--wrap=nproc --all; echo done > {}", result.display());
    let id =
        slurm.ask("sbatch", &["--parsable", "--job-name=qcb-first", "-c", "8", "-o", "/dev/null", &wrap]);
    wait_until(
        "the job is completed",
        Within::AMoment,
        || (slurm.jobs(), slurm.logs()),
        |(jobs, _)| jobs.iter().any(|job| job.state == "COMPLETED"),
    );
    let jobs = slurm.jobs();
    assert_eq!((jobs[0].id.as_str(), jobs[0].name.as_str()), (id.trim(), "qcb-first"));
    assert_eq!(fs::read_to_string(result).unwrap(), "done\n");
    slurm.wait_idle();
}

#[test]
fn a_paused_controller_answers_nobody_and_forgets_nothing() {
    let slurm =
        Slurm::start_with(crate::harness::SlurmOptions { message_timeout_seconds: 2, ..Default::default() });
    slurm.pause_controller();
    let refused =
        slurm.client("sbatch", &["--parsable", "--job-name=qcb-unclear", "-o", "/dev/null", "--wrap=true"]);
    assert!(!refused.status.success(), "the client gave up: {refused:?}");
    slurm.resume_controller();
    wait_until(
        "the job that nobody was told of runs",
        Within::AMoment,
        || slurm.jobs(),
        |jobs| jobs.iter().any(|job| job.name == "qcb-unclear"),
    );
}

#[test]
fn ending_slurm_ends_its_jobs() {
    let slurm = Slurm::start();
    let directory = PrivateDir::new();
    let pid_file = directory.join("pid");
    let wrap = format!("--wrap=trap '' TERM; echo $$ > {}; while :; do sleep 1; done", pid_file.display());
    slurm.ask("sbatch", &["-o", "/dev/null", &wrap]);
    let pid = wait_until(
        "the job writes its process id",
        Within::AMoment,
        || fs::read_to_string(&pid_file).unwrap_or_default(),
        |text| text.ends_with('\n'),
    );
    drop(slurm);
    // A killed process stays listed until init has taken note of it.
    let process = format!("/proc/{}", pid.trim());
    wait_until(
        "the job's process is gone",
        Within::AMoment,
        || fs::exists(&process).unwrap(),
        |exists| !exists,
    );
}

#[test]
fn databases_are_fresh_and_survive_a_stop_of_the_server() {
    let postgres = Arc::new(Postgres::start());
    let (one, other) = (postgres.database(), postgres.database());
    one.sql("create table t as select 7 as x");
    assert_eq!(other.count("select count(*) from pg_tables where tablename = 't'"), 0);
    postgres.stop();
    postgres.start_again();
    assert_eq!(one.count("select x from t"), 7);
    assert!(Database::fresh().url().starts_with("postgresql:///"));
}

#[test]
fn a_killed_test_leaves_nothing() {
    let mut watcher = Command::new("/bin/sh")
        .args([concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/harness/reap.sh"), "watch"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let directory = tempfile::Builder::new().prefix("qcb-").tempdir_in("/tmp").unwrap().keep();
    let mut child = Command::new("sleep").arg("1000").env("QCB", &directory).spawn().unwrap();
    let mut told = watcher.stdin.take().unwrap();
    writeln!(told, "+{}", directory.display()).unwrap();
    // What the kernel does for a process that is killed.
    drop(told);
    watcher.wait().unwrap();
    assert!(!child.wait().unwrap().success(), "it was ended by a signal");
    assert!(!directory.exists());
}

#[test]
fn a_dropped_directory_takes_its_processes_along() {
    let directory = PrivateDir::new();
    let mut child = Command::new("sleep").arg("1000").env("QCB", directory.path()).spawn().unwrap();
    let path = directory.path().to_owned();
    drop(directory);
    assert!(!child.wait().unwrap().success(), "it was ended by a signal");
    assert!(!path.exists());
}
