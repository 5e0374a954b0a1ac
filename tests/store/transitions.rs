//! The table of a record's legal changes against the database: every status × every writer that changes one. What the table
//! does not allow must not happen, whatever else the writer does.

use qcbatch::model::failure::{FailureClass, RetryDecision, TaskTally};
use qcbatch::model::ids::{JobId, RecordId, TaskId};
use qcbatch::model::job::{JobState, SubmissionState};
use qcbatch::model::record::{RecordChange, RecordStatus};
use qcbatch::model::task::{TaskOutcome, TaskReport};
use qcbatch::model::view::RecordFilter;
use qcbatch::store::job::JobUpdate;
use qcbatch::store::staging::StagedTask;
use qcbatch::store::submission::SubmissionNote;

use crate::world::{World, bad, good, killed, planned, water_record};

/// What writes `record.status`, and how the record's task stands when it does.
#[derive(Clone, Copy, Debug)]
enum Write {
    /// The scheduler says that the job runs.
    JobStarts,
    /// A job claims the chunk in which the task lies.
    ChunkIsClaimed,
    /// The scheduler puts the job back into its queue.
    JobIsRequeued,
    /// The scheduler refused the submission.
    SubmissionIsRefused,
    /// The chunk is taken back from the spool.
    ChunkIsTakenBack,
    /// The job gives the task back before it began.
    ReportOfReturn,
    /// The job ends; another attempt follows.
    JobEndsWithTries,
    /// The job ends; no attempt follows.
    JobEndsWithoutTries,
    /// The attempt failed; another one follows.
    ReportOfErrorWithTries,
    /// The attempt failed; none follows.
    ReportOfErrorWithoutTries,
    /// The result is there.
    ReportOfResult,
    /// `qcbatch cancel`.
    UserCancels,
    /// `qcbatch retry`.
    UserRetries,
    /// The node is found to be at fault.
    NodeIsBlamed,
}

use Write::*;

const WRITES: [(Write, RecordChange); 14] = [
    (JobStarts, RecordChange::Start),
    (ChunkIsClaimed, RecordChange::Start),
    (JobIsRequeued, RecordChange::Release),
    (SubmissionIsRefused, RecordChange::Release),
    (ChunkIsTakenBack, RecordChange::Release),
    (ReportOfReturn, RecordChange::Release),
    (JobEndsWithTries, RecordChange::Release),
    (JobEndsWithoutTries, RecordChange::Fail),
    (ReportOfErrorWithTries, RecordChange::Release),
    (ReportOfErrorWithoutTries, RecordChange::Fail),
    (ReportOfResult, RecordChange::Complete),
    (UserCancels, RecordChange::Cancel),
    (UserRetries, RecordChange::Retry),
    (NodeIsBlamed, RecordChange::Forgive),
];

fn again(_: &TaskTally, _: FailureClass) -> RetryDecision {
    RetryDecision::Retry { after: std::time::Duration::ZERO }
}

fn no_more(_: &TaskTally, _: FailureClass) -> RetryDecision {
    RetryDecision::Fail
}

/// A record whose task is held by a job in the scheduler's queue.
struct Held {
    record: RecordId,
    job: JobId,
    task: StagedTask,
}

async fn only_candidate(world: &World) -> TaskId {
    let candidates = world.candidates(10).await;
    assert_eq!(candidates.len(), 1, "nothing of the cases before waits");
    candidates[0].task_id
}

async fn held(world: &World, record: RecordId) -> Held {
    let task = only_candidate(world).await;
    let submission = world.writer.plan_submission(&planned(vec![vec![task]])).await.unwrap().unwrap();
    world.accept(submission).await;
    let mut orders = world.store.orders(submission, None, 1).await.unwrap().remove(0);
    Held { record, job: orders.job_id, task: orders.orders.remove(0) }
}

async fn set(world: &World, record: RecordId, status: RecordStatus) {
    world.execute(&format!("UPDATE record SET status = '{}' WHERE id = {record}", status.as_str())).await;
}

async fn report(
    world: &World,
    held: &Held,
    report: TaskReport,
    decide: fn(&TaskTally, FailureClass) -> RetryDecision,
) {
    world.writer.ingest(held.job, 0, 10, vec![report], &decide).await.unwrap();
}

