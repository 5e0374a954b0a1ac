//! Stages waiting tasks and makes submissions: asks the store for candidates, lets `plan::pilots` decide, stores the
//! intent. Neither the spool nor the scheduler is written to here.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::board::{Entry, File};
use super::forecast::Remembered;
use super::looks::{self, LOOK_LIMIT};
use super::pools::Pool;
use super::python;
use super::sharing::{self, Shared};
use super::site::Site;
use super::stuck;
use super::troubles::chain;
use crate::failpoint::{self, FailPoint};
use crate::model::ids::{JobId, PoolName, Tag, TaskId};
use crate::model::job::JobState;
use crate::model::resources::Filling;
use crate::model::task::Placement;
use crate::model::timing::is_synthetic;
use crate::plan::fit;
use crate::plan::limits::PoolJobs;
use crate::plan::packing::{NodeSize, Shape, TaskDefaults, Waiting};
use crate::plan::pilots::{self, ChunkPlan, JobKind, JobsPlan, LiveGroup, Phase, Plan, Snapshot, Surplus};
use crate::plan::predict::Expectation;
use crate::plan::waiting::Full;
use crate::spool::publish::ChunkStore;
use crate::store::StoreError;
use crate::store::chunk::PlannedChunk;
use crate::store::job::LiveJobs;
use crate::store::queue::{Candidate, CandidateFilter, DemandId};
use crate::store::submission::{PlannedJob, PlannedSubmission};

/// Most tasks looked at for one pool in one pass; the next pass takes the next ones.
const MOST_READ: usize = 8000;
/// As many at least.
const LEAST_READ: usize = 1000;
/// More waiting tasks than this make no difference to how many jobs are wanted.
const MOST_COUNTED: usize = 50_000;
/// A count of waiting tasks is good for so long.
const COUNT_INTERVAL: Duration = Duration::from_secs(10);

/// What the planner remembers of one pool. Losing it costs a pass.
struct Memory {
    /// How many candidates to read.
    limit: usize,
    counted: Option<(Instant, usize)>,
    expected: Remembered,
    /// Since when there were pilots too many, and the least of how many.
    surplus: Option<(Instant, Surplus)>,
    /// What jobs hold that others could do.
    shared: Shared,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory {
            limit: 4 * LEAST_READ,
            counted: None,
            expected: Remembered::default(),
            surplus: None,
            shared: Shared::default(),
        }
    }
}

/// Plans until shutdown.
pub async fn run(site: Arc<Site>) {
    let mut memories: HashMap<PoolName, Memory> = HashMap::new();
    loop {
        tokio::select! {
            () = site.shutdown.cancelled() => return,
            () = site.planner_bell.notified() => {}
            () = tokio::time::sleep(site.config.daemon.tick) => {}
        }
        let outcome = plan_all(&site, &mut memories).await;
        site.settle("planner", outcome);
    }
}

/// Whether any task may be handed out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Queue {
    Empty,
    Waiting,
}

async fn plan_all(site: &Arc<Site>, memories: &mut HashMap<PoolName, Memory>) -> Result<(), StoreError> {
    let queue = if site.store.has_waiting_tasks().await? { Queue::Waiting } else { Queue::Empty };
    let all = site.store.live_jobs_together(site.name()).await?;
    stuck::tell(site, &all).await?;
    let mut live: HashMap<PoolName, Vec<LiveJobs>> = HashMap::new();
    for jobs in all {
        live.entry(jobs.pool.clone()).or_default().push(jobs);
    }
    let counts: HashMap<&PoolName, u32> =
        live.iter().map(|(name, jobs)| (name, jobs.iter().map(LiveJobs::jobs).sum())).collect();
    for pool in site.pools.iter().filter(|pool| pool.board.is_loaded()) {
        let room = pool.room_under_limits(&jobs_of_cluster(site, pool, &counts));
        let live = live.get(&pool.config.name).map_or(&[][..], Vec::as_slice);
        let memory = memories.entry(pool.config.name.clone()).or_default();
        plan_pool(site, pool, live, room, queue, memory).await?;
    }
    Ok(())
}

/// The live jobs of every pool that shares the pool's scheduler.
fn jobs_of_cluster<'s>(site: &'s Site, pool: &Pool, counts: &HashMap<&PoolName, u32>) -> Vec<PoolJobs<'s>> {
    let shares = |other: &&Arc<Pool>| Arc::ptr_eq(&other.cluster, &pool.cluster);
    let jobs = |other: &'s Arc<Pool>| PoolJobs {
        resources: &other.config.resources,
        jobs: counts.get(&other.config.name).copied().unwrap_or(0),
    };
    site.pools.iter().filter(shares).map(jobs).collect()
}

