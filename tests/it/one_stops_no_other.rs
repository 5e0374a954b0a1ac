//! What one job leaves in its directory, or one pool's slow scheduler, stops nobody else's work.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;

use crate::harness::private_dir::PrivateDir;
use crate::harness::simulator::{Dialect, Simulator};
use crate::harness::{Daemon, DaemonConfig, Database, Within, inputs, wait_until};

/// Tasks that do nothing for so many milliseconds; each from another molecule.
fn sleepers(from: f64, count: u32) -> Value {
    let task = |number| {
        let molecule = inputs::hydrogen(from + f64::from(number) / 100.0);
        inputs::energy("synthetic", "sleep", None, molecule)
    };
    (0..count).map(task).collect()
}

fn wait_for(daemon: &Daemon, database: &Database, complete: i64) {
    wait_until(
        "the tasks are complete",
        Within::Minutes,
        || (database.count("select count(*) from record where status = 'complete'"), daemon.log_tail()),
        |(count, _)| *count == complete,
    );
}

/// The directories of the daemon's jobs.
fn job_directories(daemon: &Daemon, pool: &str) -> Vec<PathBuf> {
    let jobs = daemon.jobs();
    let tags = jobs.iter().map(|job| job["tag"].as_str().unwrap());
    tags.map(|tag| daemon.spool().join(pool).join(tag).join("0")).filter(|path| path.exists()).collect()
}

#[test]
fn what_lies_in_one_jobs_directory_neither_stops_the_others_nor_fills_memory() {
    let database = Database::fresh();
    let pool = "cores = 1\nmax_jobs = 1\nidle = \"60s\"";
    let mut daemon = Daemon::start(&DaemonConfig::on(&database).with_local_pool(pool));
    daemon.submit(&sleepers(0.7, 1), &["--pool", "local", "--keywords", "milliseconds=1"]);
    wait_for(&daemon, &database, 1);
    let directories = job_directories(&daemon, "local");
    assert!(!directories.is_empty(), "its job is still there, and waits for more work");
    for directory in directories {
        mkfifo(&directory.join("duplicate.json"), Mode::S_IRWXU).unwrap();
        File::create(directory.join("start.json")).unwrap().set_len(3 << 30).unwrap();
        fs::create_dir(directory.join("node-4000000000")).unwrap();
        fs::create_dir(directory.join("node-1")).unwrap();
        mkfifo(&directory.join("node-1/results"), Mode::S_IRWXU).unwrap();
    }
    daemon.submit(&sleepers(1.7, 3), &["--pool", "local", "--keywords", "milliseconds=1"]);
    wait_for(&daemon, &database, 4);
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().to_owned();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 300 << 10, "the daemon took {kib} KiB");
    // It ends within its time: no thread waits for a writer of the FIFO.
    daemon.stop();
}

#[test]
fn a_pool_that_is_slow_to_submit_lets_another_go_first() {
    let simulator = Simulator::new(Dialect::Slurm);
    let wrapper = PrivateDir::new();
    let path = wrapper.join("sbatch");
    // Longer than a submission may take before others go first.
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *slowly*) sleep 11;; esac\nPATH={}\nexec sbatch \"$@\"\n",
        simulator.path()
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let database = Database::fresh();
    let pool = |name: &str| {
        format!(
            "name = \"{name}\"\nadapter = \"slurm\"\nqueue = \"main\"\ncores = 1\nidle = \"1s\"\nmax_array = 1"
        )
    };
    let config = DaemonConfig::on(&database)
        .with_pool(&pool("slowly"))
        .with_pool(&pool("quickly"))
        .with_env("PATH", &format!("{}:{}", wrapper.path().display(), simulator.path()));
    let mut daemon = Daemon::start(&config);
    let now = ["--keywords", "milliseconds=1", "--now", "--pool"];
    daemon.submit(&sleepers(0.7, 4), &[now.as_slice(), &["slowly"]].concat());
    let accepted = |pool: &str| {
        database.count(&format!(
            "select count(*) from submission where pool = '{pool}' and scheduler_job_id is not null"
        ))
    };
    wait_until(
        "the first slow one is under way",
        Within::AMoment,
        || database.count("select count(*) from submission where state = 'submitting'"),
        |calls| *calls == 1,
    );
    daemon.submit(&sleepers(1.7, 1), &[now.as_slice(), &["quickly"]].concat());
    wait_until("the quick pool's job is taken", Within::AMoment, || accepted("quickly"), |jobs| *jobs == 1);
    assert!(accepted("slowly") <= 2, "it had to wait for {} slow calls", accepted("slowly"));
}
