//! The lease: one holder, fences that only grow, and no write with an old one.

use std::time::Duration;

use diesel_async::{AsyncConnection, AsyncPgConnection};
use qcbatch::model::ids::Fence;
use qcbatch::store::lease::{LeaseAnswer, LeaseHolder, TakeOver, check_fence};
use qcbatch::store::{Store, StoreError};

use crate::fixture::{Server, execute, number};

const LONG: Duration = Duration::from_secs(3600);
const SITE: &str = "default";

/// A holder on another machine, which nobody here can know to be dead.
fn elsewhere(name: &str) -> LeaseHolder {
    LeaseHolder {
        hostname: name.to_owned(),
        boot_id: "b".to_owned(),
        pid: 1,
        pid_started: 1,
        namespaces: None,
    }
}

async fn held(store: &Store, holder: &LeaseHolder, take_over: TakeOver) -> Fence {
    match store.acquire(SITE, holder, LONG, take_over).await.unwrap() {
        LeaseAnswer::Held { fence, .. } => fence,
        other => panic!("{other:?}"),
    }
}

async fn refused(store: &Store, holder: &LeaseHolder, take_over: TakeOver) -> LeaseHolder {
    match store.acquire(SITE, holder, LONG, take_over).await.unwrap() {
        LeaseAnswer::HeldBy { holder, expires_in } => {
            assert!(expires_in <= LONG, "{expires_in:?}");
            holder
        }
        other => panic!("{other:?}"),
    }
}

async fn expire(server: &Server) {
    let sql = "UPDATE lease SET expires_on = clock_timestamp() - interval '1 second'";
    execute(&mut server.connect("qcbatch").await, sql).await;
}

#[tokio::test]
async fn the_second_daemon_waits_until_the_lease_expires_or_is_given_back() {
    let (server, store) = Server::migrated().await;
    let (a, b) = (elsewhere("a"), elsewhere("b"));
    let first = held(&store, &a, TakeOver::WhenExpired).await;
    assert_eq!(refused(&store, &b, TakeOver::WhenExpired).await, a);

    expire(&server).await;
    // Expired but not taken: still ours to renew.
    store.renew(SITE, first, LONG).await.unwrap();
    assert_eq!(refused(&store, &b, TakeOver::WhenExpired).await, a);

    expire(&server).await;
    let second = held(&store, &b, TakeOver::WhenExpired).await;
    assert!(second > first);
    assert!(matches!(store.renew(SITE, first, LONG).await, Err(StoreError::LeaseLost { .. })));

    // What is no longer ours cannot be given back by us.
    store.release(SITE, first).await.unwrap();
    assert_eq!(refused(&store, &a, TakeOver::WhenExpired).await, b);
    store.release(SITE, second).await.unwrap();
    assert!(held(&store, &a, TakeOver::WhenExpired).await > second);
    // Another site has its own.
    let other = store.acquire("other", &b, LONG, TakeOver::WhenExpired).await.unwrap();
    assert_eq!(other, LeaseAnswer::Held { fence: Fence(1), former: None });
}

#[tokio::test]
async fn a_dead_daemons_lease_is_taken_at_once_but_only_from_it() {
    let (_server, store) = Server::migrated().await;
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let this = LeaseHolder::this_process().unwrap();
    let dead = LeaseHolder { pid: i32::try_from(child.id()).unwrap(), ..this.clone() };
    child.kill().unwrap();
    child.wait().unwrap();
    held(&store, &dead, TakeOver::WhenExpired).await;

    let holder = refused(&store, &this, TakeOver::WhenExpired).await;
    assert!(holder.is_surely_dead());
    let ours = held(&store, &this, TakeOver::From(holder.clone())).await;
    // A third daemon that saw the same dead holder comes too late.
    assert_eq!(refused(&store, &elsewhere("c"), TakeOver::From(holder)).await, this);
    // Its own lease a process may always take anew; a person's order goes before all.
    assert!(held(&store, &this, TakeOver::WhenExpired).await > ours);
    held(&store, &elsewhere("c"), TakeOver::Now).await;
}

#[tokio::test]
async fn many_daemons_at_once_get_one_lease() {
    let (_server, store) = Server::migrated().await;
    let asking = (0..12).map(|number| {
        let store = store.clone();
        tokio::spawn(async move {
            let holder = elsewhere(&format!("n{number}"));
            store.acquire(SITE, &holder, LONG, TakeOver::WhenExpired).await.unwrap()
        })
    });
    let mut held = 0;
    for task in asking.collect::<Vec<_>>() {
        held += usize::from(matches!(task.await.unwrap(), LeaseAnswer::Held { .. }));
    }
    assert_eq!(held, 1);
}

