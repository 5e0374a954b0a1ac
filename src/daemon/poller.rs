//! One loop per cluster that asks its scheduler for all jobs at once, and only while we have jobs there or submissions wait
//! for its answer.
//!
//! A failed poll publishes nothing: what was known stays known. Any other answer of the scheduler ends the back-off.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::clusters::{Cluster, Snapshot};
use super::troubles::Troubles;
use crate::plan::backoff;
use crate::scheduler::PollAnswer;

/// A scheduler that does not answer is asked again after at most this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Polls until shutdown.
pub async fn run(cluster: Arc<Cluster>, troubles: Troubles, shutdown: CancellationToken) {
    let mut failures = 0;
    let mut next_poll = Instant::now();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = sleep_until(next_poll) => {}
            () = cluster.answered_bell.notified(), if failures > 0 => {}
        }
        if cluster.live_jobs().is_empty() && !cluster.is_waited_for() {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = cluster.has_jobs.notified() => continue,
            }
        }
        failures = if poll(&cluster, &troubles).await { 0 } else { failures + 1 };
        let pause = backoff::delay(failures, cluster.poll_interval, LONGEST_PAUSE, rand::random());
        next_poll = Instant::now() + pause.max(cluster.poll_interval);
    }
}

/// Polls once; says whether the answer was usable.
async fn poll(cluster: &Cluster, troubles: &Troubles) -> bool {
    let (asked, taken_on) = (std::time::Instant::now(), Timestamp::now());
    let asked_about = cluster.live_jobs();
    match cluster.scheduler.poll().await {
        PollAnswer::Valid { jobs, listed_all_users_jobs: users_jobs } => {
            troubles.clear(&cluster.subject());
            cluster.answers();
            tracing::debug!(cluster = %cluster.name, jobs = jobs.len(), "polled");
            cluster.publish(Snapshot { asked, taken_on, jobs, users_jobs, asked_about });
            true
        }
        PollAnswer::Invalid { message } => {
            cluster.is_silent();
            troubles.note(&cluster.subject(), format!("poll gave no usable answer: {message}"));
            false
        }
    }
}
