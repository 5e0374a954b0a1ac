//! Cancelled attempts are remembered for whoever has them, and unbegun ones that come back are free for others.

use qcbatch::model::ids::{ChunkId, JobId, PoolName};
use qcbatch::model::notice::{Attempt, Holder};
use qcbatch::model::task::{TaskOutcome, TaskReport};
use qcbatch::model::view::RecordFilter;
use qcbatch::store::staging::StagedTask;

use crate::world::*;

fn pool() -> PoolName {
    PoolName("alpha".to_owned())
}

fn returned(job: JobId, task: &StagedTask) -> TaskReport {
    TaskReport { outcome: TaskOutcome::Returned, ..good(job, task) }
}

fn attempt(task: &StagedTask) -> Attempt {
    Attempt { task_id: task.task_id, attempt: task.attempt }
}

#[tokio::test]
async fn a_cancelled_attempt_is_remembered_for_whoever_has_its_chunk_and_no_other_is() {
    let world = World::new().await;
    let records = world.add_waters(4).await;
    let (chunk, orders) = world.staged_chunk().await;
    let filter = RecordFilter { ids: records[..2].to_vec(), ..RecordFilter::default() };
    world.add_waters(6).await;
    world.writer.cancel(&filter).await.unwrap();
    let holder = Holder::Chunk(chunk.name.chunk_id);
    let recalls = world.store.recalls(SITE).await.unwrap();
    let wanted: Vec<Attempt> =
        orders.iter().filter(|task| records[..2].contains(&task.record_id)).map(attempt).collect();
    assert_eq!(recalls.into_iter().collect::<Vec<_>>(), [((pool(), holder), wanted)]);
    // Tasks that nobody has leave nothing behind.
    world.writer.cancel(&RecordFilter::default()).await.unwrap();
    assert_eq!(world.number("SELECT count(*) AS value FROM recall").await, 4);
    assert!(world.store.recalls("elsewhere").await.unwrap().is_empty());
    world.writer.forget_recalls(&[Holder::Chunk(ChunkId(-1)), holder]).await.unwrap();
    assert!(world.store.recalls(SITE).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_cancelled_task_of_a_job_of_its_own_is_recalled_from_that_job_until_it_ends() {
    let world = World::new().await;
    let records = world.add_waters(1).await;
    let (job, orders) = world.run_all(1).await.remove(0);
    world.writer.cancel(&RecordFilter { ids: records, ..RecordFilter::default() }).await.unwrap();
    let recalls = world.store.recalls(SITE).await.unwrap();
    assert_eq!(recalls.into_values().collect::<Vec<_>>(), [[attempt(&orders[0])]]);
    assert!(world.store.ended_jobs(&[job]).await.unwrap().is_empty());
    assert_eq!(world.store.ended_jobs(&[JobId(-1)]).await.unwrap(), [JobId(-1)]);
}

#[tokio::test]
async fn what_comes_back_unbegun_is_free_once_and_costs_nothing() {
    let world = World::new().await;
    let records = world.add_waters(3).await;
    let (chunk, orders) = world.staged_chunk().await;
    let job = world.pilot().await;
    world.writer.note_claims(&[(chunk.name.chunk_id, job)]).await.unwrap();
    assert_eq!(world.status_of(records[0]).await, "running");
    let open = world.store.open_tasks(&[chunk.name.chunk_id]).await.unwrap();
    assert_eq!(open.iter().map(|tasks| tasks.tasks).collect::<Vec<_>>(), [3]);
    world.ingest(job, vec![good(job, &orders[0]), returned(job, &orders[1])]).await;
    let states = [0, 1, 2].map(|index: usize| orders[index].record_id);
    let mut statuses = vec![];
    for record in states {
        statuses.push(world.status_of(record).await);
    }
    assert_eq!(statuses, ["complete", "waiting", "running"]);
    let again = world.candidates(10).await;
    assert_eq!(
        again.iter().map(|task| (task.task_id, task.tries, task.losses)).collect::<Vec<_>>(),
        [(orders[1].task_id, 0, 0)]
    );
    // Handed out once more, the old word of the attempt before frees nothing.
    let (second, _) = world.staged_chunk().await;
    world.ingest(job, vec![returned(job, &orders[1])]).await;
    assert!(world.candidates(10).await.is_empty());
    let open = world.store.open_tasks(&[chunk.name.chunk_id, second.name.chunk_id]).await.unwrap();
    assert_eq!(open.iter().map(|tasks| tasks.tasks).sum::<u32>(), 2);
}
