//! Kill −9 of the daemon at each step of a submission, on a real Slurm: after the restart every record completes once,
//! with one scheduler job.
//!
//! Nothing in the program knows of these tests: it is stopped where it happens to be by a wrapper around `sbatch` or by
//! a lock in the database.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::harness::postgres::Postgres;
use crate::harness::private_dir::PrivateDir;
use crate::harness::slurm::search_path;
use crate::harness::{Daemon, DaemonConfig, Database, Slurm, Within, inputs, wait_until};

/// A `sbatch` first on PATH that runs `body` the first time it is called, and the real one ever after.
struct Wrapper {
    directory: PrivateDir,
}

impl Wrapper {
    fn new(body: &str) -> Wrapper {
        let directory = PrivateDir::new();
        let path = directory.join("sbatch");
        let used = directory.join("used");
        let script = format!(
            "#!/bin/sh\nif mkdir {} 2>/dev/null; then\n{body}\nfi\nexec {} \"$@\"\n",
            used.display(),
            real_sbatch().display()
        );
        fs::write(&path, script).expect("the directory is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
        Wrapper { directory }
    }

    fn path(&self) -> String {
        format!("{}:{}", self.directory.path().display(), search_path())
    }
}

fn real_sbatch() -> PathBuf {
    std::env::split_paths(&search_path())
        .map(|directory| directory.join("sbatch"))
        .find(|path| path.is_file())
        .expect("sbatch is installed (make test-setup)")
}

struct Scene {
    slurm: Slurm,
    daemon: Daemon,
    database: Database,
    _wrapper: Option<Wrapper>,
}

const POOL: &str = "tasks_per_job = 4\nmax_jobs = 4\ngrace = \"20s\"\nevidence_grace = \"3s\"\nidle = \"5s\"";

fn scene(wrapper: Option<Wrapper>) -> Scene {
    let slurm = Slurm::start();
    let database = Database::fresh();
    let mut config = DaemonConfig::on(&database).with_slurm_pool(&slurm, POOL);
    if let Some(wrapper) = &wrapper {
        config = config.with_env("PATH", &wrapper.path());
    }
    let daemon = Daemon::start(&config);
    Scene { slurm, daemon, database, _wrapper: wrapper }
}

impl Scene {
    /// Every record completes once, and Slurm saw one job.
    fn ends_well(&mut self, records: u32) {
        self.each_completes_once(records);
        let ours: Vec<_> = self.slurm.jobs().into_iter().filter(|job| job.name.starts_with("qcb-")).collect();
        assert_eq!(ours.len(), 1, "one scheduler job for one submission: {ours:?}");
    }

    fn each_completes_once(&mut self, records: u32) {
        self.daemon.wait_complete(usize::try_from(records).unwrap());
        for record in self.daemon.records() {
            let id = record["id"].to_string();
            let history = self.daemon.json(&["show", &id])["history"].clone();
            assert_eq!(history.as_array().map(Vec::len), Some(1), "one attempt for record {id}: {history}");
        }
    }
}

/// Kills the daemon while it waits for this table, then lets it start again.
fn killed_while_locked(table: &str, records: u32) {
    let mut scene = scene(None);
    let lock = scene.database.hold_lock(table);
    scene.daemon.submit(&inputs::many_mopac(records), &[]);
    lock.wait_for_a_waiter();
    scene.daemon.kill9();
    drop(lock);
    scene.daemon.start_again();
    scene.ends_well(records);
}

/// `sbatch` kills the daemon the first time it is called; `body` is what it does.
fn killed_by_sbatch(body: &str) {
    let wrapper = Wrapper::new(body);
    let called = wrapper.directory.join("used");
    let mut scene = scene(Some(wrapper));
    scene.daemon.submit(&inputs::many_mopac(3), &[]);
    wait_until("the wrapper was called", Within::AWhile, || called.exists(), |called| *called);
    scene.daemon.wait_dead();
    scene.daemon.start_again();
    scene.ends_well(3);
}

/// Kills the daemon once a chunk has come as far as `state`, and can come no further: `directory` cannot be written to.
fn killed_while_obstructed(directory: &str, state: &str) {
    let mut scene = scene(None);
    let obstacle = Obstacle::at(scene.daemon.spool().join(directory));
    scene.daemon.submit(&inputs::many_mopac(4), &[]);
    wait_until(
        "a chunk is stored",
        Within::AWhile,
        || (scene.database.sql("select max(state::text) from chunk"), scene.daemon.log_tail()),
        |(found, _)| found == state,
    );
    scene.daemon.kill9();
    drop(obstacle);
    scene.daemon.start_again();
    scene.ends_well(4);
}

#[test]
fn killed_before_the_intent() {
    killed_while_locked("submission", 3);
}

#[test]
fn killed_between_the_intent_and_sbatch() {
    killed_by_sbatch("kill -9 $PPID; exit 1");
}

#[test]
fn killed_after_sbatch_before_its_answer_is_stored() {
    killed_by_sbatch(&format!("{} \"$@\" >/dev/null; kill -9 $PPID; exit 0", real_sbatch().display()));
}

/// The worst one: the client outlives the daemon and submits after the restart has begun to look.
#[test]
fn killed_while_sbatch_lives_on_and_submits_late() {
    killed_by_sbatch(&format!(
        "kill -9 $PPID; trap '' HUP TERM; sleep 8; {} \"$@\" >/dev/null; exit 0",
        real_sbatch().display()
    ));
}

#[test]
fn killed_during_ingest() {
    killed_while_locked("compute_history", 4);
}

#[test]
fn killed_during_staging() {
    let mut scene = scene(None);
    let spool = scene.daemon.spool();
    scene.daemon.submit(&inputs::many_mopac(4), &[]);
    // Staging makes the submission's directory first; the script is written last.
    wait_until("staging has begun", Within::AWhile, || staged(&spool), |begun| *begun);
    scene.daemon.kill9();
    scene.daemon.start_again();
    scene.ends_well(4);
}

fn staged(spool: &Path) -> bool {
    let is_tag = |name: &str| name.starts_with("qcb-");
    fs::read_dir(spool.join("cluster"))
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_str().is_some_and(is_tag)))
}

