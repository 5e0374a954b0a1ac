//! A Python that does not start keeps nothing but its own tasks waiting, and is told at once, in a sentence.

use serde_json::Value;

use crate::harness::inputs::{energy, many_mopac, water_psi4};
use crate::harness::private_dir::PrivateDir;
use crate::harness::{Daemon, DaemonConfig, Database, Within, wait_until};

#[test]
fn programs_that_need_no_python_go_on_where_it_does_not_start() {
    let programs = PrivateDir::new();
    programs.program("python3", "echo \"ModuleNotFoundError: No module named 'qcengine'\" >&2; exit 1");
    let database = Database::fresh();
    let python = programs.join("python3");
    let pool = format!("cores = 1\nmax_jobs = 1\nidle = \"3s\"\nworker_python = \"{}\"", python.display());
    let mut daemon = Daemon::start(&DaemonConfig::on(&database).with_local_pool(&pool));

    // All of them in one chunk, those that need Python first.
    let mut tasks = vec![
        water_psi4(),
        energy("psi4", "hf", Some("3-21g"), water_psi4()["input_data"]["molecule"].clone()),
    ];
    tasks.extend(many_mopac(4).as_array().unwrap().clone());
    let path = daemon.write_input(&Value::from(tasks));
    let waited = daemon.cli(["submit", path.to_str().unwrap(), "--wait", "--timeout", "20s"]);
    let told = String::from_utf8_lossy(&waited.stderr);
    assert_eq!(waited.status.code(), Some(7), "{told}");
    let sentences = told.matches("set `[worker] python` to an interpreter that has QCEngine").count();
    assert_eq!(sentences, 1, "it says once what to do: {told}");
    assert!(told.contains("qcengine") && !told.contains("Traceback"), "{told}");

    let status = daemon.json(&["status"]);
    let pool = &status["pools"][0];
    assert!(pool["paused"].is_null() && pool["without_python"].is_string(), "{status}");
    let shown = daemon.ask(["show", "1"]);
    assert!(shown.contains("pool local: QCEngine cannot be started"), "{shown}");
    let complete = "select count(*) from record where status = 'complete'";
    wait_until(
        "the tasks that need no Python are done",
        Within::Minutes,
        || (database.count(complete), daemon.log_tail()),
        |(complete, _)| *complete == 4,
    );
    assert_eq!(database.sql("select distinct tries, losses from task"), "0|0", "it is not the tasks' fault");

    // Further ones run, and no job is spent on the others meanwhile.
    daemon.submit(&many_mopac(8), &[]);
    wait_until(
        "further tasks that need no Python are done",
        Within::Minutes,
        || (database.count(complete), daemon.log_tail()),
        |(complete, _)| *complete == 8,
    );
    let tried =
        database.count("select count(*) from event where kind = 'ended' and message like '%did not start%'");
    assert!(tried <= 2, "{tried} jobs tried Python");

    // Mended, and tried at once.
    programs.program(
        "python3",
        &format!("exec {} \"$@\"", crate::harness::python::Generation::V1.python().display()),
    );
    let resumed = daemon.ask(["pool", "resume", "local"]);
    assert!(resumed.starts_with("pool local "), "{resumed}");
    daemon.wait_complete(10);
    assert!(daemon.json(&["status"])["pools"][0]["without_python"].is_null());
    assert_eq!(daemon.cli(["pool", "resume", "nowhere"]).status.code(), Some(5));
}
