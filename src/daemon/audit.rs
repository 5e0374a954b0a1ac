//! Looks for chunks that are nowhere: neither staged, nor ready, nor in the directory of a live job, although tasks of
//! theirs are not settled. A file system that lost a file must not hold tasks for ever.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use super::looks::{self, LOOK_LIMIT};
use super::pools::Pool;
use super::site::Site;
use crate::model::chunk::ChunkName;
use crate::model::ids::ChunkId;
use crate::spool::evidence;
use crate::spool::layout::JobDirectory;
use crate::spool::publish::ChunkStore;
use crate::store::chunk::{Stage, UnclaimedChunk};
use crate::store::job::JobRow;

/// Why an audit found out nothing.
pub type AuditError = Box<dyn std::error::Error + Send + Sync>;

/// Since when chunks were nowhere to be seen. Losing it means waiting once more.
#[derive(Default)]
pub struct Missed(HashMap<ChunkId, Instant>);

/// Gives back the tasks of chunks that were nowhere for longer than their pool's `grace`.
pub async fn audit(site: &Arc<Site>, missed: &mut Missed) -> Result<(), AuditError> {
    let ended: Vec<ChunkId> = site.store.chunks_of_ended_jobs(site.name()).await?.iter().map(id_of).collect();
    site.writer.release_chunks(&ended, "the job that had it has ended").await?;
    let chunks = site.store.unclaimed_chunks(site.name()).await?;
    let ready: Vec<&UnclaimedChunk> = chunks.iter().filter(|chunk| chunk.stage == Stage::Ready).collect();
    missed.0.retain(|id, _| ready.iter().any(|chunk| chunk.name.chunk_id == *id));
    let mut outcome = Ok(());
    for pool in site.pools.iter().filter(|pool| pool.board.is_loaded()) {
        let of_pool = ready.iter().filter(|chunk| chunk.pool == pool.config.name);
        let names: HashSet<ChunkName> = of_pool.map(|chunk| chunk.name).collect();
        // One pool's file system that does not answer keeps no other pool from being looked at.
        let audited = audit_pool(site, pool, names, missed).await;
        outcome = outcome.and(audited);
    }
    outcome
}

fn id_of(chunk: &UnclaimedChunk) -> ChunkId {
    chunk.name.chunk_id
}

async fn audit_pool(
    site: &Arc<Site>,
    pool: &Pool,
    names: HashSet<ChunkName>,
    missed: &mut Missed,
) -> Result<(), AuditError> {
    if names.is_empty() {
        return Ok(());
    }
    let name = &pool.config.name;
    let store = ChunkStore::of(&site.spool, name);
    let look = move || store.ready().and_then(|ready| Ok((ready, store.staged()?)));
    let (ready, staged) =
        looks::within(LOOK_LIMIT, &site.spool.pool(name), &site.spool.staged(name), look).await?;
    let seen = pool.board.seen_claimed();
    let mut nowhere: Vec<ChunkName> = Vec::new();
    for name in names {
        if ready.contains(&name) || staged.contains(&name) || seen.contains(&name.chunk_id) {
            missed.0.remove(&name.chunk_id);
            continue;
        }
        let since = *missed.0.entry(name.chunk_id).or_insert_with(Instant::now);
        if since.elapsed() > pool.config.grace {
            nowhere.push(name);
        }
    }
    if nowhere.is_empty() {
        return Ok(());
    }
    let Some(held) = held_by_jobs(site, pool).await? else { return Ok(()) };
    let lost: Vec<ChunkId> =
        nowhere.iter().filter(|name| !held.contains(name)).map(|name| name.chunk_id).collect();
    let tasks = site.writer.release_chunks(&lost, "the chunk that it lay in was lost").await?;
    if tasks > 0 {
        tracing::error!(pool = %pool.config.name, chunks = lost.len(), tasks, "chunks are lost: their tasks wait again");
        site.planner_bell.notify_one();
    }
    Ok(())
}

/// Chunks in the directories of the pool's live jobs; nothing where results of a job are not stored yet, because those
/// may settle what looks lost.
async fn held_by_jobs(site: &Arc<Site>, pool: &Pool) -> Result<Option<HashSet<ChunkName>>, AuditError> {
    let jobs = site.store.live_jobs(site.name()).await?;
    let jobs: Vec<JobRow> = jobs.into_iter().filter(|job| job.pool == pool.config.name).collect();
    let directories: Vec<(JobDirectory, JobRow)> = jobs
        .into_iter()
        .map(|job| (site.spool.submission(&job.pool, &job.tag).job(job.array_index), job))
        .collect();
    let mut held = HashSet::new();
    let place = site.spool.pool(&pool.config.name);
    for (directory, job) in directories {
        // By its claimed chunks: the observer may be looking at the job's directory.
        let (path, nodes) = (directory.chunk_claimed(), job.nodes);
        let gather = move || evidence::gather(&directory, nodes);
        let found = looks::within(LOOK_LIMIT, &place, &path, gather).await?;
        if found.nodes().any(|(node, found)| found.results_bytes > job.offset(node)) {
            return Ok(None);
        }
        held.extend(found.claimed());
    }
    Ok(Some(held))
}
