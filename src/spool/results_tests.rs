//! The result file under torn tails, bounded reads and second writers, on a real filesystem.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;

use super::*;
use crate::model::ids::{JobId, RecordId, TaskId};
use crate::model::task::{TaskOutcome, TaskProvenance};
use crate::spool::frame::encode;

fn report(task: i64, stdout_bytes: usize) -> TaskReport {
    TaskReport {
        issue: None,
        task_id: TaskId(task),
        record_id: RecordId(task),
        attempt: 0,
        outcome: TaskOutcome::Complete {
            result: serde_json::value::RawValue::from_string("{\"success\":true}".into()).unwrap(),
        },
        stdout: Some("x".repeat(stdout_bytes)),
        stderr: None,
        native_files: BTreeMap::new(),
        provenance: TaskProvenance {
            hostname: "node1".into(),
            job_id: JobId(7),
            scheduler_job_id: None,
            cores: 1,
            nodes: 1,
            memory_bytes: 1,
            wall_seconds: 0.0,
            cpu_seconds: 0.0,
            started_on: None,
            peak_memory_bytes: None,
            program: None,
            program_version: None,
            qcengine_version: None,
        },
    }
}

fn ids(batch: &ResultBatch) -> Vec<i64> {
    batch.reports.iter().map(|report| report.task_id.0).collect()
}

struct Job {
    _root: tempfile::TempDir,
    directory: JobDirectory,
}

fn job() -> Job {
    let root = tempfile::tempdir().unwrap();
    Job { directory: JobDirectory::at(root.path()), _root: root }
}

fn open(job: &Job) -> (ResultWriter, Vec<i64>) {
    let mut seen = vec![];
    let writer = ResultWriter::open(&job.directory, |report| seen.push(report.task_id.0)).unwrap();
    (writer, seen)
}

#[test]
fn a_missing_file_reads_as_an_empty_one() {
    let batch = read_results(&job().directory.results(), 0, 100, Finality::Final).unwrap();
    assert_eq!((batch.reports.len(), batch.next_offset, batch.rest), (0, 0, Rest::Nothing));
}

#[test]
fn batches_are_bounded_and_together_read_everything_once() {
    let job = job();
    let (mut writer, seen) = open(&job);
    assert!(seen.is_empty());
    for task in 0..50 {
        writer.append(encode(&report(task, 1000)).unwrap()).unwrap();
    }
    writer.sync().unwrap();
    let (mut offset, mut all) = (0, vec![]);
    loop {
        let batch = read_results(&job.directory.results(), offset, 4000, Finality::StillWritten).unwrap();
        assert!(batch.reports.len() <= 4, "a batch of {} reports is unbounded", batch.reports.len());
        all.extend(ids(&batch));
        offset = batch.next_offset;
        if batch.rest == Rest::Nothing {
            break;
        }
    }
    assert_eq!(all, (0..50).collect::<Vec<_>>());
    assert_eq!(offset, writer.length());
}

#[test]
fn a_budget_smaller_than_a_report_still_makes_progress() {
    let job = job();
    let (mut writer, _) = open(&job);
    writer.append(encode(&report(1, 100_000)).unwrap()).unwrap();
    writer.append(encode(&report(2, 100_000)).unwrap()).unwrap();
    let batch = read_results(&job.directory.results(), 0, 1, Finality::StillWritten).unwrap();
    assert_eq!((ids(&batch), batch.rest), (vec![1], Rest::More));
    let batch = read_results(&job.directory.results(), batch.next_offset, 1, Finality::StillWritten).unwrap();
    assert_eq!(ids(&batch), vec![2]);
}

#[test]
fn a_torn_tail_is_not_yet_then_skipped_then_cut_by_the_next_writer() {
    let job = job();
    let (mut writer, _) = open(&job);
    writer.append(encode(&report(1, 10)).unwrap()).unwrap();
    let whole = writer.length();
    drop(writer);
    let torn = encode(&report(2, 10)).unwrap();
    let path = job.directory.results();
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(&torn.bytes()[..torn.bytes().len() - 3]).unwrap();

    let batch = read_results(&path, 0, 1 << 20, Finality::StillWritten).unwrap();
    assert_eq!((ids(&batch), batch.next_offset, batch.rest), (vec![1], whole, Rest::Nothing));
    let batch = read_results(&path, whole, 1 << 20, Finality::Final).unwrap();
    assert_eq!(batch.skipped, vec![whole..batch.file_bytes]);

    let (mut writer, seen) = open(&job);
    assert_eq!((seen, writer.length()), (vec![1], whole));
    assert_eq!(fs::metadata(&path).unwrap().len(), whole);
    writer.append(encode(&report(3, 10)).unwrap()).unwrap();
    writer.sync().unwrap();
    let batch = read_results(&path, whole, 1 << 20, Finality::StillWritten).unwrap();
    assert_eq!(ids(&batch), vec![3]);
}

#[test]
fn a_corrupt_middle_stops_a_living_file_and_is_skipped_in_a_final_one() {
    let job = job();
    let (mut writer, _) = open(&job);
    let mut ends = vec![];
    for task in 0..3 {
        writer.append(encode(&report(task, 10)).unwrap()).unwrap();
        ends.push(writer.length());
    }
    let path = job.directory.results();
    let mut bytes = fs::read(&path).unwrap();
    bytes[ends[0] as usize + 20] ^= 0xff;
    fs::write(&path, &bytes).unwrap();
    for budget in [1, 100, 1 << 20] {
        let batch = read_results(&path, ends[0], budget, Finality::StillWritten).unwrap();
        assert_eq!((ids(&batch), batch.next_offset, batch.rest), (vec![], ends[0], Rest::Nothing));
    }
    let batch = read_results(&path, 0, 1 << 20, Finality::Final).unwrap();
    assert_eq!(
        (ids(&batch), batch.skipped.clone()),
        (vec![0, 2], std::iter::once(ends[0]..ends[1]).collect::<Vec<_>>())
    );
    let (writer, seen) = open(&job);
    assert_eq!((seen, writer.length()), (vec![0, 2], ends[2]));
}

#[test]
fn a_write_that_fails_is_kept_and_written_at_the_same_place_later() {
    let job = job();
    let (mut writer, _) = open(&job);
    writer.append(encode(&report(1, 10)).unwrap()).unwrap();
    // The directory is gone and nothing can be opened in its place: what is unsynced is written anew later.
    writer.reopen_later();
    let path = job.directory.results();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(writer.append(encode(&report(2, 10)).unwrap()).is_err());
    assert!(writer.sync().is_err());
    fs::remove_dir(&path).unwrap();
    writer.sync().unwrap();
    assert_eq!(writer.unsynced_bytes(), 0);
    let batch = read_results(&path, 0, 1 << 20, Finality::StillWritten).unwrap();
    assert_eq!(ids(&batch), vec![1, 2]);
    assert_eq!(batch.next_offset, writer.length());
}