/// Opens a transaction that has checked `fence`, as the daemon's writes do.
async fn open_write(server: &Server, fence: Fence) -> Result<AsyncPgConnection, StoreError> {
    let mut conn = server.connect("qcbatch").await;
    execute(&mut conn, "BEGIN").await;
    check_fence(&mut conn, SITE, fence).await?;
    Ok(conn)
}

#[tokio::test]
async fn an_old_fences_write_is_refused_and_leaves_nothing() {
    let (server, store) = Server::migrated().await;
    let old = held(&store, &elsewhere("a"), TakeOver::WhenExpired).await;
    let new = held(&store, &elsewhere("b"), TakeOver::Now).await;
    let mut conn = server.connect("qcbatch").await;
    let write = async |conn: &mut AsyncPgConnection, fence: Fence| {
        conn.transaction(async |conn| {
            execute(conn, "INSERT INTO event (kind, message) VALUES ('test', '')").await;
            check_fence(conn, SITE, fence).await
        })
        .await
    };
    assert!(matches!(write(&mut conn, old).await, Err(StoreError::LeaseLost { .. })));
    assert_eq!(number(&mut conn, "SELECT count(*) AS value FROM event").await, 0);
    write(&mut conn, new).await.unwrap();
    assert_eq!(number(&mut conn, "SELECT count(*) AS value FROM event").await, 1);
}

#[tokio::test]
async fn renewing_is_not_held_up_by_a_long_write_nor_by_somebody_who_waits_to_take_over() {
    let (server, store) = Server::migrated().await;
    let fence = held(&store, &elsewhere("a"), TakeOver::WhenExpired).await;
    let mut writing = open_write(&server, fence).await.unwrap();
    // Would end in the statement's time limit if it had to wait.
    store.renew(SITE, fence, LONG).await.unwrap();

    let taking = tokio::spawn({
        let store = store.clone();
        async move { held(&store, &elsewhere("b"), TakeOver::Now).await }
    });
    let mut watching = server.connect("qcbatch").await;
    let waiting = "SELECT count(*) AS value FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                   AND query LIKE '%lease%' AND pid <> pg_backend_pid()";
    while number(&mut watching, waiting).await == 0 {
        assert!(!taking.is_finished(), "the take-over did not wait for the open write");
    }
    store.renew(SITE, fence, LONG).await.unwrap();
    assert!(!taking.is_finished());

    execute(&mut writing, "COMMIT").await;
    assert!(taking.await.unwrap() > fence);
    assert!(matches!(store.renew(SITE, fence, LONG).await, Err(StoreError::LeaseLost { .. })));
}

#[tokio::test]
async fn a_write_that_meets_an_open_take_over_waits_and_is_refused() {
    let (server, store) = Server::migrated().await;
    let old = held(&store, &elsewhere("a"), TakeOver::WhenExpired).await;
    // The same statements as `acquire`, held open between the fence's step and the commit.
    let mut taking = server.connect("qcbatch").await;
    execute(&mut taking, "BEGIN; SELECT fence FROM lease WHERE site = 'default' FOR UPDATE").await;
    execute(&mut taking, "UPDATE lease SET fence = fence + 1 WHERE site = 'default'").await;
    let server = std::sync::Arc::new(server);
    let writing = tokio::spawn({
        let server = std::sync::Arc::clone(&server);
        async move { open_write(&server, old).await.map(drop) }
    });
    let mut watching = server.connect("qcbatch").await;
    let waiting = "SELECT count(*) AS value FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                   AND query LIKE '%lease%' AND pid <> pg_backend_pid()";
    while number(&mut watching, waiting).await == 0 {
        assert!(!writing.is_finished(), "the write did not wait for the open take-over");
    }
    execute(&mut taking, "COMMIT").await;
    assert!(matches!(writing.await.unwrap(), Err(StoreError::LeaseLost { .. })));
}

/// The name of the last migration, and the SQL that undoes it.
fn last_migration() -> (String, String) {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/migrations");
    let names =
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let last = names.max().unwrap();
    let undo = std::fs::read_to_string(directory.join(&last).join("down.sql")).unwrap();
    let version: String = last.split('_').next().unwrap().replace('-', "");
    (version, undo)
}

const MIGRATIONS: &str = "SELECT count(*) AS value FROM __diesel_schema_migrations";

