//! Chunks: tasks are handed out once, held by whoever claims them, and come back from wherever they are lost.

use std::collections::HashSet;

use qcbatch::model::chunk::ChunkNeed;
use qcbatch::model::failure::FailureClass;
use qcbatch::model::ids::{ChunkId, JobId, PoolName, RecordId, TaskId};
use qcbatch::model::view::RecordFilter;
use qcbatch::store::chunk::{PlannedChunk, Stage, UnclaimedChunk};
use qcbatch::store::release::{Charged, JobEnd, ReleasedTasks};
use qcbatch::store::staging::StagedTask;
use qcbatch::store::{StoreError, Writer};

use crate::world::{SITE, World, bad, decide, good, killed, planned, take_lease};

const NEED: ChunkNeed = ChunkNeed { cores: 1, memory_bytes: 1 << 30, gpus: 0, walltime_seconds: 60 };

fn pool() -> PoolName {
    PoolName("alpha".to_owned())
}

fn plan_of(tasks: &[TaskId]) -> PlannedChunk {
    PlannedChunk { compute_priority: 1, need: NEED, expected_seconds: 1.5, tasks: tasks.to_vec() }
}

async fn waiting(world: &World) -> Vec<TaskId> {
    world.candidates(10_000).await.iter().map(|task| task.task_id).collect()
}

/// Stages every waiting task in chunks of `each`.
async fn stage(world: &World, each: usize) -> Vec<UnclaimedChunk> {
    let tasks = waiting(world).await;
    let chunks: Vec<PlannedChunk> = tasks.chunks(each).map(plan_of).collect();
    let chunks = world.writer.plan_chunks(&pool(), &chunks).await.unwrap();
    world.writer.ready_chunks(&ids(&chunks)).await.unwrap();
    chunks
}

fn ids(chunks: &[UnclaimedChunk]) -> Vec<ChunkId> {
    chunks.iter().map(|chunk| chunk.name.chunk_id).collect()
}

async fn orders(world: &World, chunk: ChunkId) -> Vec<StagedTask> {
    world.store.chunk_orders(&[chunk]).await.unwrap().remove(&chunk).unwrap_or_default()
}

async fn record(world: &World, id: RecordId) -> (String, Option<String>) {
    let detail = world.store.detail(id).await.unwrap().unwrap();
    (world.status_of(id).await, detail.task.and_then(|task| task.waiting_reason))
}

fn end(id: JobId, charged: Charged, chunks: Vec<ChunkId>) -> JobEnd {
    JobEnd { charged, chunks, ..killed(id) }
}

#[tokio::test]
async fn a_task_goes_into_one_chunk_and_says_so() {
    let world = World::new().await;
    let records = world.add_waters(10).await;
    let tasks = waiting(&world).await;
    let (one, other): (Vec<_>, Vec<_>) =
        (tasks.chunks(3).map(plan_of).collect(), tasks.rchunks(4).map(plan_of).collect());
    let pool = pool();
    let (first, second) =
        tokio::join!(world.writer.plan_chunks(&pool, &one), world.writer.plan_chunks(&pool, &other));
    let chunks = [first.unwrap(), second.unwrap()].concat();
    let mut held = Vec::new();
    for chunk in &chunks {
        let orders = orders(&world, chunk.name.chunk_id).await;
        assert_eq!(orders.len(), chunk.name.tasks as usize);
        held.extend(orders.iter().map(|task| (task.task_id, task.attempt)));
    }
    held.sort();
    assert_eq!(held, tasks.iter().map(|task| (*task, 0)).collect::<Vec<_>>());
    assert!(world.candidates(10).await.is_empty());
    assert!(world.writer.plan_chunks(&pool, &one).await.unwrap().is_empty(), "nothing is left");
    let (status, reason) = record(&world, records[0]).await;
    assert_eq!(
        (status.as_str(), reason.as_deref()),
        ("waiting", Some("staged, waits for a job of pool alpha"))
    );
}

#[tokio::test]
async fn a_chunk_is_written_then_ready_then_claimed() {
    let world = World::new().await;
    let records = world.add_waters(4).await;
    let tasks = waiting(&world).await;
    let chunks = world.writer.plan_chunks(&pool(), &[plan_of(&tasks)]).await.unwrap();
    assert_eq!(world.store.unclaimed_chunks(SITE).await.unwrap(), chunks);
    assert_eq!(chunks[0].stage, Stage::Planned);
    assert_eq!(world.writer.ready_chunks(&ids(&chunks)).await.unwrap(), ids(&chunks));
    assert!(world.writer.ready_chunks(&ids(&chunks)).await.unwrap().is_empty(), "only once");
    assert_eq!(world.store.unclaimed_chunks(SITE).await.unwrap()[0].stage, Stage::Ready);
    assert!(world.store.unclaimed_chunks("elsewhere").await.unwrap().is_empty());

    let job = world.pilot().await;
    for _ in 0..2 {
        world.writer.note_claims(&[(chunks[0].name.chunk_id, job)]).await.unwrap();
    }
    assert_eq!(record(&world, records[0]).await, ("running".to_owned(), None));
    assert!(world.store.unclaimed_chunks(SITE).await.unwrap().is_empty());
    let line = &world.store.jobs(&[], &[], 10).await.unwrap()[0];
    assert_eq!((line.id, line.tasks, line.open_tasks), (job, 4, 4));
    world.writer.close_chunks(&ids(&chunks)).await.unwrap();
    assert_eq!(world.number("SELECT count(*) AS value FROM chunk").await, 1, "it has tasks");
}

