//! Slow chores: asking schedulers what they can do, removing directories of jobs that ended long ago, looking for lost
//! chunks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::audit::{self, Missed};
use super::clusters::Cluster;
use super::site::Site;
use super::troubles::chain;
use crate::failpoint::{self, FailPoint};
use crate::permit::Guard;
use crate::spool::sweep::{Swept, remove_submission};

/// A scheduler is asked for its version and settings at start and so often.
const PROBE_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// It is asked for the limits of its queues at start and so often.
const LIMITS_INTERVAL: Duration = Duration::from_secs(3600);
/// A failed probe is repeated after this.
const PROBE_AGAIN: Duration = Duration::from_secs(60);
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);
/// Lost chunks are looked for at half the shortest grace of a pool, within these bounds.
const SHORTEST_AUDIT: Duration = Duration::from_secs(2);
const LONGEST_AUDIT: Duration = Duration::from_secs(120);
/// Directories removed in one sweep; the next one goes on.
const SUBMISSIONS_AT_ONCE: u32 = 1000;

/// Probes one cluster, and asks it for the limits of its queues, until shutdown.
pub async fn probe(site: Arc<Site>, cluster: Arc<Cluster>) {
    let subject = format!("probe {}", cluster.name);
    let mut probed: Option<Instant> = None;
    loop {
        if probed.is_none_or(|at| at.elapsed() >= PROBE_INTERVAL) {
            match cluster.scheduler.probe().await {
                Ok(found) => {
                    tracing::info!(cluster = %cluster.name, version = ?found.version, "probed");
                    site.troubles.clear(&subject);
                    probed = Some(Instant::now());
                }
                Err(error) => {
                    site.troubles.note(&subject, chain(&error));
                    probed = None;
                }
            }
        }
        let pause = match probed {
            Some(_) => {
                for error in cluster.scheduler.learn_limits().await {
                    tracing::debug!(cluster = %cluster.name, error = chain(&error), "limits are not told");
                }
                site.planner_bell.notify_one();
                LIMITS_INTERVAL
            }
            None => PROBE_AGAIN,
        };
        tokio::select! {
            () = site.shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Removes directories of submissions whose jobs all ended longer ago than `[spool] keep`, until shutdown.
pub async fn sweep(site: Arc<Site>) {
    loop {
        match sweep_once(&site).await {
            Ok(removed) => {
                site.troubles.clear("spool sweep");
                if removed > 0 {
                    tracing::info!(removed, "removed old submission directories");
                }
            }
            Err(error) => site.troubles.note("spool sweep", chain(error.as_ref())),
        }
        tokio::select! {
            () = site.shutdown.cancelled() => return,
            () = tokio::time::sleep(SWEEP_INTERVAL) => {}
        }
    }
}

/// Looks for lost chunks until shutdown.
pub async fn audit(site: Arc<Site>) {
    let shortest_grace = site.pools.iter().map(|pool| pool.config.grace).min().unwrap_or(LONGEST_AUDIT);
    let interval = (shortest_grace / 2).clamp(SHORTEST_AUDIT, LONGEST_AUDIT);
    let mut missed = Missed::default();
    loop {
        tokio::select! {
            () = site.shutdown.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        match audit::audit(&site, &mut missed).await {
            Ok(()) => site.troubles.clear("audit of chunks"),
            Err(error) => site.troubles.note("audit of chunks", chain(error.as_ref())),
        }
    }
}

async fn sweep_once(site: &Site) -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
    let ended =
        site.store.ended_submissions(site.name(), site.config.spool.keep, SUBMISSIONS_AT_ONCE).await?;
    let (mut gone, mut stays) = (Vec::new(), None);
    for submission in ended {
        let directory = site.spool.submission(&submission.pool, &submission.tag);
        let permit = site.lease.permit().await?;
        failpoint::hit(FailPoint::SubmissionSwept);
        match tokio::task::spawn_blocking(move || remove_submission(&directory, &permit)).await? {
            Ok(Swept::Gone) => gone.push(submission.id),
            Ok(Swept::StillUsed) => {}
            // It keeps no other from being removed.
            Err(error) => stays = Some(error),
        }
    }
    site.writer.note_swept(&gone).await?;
    stays.map_or(Ok(gone.len()), |error| Err(error.into()))
}
