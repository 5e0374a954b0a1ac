//! Names the jobs that wait for a person in their scheduler's queue, one line for each pool, with the scheduler's words.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::site::Site;
use crate::model::ids::PoolName;
use crate::model::job::JobState;
use crate::plan::waiting::{BlockedInQueue, blocked};
use crate::store::StoreError;
use crate::store::job::LiveJobs;

/// Notes them as troubles, and clears those of pools that have none. `live` are all jobs of the site.
pub async fn tell(site: &Arc<Site>, live: &[LiveJobs]) -> Result<(), StoreError> {
    let mut by_pool: BTreeMap<PoolName, Vec<BlockedInQueue>> = BTreeMap::new();
    let some = live.iter().any(|jobs| jobs.state == JobState::Blocked);
    let jobs = if some { site.store.blocked_jobs(site.name()).await? } else { Vec::new() };
    for job in jobs {
        let told = BlockedInQueue {
            job: job.id,
            scheduler_job_id: job.scheduler_job_id,
            reason: job.scheduler_reason,
        };
        by_pool.entry(job.pool).or_default().push(told);
    }
    for pool in &site.pools {
        let subject = format!("queue of pool {}", pool.config.name);
        match by_pool.get(&pool.config.name).and_then(|jobs| blocked(jobs)) {
            Some(line) => site.troubles.note(&subject, line),
            None => site.troubles.clear(&subject),
        }
    }
    Ok(())
}
