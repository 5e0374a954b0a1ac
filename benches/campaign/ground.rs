//! What every section stands on: a daemon as shipped on this machine's pool, its figures, and the wish to be read.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Daemon, DaemonConfig, Within};

/// Prints a line at once: a section may take minutes.
pub fn say(line: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// `config` with the pace of a daemon as it is shipped; the tests' harness makes it hurry.
pub fn as_shipped(config: DaemonConfig) -> DaemonConfig {
    config
        .with_env("QCBATCH_DAEMON__TICK", "2s")
        .with_env("QCBATCH_DAEMON__POLL_INTERVAL", "30s")
        .with_env("QCBATCH_DAEMON__LEASE", "60s")
        .with_env("QCBATCH_DAEMON__LOG", "info")
        .with_env("QCBATCH_WORKER__HEARTBEAT", "10s")
        .with_env("QCBATCH_RETRY__DELAY", "30s")
}

/// A daemon as shipped, with its private PostgreSQL and the pool of this machine.
pub fn daemon() -> Daemon {
    Daemon::start(&as_shipped(DaemonConfig::private_database().with_local_pool("")))
}

/// `qcbatch bench` with these options: its figures.
pub fn bench(daemon: &Daemon, tasks: u32, options: &[&str]) -> Value {
    daemon.json(&[&["bench", "-n", &tasks.to_string()], options].concat())
}

/// The number at `pointer`; not a number where it was not measured.
pub fn figure(report: &Value, pointer: &str) -> f64 {
    report.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

/// Waits until `tasks` records are complete; looks ten times a second.
pub fn until_complete(daemon: &Daemon, tasks: u32) {
    let started = Instant::now();
    loop {
        let records = daemon.json(&["status"])["records"].clone();
        if records["complete"].as_u64() == Some(u64::from(tasks)) {
            return;
        }
        assert!(records["error"].is_null(), "{records}");
        assert!(started.elapsed() < 6 * Within::AWhile.duration(), "{records}\n{}", daemon.log_tail());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A process's largest resident memory so far, in MiB.
pub fn peak_resident_mib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux tells it");
    let kib: f64 = line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("it is a number");
    kib / 1024.0
}

/// The value in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
