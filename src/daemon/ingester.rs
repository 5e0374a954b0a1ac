//! Brings new results of one job from its result file into the database, batch by batch.
//!
//! The job's position moves in the transaction that stores the results, so a daemon killed here stores nothing twice.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::doubts::Doubts;
use super::looks::{self, READ_LIMIT};
use super::pools::Pool;
use super::site::Site;
use crate::failpoint::{self, FailPoint};
use crate::model::failure::{FailureClass, RetryDecision, TaskTally};
use crate::model::ids::{JobId, NodeIndex};
use crate::model::task::TaskReport;
use crate::plan::poison::Storing;
use crate::plan::retry::{self, RetryPolicy};
use crate::spool::SpoolError;
use crate::spool::frame::{Finality, ReportLimits};
use crate::spool::layout::JobDirectory;
use crate::spool::results::{Rest, ResultBatch, read_results_within};
use crate::store::ingest::{Batch, IngestOutcome, Stored, Suspicion};
use crate::store::release::Decide;
use crate::store::{StoreError, Writer};

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

/// Whether a failed task is tried again, by the retry limits of the configuration.
pub(super) fn decider(site: &Site) -> impl Fn(&TaskTally, FailureClass) -> RetryDecision + Sync + use<> {
    let retry = &site.config.retry;
    let policy = RetryPolicy { tries: retry.tries, losses: retry.losses, delay: retry.delay };
    move |tally, class| retry::decide(policy, *tally, class)
}

/// Stores every whole result of one node of a job after `offset`; returns the new offset. `directory` is the job's.
pub(super) async fn bring_in(
    site: &Arc<Site>,
    pool: &Pool,
    (job, node): (JobId, NodeIndex),
    directory: &JobDirectory,
    offset: u64,
    finality: Finality,
) -> Result<u64, IngestError> {
    let decide = decider(site);
    let path = directory.node(node).results();
    let limits = ReportLimits::of_bytes(site.config.worker.result_bytes);
    let results = Results { job, node, path, pool: site.spool.pool(&pool.config.name), limits, finality };
    bring_in_file(&site.writer, &results, offset, &site.doubts, &decide, |reports, stored| {
        pool.pace.reported(reports);
        site.ring_stored();
        if stored.retried > 0 || stored.returned > 0 {
            site.planner_bell.notify_one();
        }
    })
    .await
}

/// A result file to be brought in.
#[derive(Clone, Debug)]
pub struct Results {
    /// The job that writes it.
    pub job: JobId,
    /// Its node that does.
    pub node: NodeIndex,
    /// Where it is.
    pub path: PathBuf,
    /// The directory of the pool that it lies in.
    pub pool: PathBuf,
    /// How large a report may be.
    pub limits: ReportLimits,
    /// Whether more may be written.
    pub finality: Finality,
}

/// Stores every whole result of a file after `offset`, a batch being read while the one before is stored; returns the new
/// offset. `stored` is told of each batch once it is stored.
pub async fn bring_in_file(
    writer: &Writer,
    results: &Results,
    mut offset: u64,
    doubts: &Doubts,
    decide: Decide<'_>,
    stored: impl Fn(&[TaskReport], &Stored),
) -> Result<u64, IngestError> {
    let job = results.job;
    let mut ahead = None;
    loop {
        let read = match ahead.take() {
            Some(ahead) => ahead,
            None => read(results, offset),
        };
        // The runtime shuts down.
        let Ok(read) = read.await else { return Ok(offset) };
        let Some(Piece { batch, next_offset, rest }) = read? else { return Ok(offset) };
        if rest == Rest::More {
            ahead = Some(self::read(results, next_offset));
        }
        let reports = batch.reports();
        let which = (job, results.node);
        let storing = doubts.storing(which, offset);
        let outcome = store(writer, batch, storing, decide).await;
        if let Err(error) = &outcome {
            doubts.failed(which, offset, error);
        }
        match outcome? {
            IngestOutcome::Stored(outcome) => {
                failpoint::hit(FailPoint::ResultsStored);
                doubts.stored(which);
                tracing::debug!(job.id = job.0, reports = reports.len(), ?outcome, "stored results");
                if outcome.aside > 0 {
                    tracing::warn!(
                        job.id = job.0,
                        reports = outcome.aside,
                        "reports that fit no task are kept aside"
                    );
                }
                offset = next_offset;
                stored(&reports, &outcome);
                if ahead.is_none() && results.finality == Finality::StillWritten {
                    // What comes now is stored with the next look: a transaction for a handful of results costs as much
                    // as one for hundreds.
                    return Ok(offset);
                }
            }
            // Another pass moved it; the next look starts from the stored position.
            IngestOutcome::Moved { offset } => return Ok(offset),
        }
    }
}

async fn store(
    writer: &Writer,
    batch: Batch,
    storing: Storing,
    decide: Decide<'_>,
) -> Result<IngestOutcome, StoreError> {
    match storing {
        Storing::Together => writer.ingest_batch(batch, decide).await,
        Storing::Apart => writer.ingest_batch_apart(batch, Suspicion::IsTrouble, decide).await,
        Storing::Aside => writer.ingest_batch_apart(batch, Suspicion::IsRefusal, decide).await,
    }
}

/// What one read gave, ready to be stored.
struct Piece {
    batch: Batch,
    next_offset: u64,
    rest: Rest,
}

/// One read, off the runtime's threads; nothing where there is nothing new.
fn read(results: &Results, offset: u64) -> JoinHandle<Result<Option<Piece>, IngestError>> {
    let Results { job, node, path, pool, limits, finality } = results.clone();
    tokio::spawn(async move {
        let file = path.clone();
        let read = move || read_results_within(limits, &file, offset, BYTES_AT_ONCE, finality);
        let read = looks::within(READ_LIMIT, &pool, &path, read).await;
        let ResultBatch { reports, next_offset, skipped, report_bytes, rest, .. } =
            read.map_err(|source| IngestError::Spool { job, source })?;
        if next_offset == offset {
            return Ok(None);
        }
        for Range { start, end } in skipped {
            tracing::error!(job.id = job.0, from = start, to = end, "unreadable bytes in a result file");
        }
        let batch = Batch::prepare(job, offset, next_offset, reports).await?;
        let batch = batch.of_node(node).of_bytes(report_bytes);
        Ok(Some(Piece { batch, next_offset, rest }))
    })
}
