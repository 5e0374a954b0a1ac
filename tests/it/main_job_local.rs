//! The main job on this machine: QCSchema in, a detached process of the `local` pool, the energy in PostgreSQL.

use std::ffi::OsStr;

use serde_json::{Value, json};

use crate::harness::inputs::{self, TOLERANCE, WATER_HF_STO3G, WATER_PM7};
use crate::harness::python::Generation;
use crate::harness::{Daemon, DaemonConfig, Database, Within, wait_until};

fn local_daemon() -> Daemon {
    Daemon::start(&DaemonConfig::on(&Database::fresh()).with_local_pool(""))
}

#[track_caller]
fn assert_energy(record: &Value, expected: f64) {
    let energy = record["return_energy"].as_f64().unwrap_or_else(|| panic!("an energy in {record:#}"));
    assert!((energy - expected).abs() < TOLERANCE, "{energy} is not {expected}: {record:#}");
}

#[track_caller]
fn by_program<'a>(records: &'a [Value], program: &str) -> &'a Value {
    records
        .iter()
        .find(|record| record["program"] == program)
        .unwrap_or_else(|| panic!("{program} in {records:#?}"))
}

#[test]
fn with_nothing_set_up_water_gets_its_reference_energies() {
    // No pool, no database: what a new user has.
    let mut daemon = Daemon::start(&DaemonConfig::private_database());
    daemon.submit(&json!([inputs::water_psi4(), inputs::water_mopac()]), &[]);
    let records = daemon.wait_complete(2);
    assert_energy(by_program(&records, "psi4"), WATER_HF_STO3G);
    assert_energy(by_program(&records, "mopac"), WATER_PM7);
}

#[test]
fn the_newer_qcengine_takes_both_versions_of_qcschema() {
    let config = DaemonConfig::on(&Database::fresh()).with_local_pool("").with_generation(Generation::V2);
    let mut daemon = Daemon::start(&config);
    daemon.submit(&inputs::water_mopac(), &[]);
    daemon.wait_complete(1);
    let same = inputs::energy_version_2("mopac", "pm7", None, inputs::water());
    daemon.submit(&same, &[]);
    assert_eq!(daemon.records().len(), 1, "both versions mean one request");
    daemon.submit(&inputs::energy_version_2("mopac", "am1", None, inputs::water()), &[]);
    let records = daemon.wait_complete(2);
    let pm7 = records.iter().find(|record| record["method"] == "pm7").unwrap();
    assert_energy(pm7, WATER_PM7);
}

#[test]
fn an_optimization_keeps_its_trajectory() {
    let mut daemon = local_daemon();
    daemon.submit(&inputs::optimization("mopac", "pm7", inputs::water()), &[]);
    daemon.wait_complete(1);
    let id = daemon.records()[0]["id"].to_string();
    let detail = daemon.json(&["show", &id]);
    let energies = detail["energies"].as_array().unwrap_or_else(|| panic!("energies in {detail:#}"));
    assert!(energies.len() > 1, "several steps: {energies:?}");
    assert!(energies[energies.len() - 1].as_f64() < energies[0].as_f64(), "downhill: {energies:?}");
    assert!(detail["final_molecule"].is_object(), "{detail:#}");
}

#[test]
fn the_same_request_finds_its_record_unless_a_new_one_is_wanted() {
    let mut daemon = local_daemon();
    daemon.submit(&inputs::water_mopac(), &[]);
    daemon.wait_complete(1);
    daemon.submit(&inputs::water_mopac(), &[]);
    assert_eq!(daemon.records().len(), 1);
    daemon.submit(&inputs::water_mopac(), &["--new"]);
    daemon.wait_complete(2);
}

#[test]
fn a_wrong_method_ends_in_error_and_the_exit_code_says_so() {
    let mut daemon = local_daemon();
    let path = daemon.write_input(&inputs::energy("psi4", "no_such_method", Some("sto-3g"), inputs::water()));
    let output = daemon.cli([OsStr::new("submit"), OsStr::new("--wait"), path.as_os_str()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}\n{}", daemon.log_tail());
    let records = daemon.records();
    assert_eq!(records[0]["status"], "error");
}

#[test]
fn bad_input_is_refused_whole_and_the_place_is_named() {
    let mut daemon = local_daemon();
    let mut broken = inputs::water_mopac();
    broken["input_data"]["molecule"]["geometry"] = json!([0.0, 0.0]);
    let path = daemon.write_input(&json!([inputs::water_psi4(), broken]));
    let output = daemon.cli([OsStr::new("submit"), path.as_os_str()]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("geometry"), "{message}");
    assert!(daemon.records().is_empty(), "nothing half-stored");
}

#[test]
fn jobs_outlive_a_stopped_daemon() {
    let database = Database::fresh();
    let mut daemon = Daemon::start(&DaemonConfig::on(&database).with_local_pool(""));
    daemon.submit(&inputs::many_mopac(20), &[]);
    wait_until(
        "a job runs",
        Within::Minutes,
        || daemon.jobs(),
        |jobs| jobs.iter().any(|job| job["state"] == "running"),
    );
    daemon.stop();
    daemon.start_again();
    daemon.wait_complete(20);
    assert_eq!(database.count("select count(*) from compute_history where status = 'complete'"), 20);
}
