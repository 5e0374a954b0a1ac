//! Follows the live jobs of one cluster: what they wrote, what the scheduler's last poll said, what `plan::job` makes of
//! both. One loop per cluster, in which no scheduler is called: one that hangs delays nobody.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::task::JoinHandle;

use super::clusters::Cluster;
use super::follow::{self, Followed};
use super::sightings::{self, Polled, Polls, Seen};
use super::site::Site;
use super::troubles::chain;
use crate::model::ids::{ChunkId, JobId, SchedulerJobId};
use crate::model::job::{JobState, SubmissionState};
use crate::plan::job::Ending;
use crate::store::StoreError;
use crate::store::job::JobRow;

/// Job directories looked into in one pass; with more live jobs they take turns.
const DIRECTORIES_PER_PASS: usize = 1000;
/// The same for jobs that wait in the queue.
const WAITING_DIRECTORIES_PER_PASS: usize = 50;
/// Jobs followed at once: one is read while the results of another are stored.
const AT_ONCE: usize = 2;

/// Between passes, jobs whose results flow are looked at so often.
const GLANCE_INTERVAL: Duration = Duration::from_millis(200);
/// Results flow while the last ones are not older than this.
const FLOW: Duration = Duration::from_secs(2);
/// All running jobs of a pool are looked at so long after something was published for them.
const AFTER_PUBLISHING: Duration = Duration::from_secs(5);
/// Most jobs looked at between passes.
const MOST_GLANCED: usize = 64;

/// A chunk is noted as claimed after this: the tasks of most chunks are reported before, and need no write more.
const CLAIM_AGE: Duration = Duration::from_secs(2);

/// What the observer of a cluster remembers between passes. Losing it costs a pass.
#[derive(Default)]
struct Memory {
    polls: Polls,
    /// Where the turn of looking into directories stands.
    turn: usize,
    /// Running jobs as they were last read or stored.
    running: HashMap<JobId, Running>,
    /// Chunks that lie in directories of jobs.
    claims: HashMap<ChunkId, Claim>,
    /// The accounting's answers about missing jobs.
    accounts: HashMap<SchedulerJobId, Ending>,
    /// A question to the accounting that is not answered yet.
    asked: Option<JoinHandle<HashMap<SchedulerJobId, Ending>>>,
}

struct Running {
    row: JobRow,
    grew_on: Option<Instant>,
    claimed: Vec<ChunkId>,
}

