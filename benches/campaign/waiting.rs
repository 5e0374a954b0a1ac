//! A million waiting tasks: memory of the daemon, what taking a chunk of them costs, and how soon a new daemon submits.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use qcbatch::model::chunk::ChunkNeed;
use qcbatch::model::ids::PoolName;
use qcbatch::model::resources::TaskResources;
use qcbatch::store::chunk::PlannedChunk;
use qcbatch::store::lease::{LeaseAnswer, LeaseHolder, TakeOver};
use qcbatch::store::queue::CandidateFilter;
use qcbatch::store::{DatabaseTarget, Store, StoreError, TlsMode};
use serde_json::json;

use crate::Scale;
use crate::ground::{as_shipped, median, peak_resident_mib, say};
use crate::harness::private_dir::PrivateDir;
use crate::harness::{Daemon, DaemonConfig, Database};

const TASKS: u32 = 1_000_000;
const RUN: Duration = Duration::from_secs(30);
const CHUNKS: usize = 50;
const TASKS_OF_A_CHUNK: usize = 100;

pub fn run(scale: Scale) {
    let tasks = scale.of(TASKS);
    let database = Database::fresh();
    take_in(&database, tasks);
    let taken =
        tokio::runtime::Runtime::new().expect("threads can be started").block_on(take_chunks(&database));
    let milliseconds: Vec<f64> =
        taken.expect("the database answers").iter().map(|time| time.as_secs_f64() * 1e3).collect();
    let worst = milliseconds.iter().copied().fold(0.0, f64::max);
    say(&format!(
        "{tasks} waiting tasks: a chunk of {TASKS_OF_A_CHUNK} chosen and committed in {:.1} ms in the middle, {worst:.1} ms at worst, of {CHUNKS}",
        median(milliseconds)
    ));
    say("  bound: below 20 ms");
    let began = Instant::now();
    let config = DaemonConfig::on(&database).with_local_pool("compute_tags = [\"later\"]");
    let daemon = Daemon::start(&as_shipped(config));
    while database.sql("select count(called_on) from submission") == "0" {
        std::thread::sleep(Duration::from_millis(20));
    }
    let first = began.elapsed();
    say(&format!(
        "{tasks} waiting tasks: {:.2} s from the daemon's start to its first submission",
        first.as_secs_f64()
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

/// What the daemon does to take tasks from the queue: read the next ones, commit them as a chunk. As a site of its own.
async fn take_chunks(database: &Database) -> Result<Vec<Duration>, StoreError> {
    let target =
        DatabaseTarget::parse(&database.url(), Some(TlsMode::Disable), None).expect("the harness made it");
    let store = Store::connect(&target, 2).await?;
    let holder = LeaseHolder::this_process().expect("/proc is there");
    let lease = store.acquire("chunks", &holder, Duration::from_secs(600), TakeOver::Now).await?;
    let LeaseAnswer::Held { fence, .. } = lease else { panic!("nobody else has that site") };
    let writer = store.writer("chunks", fence);
    let pool = PoolName("local".to_owned());
    let filter = CandidateFilter {
        pool: pool.clone(),
        programs: None,
        compute_tags: vec!["*".to_owned()],
        most: TaskResources::default(),
        defaults: TaskResources::default(),
    };
    let need = ChunkNeed { cores: 1, memory_bytes: 1 << 30, gpus: 0, walltime_seconds: 3600 };
    let mut times = Vec::new();
    for _ in 0..CHUNKS {
        let started = Instant::now();
        let candidates = store.candidates(&filter, TASKS_OF_A_CHUNK).await?;
        let tasks = candidates.iter().map(|candidate| candidate.task_id).collect();
        let planned = PlannedChunk { compute_priority: 1, need, expected_seconds: 1.0, tasks };
        let stored = writer.plan_chunks(&pool, &[planned]).await?;
        times.push(started.elapsed());
        assert_eq!(stored.len(), 1, "there are tasks enough");
    }
    Ok(times)
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
    daemon.ask(["submit", file, "-q", "--program", "synthetic", "--method", "null", "--tag", "later"]);
    let seconds = started.elapsed().as_secs_f64();
    say(&format!("{tasks} waiting tasks: taken in at {:.0}/s", f64::from(tasks) / seconds));
    say(&format!(
        "{tasks} waiting tasks: daemon's peak resident {:.0} MiB at intake",
        peak_resident_mib(daemon.pid())
    ));
    daemon.stop();
    assert_eq!(database.count("select count(*) from task where available"), i64::from(tasks));
    assert_eq!(database.count("select count(*) from submission"), 0);
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
