//! `submit --now --parsable`: the scheduler's ids of the jobs that run the records, once it has told them.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::api::client::Client;
use crate::api::wire::{RecordJob, RecordJobsQuery, SubmitReceipt};
use crate::cli::error::CliError;
use crate::cli::format;
use crate::cli::screen::Screen;
use crate::model::ids::RecordId;
use crate::model::record::RecordStatus;

/// How long the ids are waited for when `--timeout` does not say.
const PATIENCE: Duration = Duration::from_secs(300);

/// Records asked about at once; the daemon allows no more.
const AT_ONCE: usize = 10_000;

/// Between two questions, growing up to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The ids, one on each line, each once, in the order of the records.
pub(super) async fn once_known(
    client: &Client,
    screen: &Screen,
    receipt: &SubmitReceipt,
    timeout: Option<Duration>,
) -> Result<String, CliError> {
    let patience = timeout.unwrap_or(PATIENCE);
    let deadline = Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    let mut jobs = ask(client, receipt).await?;
    refuse_what_was_complete(&jobs, receipt)?;
    loop {
        let (ids, missing) = read(&jobs)?;
        let Some(missing) = missing else {
            screen.end_progress();
            return Ok(ids);
        };
        if Instant::now() >= deadline {
            screen.end_progress();
            return Err(CliError::TimedOut { message: missing.told(patience) });
        }
        let known = jobs.len() - missing.count;
        screen.progress(&format!("waiting for the scheduler: {known} of {} jobs known", jobs.len()));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        jobs = ask(client, receipt).await?;
    }
}

async fn ask(client: &Client, receipt: &SubmitReceipt) -> Result<Vec<RecordJob>, CliError> {
    let mut jobs = Vec::with_capacity(receipt.ids.len());
    for ids in receipt.unique_ids().chunks(AT_ONCE) {
        let query = RecordJobsQuery { ids: ids.to_vec() };
        let answer: Vec<RecordJob> = client.post("/v1/records/jobs", &query).await?;
        jobs.extend(answer);
    }
    Ok(jobs)
}

/// A record that was complete before has no job that anything could depend on.
fn refuse_what_was_complete(jobs: &[RecordJob], receipt: &SubmitReceipt) -> Result<(), CliError> {
    let existing: HashSet<RecordId> =
        receipt.existing.iter().filter_map(|position| receipt.ids.get(*position)).copied().collect();
    let done = jobs
        .iter()
        .find(|record| record.status == RecordStatus::Complete && existing.contains(&record.record_id));
    match done {
        None => Ok(()),
        Some(record) => Err(CliError::Failed {
            message: format!(
                "record {} is complete already, so no job was submitted for it",
                record.record_id
            ),
            hint: Some("compute it again with --new, or leave --now out".to_owned()),
        }),
    }
}

/// Records without a scheduler's id so far.
#[derive(Debug)]
struct Missing {
    count: usize,
    first: RecordJob,
}

impl Missing {
    fn told(&self, patience: Duration) -> String {
        let record = self.first.record_id;
        let reason =
            self.first.waiting_reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!(
            "the scheduler gave no job id for {} within {}; the first is record {record}{reason} (it stays submitted; \
             to withdraw it: qcbatch cancel {record})",
            format::count(self.count as u64, "record"),
            format::duration(patience.as_secs_f64())
        )
    }
}

/// The ids that are known and the records that have none; an error for a record that ended without one.
fn read(jobs: &[RecordJob]) -> Result<(String, Option<Missing>), CliError> {
    let (mut ids, mut seen) = (String::new(), HashSet::new());
    let mut missing: Option<Missing> = None;
    for record in jobs {
        match record.job.as_ref().and_then(|job| job.scheduler_job_id.as_ref()) {
            Some(id) => {
                if seen.insert(id) {
                    ids.push_str(&format!("{id}\n"));
                }
            }
            None if record.status.is_ended() => {
                return Err(CliError::Failed {
                    message: format!(
                        "record {} is {} and was never submitted",
                        record.record_id,
                        record.status.as_str()
                    ),
                    hint: Some(format!("see why with: qcbatch show {}", record.record_id)),
                });
            }
            None => match &mut missing {
                Some(missing) => missing.count += 1,
                None => missing = Some(Missing { count: 1, first: record.clone() }),
            },
        }
    }
    Ok((ids, missing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::report::sample_job;
    use crate::model::ids::SchedulerJobId;

    fn record(id: i64, status: RecordStatus, scheduler_job_id: Option<&str>) -> RecordJob {
        let mut job = sample_job();
        job.scheduler_job_id = scheduler_job_id.map(|id| SchedulerJobId(id.to_owned()));
        RecordJob {
            record_id: RecordId(id),
            status,
            waiting_reason: Some("pool `epyc` is paused".to_owned()),
            job: scheduler_job_id.map(|_| job),
        }
    }

    #[test]
    fn ids_are_printed_once_and_all_together() {
        use RecordStatus::*;
        let (ids, missing) = read(&[
            record(1, Running, Some("4711_0")),
            record(2, Complete, Some("4711_1")),
            record(3, Running, Some("4711_1")),
        ])
        .unwrap();
        assert_eq!(ids, "4711_0\n4711_1\n");
        assert!(missing.is_none());
        let (_, missing) = read(&[record(1, Running, Some("4711")), record(2, Waiting, None)]).unwrap();
        insta::assert_snapshot!(missing.unwrap().told(PATIENCE), @"the scheduler gave no job id for 1 record within 5m00s; the first is record 2: pool `epyc` is paused (it stays submitted; to withdraw it: qcbatch cancel 2)");
        assert!(read(&[record(1, Error, None)]).is_err());
    }

    #[test]
    fn a_record_that_was_complete_before_is_refused() {
        let jobs = [record(1, RecordStatus::Complete, Some("9"))];
        let receipt = |existing: &[usize]| SubmitReceipt {
            ids: vec![RecordId(1)],
            existing: existing.to_vec(),
            warnings: Vec::new(),
        };
        assert!(refuse_what_was_complete(&jobs, &receipt(&[0])).is_err());
        assert!(refuse_what_was_complete(&jobs, &receipt(&[])).is_ok());
    }
}
