//! A second daemon on another host: it stands by, ends at once when it is told to, and takes over when the first one stops.
//! Another host is one whose name stands in the lease instead of this one's.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{Daemon, DaemonConfig, Database, Within, wait_until};

#[track_caller]
fn wait_standing_by(daemon: &Daemon, times: usize) {
    wait_until(
        "the second daemon stands by",
        Within::AMoment,
        || daemon.log(),
        |log| log.matches("stands by").count() >= times,
    );
}

#[test]
fn a_daemon_that_stands_by_ends_at_once_when_told_and_takes_over_when_the_other_stops() {
    let database = Database::fresh();
    let mut first = Daemon::start(&DaemonConfig::on(&database).with_local_pool(""));
    database.sql("update lease set hostname = 'elsewhere'");
    let mut second = Daemon::prepare(&DaemonConfig::on(&database).with_local_pool(""));
    second.spawn(&[]);
    wait_standing_by(&second, 1);
    let told = Instant::now();
    let ended = second.terminate();
    assert!(ended.success(), "{ended}\n{}", second.log_tail());
    assert!(told.elapsed() < Duration::from_secs(20), "it took {:?}", told.elapsed());

    second.spawn(&[]);
    wait_standing_by(&second, 2);
    first.stop();
    second.wait_ready();
}

#[test]
fn a_daemon_that_is_refused_leaves_the_private_postgresql_as_it_found_it() {
    let mut first = Daemon::start(&DaemonConfig::private_database().with_local_pool(""));
    let running = first.ask(["db", "status"]);
    // The same state directory: the socket is in use.
    let refused = first.cli(["daemon"]);
    assert_eq!(refused.status.code(), Some(1), "{}", String::from_utf8_lossy(&refused.stderr));
    assert_eq!(first.ask(["db", "status"]), running, "the server of the first goes on");
    first.stop();
}

#[test]
fn a_daemon_that_is_refused_stops_the_private_postgresql_that_it_started() {
    let database = Database::fresh();
    let owner = Daemon::start(&DaemonConfig::on(&database).with_local_pool(""));
    // It starts its server, and then learns whose spool this is.
    let spool = owner.spool().display().to_string();
    let config = DaemonConfig::private_database().with_local_pool("").with_env("QCBATCH_SPOOL__PATH", &spool);
    let mut other = Daemon::prepare(&config);
    other.spawn(&[]);
    other.wait_dead();
    let log = other.log();
    assert!(log.contains("belongs to site `default` of database"), "{log}");
    assert!(log.contains("making the private database"), "it had started one: {log}");
    let status = other.cli(["db", "status"]);
    assert_eq!(
        status.status.code(),
        Some(1),
        "it has stopped again: {}",
        String::from_utf8_lossy(&status.stdout)
    );
}

/// A daemon in a container that has its host's name: its process number says nothing outside.
#[test]
fn the_lease_of_a_daemon_in_a_container_is_waited_for() {
    let unshared = |program: &str| {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc", program]);
        command
    };
    if !unshared("true").status().is_ok_and(|status| status.success()) {
        eprintln!(
            "SKIPPED the_lease_of_a_daemon_in_a_container_is_waited_for: unshare --pid is not permitted here"
        );
        return;
    }
    let database = Database::fresh();
    let mut inside = Daemon::prepare(&DaemonConfig::on(&database).with_local_pool(""));
    inside.spawn_through(unshared);
    inside.wait_ready();
    let mut outside = Daemon::prepare(&DaemonConfig::on(&database).with_local_pool(""));
    outside.spawn(&[]);
    wait_standing_by(&outside, 1);
    assert_eq!(database.count("select fence from lease"), 1, "{}", outside.log_tail());
    inside.kill9();
    outside.wait_ready();
}