async fn plan_pool(
    site: &Arc<Site>,
    pool: &Arc<Pool>,
    live: &[LiveJobs],
    room_under_limits: u32,
    queue: Queue,
    memory: &mut Memory,
) -> Result<(), StoreError> {
    let paused = pool.paused();
    match &paused {
        Some(reason) => site.troubles.note(&pool.subject(), reason.as_str()),
        None => site.troubles.clear(&pool.subject()),
    }
    let without_python = pool.python.paused(Instant::now());
    let subject = format!("Python of pool {}", pool.config.name);
    match &without_python {
        Some(reason) => site.troubles.note(&subject, python::advice(reason, &pool.config.name.0)),
        None => site.troubles.clear(&subject),
    }
    if let Some(reason) = paused.as_ref().filter(|_| live.is_empty()) {
        // Nobody will come for what is staged: others may have it.
        pool.board.ask_withdrawal(reason.clone());
        site.stager_bell.notify_one();
        return Ok(());
    }
    if queue == Queue::Empty && live.is_empty() && pool.board.all().is_empty() {
        return Ok(());
    }
    if !look_into_ready(site, pool).await {
        return Ok(());
    }
    let all: u32 = live.iter().map(LiveJobs::jobs).sum();
    let blocked: u32 = live.iter().filter(|jobs| jobs.state == JobState::Blocked).map(LiveJobs::jobs).sum();
    let free = match paused {
        Some(_) => 0,
        None => {
            let wanted = pilots::free_jobs(pool.config.max_jobs, all, blocked);
            wanted.min(pool.room_below_ceiling()).min(room_under_limits)
        }
    };
    if blocked > 0 && blocked == all && free == 0 {
        pool.board.ask_withdrawal("all jobs of the pool are blocked in its queue".to_owned());
        site.stager_bell.notify_one();
    }
    let groups = pilots_of(pool, live);
    let candidates = match queue {
        Queue::Waiting if free > 0 || !groups.is_empty() => {
            site.store.candidates(&filter(site, pool), memory.limit).await?
        }
        _ => Vec::new(),
    };
    let backlog = backlog(site, pool, memory, candidates.len()).await?;
    let full = match all.saturating_sub(blocked) >= pool.config.max_jobs {
        true => Full::MaxJobs(pool.config.max_jobs),
        false => Full::SchedulersLimit,
    };
    let is_full = paused.is_none() && free == 0 && backlog > 0;
    *pool.full.lock().unwrap_or_else(PoisonError::into_inner) = is_full.then_some(full);
    memory.expected.refresh(site, pool, &candidates).await?;
    let expected = |candidate: &Candidate| waiting(site, pool, candidate, memory.expected.of(candidate));
    let waiting: Vec<Waiting> = candidates.iter().map(expected).collect();
    let unclaimed = pool.board.unclaimed();
    let snapshot =
        Snapshot { waiting: &waiting, backlog, unclaimed: &unclaimed, live: &groups, free_jobs: free };
    let plan = pilots::plan(&snapshot, &shape_for(pool, &candidates), defaults(site, pool));
    let surplus = plan.surplus;
    let staged = store(site, pool, plan, &candidates).await?;
    memory.next_limit(candidates.len(), staged);
    if staged > 0 && candidates.len() > staged {
        // There is more, and it may be wanted as well.
        site.planner_bell.notify_one();
    }
    sharing::share(site, pool, (live, free), &mut memory.shared).await?;
    let_go(site, live, surplus, memory).await
}

/// A benchmark measures what the pool can do: its tasks are spread over as many jobs as may be free.
fn shape_for(pool: &Pool, candidates: &[Candidate]) -> Shape {
    let shape = pool.shape();
    let is_bench = |candidate: &Candidate| candidate.required_program.as_deref().is_some_and(is_synthetic);
    match !candidates.is_empty() && candidates.iter().all(is_bench) {
        true => Shape { filling: Filling::Spread, ..shape },
        false => shape,
    }
}

/// Learns from the directory what was claimed; `false` where it cannot be read.
async fn look_into_ready(site: &Site, pool: &Pool) -> bool {
    let published = pool.board.published();
    if published.is_empty() {
        return true;
    }
    let name = &pool.config.name;
    let store = ChunkStore::of(&site.spool, name);
    let subject = format!("ready chunks of pool {name}");
    let ready = move || store.ready();
    match looks::within(LOOK_LIMIT, &site.spool.pool(name), &site.spool.ready(name), ready).await {
        Ok(ready) => {
            site.troubles.clear(&subject);
            pool.board.see_ready(&ready, &published);
            true
        }
        Err(error) => {
            site.troubles.note(&subject, chain(&error));
            false
        }
    }
}

