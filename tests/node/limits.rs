//! Memory limits, workers that grow, scratch of killed runners, a full disk, clocks that disagree.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use qcbatch::model::failure::FailureClass;
use qcbatch::model::task::{EndReason, StartRecord};
use qcbatch::spool::{Finality, ResultWriter, atomic, frame, read_results};
use serde_json::json;

use crate::fixture::*;
use crate::mounts::Mount;

/// A worker of the real kind whose program first holds so much memory, when its task asks for it.
fn hungry(mebibytes: u32) -> Vec<String> {
    let worker = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobscripts/qcengine_worker.py");
    let code = format!(
        "import sys, runpy, time, qcengine\n\
         compute = qcengine.compute\n\
         kept = []\n\
         def hold(request, *rest, **more):\n    \
             if request.extras['mine'] == 1:\n        kept.append(b'x' * ({mebibytes} << 20)); time.sleep(3)\n    \
             return compute(request, *rest, **more)\n\
         qcengine.compute = hold\n\
         runpy.run_path({:?}, run_name='__main__')\n",
        worker.to_str().unwrap()
    );
    vec![Generation::V2.python().to_str().unwrap().into(), "-c".into(), code]
}

#[test]
fn a_task_over_its_memory_is_stopped_and_takes_nobody_with_it() {
    let job = Job::new(Generation::V2)
        .tasks(3, &pm7())
        .each(|order| order.memory_bytes = 64 << 20)
        .manifest(|manifest| {
            manifest.cores = 1;
            manifest.worker_command = hungry(1024);
        })
        .staged();
    assert_eq!(job.run(), 0);
    let reports = job.by_task();
    let (class, error_type, message) = error_of(&reports[&1]);
    assert_eq!((class, error_type.as_str()), (FailureClass::Memory, "memory_limit"), "{message}");
    assert!(reports[&1].provenance.peak_memory_bytes.unwrap() > 576 << 20);
    result_of(&reports[&0]);
    result_of(&reports[&2]);
}

#[test]
fn real_programs_within_their_memory_are_left_alone() {
    // Psi4 reserves what it is told and more; MOPAC reserves gigabytes of address space. Both hold little here.
    let job = Job::new(Generation::V1)
        .task(singlepoint("psi4", "gradient", "mp2", "cc-pvdz"))
        .task(pm7())
        .each(|order| order.memory_bytes = 1 << 30)
        .staged();
    assert_eq!(job.run(), 0);
    for (_, report) in job.by_task() {
        result_of(&report);
    }
}

#[test]
fn a_worker_that_has_grown_is_replaced() {
    let job = Job::new(Generation::V2)
        .tasks(4, &pm7())
        .manifest(|manifest| {
            manifest.cores = 1;
            manifest.recycle_growth_bytes = Some(256 << 20);
            manifest.worker_command = hungry(400);
        })
        .staged();
    assert_eq!(job.run(), 0);
    for (_, report) in job.by_task() {
        result_of(&report);
    }
    let log = fs::read_to_string(job.directory.runner_log()).unwrap();
    assert_eq!(log.matches("a worker has done its share").count(), 1, "{log}");
}

#[test]
fn scratch_of_a_killed_runner_is_removed_by_the_next_one() {
    let root = tempfile::tempdir().unwrap();
    let first = Job::below(Generation::V1, root.path(), 0).task(endless()).staged();
    let runner = first.start();
    let psi4 = runner.wait_for_psi4();
    let workers = runner.descendants("python");
    runner.signal(Signal::SIGKILL);
    runner.wait();
    for pid in workers.into_iter().chain([psi4]) {
        let _ = kill(pid, Signal::SIGKILL);
    }
    assert_eq!(first.scratch_directories(), 1, "nobody was left to remove it");
    let second = Job::below(Generation::V1, root.path(), 1).task(synthetic("null", json!({}))).staged();
    assert_eq!(second.run(), 0);
    assert_eq!(second.scratch_directories(), 0);
}

