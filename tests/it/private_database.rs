//! The private PostgreSQL dies or is stopped under a daemon: the daemon says so, and goes on by itself.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::harness::{Daemon, DaemonConfig, Within, inputs, wait_until};

/// The process of the private server, if it runs.
fn server(daemon: &Daemon) -> Option<i32> {
    let answer = daemon.cli(["db", "status", "--json"]);
    let status: Value = serde_json::from_slice(&answer.stdout).ok()?;
    i32::try_from(status["pid"].as_i64()?).ok()
}

fn text(output: &std::process::Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[test]
fn a_private_server_that_dies_is_started_again_and_a_stopped_one_is_told() {
    let mut daemon = Daemon::start(&DaemonConfig::private_database().with_local_pool(""));
    let of_daemon = daemon.pid();
    daemon.submit(&inputs::many_mopac(1), &[]);
    daemon.wait_complete(1);

    let killed = server(&daemon).expect("it runs");
    kill(Pid::from_raw(killed), Signal::SIGKILL).unwrap();
    wait_until(
        "the server is started again",
        Within::Minutes,
        || (daemon.cli(["status"]).status.code(), server(&daemon), daemon.log_tail()),
        |(code, server, _)| *code == Some(0) && server.is_some_and(|pid| pid != killed),
    );
    daemon.submit(&inputs::many_mopac(2), &[]);
    daemon.wait_complete(2);
    assert_eq!(daemon.pid(), of_daemon, "it is the same daemon");

    let refused = daemon.cli(["db", "stop"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("a daemon works with the private PostgreSQL"), "{}", text(&refused));
    daemon.ask(["db", "stop", "--force"]);
    let told = wait_until(
        "the daemon has seen it",
        Within::AMoment,
        || text(&daemon.cli(["status"])),
        |text| text.contains("`qcbatch db start` starts it again"),
    );
    assert!(told.contains("records: not known, the database is away"), "{told}");
    assert_eq!(daemon.cli(["status"]).status.code(), Some(1));
    let refused = daemon.cli(["list"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    daemon.ask(["db", "start"]);
    wait_until(
        "it answers again",
        Within::AMoment,
        || daemon.cli(["status"]).status.code(),
        |code| *code == Some(0),
    );
    daemon.stop();
}
