//! The same thousands of `/bin/true` through us and through HyperQueue, in turns on the same machine.
//!
//! HyperQueue's clock runs from its `submit` call to the end of its `wait_for_jobs`, with server and worker already up and
//! its task objects already made; a second is taken off, because that wait looks once a second. Ours runs from the first byte of the request to the last result in PostgreSQL, with a
//! pilot already up, as its worker is. HyperQueue is measured as it is by default (a file for each task's standard output
//! and another for its standard error) and with neither; our results hold both streams of every task.

use std::process::Command;

use crate::Scale;
use crate::ground::{bench, daemon, figure, median, say};
use crate::harness::private_dir::PrivateDir;

const TASKS: u32 = 5_000;
const REPEATS: usize = 5;

/// HyperQueue's wait looks once in so many seconds. All of it is taken off, in its favour.
const WAIT_STEP: f64 = 1.0;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/campaign/hyperqueue_true.py");

pub fn run(scale: Scale) {
    let tasks = scale.of(TASKS);
    let Some(python) = std::env::var_os("QCBATCH_BENCH_PYTHON") else {
        return say(
            "not measured: QCBATCH_BENCH_PYTHON names no Python with hyperqueue (make bench sets it)",
        );
    };
    let theirs = |streams: &str| {
        let directory = PrivateDir::new();
        let output = Command::new(&python)
            .args([SCRIPT, &tasks.to_string(), streams])
            .current_dir(directory.path())
            .output()
            .expect("the interpreter runs");
        let text = String::from_utf8_lossy(&output.stdout);
        // HyperQueue's server introduces itself before.
        let seconds: f64 =
            text.trim().lines().next_back().unwrap_or_default().parse().unwrap_or_else(|_| {
                panic!("seconds, not {text:?}: {}", String::from_utf8_lossy(&output.stderr))
            });
        f64::from(tasks) / (seconds - WAIT_STEP).max(0.1)
    };
    let daemon = daemon();
    // The pilot starts, as HyperQueue's worker has.
    bench(&daemon, 100, &["--program", "true"]);
    let (mut ours, mut plain, mut files) = (Vec::new(), Vec::new(), Vec::new());
    for repeat in 1..=REPEATS {
        ours.push(figure(
            &bench(&daemon, tasks, &["--program", "true"]),
            "/stages/end_to_end/tasks_per_second",
        ));
        plain.push(theirs("none"));
        files.push(theirs("files"));
        say(&format!(
            "/bin/true, turn {repeat}: {:.0}/s here; HyperQueue {:.0}/s without streams, {:.0}/s with files",
            ours[repeat - 1],
            plain[repeat - 1],
            files[repeat - 1],
        ));
    }
    let (ours, plain, files) = (median(ours), median(plain), median(files));
    say(&format!(
        "/bin/true, {tasks} tasks, medians: {ours:.0}/s here, HyperQueue {plain:.0}/s without streams ({:.2} times), {files:.0}/s with files ({:.2} times)",
        ours / plain,
        ours / files,
    ));
    say("  bound: at least twice as fast as HyperQueue");
}
