//! The only hand in the directories of pools' chunks: writes what the planner stored, publishes it, takes it back.
//!
//! The row comes first (`planned`), then the file where no job looks, then `ready` in the row, then the rename that
//! publishes. Whichever step a daemon dies after, the next one does the rest: its way through is the same.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::board::{Entry, File};
use super::notices::Notices;
use super::pools::Pool;
use super::site::Site;
use super::troubles::chain;
use crate::failpoint::{self, FailPoint};
use crate::model::chunk::ChunkName;
use crate::model::ids::{ChunkId, PoolName};
use crate::model::task::TaskOrder;
use crate::permit::{Guard, NotPermitted, Permit};
use crate::spool::SpoolError;
use crate::spool::publish::ChunkStore;
use crate::store::StoreError;
use crate::store::chunk::{Stage, UnclaimedChunk};

/// Tasks in memory at once.
const TASKS_AT_ONCE: u32 = 1000;
/// Files published at once, in tasks.
const PUBLISHED_AT_ONCE: u32 = 50_000;
/// Chunks whose tasks were all reported or cancelled are looked for so often.
const CLOSE_INTERVAL: Duration = Duration::from_secs(5);

/// Why chunks did not get on.
#[derive(Debug, Error)]
pub(super) enum StagerError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The spool: full, or not writable.
    #[error("failed to stage chunks")]
    Spool(#[from] SpoolError),
    /// The lease cannot be shown.
    #[error(transparent)]
    NotPermitted(#[from] NotPermitted),
    /// The runtime is shutting down.
    #[error("interrupted while staging")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Stages until shutdown.
pub async fn run(site: Arc<Site>) {
    let mut closed_on: Option<Instant> = None;
    let mut notices = Notices::default();
    loop {
        site.settle("stager", load(&site).await);
        for pool in &site.pools {
            let outcome = stage_pool(&site, pool).await;
            settle(&site, &format!("chunks of pool {}", pool.config.name), outcome);
        }
        if closed_on.is_none_or(|at| at.elapsed() >= CLOSE_INTERVAL) {
            closed_on = Some(Instant::now());
            settle(&site, "closing chunks", close_empty(&site).await);
        }
        settle(&site, "notices to jobs", notices.deliver(&site).await);
        tokio::select! {
            () = site.shutdown.cancelled() => return,
            () = site.stager_bell.notified() => {}
            () = tokio::time::sleep(site.config.daemon.tick) => {}
        }
    }
}

fn settle(site: &Site, subject: &str, outcome: Result<(), StagerError>) {
    match outcome {
        Ok(()) => site.settle(subject, Ok(())),
        Err(StagerError::Store(error)) => site.settle(subject, Err(error)),
        Err(error) => site.troubles.note(subject, chain(&error)),
    }
}

/// Reads, once, what an earlier daemon left.
async fn load(site: &Arc<Site>) -> Result<(), StoreError> {
    if site.pools.iter().all(|pool| pool.board.is_loaded()) {
        return Ok(());
    }
    let mut by_pool: HashMap<PoolName, Vec<UnclaimedChunk>> = HashMap::new();
    for chunk in site.store.unclaimed_chunks(site.name()).await? {
        by_pool.entry(chunk.pool.clone()).or_default().push(chunk);
    }
    for pool in site.pools.iter().filter(|pool| !pool.board.is_loaded()) {
        let chunks = by_pool.remove(&pool.config.name).unwrap_or_default();
        let store = ChunkStore::of(&site.spool, &pool.config.name);
        let Some(permit) = permit_to_load(site).await else { return Ok(()) };
        let sorted = tokio::task::spawn_blocking(move || sort_out(&store, &chunks, &permit)).await;
        match sorted {
            Ok(Ok((entries, strays))) => {
                tell_strays(&pool.config.name.0, strays);
                pool.board.load(entries);
            }
            Ok(Err(error)) => {
                site.troubles.note(&format!("chunks of pool {}", pool.config.name), chain(&error));
            }
            Err(_interrupted) => return Ok(()),
        }
    }
    withdraw_elsewhere(site, &by_pool).await;
    for (name, chunks) in by_pool {
        // Of a pool that is no longer configured: nobody will come for them.
        let store = ChunkStore::of(&site.spool, &name);
        let names: Vec<ChunkName> = chunks.iter().map(|chunk| chunk.name).collect();
        let Some(permit) = permit_to_load(site).await else { return Ok(()) };
        let withdrawn = tokio::task::spawn_blocking(move || store.withdraw(&names, &permit)).await;
        if let Ok(Ok(mut gone)) = withdrawn {
            let planned = chunks.iter().filter(|chunk| chunk.stage == Stage::Planned);
            gone.extend(planned.map(|chunk| chunk.name));
            let ids: Vec<ChunkId> = gone.iter().map(|name| name.chunk_id).collect();
            site.writer.release_chunks(&ids, &format!("pool {name} is no longer configured")).await?;
        }
    }
    site.planner_bell.notify_one();
    Ok(())
}

/// Nothing where the lease cannot be shown now: the next pass loads what this one left.
async fn permit_to_load(site: &Site) -> Option<Permit> {
    match site.lease.permit().await {
        Ok(permit) => Some(permit),
        Err(refusal) => {
            site.troubles.note("stager", refusal.to_string());
            None
        }
    }
}

/// Takes back what waits in directories of pools that are no longer configured and that no row knows.
async fn withdraw_elsewhere(site: &Arc<Site>, known: &HashMap<PoolName, Vec<UnclaimedChunk>>) {
    let Some(permit) = permit_to_load(site).await else { return };
    let spool = site.spool.clone();
    let configured: Vec<PathBuf> = site.pools.iter().map(|pool| spool.pool(&pool.config.name)).collect();
    let keep: HashSet<ChunkName> = known.values().flatten().map(|chunk| chunk.name).collect();
    let withdrawn = tokio::task::spawn_blocking(move || {
        let mut withdrawn = Vec::new();
        for (directory, store) in ChunkStore::all(&spool)? {
            if !configured.contains(&directory) {
                withdrawn.extend(store.withdraw_strays(&keep, &permit)?);
            }
        }
        Ok::<_, SpoolError>(withdrawn)
    });
    match withdrawn.await {
        Ok(Ok(strays)) => tell_strays("that are no longer configured", strays.len()),
        Ok(Err(error)) => site.troubles.note("chunks of former pools", chain(&error)),
        Err(_interrupted) => {}
    }
}

fn tell_strays(pool: &str, strays: usize) {
    if strays > 0 {
        tracing::warn!(pool, chunks = strays, "took chunks away that this database does not know");
    }
}

/// How far each stored chunk has come, and an end to leftovers: how many chunks waited that no row knows. A chunk that is
/// `ready` and no longer staged was published.
fn sort_out(
    store: &ChunkStore,
    chunks: &[UnclaimedChunk],
    permit: &Permit,
) -> Result<(Vec<Entry>, usize), SpoolError> {
    store.create()?;
    let ready = chunks.iter().filter(|chunk| chunk.stage == Stage::Ready).map(|chunk| chunk.name);
    let withdrawn: HashSet<ChunkName> =
        store.withdraw_strays(&ready.collect(), permit)?.into_iter().collect();
    let staged = store.staged()?;
    let entries: Vec<Entry> = chunks
        .iter()
        .map(|chunk| Entry {
            name: chunk.name,
            expected_seconds: chunk.expected_seconds,
            file: match chunk.stage {
                Stage::Planned => File::Planned,
                Stage::Ready if staged.contains(&chunk.name) => File::Written,
                // It waited for jobs of before a restore, and none of them had claimed it.
                Stage::Ready if withdrawn.contains(&chunk.name) => File::Planned,
                Stage::Ready => File::Published,
            },
        })
        .collect();
    let written = entries.iter().filter(|entry| entry.file == File::Written).map(|entry| entry.name);
    store.sweep(&written.collect(), permit)?;
    let known: HashSet<ChunkName> = chunks.iter().map(|chunk| chunk.name).collect();
    Ok((entries, withdrawn.difference(&known).count()))
}

async fn stage_pool(site: &Arc<Site>, pool: &Pool) -> Result<(), StagerError> {
    if !pool.board.is_loaded() {
        return Ok(());
    }
    if let Some(reason) = pool.board.take_withdrawal() {
        withdraw(site, pool, pool.board.all(), &reason).await?;
    }
    loop {
        publish(site, pool).await?;
        let planned = pool.board.at(File::Planned, TASKS_AT_ONCE);
        if planned.is_empty() || site.shutdown.is_cancelled() {
            return Ok(());
        }
        write(site, pool, planned.iter().map(|entry| entry.name).collect()).await?;
    }
}

async fn write(site: &Arc<Site>, pool: &Pool, names: Vec<ChunkName>) -> Result<(), StagerError> {
    let ids: Vec<ChunkId> = names.iter().map(|name| name.chunk_id).collect();
    let mut tasks = site.store.chunk_orders(&ids).await?;
    let mut files: Vec<(ChunkName, Vec<TaskOrder>)> = Vec::with_capacity(names.len());
    let mut empty = Vec::new();
    for name in names {
        let Some(tasks) = tasks.remove(&name.chunk_id) else {
            empty.push(name);
            continue;
        };
        files.push((name, tasks.into_iter().map(|task| task.into_order(name.need)).collect()));
    }
    if !empty.is_empty() {
        // Every task of it was cancelled.
        site.writer.close_chunks(&empty.iter().map(|name| name.chunk_id).collect::<Vec<_>>()).await?;
        pool.board.remove(&empty);
    }
    let written: Vec<ChunkName> = files.iter().map(|(name, _)| *name).collect();
    let store = ChunkStore::of(&site.spool, &pool.config.name);
    let permit = site.lease.permit().await?;
    tokio::task::spawn_blocking(move || store.write(files, &permit)).await??;
    failpoint::hit(FailPoint::ChunksWritten);
    site.writer.ready_chunks(&written.iter().map(|name| name.chunk_id).collect::<Vec<_>>()).await?;
    failpoint::hit(FailPoint::ChunksReady);
    pool.board.advance(&written, File::Written);
    Ok(())
}

async fn publish(site: &Arc<Site>, pool: &Pool) -> Result<(), StagerError> {
    let written: Vec<ChunkName> =
        pool.board.at(File::Written, PUBLISHED_AT_ONCE).iter().map(|entry| entry.name).collect();
    if written.is_empty() {
        return Ok(());
    }
    let store = ChunkStore::of(&site.spool, &pool.config.name);
    let names = written.clone();
    let permit = site.lease.permit().await?;
    tokio::task::spawn_blocking(move || store.publish(&names, &permit)).await??;
    failpoint::hit(FailPoint::ChunksPublished);
    pool.board.advance(&written, File::Published);
    pool.cluster.look_bell.notify_one();
    Ok(())
}

/// Takes chunks back that no job has claimed; their tasks wait again.
async fn withdraw(
    site: &Arc<Site>,
    pool: &Pool,
    entries: Vec<Entry>,
    reason: &str,
) -> Result<(), StagerError> {
    let names: Vec<ChunkName> = entries.iter().map(|entry| entry.name).collect();
    let store = ChunkStore::of(&site.spool, &pool.config.name);
    let permit = site.lease.permit().await?;
    let mut withdrawn = tokio::task::spawn_blocking(move || store.withdraw(&names, &permit)).await??;
    // Of these there is no file, whatever a dead daemon began: it lies where no job looks and is swept.
    let planned = entries.iter().filter(|entry| entry.file == File::Planned).map(|entry| entry.name);
    withdrawn.extend(planned);
    let ids: Vec<ChunkId> = withdrawn.iter().map(|name| name.chunk_id).collect();
    let tasks = site.writer.release_chunks(&ids, reason).await?;
    pool.board.remove(&withdrawn);
    tracing::info!(pool = %pool.config.name, chunks = ids.len(), tasks, reason, "took chunks back");
    site.planner_bell.notify_one();
    Ok(())
}

/// Closes chunks that have no task any more; files of theirs that nobody has claimed are taken away first.
async fn close_empty(site: &Arc<Site>) -> Result<(), StagerError> {
    let empty = site.store.empty_chunks(site.name()).await?;
    if empty.is_empty() {
        return Ok(());
    }
    let mut by_pool: HashMap<PoolName, Vec<ChunkName>> = HashMap::new();
    for chunk in &empty {
        by_pool.entry(chunk.pool.clone()).or_default().push(chunk.name);
    }
    for (name, chunks) in by_pool {
        let store = ChunkStore::of(&site.spool, &name);
        let gone = chunks.clone();
        let permit = site.lease.permit().await?;
        tokio::task::spawn_blocking(move || store.withdraw(&gone, &permit)).await??;
        site.writer.close_chunks(&chunks.iter().map(|name| name.chunk_id).collect::<Vec<_>>()).await?;
        if let Some(pool) = site.pool(&name) {
            pool.board.remove(&chunks);
        }
    }
    Ok(())
}