/// The pool's pilots in the planner's words.
fn pilots_of(pool: &Pool, live: &[LiveJobs]) -> Vec<LiveGroup> {
    let limit = pool.config.tasks_per_job.map(u64::from);
    let mut groups = Vec::new();
    for jobs in live.iter().filter(|jobs| jobs.pilot && !jobs.cancelling) {
        let tasks_left =
            limit.map(|most| (most * u64::from(jobs.jobs())).saturating_sub(u64::from(jobs.tasks)));
        let group = |phase| LiveGroup { tasks_left, ..group_of(jobs, phase) };
        match jobs.state {
            JobState::Queued if waits_long(jobs) => groups.push(group(Phase::Late)),
            // A job that a poll did not list is still counted on: only what settles it makes room for another.
            JobState::Planned | JobState::Queued | JobState::Missing => groups.push(group(Phase::Coming)),
            JobState::Blocked => groups.push(group(Phase::Blocked)),
            JobState::Running => {
                let group = group(Phase::Busy);
                let busy = jobs.ids().filter(|id| pool.board.is_at_work(*id)).count() as u32;
                let shares = [(Phase::Busy, busy), (Phase::Idle, group.jobs - busy)];
                groups.extend(shares.into_iter().filter(|(_, jobs)| *jobs > 0).map(|(phase, jobs)| {
                    let tasks_left =
                        group.tasks_left.map(|left| left * u64::from(jobs) / u64::from(group.jobs));
                    LiveGroup { phase, jobs, tasks_left, ..group }
                }));
            }
            JobState::Suspended | JobState::Ending | JobState::Ended => {}
        }
    }
    groups
}

/// Pilots that stand alike, as jobs of this phase without a limit on tasks.
pub(super) fn group_of(jobs: &LiveJobs, phase: Phase) -> LiveGroup {
    let resources = &jobs.resources;
    let ran = jobs.started_ago.filter(|_| phase.runs());
    LiveGroup {
        phase,
        jobs: jobs.jobs(),
        nodes: resources.nodes.max(1),
        node: NodeSize {
            cores: resources.cores_per_node(),
            memory_bytes: resources.memory_bytes.unwrap_or(u64::MAX),
            gpus: resources.gpus,
        },
        left: resources.walltime.saturating_sub(ran.unwrap_or_default()),
        tasks_left: None,
    }
}

fn waits_long(jobs: &LiveJobs) -> bool {
    jobs.queued_ago.is_some_and(|ago| ago >= pilots::LATE)
}

/// How many tasks the pool may run, given that `read` of them were read.
async fn backlog(site: &Site, pool: &Pool, memory: &mut Memory, read: usize) -> Result<usize, StoreError> {
    if read < memory.limit {
        memory.counted = None;
        return Ok(read);
    }
    if let Some((at, count)) = memory.counted
        && at.elapsed() < COUNT_INTERVAL
    {
        return Ok(count.max(read));
    }
    let count = site.store.backlog(&filter(site, pool), MOST_COUNTED).await?;
    memory.counted = Some((Instant::now(), count));
    Ok(count.max(read))
}

impl Memory {
    /// Reads more next time when all that was read was wanted, and less when little was.
    fn next_limit(&mut self, read: usize, staged: usize) {
        if read == self.limit && staged >= read / 2 {
            self.limit = (self.limit * 2).min(MOST_READ);
        } else if read == self.limit && staged < read / 8 {
            self.limit = (self.limit / 2).max(LEAST_READ);
        }
        if let Some((_, count)) = &mut self.counted {
            *count = count.saturating_sub(staged);
        }
    }
}

/// Stores what was decided; returns how many tasks were staged.
async fn store(site: &Site, pool: &Pool, plan: Plan, candidates: &[Candidate]) -> Result<usize, StoreError> {
    if !plan.unfit.is_empty() {
        site.writer.note_waiting(plan.unfit).await?;
    }
    for jobs in plan.jobs {
        submit(site, pool, jobs).await?;
    }
    stage(site, pool, plan.chunks, candidates).await
}

async fn submit(site: &Site, pool: &Pool, jobs: JobsPlan) -> Result<(), StoreError> {
    let planned = PlannedSubmission {
        pool: pool.config.name.clone(),
        cluster: pool.cluster.name.clone(),
        tag: new_tag(),
        resources: jobs.resources,
        jobs: match jobs.kind {
            JobKind::Pilots(count) => {
                vec![PlannedJob { placement: Placement::Shared, tasks: Vec::new() }; count as usize]
            }
            JobKind::Bound { task, placement } => vec![PlannedJob { placement, tasks: vec![task] }],
        },
    };
    if let Some(id) = site.writer.plan_submission(&planned).await? {
        failpoint::hit(FailPoint::SubmissionPlanned);
        tracing::info!(
            submission.id = id.0, tag = %planned.tag, pool = %planned.pool, jobs = planned.jobs.len(),
            "planned a submission",
        );
        site.submitter_bell.notify_waiters();
    }
    Ok(())
}

