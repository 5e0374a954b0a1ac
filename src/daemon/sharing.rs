//! Asks jobs to give tasks back that they hold and have not begun, where others have room for them: gathers what is known of
//! the pool's running jobs, lets `plan::sharing` decide, and puts what it says on the board, from where the stager tells it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::planner;
use super::pools::Pool;
use super::site::Site;
use crate::model::chunk::ChunkName;
use crate::model::ids::{ChunkId, JobId};
use crate::model::job::JobState;
use crate::model::notice::GiveBack;
use crate::model::resources::Filling;
use crate::plan::pilots::{LiveGroup, Phase};
use crate::plan::sharing::{self, Give, Hands, HeldChunk};
use crate::store::StoreError;
use crate::store::chunk::OpenTasks;
use crate::store::job::LiveJobs;

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(2);
/// With more chunks in the hands of jobs, all of which are at work, the count of what is left of them is not worth its cost so
/// often.
const MANY_CHUNKS: usize = 200;
const RARE_INTERVAL: Duration = Duration::from_secs(30);

/// What is remembered of one pool. Losing it means taking what is left of a chunk for all of it.
#[derive(Default)]
pub struct Shared {
    /// When it was last looked.
    looked_on: Option<Instant>,
    /// Tasks of each chunk when it was first seen in a job, less those that were asked back since.
    tasks: HashMap<ChunkId, u32>,
}

/// Decides for one pool whose jobs are `live` and that may have `free` more.
pub async fn share(
    site: &Site,
    pool: &Pool,
    (live, free): (&[LiveJobs], u32),
    shared: &mut Shared,
) -> Result<(), StoreError> {
    if shared.looked_on.is_some_and(|at| at.elapsed() < INTERVAL) {
        return Ok(());
    }
    let held = pool.board.held();
    let chunks: Vec<ChunkId> = held.values().flatten().map(|(name, _)| name.chunk_id).collect();
    if chunks.is_empty() {
        return Ok(());
    }
    let running =
        || live.iter().filter(|jobs| jobs.pilot && !jobs.cancelling && jobs.state == JobState::Running);
    let all_work = running().flat_map(LiveJobs::ids).all(|id| held.contains_key(&id));
    if all_work
        && chunks.len() > MANY_CHUNKS
        && shared.looked_on.is_some_and(|at| at.elapsed() < RARE_INTERVAL)
    {
        return Ok(());
    }
    shared.looked_on = Some(Instant::now());
    let open = site.store.open_tasks(&chunks).await?;
    let hands = hands(running(), &held, &open, &mut shared.tasks);
    learn(pool, &hands, &open);
    let new_jobs = if pool.config.filling == Filling::Spread { free } else { 0 };
    for Give { chunk, keep, given } in sharing::share(&hands, &pool.board.unclaimed(), new_jobs) {
        if pool.board.ask_back(chunk, GiveBack { number: rand::random(), keep }) {
            if let Some(tasks) = shared.tasks.get_mut(&chunk) {
                *tasks = tasks.saturating_sub(given);
            }
            site.stager_bell.notify_one();
        }
    }
    Ok(())
}

/// The running pilots in `plan`'s words.
fn hands<'a>(
    running: impl Iterator<Item = &'a LiveJobs>,
    held: &HashMap<JobId, Vec<(ChunkName, Duration)>>,
    open: &[OpenTasks],
    first: &mut HashMap<ChunkId, u32>,
) -> Vec<Hands> {
    let mut left: HashMap<ChunkId, u32> = HashMap::new();
    for tasks in open {
        *left.entry(tasks.chunk_id).or_default() += tasks.tasks;
    }
    first.retain(|chunk, _| left.contains_key(chunk));
    for (chunk, open) in &left {
        first.entry(*chunk).or_insert(*open);
    }
    let first = &*first;
    let chunk = |(name, held_for): &(ChunkName, Duration)| {
        let open = left.get(&name.chunk_id).copied().unwrap_or(0);
        HeldChunk {
            chunk: name.chunk_id,
            need: name.need.into(),
            tasks: first.get(&name.chunk_id).copied().unwrap_or(open).max(open),
            open,
            held_for: *held_for,
        }
    };
    let mut hands = Vec::new();
    for jobs in running {
        for id in jobs.ids() {
            let chunks: Vec<HeldChunk> = held.get(&id).into_iter().flatten().map(chunk).collect();
            let phase = if chunks.is_empty() { Phase::Idle } else { Phase::Busy };
            let job = LiveGroup { jobs: 1, ..planner::group_of(jobs, phase) };
            hands.push(Hands { job, chunks });
        }
    }
    hands
}

/// What is not done yet tells how long its tasks take at least.
fn learn(pool: &Pool, hands: &[Hands], open: &[OpenTasks]) {
    for holder in hands {
        for chunk in holder.chunks.iter().filter(|chunk| chunk.open > 0) {
            let seconds = chunk.least_seconds(&holder.job);
            let demands = open.iter().filter(|tasks| tasks.chunk_id == chunk.chunk);
            demands.for_each(|tasks| pool.pace.takes_at_least(tasks.demand(), seconds));
        }
    }
}
