//! The node runner alone, on a job directory that lies ready: what a task costs beside the task itself.
//! `cargo bench --bench runner`; prints figures and judges nothing. `QCBATCH_BENCH_PROGRAM` names another `qcbatch`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on must fail")]

#[path = "../tests/node/fixture.rs"]
#[expect(dead_code, reason = "the benchmark uses a part of the tests' fixture")]
mod fixture;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fixture::{Generation, Job, order, pm7, synthetic};
use qcbatch::model::task::TaskReport;
use qcbatch::spool::{Finality, read_results};
use serde_json::{Value, json};

const NULL_TASKS: i64 = 100_000;
const TASKS_PER_CHUNK: i64 = 1_000;
const TRUE_TASKS: i64 = 5_000;
/// Tasks of a turn: few, so that a machine that is slow for a while is slow for both of a pair.
const QCENGINE_TASKS: usize = 40;
const PAIRS: usize = 15;

fn main() {
    // `cargo test --all-targets` runs benchmarks too, with `--test`-like arguments; only `cargo bench` passes `--bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let _ = writeln!(std::io::stdout(), "load average: {}", read("/proc/loadavg").trim());
    in_chunks("null tasks", NULL_TASKS, &synthetic("null", json!({})), 1);
    in_chunks(
        "null tasks, 1 kB of output",
        NULL_TASKS,
        &synthetic("null", json!({"payload_bytes": 1000})),
        1,
    );
    in_chunks("/bin/true, 2 slots", TRUE_TASKS, &synthetic("true", json!({})), 2);
    in_chunks("sleep of 100 ms, 16 slots", 2_000, &synthetic("sleep", json!({"milliseconds": 100})), 16);
    bare_processes();
    qcengine();
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn program() -> PathBuf {
    std::env::var_os("QCBATCH_BENCH_PROGRAM")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_qcbatch")), PathBuf::from)
}

/// Runs `qcbatch node` on a job; how long it took.
fn run(job: &Job) -> Duration {
    let started = Instant::now();
    let status = Command::new(program())
        .arg("node")
        .arg(job.directory.path())
        .stdin(Stdio::null())
        .env_remove("SLURM_JOB_ID")
        .status()
        .expect("the program was built");
    assert!(status.success(), "runner: {status}; {}", read(job.directory.runner_log()));
    started.elapsed()
}

fn in_chunks(what: &str, tasks: i64, specification: &Value, cores: u32) {
    let job = Job::new(Generation::V1).pooled().manifest(|manifest| {
        manifest.cores = cores;
        manifest.memory_bytes = 1 << 40;
    });
    let job = job.staged();
    for chunk in 0..tasks / TASKS_PER_CHUNK {
        let numbers = chunk * TASKS_PER_CHUNK..(chunk + 1) * TASKS_PER_CHUNK;
        let orders: Vec<_> = numbers.map(|number| order(number, specification)).collect();
        job.publish(chunk, &orders);
    }
    let took = run(&job);
    let reports = reports(&job);
    assert_eq!(reports.len() as i64, tasks, "every task is reported");
    let busy: f64 = reports.iter().map(|report| report.provenance.wall_seconds).sum();
    say(&format!(
        "{what}: {tasks} in {:.2} s, {:.1} us each, {:.0} tasks/s; slots busy {:.1} % of the time; runner held {} MiB",
        took.as_secs_f64(),
        took.as_secs_f64() * 1e6 / tasks as f64,
        tasks as f64 / took.as_secs_f64(),
        100.0 * busy / took.as_secs_f64() / f64::from(cores),
        resident(&job) >> 20,
    ));
}

fn reports(job: &Job) -> Vec<TaskReport> {
    let batch = read_results(&job.directory.results(), 0, usize::MAX >> 1, Finality::Final);
    batch.expect("the runner wrote it").reports
}

fn resident(job: &Job) -> u64 {
    job.evidence().heartbeat.map_or(0, |heartbeat| heartbeat.resident_bytes)
}

/// What 5 000 processes cost without any runner: two shells that each start half of them.
fn bare_processes() {
    let script = format!("i=0; while [ $i -lt {} ]; do /bin/true; i=$((i+1)); done", TRUE_TASKS / 2);
    let started = Instant::now();
    let shells: Vec<_> = (0..2)
        .map(|_| Command::new("/bin/dash").args(["-c", &script]).spawn().expect("dash is there"))
        .collect();
    for mut shell in shells {
        assert!(shell.wait().expect("it is our child").success());
    }
    let took = started.elapsed();
    say(&format!(
        "/bin/true from two shells, for comparison: {TRUE_TASKS} in {:.2} s, {:.1} us each",
        took.as_secs_f64(),
        took.as_secs_f64() * 1e6 / TRUE_TASKS as f64
    ));
}

/// MOPAC through QCEngine: the runner with one slot against a plain loop, in turns, both without their Python's start.
fn qcengine() {
    let (mut ours, mut plain) = (vec![], vec![]);
    for _ in 0..PAIRS {
        plain.push(plain_loop());
        let job = Job::new(Generation::V1)
            .manifest(|manifest| manifest.cores = 1)
            .tasks(QCENGINE_TASKS, &pm7())
            .staged();
        run(&job);
        let reports = reports(&job);
        assert_eq!(reports.len(), QCENGINE_TASKS);
        ours.push(span(&reports) / (QCENGINE_TASKS - 1) as f64);
    }
    let more: Vec<f64> = ours.iter().zip(&plain).map(|(ours, plain)| 100.0 * (ours / plain - 1.0)).collect();
    let show = |name: &str, unit: &str, mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        let each: Vec<String> = values.iter().map(|value| format!("{value:.1}")).collect();
        say(&format!(
            "mopac through QCEngine, {name}: median {:.2} {unit} ({})",
            values[PAIRS / 2],
            each.join(", ")
        ));
    };
    let milliseconds = |times: Vec<f64>| times.into_iter().map(|time| time * 1e3).collect();
    show("node runner", "ms per task", milliseconds(ours));
    show("plain loop", "ms per task", milliseconds(plain));
    show("what the runner takes more in each pair", "%", more);
}

/// From the first task's start to the last one's: what lies between is tasks and the runner's own work.
fn span(reports: &[TaskReport]) -> f64 {
    let starts = || reports.iter().filter_map(|report| report.provenance.started_on);
    starts().fold(0.0, f64::max) - starts().fold(f64::INFINITY, f64::min)
}

/// The same calculations in a loop that imports QCEngine once; seconds per task.
fn plain_loop() -> f64 {
    let molecule = serde_json::to_string(&fixture::water()).expect("it is JSON");
    let script = format!(
        "import json, time\nimport qcengine, qcelemental.models as models\nmolecule = json.loads('{molecule}')\n\
        config = {{'ncores': 1, 'memory': 1.0}}\ntimes = []\n\
        for number in range({QCENGINE_TASKS}):\n    times.append(time.time())\n    \
        request = models.AtomicInput(molecule=molecule, driver='gradient', model={{'method': 'pm7'}}, extras={{'mine': number}})\n    \
        result = qcengine.compute(request, 'mopac', raise_error=True, task_config=config)\n    result.json()\n\
        print((times[-1] - times[0]) / (len(times) - 1))\n"
    );
    let output =
        Command::new(Generation::V1.python()).args(["-c", &script]).output().expect("Python is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}
