//! What a restore leaves: a database with a new id whose numbers are new, and no daemon of before that can write into it.

use std::time::Duration;

use qcbatch::model::ids::{Fence, SubmissionId};
use qcbatch::store::backup::backup;
use qcbatch::store::cluster::{ClusterError, Programs};
use qcbatch::store::lease::{LeaseAnswer, LeaseHolder, TakeOver};
use qcbatch::store::restore::{Existing, restore};
use qcbatch::store::{Store, StoreError};

use crate::fixture::{Server, execute, number, programs};

const SITE: &str = "default";
const HOUR: Duration = Duration::from_secs(3600);

/// A database with a backup of itself, and the fence of the daemon that made it and went away.
async fn backed_up() -> (Server, Store, Programs, Fence, std::path::PathBuf) {
    let (server, store) = Server::migrated().await;
    let programs = programs().await;
    let holder = LeaseHolder::this_process().unwrap();
    let held = store.acquire(SITE, &holder, HOUR, TakeOver::WhenExpired).await.unwrap();
    let LeaseAnswer::Held(fence) = held else { panic!("{held:?}") };
    let file = server.directory.path().join("backup");
    backup(&server.target(), &programs, &file).await.unwrap();
    expire(&server).await;
    (server, store, programs, fence, file)
}

/// The daemon is asleep, and its lease has run out.
async fn expire(server: &Server) {
    let expire = "UPDATE lease SET expires_on = clock_timestamp() - interval '1 s'";
    execute(&mut server.connect("qcbatch").await, expire).await;
}

async fn next_record(server: &Server, database: &str) -> i64 {
    number(&mut server.connect(database).await, "SELECT nextval('record_id_seq') AS value").await
}

#[tokio::test]
async fn a_restored_database_has_a_new_id_and_numbers_that_were_never_given_out() {
    let (server, store, programs, _, file) = backed_up().await;
    let before = store.lineage().await.unwrap();
    for _ in 0..40 {
        next_record(&server, "qcbatch").await;
    }
    restore(&server.target(), &programs, &file, Existing::Replace).await.unwrap();
    let after = store.lineage().await.unwrap();
    assert_eq!((before.former.len(), &after.former[..]), (0, &[before.current][..]));
    assert!(after.suffix().is_some() && before.suffix().is_none());
    let first = next_record(&server, "qcbatch").await;
    assert!(first > 500_000_000, "{first} may have been given out after the backup");
    let all = "SELECT count(*) AS value FROM pg_sequences WHERE schemaname = 'public' AND coalesce(last_value, 0) < 500000000";
    assert_eq!(number(&mut server.connect("qcbatch").await, all).await, 0);

    // Into an empty database, where nobody knows how far the numbers had come; and once more.
    execute(&mut server.connect("qcbatch").await, "CREATE DATABASE other").await;
    let other = server.target().with_database("other");
    restore(&other, &programs, &file, Existing::Refuse).await.unwrap();
    let copy = Store::connect(&other, 1).await.unwrap();
    let lineage = copy.lineage().await.unwrap();
    assert!(lineage.has(before.current) && !lineage.has(after.current), "{lineage:?}");
    restore(&server.target(), &programs, &file, Existing::Replace).await.unwrap();
    let again = store.lineage().await.unwrap();
    assert!(again.former.contains(&before.current) && again.former.contains(&after.current), "{again:?}");
    assert!(next_record(&server, "qcbatch").await >= first + 500_000_000);
}

#[tokio::test]
async fn a_backup_of_before_there_were_ids_gets_one_that_knows_the_replaced() {
    let (server, store, programs, _, file) = backed_up().await;
    let before = store.lineage().await.unwrap();
    let without = server.directory.path().join("without");
    execute(&mut server.connect("qcbatch").await, "CREATE DATABASE older").await;
    let older = server.target().with_database("older");
    restore(&older, &programs, &file, Existing::Refuse).await.unwrap();
    let undo = "DROP TABLE database_identity; DELETE FROM __diesel_schema_migrations WHERE version = '2026112901000'";
    execute(&mut server.connect("older").await, undo).await;
    backup(&older, &programs, &without).await.unwrap();
    restore(&server.target(), &programs, &without, Existing::Replace).await.unwrap();
    let after = store.lineage().await.unwrap();
    assert!(after.former.contains(&before.current) && after.current != before.current, "{after:?}");
    assert_eq!(store.migrate().await.unwrap(), ["2026112901000"]);
    assert_eq!(store.lineage().await.unwrap(), after, "the migration finds its work done");
}