struct Claim {
    job: JobId,
    since: Instant,
    noted: Noted,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Noted {
    No,
    Yes,
}

/// Observes until shutdown.
pub async fn run(site: Arc<Site>, cluster: Arc<Cluster>) {
    let mut memory = Memory::default();
    let subject = format!("observer {}", cluster.name);
    loop {
        let next_pass = tokio::time::Instant::now() + site.config.daemon.tick;
        let outcome = pass(&site, &cluster, &mut memory).await;
        site.settle(&subject, outcome);
        loop {
            let until = match memory.flows(&site) {
                true => next_pass.min(tokio::time::Instant::now() + GLANCE_INTERVAL),
                false => next_pass,
            };
            tokio::select! {
                () = site.shutdown.cancelled() => return,
                () = cluster.look_bell.notified() => {}
                () = tokio::time::sleep_until(until) => {}
            }
            if tokio::time::Instant::now() >= next_pass {
                break;
            }
            match glance(&site, &mut memory).await {
                Ok(Glance::Nothing) => {}
                // A job said its last word: judge it now.
                Ok(Glance::JobOver) => break,
                Err(error) => {
                    site.settle(&subject, Err(error));
                    break;
                }
            }
        }
    }
}

/// One pass over all live jobs of the cluster.
async fn pass(site: &Arc<Site>, cluster: &Arc<Cluster>, memory: &mut Memory) -> Result<(), StoreError> {
    let all = site.store.live_jobs(site.name()).await?;
    let (jobs, strangers) = ours(site, cluster, all);
    cluster.set_live_jobs(jobs.iter().filter_map(|job| job.scheduler_job_id.clone()).collect());
    cluster.set_unwanted(unwanted(&jobs));
    let polled = memory.polls.next(cluster, &jobs);
    memory.hear_accounts(cluster, polled.as_ref(), &jobs).await;
    let count = jobs.len() + strangers.len();
    let turn = memory.turn;
    memory.turn = turn.wrapping_add(1);
    let mut looks: Vec<(JobRow, Seen)> = Vec::new();
    for job in jobs {
        let seen = Seen::of(&job, polled.as_ref(), &memory.accounts);
        if polled.is_some() || is_its_turn(&job, count, turn) {
            looks.push((job, seen));
        }
    }
    let strangers = strangers.into_iter().filter(|job| is_its_turn(job, count, turn));
    looks.extend(strangers.map(|job| (job, Seen::nothing())));
    let live: HashSet<JobId> = looks.iter().map(|(job, _)| job.id).collect();
    let all_looked_at = live.len() == count;
    let followed = follow_all(site, looks).await?;
    memory.store(site, followed).await?;
    if all_looked_at {
        memory.forget_all_but(&live);
    }
    Ok(())
}

/// The cluster's jobs, and those of its pools that went through an adapter which no pool has any more: nobody can ask
/// about them, only what they write tells of them.
fn ours(site: &Site, cluster: &Cluster, all: Vec<JobRow>) -> (Vec<JobRow>, Vec<JobRow>) {
    let (mut jobs, mut strangers) = (Vec::new(), Vec::new());
    // Jobs of a submission that is not accepted are the submitter's: no poll can know them.
    for job in all.into_iter().filter(|job| job.submission_state == SubmissionState::Accepted) {
        let Some(pool) = site.pool(&job.pool) else {
            site.troubles.note(
                &format!("pool {}", job.pool),
                "has live jobs but is no longer configured; put it back so that they are followed",
            );
            continue;
        };
        let home = job.cluster.as_deref().unwrap_or(&pool.cluster.name);
        if home == cluster.name {
            jobs.push(job);
        } else if pool.cluster.name == cluster.name && !site.clusters.iter().any(|other| other.name == home) {
            let subject = format!("adapter of pool {}", job.pool);
            let message = format!(
                "it is `{}` now, but jobs that went through `{home}` live: they are neither polled nor cancelled until \
                 a pool with that adapter is put back",
                cluster.name
            );
            site.troubles.note(&subject, message);
            strangers.push(job);
        }
    }
    for pool in site.pools.iter().filter(|pool| pool.cluster.name == cluster.name) {
        if !strangers.iter().any(|job| job.pool == pool.config.name) {
            site.troubles.clear(&format!("adapter of pool {}", pool.config.name));
        }
    }
    (jobs, strangers)
}

/// Jobs whose end was requested or that wait for nothing.
fn unwanted(jobs: &[JobRow]) -> Vec<SchedulerJobId> {
    jobs.iter()
        .filter(|job| job.cancel_requested_on.is_some() || job.waits_for_nothing)
        .filter_map(|job| job.scheduler_job_id.clone())
        .collect()
}

/// Whether a job is looked into in this pass. Those that wait take turns in small groups: a poll tells of their start too.
fn is_its_turn(job: &JobRow, jobs: usize, turn: usize) -> bool {
    let at_once = match job.state {
        JobState::Queued | JobState::Blocked => WAITING_DIRECTORIES_PER_PASS,
        _ => DIRECTORIES_PER_PASS,
    };
    let groups = jobs.div_ceil(at_once).max(1);
    job.id.0.unsigned_abs() as usize % groups == turn % groups
}

/// A job and what came of the look at it; nothing where that was in vain.
type Looked = (JobRow, Option<Followed>);

async fn follow_all(site: &Arc<Site>, looks: Vec<(JobRow, Seen)>) -> Result<Vec<Looked>, StoreError> {
    let looks = looks.into_iter().filter_map(|(job, seen)| Some((site.pool(&job.pool)?.clone(), job, seen)));
    let outcomes: Vec<_> = futures_util::stream::iter(looks)
        .map(|(pool, job, seen)| async move {
            let outcome = follow::follow(site, &pool, &job, &seen).await;
            (job, outcome)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut looked = Vec::with_capacity(outcomes.len());
    for (job, outcome) in outcomes {
        let followed = stop_for_all(site, &job, outcome)?;
        looked.push((job, followed));
    }
    Ok(looked)
}

/// A trouble of one job is noted; only a lost lease or a database that is away stops the pass for all.
fn stop_for_all(
    site: &Site,
    job: &JobRow,
    outcome: Result<Option<Followed>, StoreError>,
) -> Result<Option<Followed>, StoreError> {
    match outcome {
        Err(error @ (StoreError::LeaseLost { .. } | StoreError::Connect { .. })) => Err(error),
        Err(error) => {
            site.troubles.note(&format!("job {}", job.id), chain(&error));
            Ok(None)
        }
        Ok(followed) => Ok(followed),
    }
}

/// Whether a glance calls for a whole pass.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Glance {
    Nothing,
    JobOver,
}

/// A look at the jobs whose results flow, or may soon.
async fn glance(site: &Arc<Site>, memory: &mut Memory) -> Result<Glance, StoreError> {
    let mut followed = Vec::new();
    for job in memory.flowing(site) {
        if let Some(pool) = site.pool(&job.pool) {
            let outcome = stop_for_all(site, &job, follow::glance(site, pool, &job).await)?;
            followed.push((job, outcome));
        }
    }
    let any = |what: fn(&Followed) -> bool| followed.iter().any(|(_, one)| one.as_ref().is_some_and(what));
    let (over, grew) = (any(|one| one.over), any(|one| one.grew));
    memory.store(site, followed).await?;
    if grew {
        // What was staged may be used up.
        site.planner_bell.notify_one();
    }
    Ok(if over { Glance::JobOver } else { Glance::Nothing })
}

impl Memory {
    fn flows(&self, site: &Site) -> bool {
        !self.running.is_empty() && self.running.values().any(|job| job.flows(site))
    }

    fn flowing(&self, site: &Site) -> Vec<JobRow> {
        let flowing = self.running.values().filter(|job| job.flows(site));
        flowing.take(MOST_GLANCED).map(|job| job.row.clone()).collect()
    }

    /// Asks the accounting about jobs that a new poll does not list, and takes its answer when it has come.
    async fn hear_accounts(&mut self, cluster: &Arc<Cluster>, polled: Option<&Polled>, jobs: &[JobRow]) {
        if self.asked.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(asked) = self.asked.take()
        {
            self.accounts = asked.await.unwrap_or_default();
        }
        let ids = polled.map(|polled| sightings::missing(polled, jobs)).unwrap_or_default();
        if !ids.is_empty() && self.asked.is_none() {
            let cluster = cluster.clone();
            self.asked = Some(tokio::spawn(async move {
                let answer = sightings::post_mortem(&cluster, &ids).await;
                cluster.look_bell.notify_one();
                answer
            }));
        }
    }

    /// Stores what came of looks, all of it together, and remembers what the next glance needs.
    async fn store(&mut self, site: &Arc<Site>, followed: Vec<Looked>) -> Result<(), StoreError> {
        let (mut updates, mut started) = (Vec::new(), Vec::new());
        for (job, followed) in followed {
            let Some(mut followed) = followed else { continue };
            updates.extend(followed.update.take());
            started.extend(followed.started);
            self.remember(job, &followed);
        }
        site.writer.update_jobs(updates).await?;
        if !started.is_empty() {
            site.writer.start_jobs(&started).await?;
            site.planner_bell.notify_one();
        }
        self.note_claims(site).await
    }

    fn remember(&mut self, mut job: JobRow, followed: &Followed) {
        let before = self.running.remove(&job.id);
        let runs = job.state == JobState::Running || followed.started.is_some();
        for chunk in before.iter().flat_map(|before| &before.claimed) {
            if !followed.claimed.iter().any(|name| name.chunk_id == *chunk) {
                self.claims.remove(chunk);
            }
        }
        let (now, id) = (Instant::now(), job.id);
        for name in &followed.claimed {
            self.claims.entry(name.chunk_id).or_insert(Claim { job: id, since: now, noted: Noted::No });
        }
        if runs && !followed.over {
            for (node, offset) in &followed.offsets {
                job.set_offset(*node, *offset);
            }
            let grew_on = if followed.grew { Some(now) } else { before.and_then(|before| before.grew_on) };
            let claimed = followed.claimed.iter().map(|name| name.chunk_id).collect();
            self.running.insert(id, Running { row: job, grew_on, claimed });
        }
    }

    /// Stores claims that have lasted a while.
    async fn note_claims(&mut self, site: &Site) -> Result<(), StoreError> {
        let due = |claim: &Claim| claim.noted == Noted::No && claim.since.elapsed() >= CLAIM_AGE;
        let claims: Vec<(ChunkId, JobId)> = self
            .claims
            .iter()
            .filter(|(_, claim)| due(claim))
            .map(|(chunk, claim)| (*chunk, claim.job))
            .collect();
        site.writer.note_claims(&claims).await?;
        for (chunk, _) in claims {
            if let Some(claim) = self.claims.get_mut(&chunk) {
                claim.noted = Noted::Yes;
            }
        }
        Ok(())
    }

    fn forget_all_but(&mut self, live: &HashSet<JobId>) {
        self.running.retain(|id, _| live.contains(id));
        self.claims.retain(|_, claim| live.contains(&claim.job));
    }
}

impl Running {
    fn flows(&self, site: &Site) -> bool {
        let grew_lately = self.grew_on.is_some_and(|at| at.elapsed() < FLOW);
        grew_lately
            || site.pool(&self.row.pool).is_some_and(|pool| pool.board.published_within(AFTER_PUBLISHING))
    }
}
