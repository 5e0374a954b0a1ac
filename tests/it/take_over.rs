//! The daemon is stopped as by SIGSTOP before an effect outside the database, another host takes its site over, and it goes
//! on: what it was about to do does not happen, and what it had begun is settled by its successor.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qcbatch::failpoint::FailPoint;
use rstest::rstest;
use serde_json::json;

use crate::harness::private_dir::PrivateDir;
use crate::harness::simulator::{Dialect, Simulator};
use crate::harness::{Daemon, DaemonConfig, Database, Within, inputs, wait_until};

/// Two hosts with one database, one spool and one scheduler. The first has stopped at a fail-point.
struct Hosts {
    first: Daemon,
    second: Daemon,
    database: Database,
    simulator: Simulator,
    _place: PrivateDir,
}

/// Look-ups a second apart, clients that give up after eight.
fn adapter(extends: &str) -> String {
    format!("extends = \"{extends}\"\n[calls]\nlookup_gap = \"1s\"\nsubmit_timeout = \"8s\"\n")
}

impl Hosts {
    fn first_stops_at(point: FailPoint, dialect: Dialect) -> Hosts {
        let (database, simulator, place) = (Database::fresh(), Simulator::new(dialect), PrivateDir::new());
        // What is submitted waits, so that every job of the tag can be counted.
        simulator.mischief(&json!({"starts_nothing": true}));
        let adapters = place.subdirectory("adapters", 0o700);
        std::fs::write(adapters.join("near.toml"), adapter(dialect.adapter())).unwrap();
        let spool = place.subdirectory("spool", 0o700);
        let mark = place.join("stopped");
        let pool = "name = \"cluster\"\nadapter = \"near\"\ncores = 1\ngrace = \"5s\"\nidle = \"1s\"";
        let config = DaemonConfig::on(&database)
            .with_adapters(&adapters)
            .with_sections(&format!("[spool]\npath = \"{}\"", spool.display()))
            .with_pool(pool)
            .with_env("PATH", &simulator.path());
        let mut first = Daemon::prepare(&config);
        let armed = format!("{}=return(stop-once:{})", point.name(), mark.display());
        first.spawn(&[("FAILPOINTS", armed.as_str())]);
        first.wait_ready();
        put(&first);
        wait_until(
            &format!("the first daemon visits {}", point.name()),
            Within::AMoment,
            || (mark.exists(), first.log_tail()),
            |(stopped, _)| *stopped,
        );
        database.sql("update lease set hostname = 'elsewhere'");
        let second = Daemon::start(&config);
        Hosts { first, second, database, simulator, _place: place }
    }

    /// Waits until the second daemon has submitted, and lets the first go on to its end.
    #[track_caller]
    fn first_goes_on_after_the_second_submitted(&mut self) {
        wait_until(
            "the second daemon submits",
            Within::Minutes,
            || {
                (
                    self.database.count("select count(*) from submission where state = 'accepted'"),
                    self.second.log_tail(),
                )
            },
            |(accepted, _)| *accepted == 1,
        );
        kill(Pid::from_raw(self.first.pid().cast_signed()), Signal::SIGCONT).expect("it is our child");
        self.first.wait_dead();
    }

    #[track_caller]
    fn each_completes_once(&self) {
        self.simulator.mischief(&json!({}));
        self.second.wait_complete(1);
        let stored = self.database.count("select count(*) from compute_history where status = 'complete'");
        assert_eq!(stored, 1, "{}", self.second.log_tail());
    }
}

fn put(daemon: &Daemon) {
    let inbox = daemon.state().join("inbox");
    let unfinished = inbox.join("work.json.tmp");
    std::fs::write(&unfinished, inputs::water_mopac().to_string()).unwrap();
    std::fs::rename(unfinished, inbox.join("work.json")).unwrap();
}

#[rstest]
fn a_daemon_that_wakes_after_a_take_over_does_not_submit(
    #[values(Dialect::Slurm, Dialect::Pbs, Dialect::Torque, Dialect::Lsf, Dialect::Sge)] dialect: Dialect,
) {
    let mut hosts = Hosts::first_stops_at(FailPoint::SubmissionCommitted, dialect);
    hosts.first_goes_on_after_the_second_submitted();
    assert_eq!(hosts.simulator.jobs().len(), 1, "{}", hosts.first.log_tail());
    hosts.each_completes_once();
}

/// The last instruction before the client starts: nothing can be asked any more. The successor finds both jobs by their tag.
#[rstest]
fn a_stop_between_permit_and_call_is_settled_by_the_successors_look_up(
    #[values(Dialect::Slurm, Dialect::Pbs, Dialect::Torque, Dialect::Lsf, Dialect::Sge)] dialect: Dialect,
) {
    let mut hosts = Hosts::first_stops_at(FailPoint::CallPermitted, dialect);
    hosts.first_goes_on_after_the_second_submitted();
    let cancelled = wait_until(
        "one of the two jobs is cancelled",
        Within::Minutes,
        || (hosts.simulator.jobs(), hosts.second.log_tail()),
        |(jobs, _)| jobs.len() == 2 && jobs.iter().any(|job| job["state"] == "CANCELLED"),
    );
    assert!(cancelled.0.iter().any(|job| job["state"] == "QUEUED"), "{:?}", cancelled.0);
    hosts.each_completes_once();
}

/// A stop before chunks are published: the successor has published and perhaps handed them out.
#[test]
fn a_daemon_that_wakes_after_a_take_over_publishes_nothing() {
    let mut hosts = Hosts::first_stops_at(FailPoint::ChunksReady, Dialect::Pbs);
    hosts.first_goes_on_after_the_second_submitted();
    hosts.each_completes_once();
    let handed_out = hosts.database.count("select count(*) from compute_history");
    assert_eq!(handed_out, 1, "{}", hosts.second.log_tail());
}
