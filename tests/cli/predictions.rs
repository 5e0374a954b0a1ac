//! Predictions from stored history, and warnings of what no pool can run.

use serde_json::{Value, json};

use crate::fixture::{Server, errors};
use crate::harness::inputs;

fn predict(server: &Server, document: &Value) -> Value {
    let file = server.file("predict.json", &document.to_string());
    let told = server.ask(["predict".as_ref(), file.as_os_str(), "--json".as_ref()]);
    serde_json::from_str::<Value>(&told).unwrap()[0].clone()
}

#[test]
fn without_history_a_prediction_is_the_stated_prior_and_the_defaults_hold() {
    let server = Server::start();
    let water = predict(&server, &inputs::water_psi4());
    assert_eq!(water["formula"], "H2O");
    assert_eq!(water["size"], json!({"atoms": 3, "basis_functions": null}));
    let pool = &water["pools"][0];
    assert_eq!(pool["pool"], "local");
    assert_eq!(pool["prediction"]["wall_seconds"]["evidence"]["level"], "prior");
    assert_eq!(
        pool["given"],
        json!({"cores": 1, "memory_bytes": 2u64 << 30, "walltime_seconds": 3600, "gpus": null, "nodes": null})
    );
    assert_eq!(server.database.count("select count(*) from record"), 0);
}

#[test]
fn history_replaces_the_prior_and_the_defaults() {
    let server = Server::start();
    let file = server.file("many.json", &inputs::many_mopac(8).to_string());
    server.ask(["submit".as_ref(), file.as_os_str()]);
    server.run_waiting().iter().for_each(|ran| server.store_good(ran));
    let asked = inputs::energy("mopac", "pm7", None, inputs::hydrogen(2.0));
    let pool = predict(&server, &asked)["pools"][0].clone();
    let time = &pool["prediction"]["wall_seconds"];
    // Those who completed them were given two cores: another place.
    assert_eq!(time["evidence"]["level"], "key");
    assert_eq!(time["evidence"]["runs"], 8);
    let median = time["median"].as_f64().unwrap();
    assert!((median / 1.5).ln().abs() < 0.5, "{time:#}");
    assert_eq!(pool["given"]["walltime_seconds"], 300);

    let file = server.file("predict.json", &asked.to_string());
    let given = ["--walltime", "20s", "--cores", "2"];
    let mut arguments = vec!["predict".as_ref(), file.as_os_str(), "--json".as_ref()];
    arguments.extend(given.iter().map(std::ffi::OsStr::new));
    let told: Value = serde_json::from_str(&server.ask(arguments)).unwrap();
    let pool = &told[0]["pools"][0];
    assert_eq!(pool["prediction"]["wall_seconds"]["evidence"]["level"], "place");
    assert_eq!((&pool["given"]["walltime_seconds"], &pool["given"]["cores"]), (&json!(20), &json!(2)));

    let told = server.ask(["predict".as_ref(), file.as_os_str()]);
    assert!(told.starts_with("FORMULA  ATOMS  MODEL"), "{told}");
    assert!(told.contains("8 runs in other pools"), "{told}");
    let seconds = server.ask(["predict".as_ref(), file.as_os_str(), "-q".as_ref()]);
    assert!((seconds.trim().parse::<f64>().unwrap() - median).abs() < 0.01, "{seconds}");
}

#[test]
fn what_no_pool_can_run_is_told_and_waits() {
    let server = Server::start();
    let documents = json!([
        inputs::water_mopac(),
        inputs::energy("orca", "hf", Some("sto-3g"), inputs::water()),
        inputs::energy("orca", "hf", Some("def2-svp"), inputs::water()),
    ]);
    let file = server.file("some.json", &documents.to_string());
    let output = server.cli(["submit".as_ref(), file.as_os_str()]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        errors(&output),
        "warning: 2 records wait, the first is 2: no pool can run it (local: it does not have program `orca`)\n"
    );
    assert_eq!(server.database.count("select count(*) from task where available"), 3);
    assert!(
        server.ask(["show", "2"]).contains("no pool can run it (local: it does not have program `orca`)")
    );
    // What is there already is not told again.
    let again = server.cli(["submit".as_ref(), file.as_os_str(), "--json".as_ref()]);
    let receipt: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(receipt["warnings"], json!([]));

    let large = ["--cores", "8", "--new", "--json"];
    let mut arguments = vec!["submit".as_ref(), file.as_os_str()];
    arguments.extend(large.iter().map(std::ffi::OsStr::new));
    let receipt: Value = serde_json::from_str(&server.ask(arguments)).unwrap();
    let warnings = receipt["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 2, "{receipt:#}");
    assert!(receipt.to_string().contains("asks for 8 cores, a job of the pool has 4"), "{receipt:#}");
}

#[test]
fn a_strict_submission_is_refused_whole() {
    let server = Server::start();
    let documents =
        json!([inputs::water_mopac(), inputs::energy("orca", "hf", Some("sto-3g"), inputs::water())]);
    let file = server.file("some.json", &documents.to_string());
    let output = server.cli(["submit".as_ref(), file.as_os_str(), "--strict".as_ref()]);
    assert!(!output.status.success());
    let told = errors(&output);
    assert!(told.contains("does not have program `orca`") && told.contains("nothing was stored"), "{told}");
    assert_eq!(server.database.count("select count(*) from record"), 0);
    let file = server.file("water.json", &inputs::water_mopac().to_string());
    server.ask(["submit".as_ref(), file.as_os_str(), "--strict".as_ref()]);
}
