//! Asks schedulers to end jobs that nobody wants any more, in a loop per cluster of its own: a scheduler that hangs
//! delays nobody who follows jobs. Whether they ended is seen by the polls, not by an exit code.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clusters::Cluster;
use super::site::Site;
use super::troubles::chain;
use crate::model::ids::SchedulerJobId;

/// A job that is still there is asked to end again after this.
const AGAIN: Duration = Duration::from_secs(60);

/// Cancels until shutdown what the observer hands over; explicit ids only, never "all of the user's".
pub async fn run(site: Arc<Site>, cluster: Arc<Cluster>) {
    // When jobs were last asked to end. Losing it means asking once more.
    let mut asked: HashMap<SchedulerJobId, Instant> = HashMap::new();
    let subject = format!("cancelling on {}", cluster.name);
    loop {
        tokio::select! {
            () = site.shutdown.cancelled() => return,
            () = cluster.unwanted_bell.notified() => {}
        }
        asked.retain(|_, at| at.elapsed() < AGAIN);
        let mut ids = cluster.unwanted();
        ids.retain(|id| !asked.contains_key(id));
        if ids.is_empty() {
            continue;
        }
        match cluster.scheduler.cancel(&ids, site.lease.as_ref()).await {
            Ok(()) => {
                tracing::info!(cluster = %cluster.name, jobs = ids.len(), "asked jobs to end");
                asked.extend(ids.into_iter().map(|id| (id, Instant::now())));
                site.troubles.clear(&subject);
            }
            Err(error) => site.troubles.note(&subject, chain(&error)),
        }
    }
}