async fn stage(
    site: &Site,
    pool: &Pool,
    chunks: Vec<ChunkPlan>,
    candidates: &[Candidate],
) -> Result<usize, StoreError> {
    if chunks.is_empty() {
        return Ok(0);
    }
    let planned: Vec<PlannedChunk> = chunks
        .into_iter()
        .map(|chunk| PlannedChunk {
            compute_priority: chunk.compute_priority,
            need: chunk.need.of_chunk(),
            expected_seconds: chunk.expected_seconds,
            tasks: chunk.tasks,
        })
        .collect();
    let stored = site.writer.plan_chunks(&pool.config.name, &planned).await?;
    failpoint::hit(FailPoint::ChunksPlanned);
    let demands: HashMap<TaskId, DemandId> =
        candidates.iter().map(|candidate| (candidate.task_id, candidate.demand)).collect();
    let handed_out = planned.iter().flat_map(|chunk| &chunk.tasks);
    pool.pace.handed_out(handed_out.filter_map(|task| Some((*task, *demands.get(task)?))));
    let tasks: usize = stored.iter().map(|chunk| chunk.name.tasks as usize).sum();
    tracing::debug!(pool = %pool.config.name, chunks = stored.len(), tasks, "planned chunks");
    pool.board.add(stored.into_iter().map(|chunk| Entry {
        name: chunk.name,
        expected_seconds: chunk.expected_seconds,
        file: File::Planned,
    }));
    site.stager_bell.notify_one();
    Ok(tasks)
}

/// Asks pilots in the queue to end that nothing was left for during a while, the newest first; at once after a person
/// cancelled work.
async fn let_go(
    site: &Site,
    live: &[LiveJobs],
    surplus: Surplus,
    memory: &mut Memory,
) -> Result<(), StoreError> {
    if surplus.is_none() {
        memory.surplus = None;
        return Ok(());
    }
    let (since, least) = memory.surplus.unwrap_or((Instant::now(), surplus));
    let least = least.min(surplus);
    memory.surplus = Some((since, least));
    if since.elapsed() < pilots::patience(site.since_cancel()) {
        return Ok(());
    }
    memory.surplus = None;
    let newest_in = |state: JobState, count: u32| {
        let waiting = live.iter().filter(move |jobs| jobs.pilot && !jobs.cancelling && jobs.state == state);
        let mut ids: Vec<JobId> = waiting.flat_map(LiveJobs::ids).collect();
        ids.sort();
        ids.into_iter().rev().take(count as usize)
    };
    let newest: Vec<JobId> = newest_in(JobState::Blocked, least.blocked)
        .chain(newest_in(JobState::Queued, least.queued))
        .collect();
    let let_go = site.writer.request_cancel(&newest).await?;
    tracing::info!(jobs = let_go.len(), "nothing is left for jobs in the queue: they are let go");
    Ok(())
}

/// Which tasks suit a pool.
fn filter(site: &Site, pool: &Pool) -> CandidateFilter {
    let native = &site.config.worker.native_programs;
    let without_python = pool.python.paused(Instant::now()).is_some();
    CandidateFilter {
        pool: pool.config.name.clone(),
        programs: fit::programs(&pool.config.programs, without_python.then_some(native)),
        compute_tags: pool.config.compute_tags.clone(),
        most: pool.shape().most(),
        defaults: defaults(site, pool).resources(),
    }
}

/// What tasks get in a pool that say nothing.
pub fn defaults(site: &Site, pool: &Pool) -> TaskDefaults {
    let defaults = &site.config.defaults;
    let wanted = TaskDefaults {
        cores: defaults.cores,
        memory_bytes: defaults.memory_bytes,
        walltime: defaults.walltime,
    };
    wanted.within(&pool.shape())
}

fn waiting(site: &Site, pool: &Pool, candidate: &Candidate, expectation: Expectation) -> Waiting {
    let limit = candidate.resources.walltime_seconds;
    let limit = limit.unwrap_or_else(|| site.config.defaults.walltime.as_secs());
    Waiting {
        task_id: candidate.task_id,
        placement: candidate.placement,
        asks: candidate.resources.clone(),
        expectation,
        compute_priority: u8::try_from(candidate.compute_priority).unwrap_or_default(),
        tries: candidate.tries,
        losses: candidate.losses,
        last_failure: candidate.last_failure,
        expected_seconds: expectation
            .seconds
            .unwrap_or_else(|| pool.pace.expected(candidate, limit))
            .max(pool.pace.at_least(candidate)),
    }
}

/// A tag that no other submission has.
pub fn new_tag() -> Tag {
    let milliseconds = Timestamp::now().as_millisecond();
    Tag::new(milliseconds.unsigned_abs(), rand::random())
}
