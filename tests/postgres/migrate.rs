//! Migrations: once, whoever starts at the same time, and never backwards.

use qcbatch::store::{Store, StoreError};

use crate::fixture::{Server, execute, number};

#[tokio::test]
async fn two_daemons_that_start_at_once_migrate_once() {
    let server = Server::running().await;
    let first = Store::connect(&server.target(), 2).await.unwrap();
    let second = Store::connect(&server.target(), 2).await.unwrap();
    let (first, second) = tokio::join!(first.migrate(), second.migrate());
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(!first.is_empty() || !second.is_empty());
    assert!(first.is_empty() || second.is_empty());
    let mut conn = server.connect("qcbatch").await;
    let tables = "SELECT count(*) AS value FROM pg_tables WHERE schemaname = 'public' AND tablename IN ('record', 'lease')";
    assert_eq!(number(&mut conn, tables).await, 2);
}

#[tokio::test]
async fn a_newer_database_is_refused_and_named() {
    let (server, store) = Server::migrated().await;
    assert_eq!(store.migrate().await.unwrap(), Vec::<String>::new());
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')";
    execute(&mut server.connect("qcbatch").await, newer).await;
    let error = store.migrate().await.unwrap_err();
    assert!(matches!(error, StoreError::NewerDatabase { .. }), "{error:?}");
    assert!(error.to_string().contains("29990101000000"), "{error}");
}