#[tokio::test]
async fn results_count_before_anybody_saw_who_claimed_the_chunk() {
    let world = World::new().await;
    let records = world.add_waters(3).await;
    let chunks = stage(&world, 3).await;
    let job = world.pilot().await;
    let orders = orders(&world, chunks[0].name.chunk_id).await;
    let reports = vec![good(job, &orders[0]), bad(job, &orders[1], FailureClass::Program)];
    world.ingest(job, reports).await;
    assert_eq!(world.status_of(records[0]).await, "complete");
    assert_eq!(record(&world, records[1]).await.0, "waiting", "it is tried again");
    assert_eq!(world.candidates(10).await.len(), 1);
    assert!(record(&world, records[2]).await.1.unwrap().starts_with("staged"));
    // Only of the attempt that is out.
    let tasks = waiting(&world).await;
    world.writer.plan_chunks(&pool(), &[plan_of(&tasks)]).await.unwrap();
    world.ingest(job, vec![bad(job, &orders[1], FailureClass::Program)]).await;
    assert_eq!(world.number("SELECT max(tries)::bigint AS value FROM task").await, 1);
    world.ingest(job, vec![good(job, &orders[2])]).await;
    let empty = world.store.empty_chunks(SITE).await.unwrap();
    assert_eq!(ids(&empty), ids(&chunks));
    world.writer.close_chunks(&ids(&empty)).await.unwrap();
    assert_eq!(world.number("SELECT count(*) AS value FROM chunk").await, 1);
}

#[tokio::test]
async fn a_job_that_ends_gives_back_its_chunks_noted_or_not() {
    let world = World::new().await;
    let records = world.add_waters(6).await;
    let chunks = stage(&world, 3).await;
    let job = world.pilot().await;
    world.writer.note_claims(&[(chunks[0].name.chunk_id, job)]).await.unwrap();
    let ran = orders(&world, chunks[1].name.chunk_id).await[0].clone();
    let charged = Charged::Only(HashSet::from([ran.task_id]));
    let released =
        world.writer.end_job(end(job, charged, vec![chunks[1].name.chunk_id]), &decide).await.unwrap();
    assert_eq!(released, ReleasedTasks { returned: 6, failed: 0 });
    assert_eq!(world.number("SELECT count(*) AS value FROM chunk").await, 0);
    assert_eq!(world.status_of(records[0]).await, "waiting");
    let losses = "SELECT sum(losses)::bigint AS value FROM task";
    assert_eq!(world.number(losses).await, 1, "only what it was at work on is charged");
    assert_eq!(world.candidates(10).await.iter().map(|task| task.losses).max(), Some(1));
    world.writer.note_claims(&[(chunks[1].name.chunk_id, job)]).await.unwrap();
    assert_eq!(world.candidates(10).await.len(), 6, "a late sighting holds nothing");
}

/// What was reported since a job was last heard of cannot have ended it: then any of the others may have.
#[tokio::test]
async fn a_task_that_ends_its_jobs_at_once_is_found_out() {
    let world = World::new().await;
    world.add_waters(3).await;
    for (losses, seen) in [(3, vec![]), (1, vec![TaskId(2)]), (3, vec![TaskId(99)])] {
        world.execute("UPDATE task SET losses = 0").await;
        let chunks = stage(&world, 3).await;
        let job = world.pilot().await;
        let charged = Charged::LastSeen(seen.into_iter().collect());
        world.writer.end_job(end(job, charged, ids(&chunks)), &decide).await.unwrap();
        assert_eq!(world.number("SELECT sum(losses)::bigint AS value FROM task").await, losses);
    }
}

