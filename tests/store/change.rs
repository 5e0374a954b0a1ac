//! Cancel and retry: by id and by filter, while waiting and while held.

use qcbatch::model::failure::FailureClass;
use qcbatch::model::ids::RecordId;
use qcbatch::model::record::RecordStatus;
use qcbatch::model::view::RecordFilter;
use qcbatch::store::ingest::{IngestOutcome, Stored};

use crate::world::{World, bad, decide, good};

fn these(ids: &[RecordId]) -> RecordFilter {
    RecordFilter { ids: ids.to_vec(), ..RecordFilter::default() }
}

#[tokio::test]
async fn cancelling_while_held_lets_the_job_go_once_it_is_empty() {
    let world = World::new().await;
    let ids = world.add_waters(3).await;
    let jobs = world.run_all(3).await;
    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    let outcome = world.writer.cancel(&these(&[ids[0], RecordId(999)])).await.unwrap();
    assert_eq!(outcome.cancelled, [ids[0]]);
    assert_eq!(outcome.refused, [(RecordId(999), "there is no such record".to_owned())]);
    assert!(outcome.jobs_without_work.is_empty(), "it has two more tasks");
    assert_eq!(world.status_of(ids[0]).await, "cancelled");

    // A result that comes all the same is dropped.
    let reports = vec![good(job, &tasks[0]), good(job, &tasks[1])];
    let stored = world.writer.ingest(job, 0, 10, reports, &decide).await.unwrap();
    assert_eq!(stored, IngestOutcome::Stored(Stored { completed: 1, dropped: 1, ..Stored::default() }));
    assert_eq!(world.status_of(ids[0]).await, "cancelled");

    let outcome = world.writer.cancel(&these(&ids)).await.unwrap();
    assert_eq!(outcome.cancelled, [ids[2]]);
    let refused = [(ids[0], "it is cancelled".to_owned()), (ids[1], "it is complete".to_owned())];
    assert_eq!(outcome.refused, refused);
    assert_eq!(outcome.jobs_without_work, [job]);
    assert!(world.candidates(10).await.is_empty());
}

#[tokio::test]
async fn what_was_cancelled_or_failed_can_be_retried() {
    let world = World::new().await;
    let ids = world.add_waters(4).await;
    for _ in 0..3 {
        let jobs = world.run_all(4).await;
        let reports = jobs[0].1.iter().filter(|task| task.record_id == ids[0]);
        world
            .ingest(jobs[0].0, reports.map(|task| bad(jobs[0].0, task, FailureClass::Program)).collect())
            .await;
        world.writer.cancel(&these(&[ids[1]])).await.unwrap();
        world.writer.retry(&these(&[ids[1]])).await.unwrap();
        let end = qcbatch::store::release::JobEnd {
            id: jobs[0].0,
            outcome: qcbatch::model::job::JobOutcome::Completed,
            exit_code: Some(0),
            signal: None,
            reason: None,
            hostname: None,
            charge: qcbatch::store::release::Charge::Nothing,
            charged: qcbatch::store::release::Charged::All,
            chunks: Vec::new(),
        };
        world.writer.end_job(end, &decide).await.unwrap();
    }
    world.writer.cancel(&these(&[ids[1]])).await.unwrap();
    assert_eq!(world.status_of(ids[0]).await, "error");
    assert_eq!(world.candidates(10).await.len(), 2);

    let everything = world.writer.retry(&RecordFilter::default()).await.unwrap();
    assert_eq!(everything.retried, [ids[0], ids[1]]);
    let candidates = world.candidates(10).await;
    assert_eq!(candidates.len(), 4);
    assert!(candidates.iter().all(|task| task.tries == 0 && task.losses == 0 && task.last_failure.is_none()));
    let refused = world.writer.retry(&these(&[ids[2]])).await.unwrap();
    assert_eq!(refused.refused, [(ids[2], "it is waiting".to_owned())]);
    // The next attempt has a number of its own.
    let jobs = world.run_all(4).await;
    let task = jobs[0].1.iter().find(|task| task.record_id == ids[0]).unwrap();
    assert_eq!(task.attempt, 3);
    world.ingest(jobs[0].0, vec![good(jobs[0].0, task)]).await;
    assert_eq!(world.status_of(ids[0]).await, "complete");
}

#[tokio::test]
async fn a_filter_reaches_more_than_one_page() {
    let world = World::new().await;
    world.add_waters(2).await;
    world
        .execute(
            "INSERT INTO record (record_type, status, specification_id, molecule_id, compute_tag, owner_user)
                SELECT record_type, status, specification_id, molecule_id, 'many', owner_user
                FROM record, generate_series(1, 12500) WHERE record.id = 1;
             INSERT INTO task (record_id, demand_id, compute_priority, placement, available)
                SELECT r.id, 1, 1, 'shared', true FROM record r LEFT JOIN task t ON t.record_id = r.id
                WHERE t.id IS NULL",
        )
        .await;
    let many = RecordFilter { compute_tag: vec!["many".to_owned()], ..RecordFilter::default() };
    assert_eq!(world.writer.cancel(&many).await.unwrap().cancelled.len(), 12_500);
    let counts = world.store.count_by_status(&RecordFilter::default()).await.unwrap();
    assert_eq!(counts[&RecordStatus::Cancelled], 12_500);
    assert_eq!(counts[&RecordStatus::Waiting], 2);
}
