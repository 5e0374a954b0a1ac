//! GPUs as a task asks for them, the whole way: counted by the runner, seen by the program, refused where there are too few.
//! The GPUs are numbers only: this machine has none.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::harness::inputs::{energy, hydrogen, many_mopac};
use crate::harness::{Daemon, DaemonConfig, Database};

#[test]
fn each_task_sees_the_gpu_that_it_asked_for_and_one_that_asks_for_too_many_is_told() {
    let programs = tempfile::tempdir().unwrap();
    let (program, seen) = (programs.path().join("mopac"), programs.path().join("seen"));
    let text = format!(
        "#!/bin/sh\necho \"$CUDA_VISIBLE_DEVICES\" >>{}\nexec /usr/bin/mopac \"$@\"\n",
        seen.display()
    );
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", programs.path().display());
    let pool = format!(
        "cores = 2\nmemory = \"4GiB\"\nmax_jobs = 1\ngpus = 2\nenvironment = {{ PATH = \"{path}\" }}"
    );
    let mut daemon = Daemon::start(&DaemonConfig::on(&Database::fresh()).with_local_pool(&pool));
    daemon.submit(&many_mopac(12), &["--gpus", "1", "--memory", "256MiB"]);
    daemon.wait_complete(12);
    let lines = fs::read_to_string(&seen).unwrap();
    let gpus: BTreeSet<&str> = lines.lines().collect();
    assert_eq!((lines.lines().count(), gpus), (12, BTreeSet::from(["0", "1"])));

    let file = daemon.write_input(&energy("mopac", "pm7", None, hydrogen(2.0)));
    let output = daemon.cli(["submit", "--gpus", "3", file.to_str().unwrap()]);
    let told =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("asks for 3 GPUs, a node of the pool has 2"), "{told}");
    let record = daemon.records().iter().filter_map(|record| record["id"].as_i64()).max().unwrap();
    let shown: Value = daemon.json(&["show", &record.to_string()]);
    assert_eq!(shown["task"]["gpus"], 3);
    assert!(shown["task"]["waiting_reason"].as_str().unwrap().contains("asks for 3 GPUs"), "{shown:#}");
}