#[tokio::test]
async fn a_chunk_that_is_taken_back_or_lost_frees_its_tasks() {
    let world = World::new().await;
    let records = world.add_waters(5).await;
    let chunks = stage(&world, 3).await;
    let freed = world.writer.release_chunks(&[chunks[0].name.chunk_id], "the pool pauses").await.unwrap();
    assert_eq!(freed, 3);
    assert_eq!(record(&world, records[0]).await, ("waiting".to_owned(), Some("the pool pauses".to_owned())));
    assert_eq!(world.candidates(10).await.len(), 3);
    assert_eq!(ids(&world.store.unclaimed_chunks(SITE).await.unwrap()), [chunks[1].name.chunk_id]);
    let again = stage(&world, 3).await;
    assert_eq!(orders(&world, again[0].name.chunk_id).await[0].attempt, 1, "a new attempt for each hand-out");
}

#[tokio::test]
async fn cancelled_tasks_leave_their_chunk() {
    let world = World::new().await;
    let records = world.add_waters(4).await;
    let chunks = stage(&world, 2).await;
    let of = |ids: &[RecordId]| RecordFilter { ids: ids.to_vec(), ..RecordFilter::default() };
    let cancelled = world.writer.cancel(&of(&records[..3])).await.unwrap();
    assert_eq!(cancelled.cancelled.len(), 3);
    assert_eq!(ids(&world.store.empty_chunks(SITE).await.unwrap()), [chunks[0].name.chunk_id]);
    assert_eq!(orders(&world, chunks[1].name.chunk_id).await.len(), 1);
    world.writer.retry(&of(&records[..1])).await.unwrap();
    assert_eq!(waiting(&world).await.len(), 1, "it is staged anew");
    // A pilot that claims what is left of a cancelled chunk does not hold what was cancelled.
    let job = world.pilot().await;
    world.writer.note_claims(&[(chunks[1].name.chunk_id, job)]).await.unwrap();
    let statuses = [world.status_of(records[2]).await, world.status_of(records[3]).await];
    assert_eq!(statuses, ["cancelled", "running"]);
    let outcome = world.writer.cancel(&of(&records[3..])).await.unwrap();
    assert!(
        outcome.jobs_without_work.is_empty(),
        "a pilot is told to stop the task and goes on with other work"
    );
}

#[tokio::test]
async fn a_pilot_in_the_queue_does_not_wait_for_nothing() {
    let world = World::new().await;
    world.add_waters(1).await;
    let submission = world.writer.plan_submission(&planned(vec![vec![]; 3])).await.unwrap().unwrap();
    world.accept(submission).await;
    let jobs = world.store.live_jobs(SITE).await.unwrap();
    assert_eq!(jobs.len(), 3);
    assert!(jobs.iter().all(|job| job.pilot && !job.waits_for_nothing && job.tasks == 0));
    assert_eq!(jobs[0].cluster.as_deref(), Some("local"));
    let together = world.store.live_jobs_together(SITE).await.unwrap();
    assert_eq!((together.len(), together[0].jobs(), together[0].pilot), (1, 3, true));
}

#[tokio::test]
async fn an_old_fence_stages_nothing() {
    let world = World::new().await;
    world.add_waters(2).await;
    let chunks = stage(&world, 1).await;
    let (id, stale): (ChunkId, Writer) = (chunks[0].name.chunk_id, world.writer.clone());
    take_lease(&world.store).await;
    let refused = [
        stale.plan_chunks(&pool(), &[plan_of(&[TaskId(1)])]).await.map(drop),
        stale.ready_chunks(&[id]).await.map(drop),
        stale.note_claims(&[(id, JobId(1))]).await,
        stale.close_chunks(&[id]).await,
        stale.release_chunks(&[id], "x").await.map(drop),
    ];
    for (index, refusal) in refused.into_iter().enumerate() {
        assert!(matches!(refusal, Err(StoreError::LeaseLost { .. })), "write {index}: {refusal:?}");
    }
    assert_eq!(world.store.unclaimed_chunks(SITE).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_name_in_a_directory_gives_no_job_the_tasks_of_another() {
    let world = World::new().await;
    world.add_waters(4).await;
    let chunks = ids(&stage(&world, 2).await);
    let (owner, other) = (world.pilot().await, world.pilot().await);
    world.writer.note_claims(&[(chunks[0], owner)]).await.unwrap();
    // The other job ends with a file of that name in its directory, and one that nobody was seen to have claimed.
    let released = world.writer.end_job(end(other, Charged::All, chunks.clone()), &decide).await.unwrap();
    assert_eq!(released, ReleasedTasks { returned: 2, failed: 0 });
    assert_eq!(orders(&world, chunks[0]).await.len(), 2, "the owner is at work on them");
    let held = format!("SELECT count(*) AS value FROM task WHERE job_id = {owner}");
    assert_eq!(world.number(&held).await, 2);
    assert_eq!(world.number("SELECT count(*) AS value FROM chunk").await, 1);
    let end = world.writer.end_job(end(owner, Charged::All, vec![]), &decide).await.unwrap();
    assert_eq!(end, ReleasedTasks { returned: 2, failed: 0 });
}
