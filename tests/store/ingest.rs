//! Results come in once, whatever is reported how often; a bad one never stops a good one.

use qcbatch::model::failure::FailureClass;
use qcbatch::model::ids::{JobId, RecordId};
use qcbatch::model::job::JobOutcome;
use qcbatch::model::task::TaskReport;
use qcbatch::store::OutputType;
use qcbatch::store::ingest::{IngestOutcome, Stored};
use qcbatch::store::release::{Charge, JobEnd};
use serde_json::{Value, json};

use crate::world::{
    World, atomic_result, bad, decide, good, good_with, optimization, optimization_result, record_of, water,
    water_record,
};

async fn ingest(world: &World, job: JobId, from: u64, to: u64, reports: Vec<TaskReport>) -> Stored {
    match world.writer.ingest(job, from, to, reports, &decide).await.unwrap() {
        IngestOutcome::Stored(stored) => stored,
        moved => panic!("{moved:?}"),
    }
}

async fn value_of(world: &World, record: RecordId, column: &str) -> Value {
    let text =
        world.text(&format!("SELECT to_json({column})::text AS value FROM record WHERE id = {record}")).await;
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn a_good_result_completes_its_record() {
    let world = World::new().await;
    let mut record = water_record(0);
    record.calculation.extras.insert("mine".to_owned(), 1.into());
    let id = world.add(vec![record]).await[0].record_id;
    let jobs = world.run_all(1).await;
    let (job, task) = (jobs[0].0, &jobs[0].1[0]);
    let mut report = good(job, task);
    report.native_files.insert("mopac.out".to_owned(), "native".to_owned());
    assert_eq!(ingest(&world, job, 0, 100, vec![report]).await, Stored { completed: 1, ..Stored::default() });

    assert_eq!(world.status_of(id).await, "complete");
    assert_eq!(value_of(&world, id, "return_energy").await, json!(-0.09));
    let properties =
        json!({"return_result": -0.09, "pm7 hof": -54.3, "return_energy": -0.09, "calcinfo_natom": 3});
    let detail = world.store.detail(id).await.unwrap().unwrap();
    assert_eq!(detail.properties, Some(properties));
    assert_eq!(Value::Object(detail.extras), json!({"mine": 1, "note": "kept"}));
    assert_eq!(world.number("SELECT count(*) AS value FROM task").await, 0);
    let history =
        "SELECT concat_ws(' ', status, attempt, hostname, cores, wall_seconds, program, program_version)
        AS value FROM compute_history";
    assert_eq!(world.text(history).await, "complete 0 node1 2 1.5 mopac 22.0");
    let stdout = world.store.output(id, None, OutputType::Stdout).await.unwrap();
    assert_eq!(stdout.as_deref(), Some("a program's words\n"));
    assert_eq!(world.store.output(id, None, OutputType::Error).await.unwrap(), None);
    assert_eq!(world.store.native_file(id, "mopac.out").await.unwrap().as_deref(), Some(&b"native"[..]));
    assert_eq!(world.store.native_file(id, "other").await.unwrap(), None);
}

#[tokio::test]
async fn the_same_batch_twice_is_stored_once() {
    let world = World::new().await;
    world.add_waters(3).await;
    let jobs = world.run_all(3).await;
    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    let batch = || tasks.iter().map(|task| good(job, task)).collect::<Vec<_>>();
    assert_eq!(ingest(&world, job, 0, 300, batch()).await.completed, 3);
    // The daemon died before it knew: the position says so.
    let again = world.writer.ingest(job, 0, 300, batch(), &decide).await.unwrap();
    assert_eq!(again, IngestOutcome::Moved { offset: 300 });
    // The runner wrote everything twice.
    assert_eq!(ingest(&world, job, 300, 600, batch()).await, Stored { duplicates: 3, ..Stored::default() });
    assert_eq!(world.number("SELECT count(*) AS value FROM compute_history").await, 3);
    assert_eq!(world.number("SELECT count(*) AS value FROM event WHERE kind = 'duplicate'").await, 3);
    assert_eq!(world.number("SELECT results_offset AS value FROM job").await, 600);
}

#[tokio::test]
async fn a_report_twice_in_one_batch_counts_once() {
    let world = World::new().await;
    world.add_waters(2).await;
    let jobs = world.run_all(2).await;
    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    let program = FailureClass::Program;
    let batch = vec![
        good(job, &tasks[0]),
        good(job, &tasks[0]),
        bad(job, &tasks[1], program),
        bad(job, &tasks[1], program),
    ];
    let stored = ingest(&world, job, 0, 1, batch).await;
    assert_eq!(stored, Stored { completed: 1, retried: 1, duplicates: 2, ..Stored::default() });
    assert_eq!(world.number("SELECT tries::bigint AS value FROM task").await, 1);
    assert_eq!(ingest(&world, job, 1, 2, vec![bad(job, &tasks[1], program)]).await.duplicates, 1);
    assert_eq!(world.number("SELECT tries::bigint AS value FROM task").await, 1);
}

#[tokio::test]
async fn failures_are_retried_until_the_tries_are_spent() {
    let world = World::new().await;
    let id = world.add_waters(1).await[0];
    for attempt in 0..3 {
        let jobs = world.run_all(1).await;
        let (job, task) = (jobs[0].0, &jobs[0].1[0]);
        assert_eq!(task.attempt, attempt);
        assert_eq!(task.tries, attempt);
        let stored = ingest(&world, job, 0, 1, vec![bad(job, task, FailureClass::Memory)]).await;
        if attempt < 2 {
            assert_eq!(stored, Stored { retried: 1, ..Stored::default() });
            assert_eq!(world.status_of(id).await, "waiting");
            assert_eq!(world.candidates(9).await[0].last_failure, Some(FailureClass::Memory));
        } else {
            assert_eq!(stored, Stored { failed: 1, ..Stored::default() });
        }
    }
    assert_eq!(world.status_of(id).await, "error");
    assert!(world.candidates(9).await.is_empty());
    assert_eq!(
        world.number("SELECT count(*) AS value FROM task WHERE NOT available AND job_id IS NULL").await,
        1
    );
    assert_eq!(world.number("SELECT count(*) AS value FROM compute_history WHERE status = 'error'").await, 3);
    let error = world.store.output(id, None, OutputType::Error).await.unwrap();
    assert_eq!(error.as_deref(), Some("random_error: first line\nboom\n"));
}

#[tokio::test]
async fn each_failure_of_a_batch_is_judged_by_what_its_own_task_went_through() {
    let world = World::new().await;
    let tried = world.add_waters(1).await[0];
    for _ in 0..2 {
        let jobs = world.run_all(1).await;
        ingest(&world, jobs[0].0, 0, 1, vec![bad(jobs[0].0, &jobs[0].1[0], FailureClass::Memory)]).await;
    }
    let fresh = world.add((1..3).map(water_record).collect()).await;
    let jobs = world.run_all(3).await;
    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    let batch = tasks.iter().map(|task| bad(job, task, FailureClass::Memory)).collect();
    assert_eq!(ingest(&world, job, 0, 1, batch).await, Stored { failed: 1, retried: 2, ..Stored::default() });
    assert_eq!(world.status_of(tried).await, "error");
    for record in fresh {
        assert_eq!(world.status_of(record.record_id).await, "waiting");
    }
}

#[tokio::test]
async fn a_record_stays_in_its_page_on_its_way() {
    let world = World::new().await;
    // While it looks at a table, old rows of it stay where they are.
    world.execute("ALTER TABLE record SET (autovacuum_enabled = off)").await;
    world.add_waters(300).await;
    world
        .execute("CREATE TABLE place AS SELECT id, split_part(ctid::text, ',', 1) AS page FROM record")
        .await;
    let jobs = world.run_all(300).await;
    let batch = jobs[0].1.iter().map(|task| good(jobs[0].0, task)).collect();
    assert_eq!(ingest(&world, jobs[0].0, 0, 1, batch).await.completed, 300);
    let moved = "SELECT count(*) AS value FROM record JOIN place USING (id)
        WHERE page <> split_part(record.ctid::text, ',', 1)";
    assert_eq!(world.number(moved).await, 0);
}

#[tokio::test]
async fn a_late_good_result_counts_and_a_late_failure_does_not() {
    let world = World::new().await;
    let ids = world.add_waters(2).await;
    let lost = world.run_all(2).await;
    let (old, tasks) = (lost[0].0, &lost[0].1);
    let end = JobEnd {
        id: old,
        outcome: JobOutcome::Lost,
        exit_code: None,
        signal: None,
        reason: None,
        hostname: None,
        charge: Charge::Failure(FailureClass::Infrastructure),
        charged: qcbatch::store::release::Charged::All,
        chunks: Vec::new(),
    };
    world.writer.end_job(end, &decide).await.unwrap();
    let new = world.run_all(2).await[0].0;
    // The lost job's file shows up after all.
    let late = vec![good(old, &tasks[0]), bad(old, &tasks[1], FailureClass::Program)];
    let stored = ingest(&world, old, 0, 1, late).await;
    assert_eq!(stored, Stored { completed: 1, dropped: 1, ..Stored::default() });
    assert_eq!(world.status_of(ids[0]).await, "complete");
    assert_eq!(world.status_of(ids[1]).await, "running", "the new attempt goes on");
    assert_eq!(world.number(&format!("SELECT count(*) AS value FROM task WHERE job_id = {new}")).await, 1);
    let mut second = tasks[0].clone();
    second.attempt = 1;
    assert_eq!(ingest(&world, new, 0, 1, vec![good(new, &second)]).await.duplicates, 1);
}

#[tokio::test]
async fn a_result_that_cannot_be_read_fails_its_own_record_only() {
    let world = World::new().await;
    let ids = world.add_waters(6).await;
    let jobs = world.run_all(6).await;
    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    let without = |key: &str| {
        let mut result = atomic_result(-1.0);
        result.as_object_mut().unwrap().remove(key);
        result
    };
    let batch = vec![
        good_with(job, &tasks[0], &json!([1, 2])),
        good_with(job, &tasks[1], &without("return_result")),
        good_with(job, &tasks[2], &without("schema_name")),
        good_with(job, &tasks[3], &json!({"schema_name": "qcschema_optimization_output", "energies": [1.0]})),
        good_with(job, &tasks[4], &json!({"schema_name": "qcschema_output", "return_result": null})),
        good(job, &tasks[5]),
    ];
    let stored = ingest(&world, job, 0, 1, batch).await;
    assert_eq!(stored, Stored { completed: 1, failed: 5, ..Stored::default() });
    for id in &ids[..5] {
        assert_eq!(world.status_of(*id).await, "error");
    }
    let types = "SELECT string_agg(DISTINCT failure || ' ' || error_type, ',') AS value FROM compute_history
        WHERE status = 'error'";
    assert_eq!(world.text(types).await, "program unreadable_result");
    assert_eq!(world.status_of(ids[5]).await, "complete");
}

#[tokio::test]
async fn what_the_database_refuses_fails_its_own_record_only() {
    let world = World::new().await;
    let ids = world.add_waters(3).await;
    let jobs = world.run_all(3).await;
    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    let mut refused = good(job, &tasks[1]);
    // Longer than an index row may be, and not to be compressed.
    let name: String = (0..9000).map(|_| rand::random_range('!'..='~')).collect();
    refused.native_files.insert(name, "content".to_owned());
    let batch = vec![good(job, &tasks[0]), refused, bad(job, &tasks[2], FailureClass::Node)];
    let stored = ingest(&world, job, 0, 1, batch).await;
    assert_eq!(stored, Stored { completed: 1, failed: 1, retried: 1, ..Stored::default() });
    assert_eq!(world.status_of(ids[0]).await, "complete");
    assert_eq!(world.status_of(ids[1]).await, "error");
    assert_eq!(world.status_of(ids[2]).await, "waiting");
    let error = world.store.output(ids[1], None, OutputType::Error).await.unwrap().unwrap();
    assert!(error.starts_with("unreadable_result: the database refuses it: index row"), "{error}");
    assert_eq!(world.number("SELECT results_offset AS value FROM job").await, 1);
}

#[tokio::test]
async fn nul_characters_stop_nothing() {
    let world = World::new().await;
    let ids = world.add_waters(2).await;
    let jobs = world.run_all(2).await;
    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    let mut result = atomic_result(-1.0);
    result["extras"]["k\0y"] = json!(["v\0"]);
    result["properties"]["text"] = json!("\0");
    result["provenance"]["routine"] = json!("r\0");
    let mut fine = good_with(job, &tasks[0], &result);
    fine.stdout = Some("before\0after".to_owned());
    fine.native_files.insert("na\0me".to_owned(), "con\0tent".to_owned());
    fine.provenance.hostname = "no\0de".to_owned();
    let mut failed = bad(job, &tasks[1], FailureClass::Input);
    if let qcbatch::model::task::TaskOutcome::Error { error_type, message, .. } = &mut failed.outcome {
        *error_type = "ty\0pe".to_owned();
        *message = "mes\0sage".to_owned();
    }
    let stored = ingest(&world, job, 0, 1, vec![fine, failed]).await;
    assert_eq!(stored, Stored { completed: 1, retried: 1, ..Stored::default() });
    let stdout = world.store.output(ids[0], None, OutputType::Stdout).await.unwrap();
    assert_eq!(stdout.as_deref(), Some("before\0after"), "blobs hold every byte");
    let detail = world.store.detail(ids[0]).await.unwrap().unwrap();
    assert_eq!(detail.extras["k\u{fffd}y"], json!(["v\u{fffd}"]));
    assert_eq!(detail.properties.unwrap()["text"], json!("\u{fffd}"));
    assert_eq!(world.store.native_file(ids[0], "na\u{fffd}me").await.unwrap().unwrap(), b"con\0tent");
}

#[tokio::test]
async fn numbers_stay_as_they_were_written() {
    let world = World::new().await;
    let ids = world.add_waters(1).await;
    let jobs = world.run_all(1).await;
    let mut result = atomic_result(-1.0);
    result["properties"]["scf_total_energy"] = json!(0.125);
    let text = result.to_string().replace("0.125", "-7.4963000000000000e+01");
    let result = serde_json::value::RawValue::from_string(text).unwrap();
    let mut report = good(jobs[0].0, &jobs[0].1[0]);
    report.outcome = qcbatch::model::task::TaskOutcome::Complete { result };
    ingest(&world, jobs[0].0, 0, 1, vec![report]).await;
    let energy = format!(
        "SELECT properties->>'scf_total_energy' AS value FROM compute_history WHERE record_id = {}",
        ids[0]
    );
    assert_eq!(world.text(&energy).await, "-7.4963000000000000e+01");
}

#[tokio::test]
async fn an_optimization_leaves_its_trajectory() {
    let world = World::new().await;
    let ids = world.add(vec![record_of(optimization(), water(0)), record_of(optimization(), water(1))]).await;
    let (id, other) = (ids[0].record_id, ids[1].record_id);
    let jobs = world.run_all(2).await;
    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    // While an intake is open that has one of the molecules and waits for its user.
    let mut intake = world.writer.begin_intake().await.unwrap();
    intake.add(vec![water_record(50)]).await.unwrap();
    let result = optimization_result(&[-1.25, -1.5]);
    assert_eq!(ingest(&world, job, 0, 1, vec![good_with(job, &tasks[0], &result)]).await.completed, 1);
    intake.commit().await.unwrap();
    let again = optimization_result(&[-1.25, -1.4]);
    assert_eq!(ingest(&world, job, 1, 2, vec![good_with(job, &tasks[1], &again)]).await.completed, 1);

    assert_eq!(value_of(&world, id, "energies").await, json!([-1.25, -1.5]));
    assert_eq!(value_of(&world, id, "return_energy").await, json!(-1.5));
    let same =
        "SELECT count(DISTINCT final_molecule_id) AS value FROM record WHERE record_type = 'optimization'";
    assert_eq!(world.number(same).await, 1);
    for id in [id, other] {
        let points = format!(
            "SELECT string_agg(concat_ws(' ', t.position, r.status, r.return_energy, s.program, s.driver, s.method), ';'
                ORDER BY position) AS value
             FROM optimization_trajectory t JOIN record r ON r.id = t.singlepoint_id
                JOIN specification s ON s.id = r.specification_id WHERE optimization_id = {id}"
        );
        let last = if id == other { "-1.4" } else { "-1.5" };
        let expected = format!("0 complete -1.25 mopac gradient pm7;1 complete {last} mopac gradient pm7");
        assert_eq!(world.text(&points).await, expected);
    }
    assert_eq!(world.number("SELECT count(*) AS value FROM molecule").await, 5, "0, 1, 10, 11, 50");
}
