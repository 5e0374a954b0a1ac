//! A million waiting tasks: memory of the daemon, and how soon a new one submits.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::Scale;
use crate::ground::{as_shipped, peak_resident_mib, say};
use crate::harness::private_dir::PrivateDir;
use crate::harness::{Daemon, DaemonConfig, Database};

const TASKS: u32 = 1_000_000;
const RUN: Duration = Duration::from_secs(30);

pub fn run(scale: Scale) {
    let tasks = scale.of(TASKS);
    let database = Database::fresh();
    take_in(&database, tasks);
    let began = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs_f64();
    let daemon = Daemon::start(&as_shipped(DaemonConfig::on(&database).with_local_pool("")));
    let called = "select coalesce(extract(epoch from min(called_on)), 0) from submission";
    let first: f64 = loop {
        match database.sql(called).parse().expect("a number") {
            0.0 => std::thread::sleep(Duration::from_millis(50)),
            called => break called,
        }
    };
    say(&format!(
        "{tasks} waiting tasks: {:.2} s from the daemon's start to its first submission",
        first - began
    ));
    say("  bound: below 2 s");
    std::thread::sleep(RUN);
    say(&format!(
        "{tasks} waiting tasks: daemon's peak resident {:.0} MiB while {} s of them run",
        peak_resident_mib(daemon.pid()),
        RUN.as_secs()
    ));
    say("  bound: below 64 MiB");
}

/// Tasks that the pool of this daemon does not serve.
fn take_in(database: &Database, tasks: u32) {
    let config = DaemonConfig::on(database).with_local_pool("compute_tags = [\"other\"]");
    let mut daemon = Daemon::start(&as_shipped(config));
    let directory = PrivateDir::new();
    let path = directory.join("inputs.jsonl");
    write_inputs(&path, tasks);
    let started = Instant::now();
    let file = path.to_str().expect("the path is ASCII");
    daemon.ask([
        "submit",
        file,
        "-q",
        "--pool",
        "local",
        "--program",
        "synthetic",
        "--method",
        "null",
        "--tag",
        "later",
    ]);
    let seconds = started.elapsed().as_secs_f64();
    say(&format!("{tasks} waiting tasks: taken in at {:.0}/s", f64::from(tasks) / seconds));
    say(&format!(
        "{tasks} waiting tasks: daemon's peak resident {:.0} MiB at intake",
        peak_resident_mib(daemon.pid())
    ));
    assert_eq!(database.count("select count(*) from task where available"), i64::from(tasks));
    daemon.stop();
}

fn write_inputs(path: &Path, count: u32) {
    let mut file = BufWriter::new(File::create(path).expect("the directory is ours"));
    for number in 0..count {
        let (row, column) = (f64::from(number / 1000) * 1e-3, f64::from(number % 1000) * 1e-3);
        let molecule = json!({
            "schema_name": "qcschema_molecule", "schema_version": 2, "symbols": ["He", "He"],
            "geometry": [0.0, 0.0, 0.0, 0.0, row, 5.0 + column],
        });
        writeln!(file, "{molecule}").expect("/tmp has room");
    }
    file.flush().expect("/tmp has room");
}
