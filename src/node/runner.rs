//! One run of a job from its first words to its last: start record, work, end record.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::clock::JobClock;
use super::end;
use super::environment::NodeEnvironment;
use super::error::{NodeError, chain};
use super::grace::Grace;
use super::heartbeat::{GONE_BEATS, Witness};
use super::signals::StopSignals;
use super::store::ReportStore;
use super::work::Work;
use crate::failpoint::{self, FailPoint};
use crate::model::task::{EndReason, EndRecord, JobManifest};
use crate::spool::{JobDirectory, atomic};

/// How long to wait before the end record is tried again.
const END_RETRY: Duration = Duration::from_secs(1);

/// One run of one job.
pub struct Runner {
    pub(super) directory: JobDirectory,
    pub(super) manifest: JobManifest,
    pub(super) environment: NodeEnvironment,
    /// Its own chunk.
    pub(super) chunk: PathBuf,
    pub(super) clock: JobClock,
    witness: Witness,
}

impl Runner {
    /// A run that starts now, with the chunk at `chunk`.
    pub fn new(
        directory: JobDirectory,
        manifest: JobManifest,
        environment: NodeEnvironment,
        chunk: PathBuf,
    ) -> Runner {
        let clock = JobClock::new(Instant::now(), Duration::from_secs(manifest.walltime_seconds));
        let witness = Witness::new(&directory, &manifest.worker_command);
        Runner { directory, manifest, environment, chunk, clock, witness }
    }

    /// How long it may go on after a request to end.
    pub(super) fn grace(&self) -> Grace {
        Grace::within(self.manifest.kill_wait_seconds.map(Duration::from_secs))
    }

    /// Runs the job. Returns its exit code.
    pub async fn run(self, mut signals: StopSignals) -> Result<i32, NodeError> {
        tracing::info!(
            job.id = self.manifest.job_id.0,
            tasks = self.manifest.tasks,
            hostname = self.environment.hostname,
            restarts = self.environment.restarts,
            "started"
        );
        let start = self.environment.start_record(self.manifest.job_id);
        if let Err(error) = atomic::write_json(&self.directory.start(), &start) {
            tracing::warn!(error = chain(&error), "start record not written");
        }
        let deadline = self.clock.storing_ends();
        let mut run = match Work::prepare(&self) {
            Ok(run) => run,
            Err(error) => {
                let detail = chain(&error);
                tracing::error!(error = detail, "cannot work");
                let record = self.end_record((EndReason::Failed, Some(detail)), None, None);
                return self.write_end(record, Instant::now() + self.grace().tasks).await;
            }
        };
        run.run(&mut signals).await;
        let conclusion = run.conclusion();
        let deadline = deadline.min(run.storing_ends);
        let record = self.end_record(conclusion, run.no_worker.clone(), Some(&run.store));
        run.close().await;
        self.write_end(record, deadline).await
    }

    fn end_record(
        &self,
        (reason, detail): (EndReason, Option<String>),
        no_worker: Option<String>,
        store: Option<&ReportStore>,
    ) -> EndRecord {
        let tally = store.map(|store| store.tally).unwrap_or_default();
        EndRecord {
            job_id: self.manifest.job_id,
            reason,
            exit_code: end::exit_code(
                self.manifest.exit,
                (reason, detail.as_deref()),
                tally.complete,
                self.manifest.tasks,
            ),
            results: tally.results,
            results_bytes: store.map_or(0, ReportStore::safe_bytes),
            detail,
            no_worker,
        }
    }
}

impl Runner {
    /// Writes the end record: again and again until `deadline`, unless there is no directory any more to write it into.
    async fn write_end(&self, record: EndRecord, deadline: Instant) -> Result<i32, NodeError> {
        tracing::info!(reason = ?record.reason, results = record.results, exit_code = record.exit_code, "ends");
        let patience = Duration::from_secs(self.manifest.heartbeat_seconds) * GONE_BEATS;
        let mut gone_since = None;
        failpoint::hit(FailPoint::RunnerEnded);
        loop {
            let error = match atomic::write_json(&self.directory.end(), &record) {
                Ok(()) => return Ok(record.exit_code),
                Err(error) => error,
            };
            let now = Instant::now();
            let removed = self.witness.says_removed(&error);
            let gone = removed.then(|| *gone_since.get_or_insert(now));
            gone_since = gone;
            if now >= deadline || gone.is_some_and(|since| now.duration_since(since) >= patience) {
                return Err(error.into());
            }
            tracing::warn!(error = chain(&error), "end record not written, trying again");
            sleep(END_RETRY).await;
        }
    }
}
