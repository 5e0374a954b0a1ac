//! Predictions on real runs: MOPAC on alkanes that grow.

use std::ffi::OsStr;

use serde_json::{Value, json};

use crate::harness::inputs;
use crate::harness::{Daemon, DaemonConfig, Database};

fn predicted(daemon: &mut Daemon, carbons: u32) -> Value {
    let path = daemon.write_input(&inputs::energy("mopac", "pm7", None, inputs::alkane(carbons)));
    let output = daemon.cli([OsStr::new("predict"), path.as_os_str(), OsStr::new("--json")]);
    assert!(output.status.success(), "{output:?}\n{}", daemon.log_tail());
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    told[0]["pools"][0]["prediction"]["wall_seconds"].clone()
}

#[test]
fn small_alkanes_foretell_a_large_one() {
    let mut daemon = Daemon::start(&DaemonConfig::on(&Database::fresh()).with_local_pool(""));
    let before = predicted(&mut daemon, 40);
    assert_eq!(before["evidence"]["level"], "prior");
    let small = (1..=12).map(|carbons| inputs::energy("mopac", "pm7", None, inputs::alkane(carbons)));
    daemon.submit(&Value::Array(small.collect()), &[]);
    daemon.wait_complete(12);
    let after = predicted(&mut daemon, 40);
    assert_eq!(
        after["evidence"],
        json!({
            "level": "place", "runs": 12, "stopped": 0, "program_runs": 12,
            "since": after["evidence"]["since"], "measure": "atoms",
        })
    );
    let width = |time: &Value| time["high"].as_f64().unwrap() / time["low"].as_f64().unwrap();
    assert!(width(&after) < width(&before), "{before:#} {after:#}");

    daemon.submit(&inputs::energy("mopac", "pm7", None, inputs::alkane(40)), &[]);
    let records = daemon.wait_complete(13);
    let large = records.iter().find(|record| record["formula"] == "C40H82").unwrap();
    let took = large["wall_seconds"].as_f64().unwrap();
    let median = after["median"].as_f64().unwrap();
    // The machine may be busy with other tests at either time.
    assert!((took / median).ln().abs() < 10f64.ln(), "predicted {after:#}, took {took} s");
}
