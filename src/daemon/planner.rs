//! Makes submissions of waiting tasks: asks the store for candidates, lets `plan::packing` deal them, stores the
//! intent. The scheduler is not called here.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::pools::Pool;
use super::site::Site;
use crate::model::ids::{PoolName, Tag};
use crate::plan::packing::{self, Packed, TaskDefaults, Waiting};
use crate::plan::predict::Expectation;
use crate::store::StoreError;
use crate::store::queue::{Candidate, CandidateFilter};
use crate::store::submission::{PlannedJob, PlannedSubmission};

/// Most tasks looked at for one pool in one pass; the next pass takes the next ones.
const TASKS_PER_PASS: usize = 20_000;

/// Plans until shutdown.
pub async fn run(site: Arc<Site>) {
    loop {
        tokio::select! {
            () = site.shutdown.cancelled() => return,
            () = site.planner_bell.notified() => {}
            () = tokio::time::sleep(site.config.daemon.tick) => {}
        }
        let outcome = plan_all(&site).await;
        site.settle("planner", outcome);
    }
}

async fn plan_all(site: &Site) -> Result<(), StoreError> {
    if !site.store.has_waiting_tasks().await? {
        return Ok(());
    }
    let live = site.store.live_jobs_by_pool(site.name()).await?;
    for pool in &site.pools {
        plan_pool(site, pool, &live).await?;
    }
    Ok(())
}

async fn plan_pool(site: &Site, pool: &Pool, live: &HashMap<PoolName, u32>) -> Result<(), StoreError> {
    let now = Timestamp::now();
    match pool.paused(now) {
        Some(reason) => {
            site.troubles.note(&pool.subject(), reason);
            return Ok(());
        }
        None => site.troubles.clear(&pool.subject()),
    }
    let live = live.get(&pool.config.name).copied().unwrap_or(0);
    let free = pool.config.max_jobs.saturating_sub(live).min(pool.room_below_ceiling());
    if free == 0 {
        return Ok(());
    }
    let limit = (free as usize).saturating_mul(pool.config.tasks_per_job as usize).min(TASKS_PER_PASS);
    let candidates = site.store.candidates(&filter(site, pool), limit).await?;
    let waiting: Vec<Waiting> = candidates.into_iter().map(waiting).collect();
    let packed = packing::pack(&waiting, &pool.shape(), defaults(site), free);
    store(site, pool, packed).await
}

async fn store(site: &Site, pool: &Pool, packed: Packed) -> Result<(), StoreError> {
    if !packed.unfit.is_empty() {
        site.writer.note_waiting(packed.unfit).await?;
    }
    for submission in packed.submissions {
        let planned = PlannedSubmission {
            pool: pool.config.name.clone(),
            tag: new_tag(),
            resources: submission.resources,
            jobs: submission
                .jobs
                .into_iter()
                .map(|job| PlannedJob { placement: job.placement, tasks: job.tasks })
                .collect(),
        };
        if let Some(id) = site.writer.plan_submission(&planned).await? {
            tracing::info!(
                submission.id = id.0, tag = %planned.tag, pool = %planned.pool, jobs = planned.jobs.len(),
                "planned a submission",
            );
            site.submitter_bell.notify_waiters();
        }
    }
    Ok(())
}

/// Which tasks suit a pool.
fn filter(site: &Site, pool: &Pool) -> CandidateFilter {
    let any_program = pool.config.programs.iter().any(|program| program == "*");
    CandidateFilter {
        pool: pool.config.name.clone(),
        programs: (!any_program).then(|| pool.config.programs.clone()),
        compute_tags: pool.config.compute_tags.clone(),
        most: pool.shape().most(),
        defaults: defaults(site).resources(),
    }
}

/// What tasks get that say nothing.
pub fn defaults(site: &Site) -> TaskDefaults {
    let defaults = &site.config.defaults;
    TaskDefaults { cores: defaults.cores, memory_bytes: defaults.memory_bytes, walltime: defaults.walltime }
}

fn waiting(candidate: Candidate) -> Waiting {
    Waiting {
        task_id: candidate.task_id,
        placement: candidate.placement,
        asks: candidate.resources,
        expectation: Expectation::default(),
        tries: candidate.tries,
        last_failure: candidate.last_failure,
    }
}

/// A tag that no other submission has.
pub fn new_tag() -> Tag {
    let milliseconds = Timestamp::now().as_millisecond();
    Tag::new(milliseconds.unsigned_abs(), rand::random())
}
