//! An optimization whose attempt is killed goes on from its last geometry: through the daemon, the spool and PostgreSQL, with
//! the real Psi4 and geomeTRIC.

use std::collections::BTreeSet;
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::harness::{Daemon, DaemonConfig, Database, Within, inputs, wait_until};

/// Hydrogen peroxide, stretched and twisted: some twenty steps of a second or more each.
fn peroxide() -> Value {
    let mut input = inputs::optimization(
        "psi4",
        "hf",
        json!({"symbols": ["H", "O", "O", "H"],
            "geometry": [1.9, 1.7, 0.4, 0.0, 1.5, 0.0, 0.0, -1.5, 0.0, -1.2, -2.1, 1.9]}),
    );
    input["input_specification"]["model"]["basis"] = json!("sto-3g");
    input["keywords"]["convergence_set"] = json!("GAU_TIGHT");
    input
}

/// Processes of this machine, each with its parent and its command line.
fn processes() -> Vec<(Pid, Pid, String)> {
    let read = |pid: &str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        Some((Pid::from_raw(pid.parse().ok()?), Pid::from_raw(parent), command))
    };
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| read(entry.file_name().to_str()?)).collect()
}

/// The worker of this daemon's job, once so many runs of Psi4 have begun below it: two for a gradient, at times.
fn worker_after(daemon: &Daemon, runs: usize) -> Pid {
    let ours = daemon.state().to_str().unwrap().to_owned();
    let mut seen = BTreeSet::new();
    let mut found = None;
    wait_until(
        "runs of Psi4",
        Within::Minutes,
        || {
            let all = processes();
            let is_worker =
                |command: &str| command.contains("qcengine_worker") && command.contains(ours.as_str());
            let Some((worker, ..)) = all.iter().find(|(_, _, command)| is_worker(command)) else { return 0 };
            found = Some(*worker);
            let of_worker = |parent: &Pid, command: &str| parent == worker && command.contains("psi4");
            seen.extend(
                all.iter().filter(|(_, parent, command)| of_worker(parent, command)).map(|(pid, ..)| *pid),
            );
            seen.len()
        },
        |count| *count >= runs,
    );
    found.unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn a_killed_optimization_goes_on_from_its_last_geometry() {
    let config =
        DaemonConfig::on(&Database::fresh()).with_local_pool("").with_env("QCBATCH_RETRY__DELAY", "0s");
    let mut daemon = Daemon::start(&config);
    daemon.submit(&peroxide(), &[]);
    kill(worker_after(&daemon, 24), Signal::SIGKILL).unwrap();
    daemon.wait_complete(1);

    let id = daemon.records()[0]["id"].to_string();
    let detail = daemon.json(&["show", &id]);
    let restart = &detail["extras"]["qcbatch_restart"];
    assert_eq!(restart["attempt"], 0, "{detail:#}");
    assert!(restart["gradients"].as_u64().unwrap() >= 2, "{restart}");
    assert_eq!(detail["history"].as_array().unwrap().len(), 2, "{:#}", detail["history"]);

    // The record asks for what was asked; its trajectory begins where the first attempt was.
    let asked = numbers(&detail["molecule"]["geometry"]);
    let first_point = detail["trajectory"][0].to_string();
    let began = numbers(&daemon.json(&["show", &first_point])["molecule"]["geometry"]);
    let moved = asked.iter().zip(&began).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(moved > 1e-3, "it began anew: {asked:?} {began:?}");
    let energies = numbers(&detail["energies"]);
    assert!((energies[0] - restart["energy"].as_f64().unwrap()).abs() < 1e-6, "{energies:?} {restart}");
    assert!(energies[energies.len() - 1] < energies[0]);
}
