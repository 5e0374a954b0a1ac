//! The private cluster's life: made, started, stopped, killed, started by two at once, closed to others.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getsid};
use qcbatch::model::causes::chain;
use qcbatch::store::Store;
use qcbatch::store::cluster::{ClusterStatus, Started, Stopped};

use crate::fixture::{Server, execute, number, programs};

#[tokio::test]
async fn what_was_stored_is_there_after_a_restart() {
    let server = Server::none_yet();
    let cluster = &server.cluster;
    assert_eq!(cluster.status().await.unwrap(), ClusterStatus::NotInitialised);
    assert_eq!(cluster.stop().await.unwrap(), Stopped::NotRunning);

    assert_eq!(cluster.start().await.unwrap(), Started::ByUs);
    let ClusterStatus::Running { pid } = cluster.status().await.unwrap() else { panic!("not running") };
    let pid = Pid::from_raw(pid);
    assert_eq!(getsid(Some(pid)), Ok(pid), "a session of its own, which no terminal's end reaches");
    assert_eq!(cluster.start().await.unwrap(), Started::AlreadyRunning);
    execute(&mut server.connect("qcbatch").await, "CREATE TABLE kept AS SELECT 42::bigint AS value").await;

    assert_eq!(cluster.stop().await.unwrap(), Stopped::ByUs);
    assert_eq!(cluster.status().await.unwrap(), ClusterStatus::Stopped);
    assert_eq!(cluster.start().await.unwrap(), Started::ByUs);
    assert_eq!(number(&mut server.connect("qcbatch").await, "SELECT value FROM kept").await, 42);
}

#[tokio::test]
async fn the_server_listens_on_no_network_and_is_durable() {
    let server = Server::running().await;
    let mut conn = server.connect("qcbatch").await;
    let settings = "SELECT count(*) AS value FROM pg_settings WHERE (name, setting) IN \
        (('listen_addresses', ''), ('fsync', 'on'), ('synchronous_commit', 'on'), ('unix_socket_permissions', '0700'))";
    assert_eq!(number(&mut conn, settings).await, 4);
}

#[tokio::test]
async fn of_two_starters_at_once_one_makes_and_starts_it() {
    let server = Server::none_yet();
    let (first, second) = tokio::join!(server.cluster.start(), server.cluster.start());
    let mut answers = [first.unwrap(), second.unwrap()];
    answers.sort_by_key(|answer| *answer == Started::AlreadyRunning);
    assert_eq!(answers, [Started::ByUs, Started::AlreadyRunning]);
}

#[tokio::test]
async fn nobody_else_can_connect_even_where_the_socket_is_open() {
    let server = Server::running().await;
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can act as another user");
        return;
    }
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let psql = programs().await.path("psql");
    let home = server.cluster.home().unwrap();
    let socket = home.join("run");
    let try_as_nobody = || {
        let output = Command::new(&psql)
            .args(["--no-psqlrc", "-c", "SELECT 1", "-U", "qcbatch", "-d", "qcbatch", "-h"])
            .arg(&socket)
            .current_dir("/")
            .uid(nobody.uid.as_raw())
            .gid(nobody.gid.as_raw())
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let words = try_as_nobody();
    assert!(words.contains("Permission denied"), "{words}");
    for path in [&home, &socket, &socket.join(".s.PGSQL.5432")] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let words = try_as_nobody();
    assert!(words.contains("Peer authentication failed"), "{words}");
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test]
async fn a_killed_server_is_away_and_starts_again() {
    let (server, store) = Server::migrated().await;
    let ClusterStatus::Running { pid } = server.cluster.status().await.unwrap() else {
        panic!("not running")
    };
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let error = loop {
        // Until its sessions have noticed, they still answer.
        if let Err(error) = store.release("none", qcbatch::model::ids::Fence(1)).await {
            break error;
        }
    };
    assert!(error.is_away(), "{error:?}");
    // The orphaned sessions hold the shared memory for a moment longer; PostgreSQL then refuses to start.
    while let Err(error) = server.cluster.start().await {
        let error = chain(&error);
        assert!(error.contains("shared memory"), "{error}");
    }
    assert!(store.migrate().await.unwrap().is_empty());
    store.release("none", qcbatch::model::ids::Fence(1)).await.unwrap();
}

#[tokio::test]
async fn a_mark_with_the_number_of_another_process_does_not_keep_the_server_down() {
    let server = Server::running().await;
    let mark = server.data().join("postmaster.pid");
    let text = std::fs::read_to_string(&mark).unwrap();
    server.cluster.stop().await.unwrap();
    let mut other = server.as_server_user(Path::new("sleep")).arg("1000").spawn().unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    std::fs::write(&mark, format!("{}\n{rest}", other.id())).unwrap();
    let started = server.cluster.start().await;
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(started.unwrap(), Started::ByUs);
}

#[tokio::test]
async fn a_store_that_finds_no_server_says_where_it_looked() {
    let server = Server::running().await;
    server.cluster.stop().await.unwrap();
    let error = Store::connect(&server.target(), 2).await.unwrap_err();
    assert!(error.is_away());
    let expected = format!(
        "cannot connect to database `qcbatch` on the socket in {}/run as `qcbatch`",
        server.cluster.home().unwrap().display()
    );
    assert_eq!(error.to_string(), expected);
}
