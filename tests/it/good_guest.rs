//! The daemon is a good guest of the login node: small, whatever it is given.

use std::fs;

use serde_json::Value;

use crate::harness::{Daemon, DaemonConfig, Database, inputs};

/// What a site allows, in KiB; the invariant of the design.
const MOST_RESIDENT_KIB: u64 = 64 << 10;

#[test]
fn taking_in_thousands_of_inputs_needs_little_memory() {
    let database = Database::fresh();
    // A tag that no pool serves: intake alone is looked at.
    let mut daemon =
        Daemon::start(&DaemonConfig::on(&database).with_local_pool("compute_tags = [\"other\"]"));
    let molecules = (0..5000).map(|index| inputs::hydrogen(0.6 + f64::from(index) * 1e-4));
    let inputs = molecules.map(|molecule| inputs::energy("mopac", "pm7", None, molecule)).collect();
    daemon.submit(&Value::Array(inputs), &["--tag", "nobody"]);
    assert_eq!(database.count("select count(*) from task where available"), 5000);
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    assert!(peak < MOST_RESIDENT_KIB, "peak resident {peak} KiB");
}