async fn write_to_chunk(world: &World, record: RecordId, status: RecordStatus, write: Write) {
    let chunk = world.staged_chunk().await.0.name.chunk_id;
    if matches!(write, ChunkIsTakenBack) {
        set(world, record, status).await;
        world.writer.release_chunks(&[chunk], "taken back").await.unwrap();
        return;
    }
    let pilot = world.pilot().await;
    set(world, record, status).await;
    world.writer.note_claims(&[(chunk, pilot)]).await.unwrap();
}

async fn write_to_planned(world: &World, record: RecordId, status: RecordStatus) {
    let (planned_state, submitting) = (SubmissionState::Planned, SubmissionState::Submitting);
    let task = only_candidate(world).await;
    let submission = world.writer.plan_submission(&planned(vec![vec![task]])).await.unwrap().unwrap();
    let note = SubmissionNote::default;
    assert!(world.writer.move_submission(submission, planned_state, submitting, note()).await.unwrap());
    set(world, record, status).await;
    let refused = SubmissionState::Rejected;
    assert!(world.writer.move_submission(submission, submitting, refused, note()).await.unwrap());
}

async fn write_to_held(world: &World, held: &Held, status: RecordStatus, write: Write) {
    if !matches!(write, JobStarts) {
        world.writer.start_jobs(&[held.job]).await.unwrap();
    }
    if matches!(write, NodeIsBlamed) {
        // A node is blamed after its attempts were over.
        world.writer.end_job(killed(held.job), &again).await.unwrap();
    }
    set(world, held.record, status).await;
    let this = RecordFilter { ids: vec![held.record], ..RecordFilter::default() };
    let failed = || bad(held.job, &held.task, FailureClass::Program);
    match write {
        JobStarts => world.writer.start_jobs(&[held.job]).await.unwrap(),
        JobIsRequeued => {
            let update = JobUpdate::from_state(held.job, JobState::Running).to(JobState::Queued);
            assert_eq!(world.writer.update_jobs(vec![update]).await.unwrap(), [held.job]);
        }
        ReportOfReturn => {
            let returned = TaskReport { outcome: TaskOutcome::Returned, ..good(held.job, &held.task) };
            report(world, held, returned, again).await;
        }
        JobEndsWithTries => drop(world.writer.end_job(killed(held.job), &again).await.unwrap()),
        JobEndsWithoutTries => drop(world.writer.end_job(killed(held.job), &no_more).await.unwrap()),
        ReportOfErrorWithTries => report(world, held, failed(), again).await,
        ReportOfErrorWithoutTries => report(world, held, failed(), no_more).await,
        ReportOfResult => report(world, held, good(held.job, &held.task), again).await,
        UserCancels => drop(world.writer.cancel(&this).await.unwrap()),
        UserRetries => drop(world.writer.retry(&this).await.unwrap()),
        NodeIsBlamed => {
            world.execute(&format!("UPDATE task SET tries = 1 WHERE record_id = {}", held.record)).await;
            world.writer.forgive(&[held.task.task_id], "node1").await.unwrap();
        }
        ChunkIsClaimed | ChunkIsTakenBack | SubmissionIsRefused => unreachable!("{write:?} has its own"),
    }
}

#[tokio::test]
async fn every_writer_changes_exactly_the_statuses_of_the_table() {
    let world = World::new().await;
    let mut wrong = Vec::new();
    let mut number = 0;
    for (write, change) in WRITES {
        for status in RecordStatus::ALL {
            number += 1;
            let record = world.add(vec![water_record(number)]).await[0].record_id;
            match write {
                ChunkIsClaimed | ChunkIsTakenBack => write_to_chunk(&world, record, status, write).await,
                SubmissionIsRefused => write_to_planned(&world, record, status).await,
                _ => write_to_held(&world, &held(&world, record).await, status, write).await,
            }
            let wanted = if change.from().contains(&status) { change.to() } else { status };
            let found = world.status_of(record).await;
            if found != wanted.as_str() {
                wrong.push(format!("{write:?} of {}: {found}, not {}", status.as_str(), wanted.as_str()));
            }
            // What this case left behind is not the next one's.
            world.execute(&format!("DELETE FROM task WHERE record_id = {record}")).await;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_change_of_the_table_has_a_writer() {
    for change in RecordChange::ALL {
        assert!(WRITES.iter().any(|(_, of)| *of == change), "{change:?}");
    }
}
