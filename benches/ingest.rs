//! What taking inputs in and storing results costs, beside two bare COPYs of the same into one indexed table of the same
//! server in the same run: of the reports as documents (text into `json`, as psql's `\copy` does it), and of the bytes
//! that end in the tables (binary into `bytea`, the cheapest that there is). `cargo bench --bench ingest`; prints figures and judges nothing.
//!
//! Processor time is that of this process and of every process of the server, from /proc.

#![allow(clippy::unwrap_used, reason = "a benchmark may panic as tests do")]

#[path = "../tests/postgres/fixture.rs"]
#[allow(dead_code, reason = "the benchmark uses a part of the tests' fixture")]
mod fixture;
#[path = "../tests/it/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the benchmark uses a part of the tests' harness")]
mod harness;
#[path = "ingest/processor.rs"]
mod processor;
#[path = "../tests/store/world.rs"]
#[allow(dead_code, reason = "the benchmark uses a part of the tests' world")]
mod world;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::SinkExt;
use qcbatch::daemon::doubts::Doubts;
use qcbatch::daemon::ingester::{Results, bring_in_file};
use qcbatch::model::calculation::Calculation;
use qcbatch::model::ids::{JobId, NodeIndex};
use qcbatch::model::qcschema::{self, InputDefaults};
use qcbatch::model::task::{TaskOutcome, TaskReport};
use qcbatch::spool::frame::{self, Finality, ReportLimits};
use qcbatch::store::ingest::Stored;
use qcbatch::store::intake::NewRecord;
use qcbatch::store::staging::StagedTask;
use serde_json::Value;
use serde_json::value::RawValue;

use harness::private_dir::PrivateDir;
use harness::{Daemon, DaemonConfig, Database};
use processor::Processor;
use world::{World, decide, good_with};

/// Records of each kind; `QCBATCH_BENCH_RECORDS` changes it.
const RECORDS: u32 = 20_000;
/// Tasks of one job: a pilot works for hours, and what it stored while nobody looked is brought in at once.
const PER_JOB: usize = 20_000;
/// Documents of one batch of an intake, as the daemon takes them.
const INTAKE_BATCH: u32 = 1_000;
/// What a kind of tasks reports.
struct Kind {
    name: &'static str,
    program: &'static str,
    method: &'static str,
    result: String,
    stdout: Option<String>,
}

