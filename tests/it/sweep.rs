//! Directories of jobs that ended long ago are removed, and one that cannot be removed keeps no other.

use std::fs;

use crate::harness::{Daemon, DaemonConfig, Database, Within, inputs, wait_until};

#[test]
fn a_directory_that_stays_keeps_no_other_from_being_removed() {
    let database = Database::fresh();
    let mut daemon = Daemon::start(&DaemonConfig::on(&database).with_local_pool("idle = \"1s\""));
    for (count, input) in (1..).zip([inputs::water_mopac(), inputs::many_mopac(1)]) {
        daemon.submit(&input, &[]);
        wait_until(
            "its job is over",
            Within::Minutes,
            || (database.count("select count(*) from job where state = 'ended'"), daemon.log_tail()),
            |(ended, _)| *ended == count,
        );
    }
    daemon.stop();
    let directories: Vec<_> = database
        .sql("select tag from submission order by id")
        .lines()
        .map(|tag| daemon.spool().join("local").join(tag))
        .collect();
    database.sql("update job set ended_on = ended_on - interval '1 year'");
    // A file is no directory that could be removed.
    fs::remove_dir_all(&directories[0]).unwrap();
    fs::write(&directories[0], "").unwrap();
    daemon.start_again();
    wait_until(
        "the other directory is gone",
        Within::Minutes,
        || (directories[1].exists(), daemon.log_tail()),
        |(exists, _)| !exists,
    );
    let troubles = daemon.json(&["status"])["troubles"].to_string();
    assert!(troubles.contains("spool sweep"), "what stays is told: {troubles}");
}
