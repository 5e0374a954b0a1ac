//! `qcbatch bench` the whole way: a pilot on this machine runs the tasks, every figure is there, nothing is left behind.

use std::fs;

use serde_json::Value;

use crate::harness::{Daemon, DaemonConfig, Database};

fn assert_nothing_is_left(database: &Database) {
    for table in ["record", "task", "molecule", "specification", "demand", "compute_history"] {
        assert_eq!(database.count(&format!("select count(*) from {table}")), 0, "{table}");
    }
    assert_eq!(database.count("select count(*) from event where record_id is not null"), 0);
}

#[track_caller]
fn positive(report: &Value, pointer: &str) -> f64 {
    let value = report.pointer(pointer).and_then(Value::as_f64);
    value.filter(|value| *value > 0.0).unwrap_or_else(|| panic!("{pointer} in {report:#}"))
}

#[test]
fn a_benchmark_measures_every_stage_and_leaves_nothing() {
    let database = Database::fresh();
    // A pool that serves neither the tag nor the program of a benchmark: it is measured all the same.
    let settings = "compute_tags = [\"weekly\"]\nprograms = [\"mopac\"]\ncores = 2\nmemory = \"4GiB\"";
    let daemon = Daemon::start(&DaemonConfig::on(&database).with_local_pool(settings));
    let picture = daemon.state().join("occupancy.svg");
    let svg = picture.to_str().unwrap();
    let report = daemon.json(&[
        "bench",
        "-n",
        "40",
        "--program",
        "sleep:50",
        "--payload",
        "1KiB",
        "--svg",
        svg,
        "--timeout",
        "5m",
    ]);
    assert_eq!(
        (&report["tasks"], &report["completed"], &report["failed"]),
        (&40.into(), &40.into(), &0.into())
    );
    assert_eq!((&report["pool"], &report["records"]), (&"local".into(), &"removed".into()));
    for stage in ["intake", "claim", "run", "ingest", "end_to_end"] {
        // All results may have been stored at one moment.
        if stage != "ingest" {
            positive(&report, &format!("/stages/{stage}/tasks_per_second"));
        }
        assert!(report["stages"].get(stage).is_some(), "{report:#}");
    }
    let (p50, p99) = (
        positive(&report, "/latency_seconds/submit_to_stored/p50"),
        positive(&report, "/latency_seconds/submit_to_stored/p99"),
    );
    assert!(p50 <= p99 && p99 <= positive(&report, "/stages/end_to_end/seconds") + 1.0, "{report:#}");
    assert!(positive(&report, "/latency_seconds/run/p50") >= 0.05, "they slept: {report:#}");
    let fraction = positive(&report, "/occupancy/fraction");
    assert!(fraction <= 1.0, "no more is busy than was held: {report:#}");
    assert!(
        positive(&report, "/jobs/count") >= 1.0 && positive(&report, "/jobs/most_inodes") <= 12.0,
        "{report:#}"
    );
    assert!(positive(&report, "/scheduler/calls/submit") <= positive(&report, "/jobs/count"), "{report:#}");
    // Forty kilobytes that hardly compress.
    assert!(positive(&report, "/database/bytes_per_record") > 512.0, "{report:#}");
    positive(&report, "/daemon/resident_bytes");
    positive(&report, "/daemon/cpu_seconds");
    assert!(fs::read_to_string(picture).unwrap().contains("40 tasks of sleep:50 on pool local"));
    assert_nothing_is_left(&database);
}

#[test]
fn processes_run_too_and_payloads_arrive() {
    let database = Database::fresh();
    let daemon = Daemon::start(&DaemonConfig::on(&database).with_local_pool(""));
    let report = daemon.json(&["bench", "-n", "20", "--program", "true", "--payload", "5000B", "--keep"]);
    assert_eq!((&report["completed"], &report["records"]), (&20.into(), &"kept".into()));
    let newest = daemon.records()[0]["id"].to_string();
    let printed = daemon.ask(["logs", newest.as_str()]);
    assert!(printed.trim_end().len() >= 4_990, "{} characters", printed.len());
    daemon.ask(["bench", "--remove", report["compute_tag"].as_str().unwrap()]);
    assert_nothing_is_left(&database);
}
