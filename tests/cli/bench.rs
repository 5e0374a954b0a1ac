//! `qcbatch bench` against the server: the tasks run by the test's own hands.

use std::process::{Child, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::fixture::{Server, errors};
use crate::harness::inputs;
use crate::harness::wait::{Within, wait_until};

/// A benchmark that has submitted its tasks.
fn begun(server: &Server, tasks: i64, options: &[&str]) -> Child {
    let count = tasks.to_string();
    let bench = server
        .command([&["bench", "-n", &count, "--json"], options].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until(
        "the tasks are there",
        Within::AMoment,
        || server.database.count("select count(*) from task where available"),
        |waiting| *waiting == tasks,
    );
    bench
}

/// Lets it come to its end.
fn ended(bench: Child) -> (Output, Value) {
    let output = bench.wait_with_output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output, report)
}

#[track_caller]
fn assert_nothing_is_left(server: &Server) {
    for table in ["record", "task", "molecule", "specification", "demand", "compute_history"] {
        assert_eq!(server.database.count(&format!("select count(*) from {table}")), 0, "{table}");
    }
    assert_eq!(server.database.count("select count(*) from event where record_id is not null"), 0);
    assert_eq!(server.database.count("select coalesce(sum(change), 0) from record_count"), 0);
}

#[test]
fn every_figure_is_told_and_nothing_is_left() {
    let server = Server::start();
    let picture = server.directory.join("occupancy.svg");
    let svg = picture.to_str().unwrap();
    let bench = begun(&server, 3, &["--program", "sleep:1500", "--payload", "2KiB", "--svg", svg]);
    let keywords = "select count(*) from specification where program = 'synthetic' and method = 'sleep'
        and keywords::jsonb = '{\"milliseconds\": 1500, \"payload_bytes\": 2048}'";
    assert_eq!(server.database.count(keywords), 1);
    assert_eq!(server.database.count("select count(*) from molecule"), 3, "distinct molecules");
    server.run_waiting().iter().for_each(|ran| server.store_good(ran));
    let (output, report) = ended(bench);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        (&report["tasks"], &report["completed"], &report["failed"]),
        (&3.into(), &3.into(), &0.into())
    );
    assert_eq!((&report["pool"], &report["program"]), (&"local".into(), &"sleep:1500".into()));
    assert_eq!(report["jobs"]["count"], 3);
    assert_eq!(report["records"], "removed");
    assert_eq!(report["scheduler"]["calls"], serde_json::json!({}), "the counter stood still");
    for (stage, seconds) in [("intake", 0.0), ("end_to_end", 0.0)] {
        let stage = &report["stages"][stage];
        assert!(stage["seconds"].as_f64().unwrap() > seconds, "{report:#}");
        assert!(stage["tasks_per_second"].as_f64().unwrap() > 0.0, "{report:#}");
    }
    let latency = &report["latency_seconds"];
    assert_eq!(latency["run"]["p50"], 1.5);
    assert!(latency["submit_to_stored"]["p99"].as_f64().unwrap() > 0.0, "{report:#}");
    assert!(report["daemon"]["resident_bytes"].as_u64().unwrap() > 1 << 20, "{report:#}");
    // Three jobs of two cores, the second and the third a second later each, to the end at 3.5 s: 15 core seconds.
    let near = |pointer: &str, expected: f64| {
        let found = report.pointer(pointer).and_then(Value::as_f64).unwrap();
        assert!((found - expected).abs() < 1e-4, "{pointer} is not {expected}: {report:#}");
    };
    near("/occupancy/held_cores", 15.0 / 3.5);
    near("/occupancy/fraction", 3.0 * 2.0 * 1.5 / 15.0);
    let drawn = std::fs::read_to_string(picture).unwrap();
    assert!(
        drawn.starts_with("<svg") && drawn.contains("3 tasks of sleep:1500 on pool local, 3 jobs"),
        "{drawn}"
    );
    assert_nothing_is_left(&server);
}

#[test]
fn records_of_others_are_left_alone_and_kept_ones_can_be_removed() {
    let server = Server::start();
    let file = server.file("water.json", &inputs::water_mopac().to_string());
    server.ask(["submit".as_ref(), file.as_os_str()]);
    server.run_waiting();
    let bench = begun(&server, 2, &["--keep"]);
    server.run_waiting().iter().for_each(|ran| server.store_good(ran));
    let (output, report) = ended(bench);
    assert!(output.status.success(), "{output:?}");
    assert_eq!((&report["records"], &report["completed"]), (&"kept".into(), &2.into()));
    assert_eq!(server.database.count("select count(*) from record where status = 'complete'"), 2);
    let tag = report["compute_tag"].as_str().unwrap();
    server.ask(["bench", "--remove", tag]);
    assert_eq!(server.database.count("select count(*) from record"), 1);
    assert_eq!(server.database.count("select count(*) from record where status = 'running'"), 1);

    let refused = server.cli(["bench", "--remove", "weekly"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(errors(&refused).contains("begin with `bench-`"), "{refused:?}");
}

#[test]
fn failed_tasks_are_told_and_kept_for_a_look() {
    let server = Server::start();
    let bench = begun(&server, 2, &[]);
    let ran = server.run_waiting();
    server.store_good(&ran[0]);
    server.store_failure(&ran[1], qcbatch::model::failure::FailureClass::Program);
    let (output, report) = ended(bench);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!((&report["completed"], &report["failed"]), (&1.into(), &1.into()));
    assert_eq!(server.database.count("select count(*) from record"), 2);
}

#[test]
fn interrupted_or_out_of_time_it_cancels_and_removes() {
    let server = Server::start();
    let bench = begun(&server, 3, &[]);
    kill(Pid::from_raw(bench.id().cast_signed()), Signal::SIGINT).unwrap();
    let (output, _) = ended(bench);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(errors(&output).contains("interrupted"), "{output:?}");
    assert_nothing_is_left(&server);

    let output = server.cli(["bench", "-n", "2", "--timeout", "1s"]);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_nothing_is_left(&server);
}

#[test]
fn an_unknown_pool_is_told_before_anything_is_stored() {
    let server = Server::start();
    let output = server.cli(["bench", "--pool", "cluster"]);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(errors(&output).contains("no pool `cluster`"), "{output:?}");
    assert_nothing_is_left(&server);
}
