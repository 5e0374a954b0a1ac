//! Programs that the runner runs itself: their ends, their limits, what they leave.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use qcbatch::model::task::EndReason;
use serde_json::{Value, json};

use crate::fixture::*;

#[test]
fn synthetic_tasks_of_every_kind_need_no_python() {
    let job = Job::new(Generation::V1)
        .manifest(|manifest| manifest.worker_command = vec!["/no/such/python".into()])
        .task(synthetic("null", json!({"payload_bytes": 5000})))
        .task(synthetic("sleep", json!({"milliseconds": 300})))
        .task(synthetic("true", json!({})))
        .task(synthetic("hf", json!({})))
        .staged();
    assert_eq!(job.run(), 0);
    let reports = job.by_task();
    assert_eq!(reports[&0].stdout.as_ref().unwrap().len(), 5000);
    assert!(reports[&1].provenance.wall_seconds >= 0.3);
    assert!(reports[&1].provenance.started_on.unwrap() > 1.7e9);
    assert!(reports[&2].provenance.peak_memory_bytes.unwrap() > 100 << 10);
    // The energy tells which molecule it is of: the sum of the coordinates.
    let energy: f64 = water()["geometry"].as_array().unwrap().iter().filter_map(Value::as_f64).sum();
    for task in 0..3 {
        let found = result_of(&reports[&task])["return_result"].as_f64().unwrap();
        assert!((found - energy).abs() < 1e-6, "{found} {energy}");
    }
    assert_eq!(error_of(&reports[&3]).1, "input_error");
    assert_eq!(job.end().reason, EndReason::Done);
    assert_eq!(job.scratch_directories(), 0);
}

#[test]
fn many_processes_run_on_all_cores_and_each_is_reported_once() {
    let job = Job::new(Generation::V1).tasks(500, &synthetic("true", json!({}))).staged();
    assert_eq!(job.run(), 0);
    assert_eq!(job.by_task().len(), 500);
}

#[test]
fn a_sleeper_is_stopped_at_its_limit_and_by_the_jobs_end() {
    let job = Job::new(Generation::V1)
        .task(synthetic("sleep", json!({"milliseconds": 60_000})))
        .limit(1)
        .task(synthetic("sleep", json!({"milliseconds": 600_000})))
        .staged();
    let runner = job.start();
    job.wait_for_reports(1);
    runner.signal(Signal::SIGTERM);
    assert_eq!(runner.wait(), 128 + 15);
    let reports = job.by_task();
    assert_eq!(reports.len(), 1);
    assert_eq!(error_of(&reports[&0]).1, "timeout");
    assert_eq!(job.end().reason, EndReason::Signal);
}

#[test]
fn the_guard_kills_what_a_killed_runner_left_and_nothing_else() {
    let sleeper = || Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
    let [mut left, mut forgotten] = [sleeper(), sleeper()];
    let mut guard = Command::new(env!("CARGO_BIN_EXE_qcbatch"))
        .args(["node", "--guard"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let words = format!("+{}\n+{}\n-{1}\n", left.id(), forgotten.id());
    // The pipe closes when the runner that held it is gone.
    guard.stdin.take().unwrap().write_all(words.as_bytes()).unwrap();
    assert!(guard.wait().unwrap().success());
    assert!(!left.wait().unwrap().success());
    assert!(lives(Pid::from_raw(forgotten.id() as i32)));
    forgotten.kill().unwrap();
    forgotten.wait().unwrap();
}

#[test]
fn a_warning_that_came_before_the_runner_is_heeded() {
    let job = Job::new(Generation::V1).tasks(3, &synthetic("null", json!({}))).staged();
    assert_eq!(job.start_with(&[("QCBATCH_EARLY_SIGNALS", " USR2")]).wait(), 0);
    let end = job.end();
    assert_eq!((end.reason, end.results), (EndReason::WalltimeNear, 0));
}

#[test]
fn a_task_sees_its_own_gpus_only() {
    // Each program says which GPUs it sees, through a worker that is a shell script speaking the worker's language.
    let job = Job::new(Generation::V1)
        .tasks(4, &pm7())
        .manifest(|manifest| {
            manifest.cores = 4;
            manifest.memory_bytes = 8 << 30;
            manifest.gpus = 2;
            manifest.worker_command = ["/bin/sh", "-c", GPU_WORKER].map(String::from).to_vec();
        })
        .each(|order| order.gpus = 1)
        .staged();
    assert_eq!(job.start_with(&[("CUDA_VISIBLE_DEVICES", "3,5")]).wait(), 0);
    let mut seen: Vec<String> = job.by_task().values().map(|report| report.stdout.clone().unwrap()).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["3 3", "5 5"]);
}

/// Greets, then answers each request with the GPUs that it sees.
const GPU_WORKER: &str = r#"echo '{"ready":{"qcengine_version":"0"}}'
while read -r request; do sleep 0.2
printf '{"result":{},"error":null,"stdout":"%s %s","stderr":null,"native_files":{},"cpu_seconds":0}\n' \
"$CUDA_VISIBLE_DEVICES" "$ROCR_VISIBLE_DEVICES"; done"#;
