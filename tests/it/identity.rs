//! No result without identity: every record has the energy of its own molecule, whatever was restored, shared or asleep.
//! The synthetic program's energy is the sum of its molecule's coordinates.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::harness::{Daemon, DaemonConfig, Database, Within, inputs, wait_until};

const POOL: &str = "cores = 1\nmax_jobs = 1\nidle = \"2s\"\ngrace = \"5s\"\n";

/// Calculations that take so long, of hydrogen molecules with bonds longer than `bond`.
fn sleeping(count: u32, bond: f64, milliseconds: u32) -> Value {
    let sleeps = |number: u32| {
        let molecule = inputs::hydrogen(bond + 0.001 * f64::from(number));
        let mut input = inputs::energy("synthetic", "sleep", None, molecule);
        input["input_data"]["keywords"] = json!({ "milliseconds": milliseconds });
        input
    };
    (0..count).map(sleeps).collect()
}

/// Each record that is complete has the energy of the molecule that it asks for. How many there are.
#[track_caller]
fn each_has_its_own_energy(database: &Database) -> i64 {
    let wrong = "select coalesce(string_agg(r.id || ': ' || r.return_energy, ', '), '')
        from record r join molecule m on m.id = r.molecule_id
        where r.status = 'complete' and abs(r.return_energy -
            (select sum(x::text::float8) from json_array_elements(m.document->'geometry') x)) > 1e-6";
    assert_eq!(database.sql(wrong), "", "energies of other molecules");
    database.count("select count(*) from record where status = 'complete'")
}

fn chunks_in(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn backup(daemon: &Daemon) -> String {
    let file = daemon.state().join("old.dump").display().to_string();
    daemon.ask(["db", "backup", &file]);
    file
}

/// Chunks of after the backup wait in the spool, a job that the backup does not know is about to begin, and the daemon is
/// asleep while the database is replaced under it.
#[test]
fn a_restore_under_a_sleeping_daemon_with_chunks_waiting_mixes_nothing_up() {
    let database = Database::fresh();
    let flags = tempfile::tempdir().unwrap();
    let begin = flags.path().join("begin");
    // Jobs start, and their runners wait for the flag.
    let setup = format!("setup = [\"until [ -e {} ]; do sleep 0.2; done\"]\n", begin.display());
    let mut daemon = Daemon::start(&DaemonConfig::on(&database).with_local_pool(&format!("{POOL}{setup}")));
    let file = backup(&daemon);
    daemon.submit(&sleeping(40, 0.7, 1), &[]);
    let ready = daemon.spool().join("local/ready");
    wait_until(
        "a chunk waits, and a job is there",
        Within::AWhile,
        || {
            (
                chunks_in(&ready).len(),
                database.count("select count(*) from job where state = 'running'"),
                daemon.log_tail(),
            )
        },
        |(waiting, running, _)| *waiting > 0 && *running > 0,
    );
    let asleep = Pid::from_raw(i32::try_from(daemon.pid()).unwrap());
    kill(asleep, Signal::SIGSTOP).unwrap();
    wait_until(
        "the lease has run out",
        Within::AMoment,
        || database.count("select count(*) from lease where expires_on < clock_timestamp()"),
        |expired| *expired == 1,
    );
    daemon.ask(["db", "restore", "--replace", &file]);
    let restored = "select concat_ws(' ', (select count(*) from record), (select count(*) from job),
        (select count(*) from chunk), (select count(*) from event), (select max(fence) from lease))";
    let before = database.sql(restored);
    assert!(before.starts_with("0 0 0 "), "{before}");
    kill(asleep, Signal::SIGCONT).unwrap();
    daemon.wait_dead();
    assert_eq!(database.sql(restored), before, "the daemon of before wrote nothing");

    daemon.start_again();
    fs::write(&begin, "").unwrap();
    daemon.submit(&sleeping(8, 2.0, 1), &[]);
    daemon.wait_complete(8);
    assert_eq!(each_has_its_own_energy(&database), 8);
    assert_eq!(chunks_in(&ready).len(), 0, "chunks of before are gone");
    assert_eq!(database.count("select min(id) from record") / 500_000_000, 2, "numbers go on far ahead");
    assert_eq!(database.count("select count(*) from event where message like '%lost%'"), 0);
}

/// A job that the backup knows goes on through the restore: what it answers under the former id is stored.
#[test]
fn work_of_a_job_that_outlives_a_restore_is_stored() {
    let database = Database::fresh();
    let config = DaemonConfig::on(&database)
        .with_local_pool("cores = 2\nmax_jobs = 1\nidle = \"2s\"\ngrace = \"20s\"\n");
    let mut daemon = Daemon::start(&config);
    daemon.submit(&sleeping(4, 0.7, 3000), &[]);
    wait_until(
        "a job works",
        Within::AWhile,
        || database.count("select count(*) from record where status = 'running'"),
        |running| *running > 0,
    );
    let file = backup(&daemon);
    daemon.kill9();
    daemon.ask(["db", "restore", "--replace", &file]);
    daemon.start_again();
    daemon.wait_complete(4);
    assert_eq!(each_has_its_own_energy(&database), 4);
    let attempts = "select string_agg(distinct attempt::text || ' ' || status, ',') from compute_history";
    assert_eq!(database.sql(attempts), "0 complete", "the first attempt of each");
    assert_eq!(daemon.json(&["status"])["reports_aside"], 0);
    assert_eq!(database.count("select count(*) from database_identity"), 2);
}

#[test]
fn a_spool_and_a_state_directory_belong_to_one_database_and_one_daemon() {
    let (first, second) = (Database::fresh(), Database::fresh());
    let owner = Daemon::start(&DaemonConfig::on(&first).with_local_pool(""));
    // Another site, with a database of its own, on the same spool.
    let config = DaemonConfig::on(&second).with_local_pool("");
    let mut other = Daemon::start(&config);
    other.stop();
    other.configure(&config.with_env("QCBATCH_SPOOL__PATH", &owner.spool().display().to_string()));
    other.spawn(&[]);
    other.wait_dead();
    let log = other.log();
    assert!(log.contains("belongs to site `default` of database"), "{log}");
    assert!(log.contains("owner.json"), "it says how to take the spool over: {log}");

    // Another site in the same state directory.
    let socket = owner.state().join("other.sock");
    let beside = owner.cli([
        "--set",
        "site.name=other",
        "--set",
        &format!("daemon.socket={}", socket.display()),
        "daemon",
    ]);
    let told = String::from_utf8_lossy(&beside.stderr).into_owned();
    assert!(!beside.status.success() && told.contains("is in use by another qcbatch"), "{told}");
    assert!(told.contains(&format!("process {}", owner.pid())), "{told}");
}

/// A daemon that is merely cut off from its lease still has its private PostgreSQL: the lock of the state directory tells.
#[test]
fn a_private_database_is_not_restored_while_a_daemon_has_its_state_directory() {
    let daemon = Daemon::start(&DaemonConfig::private_database().with_local_pool(""));
    let file = backup(&daemon);
    let restored = daemon.cli(["db", "restore", "--replace", &file]);
    let told = String::from_utf8_lossy(&restored.stderr).into_owned();
    assert!(!restored.status.success() && told.contains("is in use by another qcbatch"), "{told}");
}