#[tokio::test]
async fn a_daemon_that_slept_through_a_restore_is_fenced() {
    let (server, store, programs, fence, file) = backed_up().await;
    let asleep = store.writer(SITE, fence);
    asleep.note_swept(&[SubmissionId(1)]).await.unwrap();
    restore(&server.target(), &programs, &file, Existing::Replace).await.unwrap();
    let written = asleep.note_swept(&[SubmissionId(1)]).await;
    assert!(matches!(written, Err(StoreError::LeaseLost { .. })), "{written:?}");
    let renewed = store.renew(SITE, fence, HOUR).await;
    assert!(matches!(renewed, Err(StoreError::LeaseLost { .. })), "{renewed:?}");
    let holder = LeaseHolder::this_process().unwrap();
    let next = store.acquire(SITE, &holder, HOUR, TakeOver::WhenExpired).await.unwrap();
    assert!(matches!(next, LeaseAnswer::Held(next) if next.0 > fence.0 + 1), "{next:?} after {fence:?}");
}

/// Somebody waits for the lock of the lease.
async fn waits_for_the_lease(server: &Server) {
    let mut conn = server.connect("qcbatch").await;
    let waiting = "SELECT count(*) AS value FROM pg_locks WHERE relation = 'lease'::regclass
        AND mode = 'AccessExclusiveLock' AND NOT granted";
    for _ in 0..1000 {
        if number(&mut conn, waiting).await == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody waits for the lease");
}

#[tokio::test]
async fn whether_a_daemon_lives_is_looked_at_under_the_lock() {
    let (server, store, programs, fence, file) = backed_up().await;
    // It wakes up while the restore is on its way, and has its lease back before the restore gets the lock.
    let mut daemon = server.connect("qcbatch").await;
    execute(&mut daemon, "BEGIN; UPDATE lease SET expires_on = clock_timestamp() + interval '1 h'").await;
    let target = server.target();
    let restoring = restore(&target, &programs, &file, Existing::Replace);
    let waking = async {
        waits_for_the_lease(&server).await;
        execute(&mut daemon, "COMMIT").await;
    };
    let (restored, ()) = tokio::join!(restoring, waking);
    assert!(matches!(&restored, Err(ClusterError::InUse { site, .. }) if site == SITE), "{restored:?}");
    store.writer(SITE, fence).note_swept(&[SubmissionId(1)]).await.unwrap();

    // What it has open is waited for, and is gone with what it was written into.
    expire(&server).await;
    let intake = store.writer(SITE, fence).begin_intake().await.unwrap();
    let restoring = restore(&target, &programs, &file, Existing::Replace);
    let ending = async {
        waits_for_the_lease(&server).await;
        intake.commit().await.unwrap();
    };
    let (restored, ()) = tokio::join!(restoring, ending);
    restored.unwrap();
    let late = store.writer(SITE, fence).note_swept(&[SubmissionId(1)]).await;
    assert!(matches!(late, Err(StoreError::LeaseLost { .. })), "{late:?}");
}

#[tokio::test]
async fn the_lease_of_a_daemon_that_surely_died_is_no_obstacle() {
    let (server, store, programs, _, file) = backed_up().await;
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let this = LeaseHolder::this_process().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let pid_started = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
    let holder = LeaseHolder { pid, pid_started, ..this };
    store.acquire(SITE, &holder, HOUR, TakeOver::WhenExpired).await.unwrap();
    let restored = restore(&server.target(), &programs, &file, Existing::Replace).await;
    assert!(matches!(restored, Err(ClusterError::InUse { .. })), "{restored:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    restore(&server.target(), &programs, &file, Existing::Replace).await.unwrap();
}