fn main() {
    // `cargo test --all-targets` runs benchmarks too; only `cargo bench` passes `--bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let asked = std::env::var("QCBATCH_BENCH_RECORDS").ok().and_then(|text| text.parse().ok());
    let records = asked.unwrap_or(RECORDS);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let only = std::env::var("QCBATCH_BENCH_ONLY").unwrap_or_default();
    for kind in kinds().iter().filter(|kind| kind.name.contains(&only)) {
        runtime.block_on(measure(kind, records));
    }
    through_the_daemon(&kinds()[0], records);
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn kinds() -> Vec<Kind> {
    let null = serde_json::json!({
        "schema_name": "qcschema_output", "schema_version": 1, "molecule": null, "driver": "energy",
        "model": {"method": "null", "basis": null}, "keywords": {}, "protocols": {}, "extras": {},
        "provenance": {"creator": "qcbatch", "version": "0.1.0", "routine": "synthetic"},
        "properties": {}, "return_result": 0.0, "success": true, "error": null,
    });
    let (mopac, mopac_stdout) = recorded(include_str!("data/water_mopac.json"));
    let (psi4, psi4_stdout) = recorded(include_str!("data/water_psi4.json"));
    let kind = |name, program, method, result, stdout| Kind { name, program, method, result, stdout };
    vec![
        kind("null", "synthetic", "null", null.to_string(), None),
        kind("psi4 document of 2 kB, no stdout", "psi4", "hf", psi4.clone(), None),
        kind("mopac with stdout", "mopac", "pm7", mopac, Some(mopac_stdout)),
        kind("psi4 with stdout", "psi4", "hf", psi4, Some(psi4_stdout)),
    ]
}

/// Result and standard output of a real water.
fn recorded(text: &str) -> (String, String) {
    let value: Value = serde_json::from_str(text).unwrap();
    (value["result"].to_string(), value["stdout"].as_str().unwrap().to_owned())
}

async fn measure(kind: &Kind, records: u32) {
    say(&format!("== {}: {records} records", kind.name));
    let world = World::new().await;
    let processor = Processor::of_server(&world.server.data());
    intake(&world, kind, records, &processor).await;
    let (started, before) = (Instant::now(), processor.now());
    let (mut jobs, mut tasks) = (Vec::new(), 0);
    while tasks < records as usize {
        let more = world.run_all(PER_JOB).await;
        tasks += more.iter().map(|(_, tasks)| tasks.len()).sum::<usize>();
        jobs.extend(more);
    }
    processor.say("hand-out and start", tasks, started.elapsed(), before);
    ingest(&world, kind, &jobs, &processor).await;
    sizes(&world, records).await;
}

/// From text to stored records, parsed and stored side by side as the daemon does it.
async fn intake(world: &World, kind: &Kind, records: u32, processor: &Processor) {
    let texts: Vec<String> = (0..records).map(|number| input(kind, number)).collect();
    let (started, before) = (Instant::now(), processor.now());
    let (batches, mut parsed) = tokio::sync::mpsc::channel(2);
    let (program, count) = (kind.program, texts.len());
    let parsing = tokio::task::spawn_blocking(move || {
        let defaults = InputDefaults { program: Some(program.to_owned()), ..InputDefaults::default() };
        for batch in texts.chunks(INTAKE_BATCH as usize) {
            let batch: Vec<NewRecord> =
                batch.iter().map(|text| record_of(qcschema::parse(text, &defaults).unwrap())).collect();
            batches.blocking_send(batch).unwrap();
        }
    });
    let mut intake = world.writer.begin_intake().await.unwrap();
    while let Some(batch) = parsed.recv().await {
        intake.add(batch).await.unwrap();
    }
    intake.commit().await.unwrap();
    parsing.await.unwrap();
    processor.say("intake", count, started.elapsed(), before);
}

/// From a file through the command line and the daemon.
fn through_the_daemon(kind: &Kind, records: u32) {
    say(&format!("== command line and daemon: {records} records"));
    let database = Database::fresh();
    let pool = "compute_tags = [\"other\"]";
    let daemon = Daemon::start(&DaemonConfig::on(&database).with_local_pool(pool));
    let directory = PrivateDir::new();
    let file = directory.join("inputs.jsonl");
    let lines: Vec<String> = (0..records).map(|number| input(kind, number)).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let data = database.sql("show data_directory");
    let processor = Processor::of_server(Path::new(&data)).and(daemon.pid());
    for what in ["submit, all new", "submit, all found"] {
        let (started, before) = (Instant::now(), processor.now());
        daemon.ask([
            "submit",
            file.to_str().unwrap(),
            "--program",
            kind.program,
            "--tag",
            "bench",
            "--parsable",
        ]);
        processor.say(what, lines.len(), started.elapsed(), before);
    }
}

fn record_of(Calculation { specification, molecule, .. }: Calculation) -> NewRecord {
    world::record_of(specification, molecule)
}

/// A water of its own for every number, as a campaign has them.
fn input(kind: &Kind, number: u32) -> String {
    let z = 0.8 + f64::from(number) * 1e-6;
    format!(
        r#"{{"schema_name": "qcschema_input", "schema_version": 1, "molecule": {{"schema_name": "qcschema_molecule", "schema_version": 2, "symbols": ["O", "H", "H"], "geometry": [0.0, 0.0, 0.22166834, 0.0, 1.43090014, -{z:.8}, 0.0, -1.43090014, -{z:.8}], "molecular_charge": 0, "molecular_multiplicity": 1}}, "driver": "energy", "model": {{"method": "{}", "basis": null}}}}"#,
        kind.method
    )
}

/// Stores every job's results and copies the same bytes, turn by turn.
async fn ingest(world: &World, kind: &Kind, jobs: &[(JobId, Vec<StagedTask>)], processor: &Processor) {
    let copier = Copier::new(world).await;
    let directory = tempfile::tempdir().unwrap();
    let result: Box<RawValue> = RawValue::from_string(kind.result.clone()).unwrap();
    let (mut stored, mut documents, mut copied) = (Turn::default(), Turn::default(), Turn::default());
    for (job, tasks) in jobs {
        let file = directory.path().join(format!("results-{job}"));
        let reports: Vec<TaskReport> = tasks.iter().map(|task| report(kind, &result, *job, task)).collect();
        write_results(&file, &reports);
        let rows: Vec<(i64, Vec<u8>)> =
            reports.iter().map(|report| (report.record_id.0, payload(kind, report))).collect();
        let lines: Vec<String> = reports.iter().map(line).collect();
        drop(reports);

        let turn = stored.begin(processor);
        bring_in(world, *job, file).await;
        stored.end(turn, tasks.len(), processor);

        let turn = documents.begin(processor);
        copier.copy_documents(&lines).await;
        documents.end(turn, lines.len(), processor);

        let turn = copied.begin(processor);
        copier.copy(&rows).await;
        copied.end(turn, rows.len(), processor);
        copied.bytes += rows.iter().map(|(_, payload)| payload.len()).sum::<usize>();
    }
    stored.say("ingest");
    documents.say("bare COPY, documents");
    copied.say("bare COPY, binary");
    let times = |other: &Turn| stored.time.as_secs_f64() / other.time.as_secs_f64();
    say(&format!(
        "  ingest / COPY: {:.2} in time of documents, {:.2} of binary rows of {:.0} bytes",
        times(&documents),
        times(&copied),
        copied.bytes as f64 / copied.rows as f64
    ));
    world.execute("DROP TABLE bare, bare_document").await;
}

fn report(kind: &Kind, result: &RawValue, job: JobId, task: &StagedTask) -> TaskReport {
    let mut report = good_with(job, task, &Value::Null);
    report.outcome = TaskOutcome::Complete { result: result.to_owned() };
    report.stdout.clone_from(&kind.stdout);
    report.provenance.program = Some(kind.program.to_owned());
    report
}

/// What of a report ends in the tables: the result, and the output compressed.
fn payload(kind: &Kind, report: &TaskReport) -> Vec<u8> {
    let TaskOutcome::Complete { result } = &report.outcome else { return Vec::new() };
    let mut payload = result.get().as_bytes().to_vec();
    if let Some(stdout) = &kind.stdout {
        payload.extend(zstd::bulk::compress(stdout.as_bytes(), 3).unwrap());
    }
    payload
}

/// A line of COPY's text format: the record's id and the report.
fn line(report: &TaskReport) -> String {
    let document = serde_json::to_string(report).unwrap();
    format!("{}\t{}\n", report.record_id, document.replace('\\', "\\\\"))
}

fn write_results(path: &Path, reports: &[TaskReport]) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    for report in reports {
        file.write_all(frame::encode(report).unwrap().bytes()).unwrap();
    }
    file.flush().unwrap();
}

