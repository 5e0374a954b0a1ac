//! Submissions and jobs: every step by compare-and-swap, nothing held for ever.

use std::time::Duration;

use qcbatch::model::failure::{FailureClass, RetryDecision};
use qcbatch::model::ids::{JobId, SchedulerJobId, TaskId};
use qcbatch::model::job::{JobOutcome, JobState, SubmissionState};
use qcbatch::store::StoreError;
use qcbatch::store::job::JobUpdate;
use qcbatch::store::release::{Charge, Charged, JobEnd, ReleasedTasks};
use qcbatch::store::submission::Certainty;
use qcbatch::store::submission::SubmissionNote;

use crate::world::{SITE, World, decide, planned, take_lease};

use SubmissionState::{Planned, Rejected, Submitting, Unknown, Withdrawn};

fn end(id: JobId, charge: Charge) -> JobEnd {
    JobEnd {
        id,
        outcome: JobOutcome::Lost,
        exit_code: Some(1),
        signal: Some(9),
        reason: Some("nobody knows it".to_owned()),
        hostname: None,
        charge,
        charged: Charged::All,
        chunks: Vec::new(),
    }
}

const LOST: Charge = Charge::Failure(FailureClass::Infrastructure);

#[tokio::test]
async fn a_submission_is_led_by_compare_and_swap() {
    let world = World::new().await;
    world.add_waters(3).await;
    let tasks: Vec<TaskId> = world.candidates(10).await.iter().map(|task| task.task_id).collect();
    let writer = &world.writer;
    let id = writer
        .plan_submission(&planned(vec![tasks[..2].to_vec(), tasks[2..].to_vec()]))
        .await
        .unwrap()
        .unwrap();
    let none = SubmissionNote::default;

    let open = world.store.open_submissions(SITE).await.unwrap();
    assert_eq!((open[0].state, open[0].array_size, open[0].calls), (Planned, 2, 0));
    assert_eq!(open[0].resources, crate::world::resources());
    assert_eq!(open[0].fence, writer.fence());

    assert!(writer.move_submission(id, Planned, Submitting, none()).await.unwrap());
    assert!(!writer.move_submission(id, Planned, Submitting, none()).await.unwrap(), "it has moved");
    assert!(!writer.move_submission(id, Submitting, Submitting, none()).await.unwrap(), "not legal");
    assert!(
        writer.move_submission(id, Submitting, Unknown, SubmissionNote::said("timed out")).await.unwrap()
    );
    assert!(!writer.reject_submission(id, Unknown, "no").await.unwrap(), "an unknown one cannot be rejected");
    assert_eq!(writer.count_empty_lookup(id).await.unwrap(), 1);
    assert_eq!(writer.count_empty_lookup(id).await.unwrap(), 2);
    let open = world.store.open_submissions(SITE).await.unwrap();
    assert_eq!((open[0].state, open[0].calls, open[0].empty_lookups), (Unknown, 1, 2));
    assert_eq!(open[0].last_error.as_deref(), Some("timed out"));
    assert!(open[0].called_ago.is_some() && open[0].empty_lookup_ago.is_some());

    assert!(writer.move_submission(id, Unknown, Planned, none()).await.unwrap());
    assert_eq!(writer.count_empty_lookup(id).await.unwrap(), 0, "nothing to look up");
    assert!(writer.move_submission(id, Planned, Submitting, none()).await.unwrap());
    assert_eq!(
        world.store.open_submissions(SITE).await.unwrap()[0].empty_lookups,
        0,
        "a new call counts anew"
    );

    let elements = vec![(0, SchedulerJobId("47_0".into())), (1, SchedulerJobId("47_1".into()))];
    let scheduler_id = SchedulerJobId("47".into());
    assert!(
        !writer
            .accept_submission(id, Unknown, &scheduler_id, elements.clone(), Certainty::Clear)
            .await
            .unwrap()
    );
    assert!(
        writer.accept_submission(id, Submitting, &scheduler_id, elements, Certainty::Clear).await.unwrap()
    );
    assert!(world.store.open_submissions(SITE).await.unwrap().is_empty());
    let jobs = world.store.live_jobs(SITE).await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.state).collect::<Vec<_>>(), [JobState::Queued; 2]);
    assert_eq!(jobs[1].scheduler_job_id, Some(SchedulerJobId("47_1".into())));
    assert_eq!((jobs[0].tasks, jobs[1].tasks, jobs[1].array_index, jobs[1].array_size), (2, 1, 1, 2));
    assert!(jobs[0].queued_ago.is_some());
    let live = world.store.live_jobs_together(SITE).await.unwrap();
    assert_eq!((live.len(), live[0].pool.0.as_str(), live[0].jobs(), live[0].tasks), (1, "alpha", 2, 3));
    assert_eq!(
        (live[0].state, live[0].pilot, &live[0].resources),
        (JobState::Queued, false, &crate::world::resources())
    );
    assert!(world.store.live_jobs("elsewhere").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_refused_submission_frees_its_tasks() {
    let world = World::new().await;
    world.add_waters(4).await;
    for (to, word) in [(Rejected, "no such partition"), (Withdrawn, "not wanted")] {
        let tasks: Vec<TaskId> = world.candidates(10).await.iter().map(|task| task.task_id).collect();
        assert_eq!(tasks.len(), 4);
        let id = world.writer.plan_submission(&planned(vec![tasks])).await.unwrap().unwrap();
        assert!(world.candidates(10).await.is_empty());
        assert!(world.writer.move_submission(id, Planned, to, SubmissionNote::said(word)).await.unwrap());
        assert_eq!(world.text("SELECT max(waiting_reason) AS value FROM task").await, word);
        assert!(world.store.live_jobs(SITE).await.unwrap().is_empty());
    }
    let spent = "SELECT sum(tries + losses)::bigint AS value FROM task";
    assert_eq!(world.number(spent).await, 0, "a refusal costs nothing");
    assert_eq!(world.candidates(10).await.len(), 4);
}

#[tokio::test]
async fn jobs_move_along_legal_ways_only() {
    let world = World::new().await;
    let records = world.add_waters(2).await;
    let jobs = world.run_all(1).await;
    let (id, writer) = (jobs[0].0, &world.writer);
    assert_eq!(world.status_of(records[0]).await, "running");
    let job =
        || async { world.store.live_jobs(SITE).await.unwrap().into_iter().find(|job| job.id == id).unwrap() };
    assert_eq!(job().await.state, JobState::Running);
    assert!(job().await.started_on.is_some());

    let stale = JobUpdate::from_state(id, JobState::Queued).to(JobState::Blocked);
    assert!(writer.update_jobs(vec![stale]).await.unwrap().is_empty(), "it is not in that state");
    let illegal = vec![
        JobUpdate::from_state(id, JobState::Running).to(JobState::Planned),
        JobUpdate::from_state(id, JobState::Running).to(JobState::Ended),
    ];
    assert!(writer.update_jobs(illegal).await.unwrap().is_empty());
    let missing =
        JobUpdate::from_state(id, JobState::Running).missing().to(JobState::Missing).reason("not listed");
    let other = JobUpdate::from_state(jobs[1].0, JobState::Running).beat(7).hostname("n2");
    assert_eq!(writer.update_jobs(vec![missing, other]).await.unwrap().len(), 2);
    let seen = job().await;
    assert_eq!((seen.state, seen.missing_polls, seen.missing_for.is_some()), (JobState::Missing, 1, true));
    writer.update_jobs(vec![JobUpdate::of(&seen).missing()]).await.unwrap();
    assert_eq!(job().await.missing_polls, 2);
    let back = JobUpdate::of(&job().await).found().to(JobState::Queued);
    writer.update_jobs(vec![back]).await.unwrap();
    let seen = job().await;
    assert_eq!((seen.state, seen.missing_polls, seen.missing_for), (JobState::Queued, 0, None));
    assert_eq!(world.status_of(records[0]).await, "waiting", "a requeued job does not run");
    assert_eq!(world.status_of(records[1]).await, "running");
    assert_eq!(
        world.number("SELECT count(*) AS value FROM event WHERE kind IN ('missing', 'queued')").await,
        2
    );

    assert_eq!(writer.request_cancel(&[id, jobs[1].0]).await.unwrap().len(), 2);
    assert!(writer.request_cancel(&[id]).await.unwrap().is_empty(), "asked before");
    assert!(job().await.cancel_requested_on.is_some());
}

#[tokio::test]
async fn a_job_that_ends_gives_back_what_it_did_not_finish() {
    let world = World::new().await;
    let records = world.add_waters(3).await;
    for round in 0..2 {
        let jobs = world.run_all(3).await;
        assert!(jobs[0].1.iter().all(|task| task.attempt == round));
        let released = world.writer.end_job(end(jobs[0].0, LOST), &decide).await.unwrap();
        assert_eq!(released, ReleasedTasks { returned: 3, failed: 0 });
        assert_eq!(world.status_of(records[0]).await, "waiting");
        let again = world.writer.end_job(end(jobs[0].0, LOST), &decide).await.unwrap();
        assert_eq!(again, ReleasedTasks::default(), "it had ended");
    }
    let jobs = world.run_all(3).await;
    let untouched = world.writer.end_job(end(jobs[0].0, Charge::Nothing), &decide).await.unwrap();
    assert_eq!(untouched, ReleasedTasks { returned: 3, failed: 0 });
    let jobs = world.run_all(3).await;
    let own = Charge::Failure(FailureClass::Walltime);
    world.writer.end_job(end(jobs[0].0, own), &decide).await.unwrap();
    let jobs = world.run_all(3).await;
    let last = world.writer.end_job(end(jobs[0].0, LOST), &decide).await.unwrap();
    assert_eq!(last, ReleasedTasks { returned: 0, failed: 3 }, "lost three times");
    assert_eq!(world.status_of(records[0]).await, "error");
    let row = "SELECT failure || ' ' || error_type || ' ' || attempt AS value FROM compute_history LIMIT 1";
    assert_eq!(world.text(row).await, "infrastructure job_lost 4");
    assert!(world.candidates(10).await.is_empty());
    assert!(world.store.live_jobs(SITE).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_task_given_back_with_a_delay_is_not_due() {
    let world = World::new().await;
    world.add_waters(1).await;
    let jobs = world.run_all(1).await;
    let later = |_: &_, _| RetryDecision::Retry { after: Duration::from_secs(3600) };
    world.writer.end_job(end(jobs[0].0, LOST), &later).await.unwrap();
    assert!(world.candidates(10).await.is_empty());
    world.execute("UPDATE task SET not_before = now()").await;
    let candidates = world.candidates(10).await;
    assert_eq!((candidates[0].losses, candidates[0].tries), (1, 0));
    assert_eq!(candidates[0].last_failure, Some(FailureClass::Infrastructure));
}

#[tokio::test]
async fn an_old_fence_writes_nothing() {
    let world = World::new().await;
    let records = world.add_waters(1).await;
    let jobs = world.run_all(1).await;
    let stale = world.writer.clone();
    take_lease(&world.store).await;
    let (job, none) = (jobs[0].0, SubmissionNote::default());
    let tasks = vec![vec![jobs[0].1[0].task_id]];
    let refused = [
        stale.plan_submission(&planned(tasks)).await.map(drop),
        stale
            .move_submission(qcbatch::model::ids::SubmissionId(1), Submitting, Unknown, none)
            .await
            .map(drop),
        stale.update_jobs(vec![JobUpdate::from_state(job, JobState::Running).beat(1)]).await.map(drop),
        stale.start_jobs(&[job]).await,
        stale.request_cancel(&[job]).await.map(drop),
        stale.end_job(end(job, LOST), &decide).await.map(drop),
        stale.ingest(job, 0, 1, vec![crate::world::good(job, &jobs[0].1[0])], &decide).await.map(drop),
        stale.note_waiting(vec![(TaskId(1), "x".to_owned())]).await,
    ];
    for (index, refusal) in refused.into_iter().enumerate() {
        assert!(matches!(refusal, Err(StoreError::LeaseLost { .. })), "write {index}: {refusal:?}");
    }
    assert_eq!(world.status_of(records[0]).await, "running");
}
