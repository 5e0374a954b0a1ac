//! Brings new results of one job from its result file into the database, batch by batch.
//!
//! The job's position moves in the transaction that stores the results, so a daemon killed here stores nothing twice.

use std::sync::Arc;

use super::pools::Pool;
use super::site::Site;
use crate::model::failure::{FailureClass, RetryDecision, TaskTally};
use crate::model::ids::JobId;
use crate::plan::retry::{self, RetryPolicy};
use crate::spool::SpoolError;
use crate::spool::frame::Finality;
use crate::spool::layout::JobDirectory;
use crate::spool::results::{ResultBatch, read_results};
use crate::store::StoreError;
use crate::store::ingest::IngestOutcome;

/// Bytes of a result file read at once: bounds memory and the length of a transaction.
const BYTES_AT_ONCE: usize = 2 << 20;

/// Why results were not brought in.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file.
    #[error("failed to read results of job {job}")]
    Spool {
        /// The job.
        job: JobId,
        /// Why.
        #[source]
        source: SpoolError,
    },
}

/// The retry limits of the configuration.
pub fn policy(site: &Site) -> RetryPolicy {
    let retry = &site.config.retry;
    RetryPolicy { tries: retry.tries, losses: retry.losses, delay: retry.delay }
}

/// Stores every whole result after `offset`; returns the new offset.
pub async fn bring_in(
    site: &Arc<Site>,
    pool: &Pool,
    job: JobId,
    directory: &JobDirectory,
    mut offset: u64,
    finality: Finality,
) -> Result<u64, IngestError> {
    loop {
        let Some(batch) = read(directory, offset, finality).await else { return Ok(offset) };
        let batch = batch.map_err(|source| IngestError::Spool { job, source })?;
        if batch.next_offset == offset {
            return Ok(offset);
        }
        for skipped in &batch.skipped {
            tracing::error!(
                job.id = job.0,
                from = skipped.start,
                to = skipped.end,
                "unreadable bytes in a result file"
            );
        }
        let policy = policy(site);
        let decide = move |tally: &TaskTally, class: FailureClass| -> RetryDecision {
            retry::decide(policy, *tally, class)
        };
        let reports = batch.reports.len();
        pool.pace.reported(&batch.reports);
        match site.writer.ingest(job, offset, batch.next_offset, batch.reports, &decide).await? {
            IngestOutcome::Stored(stored) => {
                tracing::debug!(job.id = job.0, reports, ?stored, "stored results");
                offset = batch.next_offset;
                site.ring_stored();
                if stored.retried > 0 {
                    site.planner_bell.notify_one();
                }
            }
            // Another pass moved it; the next look starts from the stored position.
            IngestOutcome::Moved { offset } => return Ok(offset),
        }
    }
}

/// One read, off the runtime's threads; nothing when the runtime shuts down.
async fn read(
    directory: &JobDirectory,
    offset: u64,
    finality: Finality,
) -> Option<Result<ResultBatch, SpoolError>> {
    let path = directory.results();
    tokio::task::spawn_blocking(move || read_results(&path, offset, BYTES_AT_ONCE, finality)).await.ok()
}
