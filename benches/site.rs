//! The bounds that a site asks about, measured on the real parts: an idle daemon, the intake of 100 000 inputs, a
//! thousand one-task jobs. `cargo bench --bench site`; prints figures and judges nothing.

#[path = "../tests/it/harness/mod.rs"]
#[expect(dead_code, reason = "the benchmark uses a part of the tests' harness")]
mod harness;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use harness::private_dir::PrivateDir;
use harness::slurm::search_path;
use harness::{Daemon, DaemonConfig, Database, Slurm, SlurmOptions, Within, inputs, wait_until};

const IDLE: Duration = Duration::from_secs(60);
const INPUTS: u32 = 100_000;
const JOBS: u32 = 1_000;

fn main() {
    // `cargo test --all-targets` runs benchmarks too, with `--test`-like arguments; only `cargo bench` passes `--bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    intake();
    array_and_idle();
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// 100 000 inputs from one JSON-lines file.
fn intake() {
    let database = Database::fresh();
    // A tag that no pool serves: the tasks stay where they are, intake alone is measured.
    let daemon = Daemon::start(&DaemonConfig::on(&database).with_local_pool("compute_tags = [\"other\"]"));
    let before = peak_resident_kib(daemon.pid());
    let directory = PrivateDir::new();
    let file = directory.join("inputs.jsonl");
    write_inputs(&file, INPUTS);
    let path = file.to_str().expect("the path is ASCII");
    let started = Instant::now();
    daemon.ask(["submit", path, "--tag", "bench", "--parsable"]);
    let seconds = started.elapsed().as_secs_f64();
    say(&format!(
        "intake: {INPUTS} new inputs in {seconds:.1} s, {:.0} records/s",
        f64::from(INPUTS) / seconds
    ));
    let started = Instant::now();
    daemon.ask(["submit", path, "--tag", "bench", "--parsable"]);
    let seconds = started.elapsed().as_secs_f64();
    say(&format!(
        "intake: the same again (all found) in {seconds:.1} s, {:.0} records/s",
        f64::from(INPUTS) / seconds
    ));
    say(&format!(
        "intake: daemon's peak resident {} MiB, before {} MiB",
        peak_resident_kib(daemon.pid()) / 1024,
        before / 1024
    ));
    assert_eq!(database.count("select count(*) from record"), i64::from(INPUTS));
}

fn write_inputs(path: &Path, count: u32) {
    let mut file = BufWriter::new(File::create(path).expect("the directory is ours"));
    for index in 0..count {
        let input = inputs::energy("mopac", "pm7", None, inputs::hydrogen(0.6 + f64::from(index) * 1e-5));
        writeln!(file, "{input}").expect("/tmp has room");
    }
    file.flush().expect("/tmp has room");
}

/// A thousand one-task jobs, and the daemon while they wait: how often is the scheduler called?
fn array_and_idle() {
    let slurm = Slurm::start_with(SlurmOptions { cpus: 1, ..SlurmOptions::default() });
    slurm.ask("scontrol", &["update", "partitionname=main", "state=down"]);
    let counter = Counter::new();
    let database = Database::fresh();
    let config = DaemonConfig::on(&database)
        .with_slurm_pool(&slurm, &format!("tasks_per_job = 1\nmax_jobs = {JOBS}\npoll_interval = \"15s\""))
        .with_env("PATH", &counter.path());
    let mut daemon = Daemon::start(&config);
    let started = Instant::now();
    daemon.submit(&inputs::many_mopac(JOBS), &[]);
    wait_until("all jobs are queued", Within::Minutes, || slurm.jobs().len(), |jobs| *jobs == JOBS as usize);
    say(&format!(
        "array: {JOBS} one-task jobs queued after {:.1} s, sbatch called {} times",
        started.elapsed().as_secs_f64(),
        counter.calls("sbatch"),
    ));
    let (calls, cpu) = (counter.calls("squeue") + counter.calls("sacct"), cpu_seconds(daemon.pid()));
    std::thread::sleep(IDLE);
    report_idle("1000 queued jobs", &daemon, counter.calls("squeue") + counter.calls("sacct") - calls, cpu);
    drop(daemon);

    let database = Database::fresh();
    let config = DaemonConfig::on(&database).with_slurm_pool(&slurm, "").with_env("PATH", &counter.path());
    let daemon = Daemon::start(&config);
    std::thread::sleep(Duration::from_secs(5));
    let (calls, cpu) = (counter.calls("squeue") + counter.calls("sacct"), cpu_seconds(daemon.pid()));
    std::thread::sleep(IDLE);
    report_idle("nothing to do", &daemon, counter.calls("squeue") + counter.calls("sacct") - calls, cpu);
}

fn report_idle(what: &str, daemon: &Daemon, calls: usize, cpu_before: f64) {
    let cpu = cpu_seconds(daemon.pid()) - cpu_before;
    say(&format!(
        "idle ({what}): {:.2} % of one core over {} s, peak resident {} MiB, {calls} status calls",
        cpu / IDLE.as_secs_f64() * 100.0,
        IDLE.as_secs(),
        peak_resident_kib(daemon.pid()) / 1024,
    ));
}

/// Scheduler commands first on PATH that leave a line for each call and run the real ones.
struct Counter {
    directory: PrivateDir,
}

impl Counter {
    fn new() -> Counter {
        let directory = PrivateDir::new();
        for name in ["sbatch", "squeue", "sacct"] {
            let real = std::env::split_paths(&search_path())
                .map(|directory| directory.join(name))
                .find(|path| path.is_file())
                .expect("Slurm is installed (make test-setup)");
            let path = directory.join(name);
            let log = directory.join(&format!("{name}.calls"));
            let script =
                format!("#!/bin/sh\necho called >> {}\nexec {} \"$@\"\n", log.display(), real.display());
            fs::write(&path, script).expect("the directory is ours");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
        }
        Counter { directory }
    }

    fn path(&self) -> String {
        format!("{}:{}", self.directory.path().display(), search_path())
    }

    fn calls(&self, name: &str) -> usize {
        let log = self.directory.join(&format!("{name}.calls"));
        fs::read_to_string(log).map_or(0, |text| text.lines().count())
    }
}

fn peak_resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux tells it");
    line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("it is a number")
}

/// User and system time of a process, in seconds.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the daemon runs");
    let after_name = stat.rsplit(')').next().expect("the name is in parentheses");
    let ticks: f64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum();
    // USER_HZ is 100 on every Linux that we know (proc(5)).
    ticks / 100.0
}
