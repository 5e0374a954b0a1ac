//! What an older version stored is read as before.

use diesel_async::SimpleAsyncConnection;
use qcbatch::model::ids::RecordId;
use qcbatch::model::view::RecordFilter;
use qcbatch::store::{OutputType, Store};
use serde_json::json;

use crate::fixture::Server;

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
