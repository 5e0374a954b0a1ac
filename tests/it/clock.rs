//! The clock of a node is an hour ahead of the daemon's, or an hour behind: what a job writes and when it ends is judged
//! all the same. The runner of a real job gets that clock by libfaketime, wherever it asks for the time of day.

use crate::harness::{Daemon, DaemonConfig, Database, Within, inputs, wait_until};

/// Settings of a pool whose jobs have a time of day that is off. The monotonic clock of a node counts as everybody's does.
fn off_by(offset: &str) -> String {
    let library = std::env::var("QCBATCH_TEST_FAKETIME").expect("make test finds libfaketime");
    format!(
        "idle = \"1s\"\n\
         environment = {{ LD_PRELOAD = \"{library}\", FAKETIME = \"{offset}\", FAKETIME_DONT_FAKE_MONOTONIC = \"1\" }}"
    )
}

/// How far the node's clock, which told when an attempt started, was ahead of the database's, in hours.
const HOURS_AHEAD: &str =
    "SELECT extract(epoch FROM avg(started_on - modified_on)) / 3600 FROM compute_history";

/// Of what was asked for; an optimization's single points have attempts too.
const ATTEMPTS: &str =
    "SELECT count(*) FROM compute_history h JOIN record r ON r.id = h.record_id WHERE r.requested";

fn runs_to_its_end(offset: &str, hours: f64) {
    let database = Database::fresh();
    let mut daemon = Daemon::start(&DaemonConfig::on(&database).with_local_pool(&off_by(offset)));
    daemon.submit(&inputs::water_mopac(), &[]);
    daemon.submit(&inputs::optimization("mopac", "pm7", inputs::water()), &[]);
    daemon.wait_complete(2);
    let ahead: f64 = database.sql(HOURS_AHEAD).parse().unwrap();
    assert!((ahead - hours).abs() < 0.1, "the node's clock was {ahead} h ahead");
    let unfinished = || database.count("SELECT count(*) FROM job WHERE state <> 'ended'");
    wait_until("the end of the idle job", Within::Minutes, unfinished, |jobs| *jobs == 0);
    assert_eq!(database.count("SELECT count(*) FROM job WHERE outcome <> 'completed'"), 0);
    assert_eq!(database.count(ATTEMPTS), 2, "nothing ran twice");
}

#[test]
fn a_node_whose_clock_is_an_hour_ahead_does_its_work_once() {
    runs_to_its_end("+1h", 1.0);
}

#[test]
fn a_node_whose_clock_is_an_hour_behind_does_its_work_once() {
    runs_to_its_end("-1h", -1.0);
}
