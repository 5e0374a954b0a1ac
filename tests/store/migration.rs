//! What an older version stored is read as before.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use qcbatch::model::ids::RecordId;
use qcbatch::model::job::JobState;
use qcbatch::model::record::RecordStatus;
use qcbatch::model::view::RecordFilter;
use qcbatch::store::lease::{LeaseAnswer, LeaseHolder, TakeOver};
use qcbatch::store::{OutputType, Store};
use serde_json::json;

use crate::fixture::Server;
use crate::world::{any_pool, decide, killed};

/// Databases of older versions in the middle of their work, by commit.
const DUMPS: [(&str, &str); 1] = [("962aba4", include_str!("dumps/962aba4.sql"))];

const FIRST: &str = include_str!("../../src/store/migrations/2026-11-22-000000_first/up.sql");

/// A complete record, a failed one, and one that waits, as the first version stored them.
const STORED: &str = r#"
    INSERT INTO molecule (molecule_hash, formula, atoms, molecular_charge, molecular_multiplicity, document)
        VALUES (repeat('a', 40), 'He', 1, 0, 1, '{"symbols": ["He"], "geometry": [0.0, 0.0, 0.0]}');
    INSERT INTO specification (record_type, specification_hash, program, driver, method, basis, keywords, protocols)
        VALUES ('singlepoint', repeat('b', 64), 'mopac', 'energy', 'pm7', '', '{}', '{}');
    INSERT INTO record (record_type, status, specification_id, molecule_id, compute_tag, owner_user, return_energy,
            properties, extras)
        VALUES ('singlepoint', 'complete', 1, 1, '*', 'chemist', -1.5, '{"return_energy": -1.5, "return_result": -1.5}',
            '{"mine": 1}'),
        ('singlepoint', 'error', 1, 1, '*', 'chemist', NULL, NULL, '{}'),
        ('singlepoint', 'waiting', 1, 1, '*', 'chemist', NULL, NULL, '{}');
    INSERT INTO demand (required_programs, compute_tag) VALUES ('{mopac}', '*');
    INSERT INTO task (record_id, demand_id, compute_priority, placement, available, last_failure)
        VALUES (2, 1, 1, 'shared', false, 'program'), (3, 1, 1, 'shared', true, NULL);
    INSERT INTO compute_history (record_id, attempt, status, failure, program, provenance)
        VALUES (1, 0, 'error', 'node', NULL, NULL), (1, 1, 'complete', NULL, 'mopac', '{"creator": "MOPAC"}'),
            (2, 0, 'error', 'program', NULL, NULL);
    CREATE TABLE __diesel_schema_migrations (
        version VARCHAR(50) PRIMARY KEY, run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);
    INSERT INTO __diesel_schema_migrations (version) VALUES ('20261122000000');"#;