#[test]
fn a_full_disk_pauses_the_job_and_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    let Some(mount) = Mount::new(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"], &root.path().join("small"))
    else {
        return;
    };
    let scratch = tempfile::tempdir().unwrap();
    let specification = synthetic("null", json!({"payload_bytes": 4000}));
    let job = Job::below(Generation::V1, &mount.0, 0)
        .pooled()
        .manifest(|manifest| manifest.scratch = Some(scratch.path().to_str().unwrap().into()))
        .staged();
    // 400 results of 3 kB and more do not fit into 1 MiB.
    for chunk in 0..8 {
        let orders: Vec<_> =
            (chunk * 50..chunk * 50 + 50).map(|number| order(number, &specification)).collect();
        job.publish(chunk, &orders);
    }
    let runner = job.start();
    until("the disk to be full", || {
        let log = fs::read_to_string(job.directory.runner_log()).unwrap_or_default();
        log.contains("results not stored").then_some(())
    });
    assert!(job.reports_now() < 400);
    assert!(mount.remount("size=8m"));
    assert_eq!(runner.wait(), 0);
    assert_eq!(job.by_task().len(), 400);
    assert_eq!((job.end().reason, job.end().results), (EndReason::Done, 400));
}

#[test]
fn a_runner_killed_at_any_byte_of_a_result_repeats_that_task_and_no_other() {
    let job = Job::new(Generation::V1).tasks(3, &synthetic("null", json!({}))).staged();
    assert_eq!(job.run(), 0);
    let path = job.directory.results();
    let whole = fs::read(&path).unwrap();
    let last = frame::encode(&job.reports()[2]).unwrap().bytes().len();
    let begins = whole.len() - last;
    for end in begins..=whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        let torn = read_results(&path, 0, 1 << 20, Finality::StillWritten).unwrap();
        let whole_frames = if end == whole.len() { 3 } else { 2 };
        assert_eq!(torn.reports.len(), whole_frames, "cut at {end}");
        let mut seen = vec![];
        let mut writer = ResultWriter::open(&job.directory, |report| seen.push(report.task_id.0)).unwrap();
        for report in torn.reports.len()..3 {
            let again = read_whole(&whole)[report].clone();
            writer.append(frame::encode(&again).unwrap()).unwrap();
        }
        writer.sync().unwrap();
        assert_eq!(job.by_task().keys().copied().collect::<Vec<_>>(), [0, 1, 2], "cut at {end}");
    }
    // And the runner itself, at some of them: header, payload, last byte.
    for end in [begins, begins + 1, begins + 15, begins + 16, begins + last / 2, whole.len() - 1] {
        fs::write(&path, &whole[..end]).unwrap();
        fs::remove_file(job.directory.end()).unwrap();
        assert_eq!(job.restart().wait(), 0);
        assert_eq!(job.by_task().keys().copied().collect::<Vec<_>>(), [0, 1, 2], "cut at {end}");
    }
}

fn read_whole(bytes: &[u8]) -> Vec<qcbatch::model::task::TaskReport> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    read_results(file.path(), 0, 1 << 20, Finality::Final).unwrap().reports
}

#[test]
fn a_node_whose_clock_is_an_hour_off_is_nobodys_concern() {
    // Everything that carries a node's time is set an hour ahead, and an hour behind, and the job goes on.
    for hours in [-1, 1] {
        let job =
            Job::new(Generation::V1).tasks(2, &synthetic("sleep", json!({"milliseconds": 800}))).staged();
        let runner = job.start();
        until("the first heartbeat", || job.evidence().heartbeat);
        runner.signal(Signal::SIGKILL);
        runner.wait();
        let start: StartRecord = atomic::read_json(&job.directory.start()).unwrap();
        let shifted = StartRecord { node_clock: start.node_clock + hours * 3600, ..start };
        atomic::write_json(&job.directory.start(), &shifted).unwrap();
        for file in job.files() {
            shift(&job.directory.path().join(file), hours * 3600);
        }
        assert_eq!(job.restart().wait(), 0);
        assert_eq!(job.by_task().len(), 2);
        assert_eq!(job.end().reason, EndReason::Done);
        let evidence = job.evidence();
        assert!(evidence.ended_and_visible() && evidence.heartbeat.unwrap().beat > 1);
    }
}

/// As if the file had been written by a clock that is so many seconds off.
fn shift(path: &Path, seconds: i64) {
    let file = fs::OpenOptions::new().append(true).open(path).unwrap();
    let now = file.metadata().unwrap().modified().unwrap();
    let length = Duration::from_secs(seconds.unsigned_abs());
    file.set_modified(if seconds < 0 { now - length } else { now + length }).unwrap();
}