/// The way of the daemon.
async fn bring_in(world: &World, job: JobId, path: PathBuf) {
    let results = Results {
        job,
        node: NodeIndex::FIRST,
        pool: path.clone(),
        path,
        limits: ReportLimits::USUAL,
        finality: Finality::StillWritten,
    };
    let check = |_: &[TaskReport], stored: &Stored| {
        assert_eq!(stored.failed + stored.dropped + stored.duplicates + stored.aside, 0, "{stored:?}");
    };
    bring_in_file(&world.writer, &results, 0, &Doubts::default(), &decide, check).await.unwrap();
}

/// Sums of all turns of one thing.
#[derive(Default)]
struct Turn {
    rows: usize,
    bytes: usize,
    time: Duration,
    ours: Duration,
    server: Duration,
}

impl Turn {
    fn begin(&self, processor: &Processor) -> (Instant, processor::Spent) {
        (Instant::now(), processor.now())
    }

    fn end(&mut self, (started, before): (Instant, processor::Spent), rows: usize, processor: &Processor) {
        self.time += started.elapsed();
        let spent = processor.now() - before;
        self.rows += rows;
        self.ours += spent.ours;
        self.server += spent.server;
    }

    fn say(&self, what: &str) {
        say(&processor::line(what, self.rows, self.time, self.ours, self.server));
    }
}