fn blob(value: &serde_json::Value) -> String {
    let packed = zstd::encode_all(&rmp_serde::to_vec_named(value).unwrap()[..], 3).unwrap();
    packed.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn results_and_outputs_of_the_first_version_are_read() {
    let server = Server::running().await;
    let mut conn = server.connect("qcbatch").await;
    conn.batch_execute(FIRST).await.unwrap();
    conn.batch_execute(STORED).await.unwrap();
    let outputs = format!(
        "INSERT INTO output_store VALUES (2, 'stdout', '\\x{}'), (3, 'error', '\\x{}'), (3, 'stderr', '\\x{}')",
        blob(&json!("printed")),
        blob(&json!({"error_type": "random_error", "error_message": "boom", "extras": null})),
        blob(&json!("complained")),
    );
    conn.batch_execute(&outputs).await.unwrap();

    let store = Store::connect(&server.target(), 2).await.unwrap();
    assert!(!store.migrate().await.unwrap().is_empty());

    let detail = store.detail(RecordId(1)).await.unwrap().unwrap();
    assert_eq!(detail.properties, Some(json!({"return_energy": -1.5, "return_result": -1.5})));
    assert_eq!(detail.extras["mine"], 1);
    let outputs: Vec<&[String]> = detail.history.iter().map(|attempt| &attempt.outputs[..]).collect();
    assert_eq!(outputs, [&[][..], &["stdout".to_owned()]]);
    let read = async |id, output| store.output(RecordId(id), None, output).await.unwrap();
    assert_eq!(read(1, OutputType::Stdout).await.as_deref(), Some("printed"));
    assert_eq!(read(2, OutputType::Error).await.as_deref(), Some("random_error: boom"));
    assert_eq!(read(2, OutputType::Stderr).await.as_deref(), Some("complained"));
    let exported = store.export(&RecordFilter::default(), None, 10).await.unwrap().results;
    assert_eq!(exported.len(), 1);
    assert_eq!(exported[0].1["return_result"], json!(-1.5));
    assert_eq!(exported[0].1["molecule"]["symbols"], json!(["He"]));
    for (status, id) in [("error", 2), ("waiting", 3)] {
        let status = vec![qcbatch::model::record::RecordStatus::parse(status).unwrap()];
        let filter = RecordFilter { status, ..RecordFilter::default() };
        let found = store.list(&filter, None, 10).await.unwrap().records;
        assert_eq!(found.iter().map(|line| line.id).collect::<Vec<_>>(), [RecordId(id)]);
    }
    // It has an id like any other, and what waited before says nothing of what it asks.
    let lineage = store.lineage().await.unwrap();
    assert_eq!(lineage.former, []);
    assert!(store.migrate().await.unwrap().is_empty());
    assert_eq!(store.lineage().await.unwrap(), lineage);
    let bare = "SELECT count(*) AS value FROM task WHERE calculation_hash IS NULL";
    assert_eq!(crate::fixture::number(&mut conn, bare).await, 2);
    // A row that is added now has an id of its own.
    let next = "INSERT INTO compute_history (record_id, attempt, status) VALUES (3, 0, 'error') RETURNING id AS value";
    assert_eq!(crate::fixture::number(&mut conn, next).await, 4);
}

async fn by_status(store: &Store) -> BTreeMap<RecordStatus, usize> {
    let records = store.list(&RecordFilter::default(), None, 1000).await.unwrap().records;
    records.iter().fold(BTreeMap::new(), |mut counts, record| {
        *counts.entry(record.status).or_default() += 1;
        counts
    })
}

/// Nothing of what the older daemon had under way is lost, and its live jobs can be settled.
#[tokio::test]
async fn the_work_of_an_older_version_goes_on() {
    for (commit, dump) in DUMPS {
        let server = Server::running().await;
        server.connect("qcbatch").await.batch_execute(dump).await.unwrap();
        let store = Store::connect(&server.target(), 4).await.unwrap();
        assert!(!store.migrate().await.unwrap().is_empty(), "{commit} is older");

        use RecordStatus::{Cancelled, Complete, Error, Running, Waiting};
        let counts = by_status(&store).await;
        let stored = [(Waiting, 5), (Running, 2), (Complete, 3), (Error, 1), (Cancelled, 1)];
        assert_eq!(counts, BTreeMap::from(stored), "{commit}");
        for id in 1..=12 {
            let detail = store.detail(RecordId(id)).await.unwrap();
            assert!(detail.is_some(), "{commit}: record {id} is read");
        }
        let complete = RecordFilter { status: vec![Complete], ..RecordFilter::default() };
        assert_eq!(store.export(&complete, None, 10).await.unwrap().results.len(), 3, "{commit}");
        let error = store.output(RecordId(4), None, OutputType::Error).await.unwrap().unwrap();
        assert!(!error.is_empty(), "{commit}");

        let holder = LeaseHolder::this_process().unwrap();
        let answer = store.acquire("default", &holder, Duration::from_secs(60), TakeOver::Now).await.unwrap();
        let LeaseAnswer::Held { fence, .. } = answer else { panic!("{commit}: {answer:?}") };
        let writer = store.writer("default", fence);
        let live = store.live_jobs("default").await.unwrap();
        assert!(
            live.len() == 2 && live.iter().all(|job| job.state == JobState::Running),
            "{commit}: {live:?}"
        );
        for job in live {
            writer.end_job(killed(job.id), &decide).await.unwrap();
        }
        assert_eq!(by_status(&store).await.get(&Running), None, "{commit}: they wait again");
        let unclaimed: Vec<_> = store.unclaimed_chunks("default").await.unwrap();
        let ids: Vec<_> = unclaimed.iter().map(|chunk| chunk.name.chunk_id).collect();
        writer.release_chunks(&ids, "of an older version").await.unwrap();
        let candidates = store.candidates(&any_pool("local"), 100).await.unwrap();
        let waiting = by_status(&store).await[&Waiting];
        assert_eq!(candidates.len(), waiting, "{commit}: each that waits can be handed out");
    }
}
