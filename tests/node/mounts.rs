//! Eight runners at once on one `ready` directory, on the kinds of filesystem that sites put a spool on.

use std::path::{Path, PathBuf};
use std::process::Command;

use qcbatch::model::task::EndReason;
use serde_json::json;

use crate::fixture::*;

const RUNNERS: u32 = 8;
const CHUNKS: i64 = 120;
const TASKS_PER_CHUNK: i64 = 5;

/// Eight real runners share the chunks; every task is reported exactly once, by the one that had its chunk.
fn eight_runners_lose_and_repeat_nothing(root: &Path) {
    let jobs: Vec<Job> = (0..RUNNERS)
        .map(|index| {
            Job::below(Generation::V1, root, index)
                .pooled()
                .manifest(|manifest| manifest.idle_seconds = 1)
                .staged()
        })
        .collect();
    let specification = synthetic("sleep", json!({"milliseconds": 2}));
    for chunk in 0..CHUNKS {
        let numbers = chunk * TASKS_PER_CHUNK..(chunk + 1) * TASKS_PER_CHUNK;
        let orders: Vec<_> = numbers.map(|number| order(number, &specification)).collect();
        jobs[0].publish(chunk, &orders);
    }
    let runners: Vec<Runner> = jobs.iter().map(Job::start).collect();
    for runner in runners {
        assert_eq!(runner.wait(), 0);
    }
    let mut found: Vec<i64> = vec![];
    let mut busy = 0;
    for job in &jobs {
        assert_eq!(job.end().reason, EndReason::Done);
        assert!(job.files().len() <= 12, "{:?}", job.files());
        let reports = job.reports();
        busy += u32::from(!reports.is_empty());
        found.extend(reports.iter().map(|report| report.task_id.0));
    }
    found.sort_unstable();
    assert_eq!(found, (0..CHUNKS * TASKS_PER_CHUNK).collect::<Vec<_>>());
    assert!(busy >= 2, "one runner took it all: nothing was tried");
    assert_eq!(std::fs::read_dir(jobs[0].ready()).unwrap().count(), 0);
}

/// A mount that is gone when the test is.
pub struct Mount(pub PathBuf);

impl Mount {
    /// None, said aloud, where this user may not mount.
    pub fn new(arguments: &[&str], target: &Path) -> Option<Mount> {
        std::fs::create_dir_all(target).unwrap();
        let output = Command::new("mount").args(arguments).arg(target).output().unwrap();
        if output.status.success() {
            return Some(Mount(target.to_owned()));
        }
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(!nix::unistd::geteuid().is_root() || refused(&why), "mount {arguments:?}: {why}");
        eprintln!("NOT TRIED: mount {arguments:?}: {why}");
        None
    }

    /// Changes options of what is mounted.
    pub fn remount(&self, options: &str) -> bool {
        let options = format!("remount,{options}");
        Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success()
    }
}

/// Containers refuse mounts to root too.
fn refused(why: &str) -> bool {
    ["permission denied", "not permitted", "unknown filesystem", "must be superuser"]
        .iter()
        .any(|text| why.to_lowercase().contains(text))
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn eight_runners_on_a_plain_directory() {
    let root = tempfile::tempdir().unwrap();
    eight_runners_lose_and_repeat_nothing(root.path());
}

#[test]
fn eight_runners_over_a_bind_mount() {
    let root = tempfile::tempdir().unwrap();
    let [real, seen] = ["real", "seen"].map(|name| root.path().join(name));
    std::fs::create_dir(&real).unwrap();
    if let Some(mount) = Mount::new(&["--bind", real.to_str().unwrap()], &seen) {
        eight_runners_lose_and_repeat_nothing(&mount.0);
        assert!(real.join("pool/tag/0/end.json").exists());
    } else {
        eight_runners_lose_and_repeat_nothing(&real);
    }
}

#[test]
fn eight_runners_over_an_overlay() {
    // Not below /tmp: what is an overlay itself cannot carry one.
    let lower = tempfile::tempdir().unwrap();
    let root = tempfile::tempdir().unwrap();
    let ground = root.path().join("ground");
    // A tmpfs can carry an overlay whatever the root filesystem is.
    let _ground = Mount::new(&["-t", "tmpfs", "-o", "size=64m", "tmpfs"], &ground);
    let [upper, work] = ["upper", "work"].map(|name| ground.join(name));
    for directory in [&upper, &work] {
        std::fs::create_dir_all(directory).unwrap();
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.path().display(),
        upper.display(),
        work.display()
    );
    let seen = root.path().join("seen");
    if let Some(mount) = Mount::new(&["-t", "overlay", "-o", &options, "overlay"], &seen) {
        eight_runners_lose_and_repeat_nothing(&mount.0);
        assert!(upper.join("pool/tag/0/end.json").exists());
    } else {
        eight_runners_lose_and_repeat_nothing(&upper);
    }
}
