//! A node on which every task fails is told from tasks that fail: it is avoided and named, and costs no tries.

use std::path::Path;

use serde_json::Value;

use crate::harness::inputs::many_mopac;
use crate::harness::private_dir::PrivateDir;
use crate::harness::simulator::{Dialect, Simulator};
use crate::harness::{Daemon, DaemonConfig, Database, Slurm, SlurmOptions, Within, wait_until};

const TASKS: u32 = 40;

/// A MOPAC that says what a full disk makes it say.
fn broken_mopac() -> PrivateDir {
    let programs = PrivateDir::new();
    let says = "forrtl: severe (38): error during write, No space left on device";
    programs.program("mopac", &format!("echo '{says}' | tee \"${{1%.*}}.out\" >&2; exit 1"));
    programs
}

/// Every record complete, and what failed before failed on one node, hardly ever, and cost nothing.
#[track_caller]
fn wait_until_only_the_node_has_failed(daemon: &Daemon, database: &Database, node: &str) {
    daemon.wait_complete(TASKS as usize);
    let failed = "from compute_history where status = 'error'";
    assert_eq!(database.sql(&format!("select distinct hostname, failure {failed}")), format!("{node}|node"));
    let count = database.count(&format!("select count(*) {failed}"));
    assert!((3..=4).contains(&count), "it took few tasks before it was found out: {count}");
    let again =
        format!("select count(*) from (select record_id {failed} group by 1 having count(*) > 1) as a");
    assert_eq!(database.count(&again), 0, "no task came to it twice");
    let elsewhere =
        format!("select count(*) from compute_history where status = 'complete' and hostname = '{node}'");
    assert_eq!(database.count(&elsewhere), 0);
    let blamed = "select count(*) from event where kind = 'retried' and message like '%is to blame%'
        or kind = 'forgiven'";
    assert_eq!(database.count(blamed), count, "each of them cost its task nothing");
}

fn names(nodes: &Value) -> Vec<&str> {
    nodes.as_array().unwrap().iter().filter_map(|node| node["node"].as_str()).collect()
}

#[test]
fn a_broken_node_of_two_is_avoided_and_its_failures_cost_no_tries() {
    let slurm = Slurm::start_with(SlurmOptions { nodes: 2, cpus: 2, ..SlurmOptions::default() });
    let broken = broken_mopac();
    let setup = format!(
        "setup = ['[ \"$SLURMD_NODENAME\" != node1 ] || export PATH=\"{}:$PATH\"']",
        broken.path().display()
    );
    let database = Database::fresh();
    let pool = format!("cores = 2\nmax_jobs = 1\nmemory = \"2GiB\"\nidle = \"3s\"\n{setup}");
    let config = DaemonConfig::on(&database).with_slurm_pool(&slurm, &pool);
    let mut daemon = Daemon::start(&config);
    daemon.submit(&many_mopac(TASKS), &["--memory", "512MiB"]);
    wait_until_only_the_node_has_failed(&daemon, &database, "node1");
    let listed = daemon.json(&["nodes", "list"]);
    assert_eq!(names(&listed), ["node1"]);
    let reason = listed[0]["reason"].as_str().unwrap();
    assert!(reason.contains("No space left on device"), "{reason}");
    let troubles = daemon.json(&["status"])["troubles"].to_string();
    assert!(troubles.contains("node node1: avoided until"), "{troubles}");
    assert!(scripts(&daemon.spool().join("cluster")).iter().any(|script| script.contains("--exclude=node1")));
    // It survives a restart of the daemon, and a person's word ends it.
    daemon.stop();
    daemon.start_again();
    wait_until(
        "it is still known",
        Within::AMoment,
        || daemon.json(&["nodes", "list"]),
        |list| names(list) == ["node1"],
    );
    assert_eq!(daemon.ask(["nodes", "clear", "node1"]), "used again: node1\n");
    assert_eq!(daemon.ask(["nodes", "list"]), "no node is avoided\n");
    assert_eq!(daemon.cli(["nodes", "clear", "node1"]).status.code(), Some(5), "nothing is held against it");
}

fn scripts(pool: &Path) -> Vec<String> {
    let submissions = std::fs::read_dir(pool).into_iter().flatten().flatten();
    submissions.filter_map(|entry| std::fs::read_to_string(entry.path().join("job.sh")).ok()).collect()
}

#[test]
fn a_runner_on_an_avoided_node_takes_nothing_where_the_scheduler_cannot_leave_it_out() {
    let simulator = Simulator::new(Dialect::Pbs);
    let broken = broken_mopac();
    // The first two jobs come to the broken node.
    let setup = format!(
        "setup = ['if mkdir {0}/1 2>/dev/null || mkdir {0}/2 2>/dev/null; then export QCBATCH_NODE_NAME=bad \
         PATH=\"{0}:$PATH\"; else export QCBATCH_NODE_NAME=good; fi']",
        broken.path().display()
    );
    let database = Database::fresh();
    let pool = format!(
        "name = \"cluster\"\nadapter = \"pbs\"\ncores = 2\nmax_jobs = 1\ngrace = \"5s\"\nidle = \"3s\"\n{setup}"
    );
    let config = DaemonConfig::on(&database).with_pool(&pool).with_env("PATH", &simulator.path());
    let mut daemon = Daemon::start(&config);
    daemon.submit(&many_mopac(TASKS), &["--memory", "512MiB"]);
    wait_until_only_the_node_has_failed(&daemon, &database, "bad");
    let unfit = "select count(*) from job where outcome = 'node_failure' and hostname = 'bad'";
    assert_eq!(database.count(unfit), 2);
    assert!(daemon.json(&["status"])["pools"][0]["paused"].is_null(), "the pool works");
}
