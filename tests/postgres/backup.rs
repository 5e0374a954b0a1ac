//! Backup and restore: everything comes back, or nothing changes.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use qcbatch::store::backup::{backup, psql};
use qcbatch::store::cluster::ClusterError;
use qcbatch::store::lease::{LeaseAnswer, LeaseHolder, TakeOver};
use qcbatch::store::restore::{Existing, restore};
use qcbatch::store::{DatabaseTarget, Store};

use crate::fixture::{Server, execute, number, programs};

const MOLECULES: &str = "SELECT count(*) AS value FROM molecule";
const FILL: &str = "INSERT INTO molecule (molecule_hash, formula, atoms, molecular_charge, molecular_multiplicity, document) \
    SELECT lpad(n::text, 40, '0'), 'H2O', 3, 0, 1, '{\"it\": \"is, \\u00e4\"}' FROM generate_series(1, 1000) n";

/// A second, empty database on the same server.
async fn empty_database(server: &Server) -> DatabaseTarget {
    execute(&mut server.connect("qcbatch").await, "CREATE DATABASE other").await;
    server.target().with_database("other")
}

#[tokio::test]
async fn a_backup_restores_into_an_empty_database() {
    let (server, _store) = Server::migrated().await;
    let programs = programs().await;
    execute(&mut server.connect("qcbatch").await, FILL).await;
    let file = server.directory.path().join("-it's a backup");
    backup(&server.target(), &programs, &file).await.unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let other = empty_database(&server).await;
    restore(&other, &programs, &file, Existing::Refuse).await.unwrap();
    assert_eq!(number(&mut server.connect("other").await, MOLECULES).await, 1000);
    // Numbering goes on where it was, and the tables are those of this version.
    execute(&mut server.connect("other").await, &FILL.replace("(1, 1000)", "(1001, 2000)")).await;
    let store = Store::connect(&other, 1).await.unwrap();
    assert!(store.migrate().await.unwrap().is_empty());

    let again = restore(&other, &programs, &file, Existing::Refuse).await;
    assert!(matches!(again, Err(ClusterError::NotEmpty { .. })), "{again:?}");
    assert_eq!(number(&mut server.connect("other").await, MOLECULES).await, 2000);
}

#[tokio::test]
async fn replacing_puts_back_the_old_tables_and_keeps_fences_growing() {
    let (server, store) = Server::migrated().await;
    let programs = programs().await;
    let this = LeaseHolder::this_process().unwrap();
    let ttl = Duration::from_secs(3600);
    let acquire = async || store.acquire("default", &this, ttl, TakeOver::WhenExpired).await.unwrap();
    acquire().await;
    let file = server.directory.path().join("backup");
    backup(&server.target(), &programs, &file).await.unwrap();

    // A later version's table that depends on ours, a later fence, later molecules.
    let later =
        "CREATE TYPE later AS ENUM ('a'); CREATE TABLE extra (id bigint REFERENCES molecule, l later)";
    execute(&mut server.connect("qcbatch").await, &format!("{FILL}; {later}")).await;
    let LeaseAnswer::Held { fence, .. } = acquire().await else { panic!("not held") };

    let in_use = restore(&server.target(), &programs, &file, Existing::Replace).await;
    assert!(matches!(in_use, Err(ClusterError::InUse { .. })), "{in_use:?}");
    store.release("default", fence).await.unwrap();
    restore(&server.target(), &programs, &file, Existing::Replace).await.unwrap();
    let mut conn = server.connect("qcbatch").await;
    assert_eq!(number(&mut conn, MOLECULES).await, 0);
    let extra = "SELECT count(*) AS value FROM pg_class WHERE relname IN ('extra', 'later')";
    assert_eq!(number(&mut conn, extra).await, 0);
    // The restored lease is nobody's, and what an old daemon still holds is older than the next fence.
    let other = LeaseHolder { hostname: "elsewhere".to_owned(), ..this.clone() };
    let next = store.acquire("default", &other, ttl, TakeOver::WhenExpired).await.unwrap();
    assert!(matches!(next, LeaseAnswer::Held { fence: next, .. } if next > fence), "{next:?}");
}

#[tokio::test]
async fn a_damaged_backup_is_restored_whole_or_not_at_all() {
    let (server, _store) = Server::migrated().await;
    let programs = programs().await;
    execute(&mut server.connect("qcbatch").await, FILL).await;
    let file = server.directory.path().join("backup");
    backup(&server.target(), &programs, &file).await.unwrap();
    // One molecule more than in the backup tells "as it was" from "as the backup has it".
    let more = FILL.replace("(1, 1000)", "(1001, 1001)");
    execute(&mut server.connect("qcbatch").await, &more).await;
    let whole = std::fs::read(&file).unwrap();
    let cut = server.directory.path().join("cut");
    for length in [0, 100, whole.len() / 4, whole.len() / 2, whole.len() * 9 / 10, whole.len() - 400] {
        std::fs::write(&cut, &whole[..length]).unwrap();
        let answer = restore(&server.target(), &programs, &cut, Existing::Replace).await;
        let molecules = number(&mut server.connect("qcbatch").await, MOLECULES).await;
        match answer {
            Err(ClusterError::Program { .. }) => assert_eq!(molecules, 1001, "cut at {length}"),
            // Some builds of pg_dump end the file with a second table of contents, which can be spared.
            Ok(()) if length > whole.len() / 2 => {
                assert_eq!(molecules, 1000, "cut at {length}");
                execute(&mut server.connect("qcbatch").await, &more).await;
            }
            other => panic!("cut at {length} of {}: {other:?}", whole.len()),
        }
    }
}

#[tokio::test]
async fn a_failed_backup_leaves_the_older_file() {
    let (server, _store) = Server::migrated().await;
    let programs = programs().await;
    let file = server.directory.path().join("backup");
    std::fs::write(&file, "older").unwrap();
    let missing = server.target().with_database("missing");
    let error = backup(&missing, &programs, &file).await.unwrap_err();
    assert!(error.to_string().contains("\"missing\" does not exist"), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "older");
    let left = std::fs::read_dir(server.directory.path()).unwrap().count();
    assert_eq!(left, 2, "the backup and the cluster");
}

#[tokio::test]
async fn psql_opens_the_database() {
    let server = Server::running().await;
    let mut command = psql(
        &server.target(),
        &programs().await,
        &["-XAtc", "SELECT current_user || '@' || current_database()"],
    );
    let output = command.env("PGHOST_IGNORED", "x").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "qcbatch@qcbatch\n", "{output:?}");
}
