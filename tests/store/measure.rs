//! Measurements, run by hand: `cargo test --release --test store measure -- --ignored --nocapture --test-threads 1`.

use std::time::{Duration, Instant};

use qcbatch::model::view::RecordFilter;

use crate::world::{
    SITE, World, any_pool, decide, good, optimization, record_of, singlepoint, water, water_record,
};

#[allow(clippy::print_stdout, reason = "it is what a measurement is for")]
fn say(what: &str, n: usize, took: Duration) {
    println!("{what}: {n} in {took:.2?}, {:.0}/s", n as f64 / took.as_secs_f64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test"]
async fn intake_and_ingest() {
    const RECORDS: u32 = 100_000;
    let world = World::new().await;
    for round in ["new", "existing"] {
        let start = Instant::now();
        let mut intake = world.writer.begin_intake().await.unwrap();
        let mut making = Duration::ZERO;
        for batch in (0..RECORDS).step_by(1000) {
            let made = Instant::now();
            let records = (batch..batch + 1000).map(water_record).collect();
            making += made.elapsed();
            intake.add(records).await.unwrap();
        }
        intake.commit().await.unwrap();
        say(&format!("intake, {round}"), RECORDS as usize, start.elapsed() - making);
    }
    let start = Instant::now();
    let jobs = world.run_all(500).await;
    let tasks: usize = jobs.iter().map(|(_, tasks)| tasks.len()).sum();
    say("candidates, plan, orders, start", tasks, start.elapsed());
    let start = Instant::now();
    for (job, tasks) in &jobs {
        world.ingest(*job, tasks.iter().map(|task| good(*job, task)).collect()).await;
    }
    say("ingest, by 500", tasks, start.elapsed());
    let (job, tasks) = &jobs[0];
    let start = Instant::now();
    let reports = tasks.iter().map(|task| good(*job, task)).collect();
    world.writer.ingest(*job, 100, 200, reports, &decide).await.unwrap();
    say("ingest of duplicates", tasks.len(), start.elapsed());
}

/// A million waiting tasks, most of them of no use to the pool that asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test"]
async fn a_million_waiting_tasks() {
    let world = World::new().await;
    let mut records = vec![water_record(0), record_of(optimization(), water(1))];
    for number in 0..200 {
        let mut record = record_of(singlepoint("pm6"), water(number));
        record.compute_tag = format!("tag{number}");
        records.push(record);
    }
    world.add(records).await;
    world
        .execute(
            "INSERT INTO record (record_type, status, specification_id, molecule_id, compute_tag, owner_user)
                SELECT 'singlepoint', 'waiting', 1, 1, '*', 'chemist' FROM generate_series(1, 1000000);
             INSERT INTO task (record_id, demand_id, compute_priority, placement, available)
                SELECT r.id, CASE WHEN r.id % 100 = 0 THEN 1 ELSE 2 END, r.id % 3, 'shared', true
                FROM record r LEFT JOIN task t ON t.record_id = r.id WHERE t.id IS NULL",
        )
        .await;
    for analysed in ["never analysed", "analysed"] {
        let mut few = any_pool("alpha");
        few.programs = Some(vec!["mopac".to_owned()]);
        for (what, filter) in [("any program", any_pool("alpha")), ("1 % fits", few)] {
            for limit in [100, 1000] {
                world.store.candidates(&filter, limit).await.unwrap();
                let start = Instant::now();
                let found = world.store.candidates(&filter, limit).await.unwrap().len();
                say(
                    &format!("candidates of 1 000 000, {analysed}, {what}, limit {limit}"),
                    found,
                    start.elapsed(),
                );
            }
        }
        let start = Instant::now();
        world.store.has_waiting_tasks().await.unwrap();
        say("has_waiting_tasks", 1, start.elapsed());
        let start = Instant::now();
        world.store.status(SITE).await.unwrap();
        say("status", 1, start.elapsed());
        let start = Instant::now();
        world.store.list(&RecordFilter::default(), None, 100).await.unwrap();
        say("list of 100", 1, start.elapsed());
        world.execute("ANALYZE").await;
    }
}
