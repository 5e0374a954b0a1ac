//! A task over several nodes: NWChem by MPI on both nodes of a real Slurm.

use serde_json::Value;

use crate::harness::inputs::{TOLERANCE, energy, hydrogen, water};
use crate::harness::{Daemon, DaemonConfig, Database, Slurm, SlurmOptions};

/// Water HF/STO-3G, in hartree, by NWChem 7.0.2 in one process: its STO-3G has fewer digits than Psi4's.
const WATER: f64 = -74.963_023_1;

/// Open MPI must be told that root starts it, and, as both nodes are this machine, to bind no rank to the core of another
/// and to leave shared memory alone.
const POOL: &str = r#"cores = 1
memory = "2GiB"
max_jobs = 2
task_nodes = 2
mpiexec = "mpiexec --allow-run-as-root --bind-to none --mca osc pt2pt --mca mpi_yield_when_idle 1 -n {total_ranks} --map-by ppr:{ranks_per_node}:node"
"#;

#[test]
fn a_task_over_two_nodes_runs_its_program_on_both() {
    let slurm = Slurm::start_with(SlurmOptions { nodes: 2, ..SlurmOptions::default() });
    let database = Database::fresh();
    let mut daemon = Daemon::start(&DaemonConfig::on(&database).with_slurm_pool(&slurm, POOL));
    daemon.submit(&energy("nwchem", "hf", Some("sto-3g"), water()), &["--nodes", "2", "--walltime", "10m"]);
    let record = daemon.wait_complete(1).remove(0);
    let id = record["id"].as_i64().unwrap().to_string();
    let exported = daemon.json(&["export", &id]);
    let energy_found = record["return_energy"].as_f64().unwrap();
    assert!((energy_found - WATER).abs() < TOLERANCE, "{energy_found}");
    // NWChem's own words on how many ranks there were, one on each node.
    let text = exported.to_string();
    let processes = text.split_once("nproc").and_then(|(_, rest)| rest.split_once('=')).unwrap().1;
    assert_eq!(processes.trim_start().split(|c: char| !c.is_ascii_digit()).next(), Some("2"), "{text}");
    // In words of 8 bytes, of each rank: the pool's 2 GiB are of each node, and each node has one rank.
    assert!(text.contains("memory 268435456 double"), "{text}");
    assert_eq!(database.sql("select cores from compute_history"), "2", "of both nodes");
    assert_eq!(database.count("select count(*) from runtime_history"), 0, "two nodes teach nothing of one");
    assert_eq!(database.sql("select resources ->> 'nodes' from submission"), "2");

    let file = daemon.write_input(&energy("nwchem", "hf", Some("sto-3g"), hydrogen(0.74)));
    let output = daemon.cli(["submit", "--nodes", "3", file.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("asks for 3 nodes, a task of the pool gets 2"), "{told}");
    let newest = daemon.records().iter().filter_map(|record| record["id"].as_i64()).max().unwrap();
    let shown: Value = daemon.json(&["show", &newest.to_string()]);
    assert_eq!(shown["task"]["nodes"], 3);
}