/// A database whose tables are one migration older than this program.
async fn older(server: &Server) -> (AsyncPgConnection, i64) {
    let (version, undo) = last_migration();
    let mut conn = server.connect("qcbatch").await;
    execute(&mut conn, &undo).await;
    execute(&mut conn, &format!("DELETE FROM __diesel_schema_migrations WHERE version = '{version}'")).await;
    let applied = number(&mut conn, MIGRATIONS).await;
    (conn, applied)
}

async fn older_daemon_holds(conn: &mut AsyncPgConnection, site: &str) {
    execute(
        conn,
        &format!(
            "INSERT INTO lease (site, fence, hostname, boot_id, pid, pid_started, expires_on)
             VALUES ('{site}', 3, 'a', 'b', 1, 1, clock_timestamp() + interval '1 hour')"
        ),
    )
    .await;
}

#[tokio::test]
async fn a_newer_version_that_does_not_get_the_lease_leaves_the_tables_as_they_are() {
    let (server, store) = Server::migrated().await;
    let (mut conn, applied) = older(&server).await;
    older_daemon_holds(&mut conn, SITE).await;
    assert_eq!(refused(&store, &elsewhere("b"), TakeOver::WhenExpired).await, elsewhere("a"));
    assert_eq!(
        number(&mut conn, MIGRATIONS).await,
        applied,
        "nothing was changed under the daemon that works"
    );

    expire(&server).await;
    assert_eq!(held(&store, &elsewhere("b"), TakeOver::WhenExpired).await, Fence(4));
    assert_eq!(number(&mut conn, MIGRATIONS).await, applied + 1);
}

#[tokio::test]
async fn a_newer_version_does_not_change_the_tables_under_another_sites_daemon() {
    let (server, store) = Server::migrated().await;
    let (mut conn, applied) = older(&server).await;
    older_daemon_holds(&mut conn, "other").await;
    let refused = store.acquire(SITE, &elsewhere("b"), LONG, TakeOver::WhenExpired).await.unwrap_err();
    assert!(refused.to_string().contains("other"), "{refused}");
    assert!(matches!(refused, StoreError::OlderSitesAtWork { .. }), "{refused:?}");
    assert_eq!(number(&mut conn, MIGRATIONS).await, applied);

    expire(&server).await;
    held(&store, &elsewhere("b"), TakeOver::WhenExpired).await;
    assert_eq!(number(&mut conn, MIGRATIONS).await, applied + 1);
}

#[tokio::test]
async fn many_daemons_on_an_empty_database_make_its_tables_once_and_get_one_lease() {
    let server = Server::running().await;
    let store = Store::connect(&server.target(), 2).await.unwrap();
    let asking = ["a", "b", "c"].map(|name| {
        let store = store.clone();
        tokio::spawn(async move {
            store.acquire(SITE, &elsewhere(name), LONG, TakeOver::WhenExpired).await.unwrap()
        })
    });
    let mut held = 0;
    for task in asking {
        held += usize::from(matches!(task.await.unwrap(), LeaseAnswer::Held { .. }));
    }
    assert_eq!(held, 1);
}

#[tokio::test]
async fn a_lease_is_renewed_while_every_connection_of_the_pool_is_busy() {
    let server = Server::running().await;
    let store = Store::connect(&server.target(), 1).await.unwrap();
    let fence = held(&store, &elsewhere("a"), TakeOver::WhenExpired).await;
    let writer = store.writer(SITE, fence);
    let mut lease = store.lease_connection(SITE, fence, Duration::from_secs(20));
    lease.renew().await.unwrap();
    // The pool's only connection waits for a lock.
    let mut conn = server.connect("qcbatch").await;
    execute(&mut conn, "BEGIN; LOCK TABLE submission IN ACCESS EXCLUSIVE MODE").await;
    let writing = tokio::spawn(async move { writer.store().open_submissions(SITE).await.map(drop) });
    let mut watching = server.connect("qcbatch").await;
    let waiting = "SELECT count(*) AS value FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    while number(&mut watching, waiting).await == 0 {
        assert!(!writing.is_finished(), "the pool's connection did not wait");
    }
    lease.renew().await.unwrap();
    lease.check().await.unwrap();
    execute(&mut conn, "COMMIT").await;
    writing.await.unwrap().unwrap();
    held(&store, &elsewhere("b"), TakeOver::Now).await;
    assert!(matches!(lease.check().await, Err(StoreError::LeaseLost { .. })));
    assert!(matches!(lease.renew().await, Err(StoreError::LeaseLost { .. })));
}
