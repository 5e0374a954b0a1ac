//! Asks schedulers to end jobs that nobody wants any more. Whether they did is seen by the polls, not by an exit code.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::clusters::Cluster;
use super::site::Site;
use super::troubles::chain;
use crate::model::ids::{JobId, SchedulerJobId};
use crate::store::job::JobRow;

/// A job that is still there is asked to end again after this.
const AGAIN: Duration = Duration::from_secs(60);

/// When jobs were last asked to end. Losing it means asking once more.
#[derive(Default)]
pub struct Asked(HashMap<JobId, Instant>);

/// Ends those of `jobs` whose end was requested or that wait for nothing; explicit ids only, never "all of the user's".
pub async fn cancel_requested(site: &Site, cluster: &Cluster, jobs: &[&JobRow], asked: &mut Asked) {
    asked.0.retain(|_, at| at.elapsed() < AGAIN);
    let due: Vec<(JobId, SchedulerJobId)> = jobs
        .iter()
        .filter(|job| job.cancel_requested_on.is_some() || job.waits_for_nothing)
        .filter(|job| !asked.0.contains_key(&job.id))
        .filter_map(|job| Some((job.id, job.scheduler_job_id.clone()?)))
        .collect();
    if due.is_empty() {
        return;
    }
    let ids: Vec<SchedulerJobId> = due.iter().map(|(_, id)| id.clone()).collect();
    let subject = format!("cancelling on {}", cluster.name);
    match cluster.scheduler.cancel(&ids).await {
        Ok(()) => {
            tracing::info!(cluster = %cluster.name, jobs = ids.len(), "asked jobs to end");
            asked.0.extend(due.into_iter().map(|(id, _)| (id, Instant::now())));
            site.troubles.clear(&subject);
        }
        Err(error) => site.troubles.note(&subject, chain(&error)),
    }
}