/// COPY into tables of an id and a payload.
struct Copier {
    client: tokio_postgres::Client,
}

impl Copier {
    async fn new(world: &World) -> Copier {
        world.execute("CREATE TABLE bare (id bigint PRIMARY KEY, payload bytea)").await;
        world.execute("ALTER TABLE bare ALTER payload SET STORAGE EXTERNAL").await;
        world.execute("CREATE TABLE bare_document (id bigint PRIMARY KEY, payload json)").await;
        let socket = world.server.cluster.home().unwrap().join("run");
        let target = format!("host={} user=qcbatch dbname=qcbatch", socket.display());
        let (client, connection) = tokio_postgres::connect(&target, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        Copier { client }
    }

    async fn copy_documents(&self, lines: &[String]) {
        let sink = self.client.copy_in("COPY bare_document FROM STDIN").await.unwrap();
        let mut sink = std::pin::pin!(sink);
        for some in lines.chunks(100) {
            sink.send(hyper::body::Bytes::from(some.concat())).await.unwrap();
        }
        sink.finish().await.unwrap();
    }

    /// Binary format, the cheapest that there is.
    async fn copy(&self, rows: &[(i64, Vec<u8>)]) {
        let sink = self.client.copy_in("COPY bare FROM STDIN (FORMAT binary)").await.unwrap();
        let mut sink = std::pin::pin!(sink);
        let mut buffer = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        for (id, payload) in rows {
            buffer.extend(2_i16.to_be_bytes());
            buffer.extend(8_i32.to_be_bytes());
            buffer.extend(id.to_be_bytes());
            buffer.extend((payload.len() as i32).to_be_bytes());
            buffer.extend(payload);
            if buffer.len() > 64 << 10 {
                sink.send(hyper::body::Bytes::from(std::mem::take(&mut buffer))).await.unwrap();
            }
        }
        buffer.extend((-1_i16).to_be_bytes());
        sink.send(hyper::body::Bytes::from(buffer)).await.unwrap();
        sink.finish().await.unwrap();
    }
}

/// Bytes in the database per record, by table and index.
async fn sizes(world: &World, records: u32) {
    world.execute("VACUUM").await;
    let rows = world
        .text(
            "SELECT string_agg(format('%s|%s', relname, bytes), ';' ORDER BY bytes DESC) AS value FROM (
                SELECT relname, pg_relation_size(c.oid) + coalesce(pg_total_relation_size(nullif(reltoastrelid, 0)), 0) AS bytes
                FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')) sizes
             WHERE bytes >= 65536",
        )
        .await;
    let mut parts = Vec::new();
    for row in rows.split(';') {
        let (name, bytes) = row.split_once('|').unwrap();
        parts.push(format!("{name} {:.0}", bytes.parse::<f64>().unwrap() / f64::from(records)));
    }
    let total = world
        .number(
            "SELECT sum(pg_total_relation_size(oid))::bigint AS value FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
        )
        .await;
    say(&format!("  bytes per record: {:.0} ({})", total as f64 / f64::from(records), parts.join(", ")));
}
