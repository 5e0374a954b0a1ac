//! What the daemon gives the local API to work with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::error::ApiError;
use crate::api::wire::{DaemonStatus, PreviewedSubmission, SubmitOptions};
use crate::config::Config;
use crate::model::calculation::Calculation;
use crate::model::ids::PoolName;
use crate::plan::fit::Offer;
use crate::store::{Store, Writer};

/// Plans a submission without storing anything: what `submit --dry-run` shows.
pub type Preview =
    dyn Fn(Vec<Calculation>, SubmitOptions) -> Result<Vec<PreviewedSubmission>, PreviewRefused> + Send + Sync;

/// Why nothing can be planned: no pool fits, a template fails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PreviewRefused {
    /// The reason, with its causes.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How often a pool's scheduler was called.
#[derive(Clone, PartialEq, Debug)]
pub struct SchedulerMeter {
    /// Commands that were run since the daemon's start, by verb.
    pub calls: BTreeMap<String, u64>,
    /// Shortest time between two polls.
    pub poll_interval: Duration,
}

/// Tells it for each pool; none where there is no such pool.
pub type SchedulerMeters = dyn Fn(&PoolName) -> Option<SchedulerMeter> + Send + Sync;

/// Names that the scheduler's own log of a pool's job may have in its submission's directory, by the job's index.
pub type SchedulerLogs = dyn Fn(&PoolName, u32) -> Vec<String> + Send + Sync;

/// The daemon as the handlers see it.
pub struct ApiState {
    /// For reading.
    pub store: Store,
    /// For writing; it fails once the site's lease is lost.
    pub writer: Writer,
    /// The configuration in force.
    pub config: Arc<Config>,
    /// What the loops know about themselves.
    pub status: Arc<dyn Fn() -> DaemonStatus + Send + Sync>,
    /// Woken after every intake, cancel and retry.
    pub wake: Arc<Notify>,
    /// When a person last cancelled work: jobs in the queue need not wait for more then.
    pub cancelled_on: Arc<watch::Sender<Option<Instant>>>,
    /// Changes whenever the state of a record may have changed, so that `wait` need not poll tightly.
    pub stored: watch::Receiver<u64>,
    /// Plans without storing.
    pub preview: Arc<Preview>,
    /// What each pool offers.
    pub offers: Arc<dyn Fn() -> Vec<Offer> + Send + Sync>,
    /// What the scheduler calls the logs of a pool's job.
    pub scheduler_logs: Arc<SchedulerLogs>,
    /// How often a pool's scheduler was called.
    pub scheduler_meter: Arc<SchedulerMeters>,
    /// Cancelled when the daemon stops: answers that are held back are given at once.
    pub stopping: CancellationToken,
}

impl ApiState {
    /// The writer, if this daemon may write.
    pub(super) fn writer(&self) -> Result<Writer, ApiError> {
        if self.stopping.is_cancelled() {
            return Err(ApiError::stopping());
        }
        Ok(self.writer.clone())
    }
}