/// A file in the place of a directory of chunks: nothing can be put there until it is taken away again.
struct Obstacle(PathBuf);

impl Obstacle {
    fn at(directory: PathBuf) -> Obstacle {
        wait_until("the daemon makes its directories", Within::AMoment, || directory.is_dir(), |made| *made);
        fs::remove_dir(&directory).expect("it is empty");
        fs::write(&directory, "").expect("the spool is ours");
        Obstacle(directory)
    }
}

impl Drop for Obstacle {
    fn drop(&mut self) {
        fs::remove_file(&self.0).expect("the spool is ours");
    }
}

/// The row of the chunk is stored, its file is not written.
#[test]
fn killed_before_a_chunk_is_written() {
    killed_while_obstructed("cluster/staged", "planned");
}

/// The file is written and stored as `ready`, and no job can see it.
#[test]
fn killed_before_a_chunk_is_published() {
    killed_while_obstructed("cluster/ready", "ready");
}

/// Jobs see it, and nobody has looked who claims it.
#[test]
fn killed_after_a_chunk_is_published() {
    let mut scene = scene(None);
    let ready = scene.daemon.spool().join("cluster/ready");
    scene.daemon.submit(&inputs::many_mopac(4), &[]);
    let published = || fs::read_dir(&ready).is_ok_and(|mut names| names.next().is_some());
    wait_until("a chunk is published", Within::AMoment, published, |published| *published);
    scene.daemon.kill9();
    scene.daemon.start_again();
    scene.ends_well(4);
}

/// A file system that loses a published chunk holds its tasks for no longer than the grace time.
#[test]
fn a_lost_chunk_is_handed_out_again() {
    let mut scene = scene(None);
    let ready = scene.daemon.spool().join("cluster/ready");
    let gone = || {
        let names: Vec<_> = fs::read_dir(&ready).into_iter().flatten().flatten().collect();
        names.iter().any(|name| fs::remove_file(name.path()).is_ok())
    };
    scene.daemon.submit(&inputs::many_mopac(4), &[]);
    wait_until("a chunk is lost", Within::AMoment, gone, |gone| *gone);
    scene.daemon.wait_complete(4);
    let complete = scene.database.count("select count(*) from compute_history where status = 'complete'");
    assert_eq!(complete, 4, "each once");
}

/// PostgreSQL goes away for a minute while jobs finish: nothing is lost, nothing is stored twice. The job ends when it
/// has done what was staged for it; another one does what could not be staged meanwhile.
#[test]
fn the_database_is_away_while_jobs_finish() {
    let slurm = Slurm::start();
    let server = Arc::new(Postgres::start());
    let database = server.database();
    let daemon = Daemon::start(&DaemonConfig::on(&database).with_slurm_pool(&slurm, POOL));
    let mut scene = Scene { slurm, daemon, database, _wrapper: None };
    scene.daemon.submit(&inputs::many_mopac(4), &[]);
    wait_until(
        "a job runs",
        Within::AWhile,
        || scene.slurm.jobs(),
        |jobs| jobs.iter().any(|job| job.state == "RUNNING"),
    );
    server.stop();
    scene.slurm.wait_idle();
    std::thread::sleep(Duration::from_secs(60));
    server.start_again();
    scene.each_completes_once(4);
}
