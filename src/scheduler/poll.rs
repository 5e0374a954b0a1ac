//! Lists all of the user's jobs in one call without ids. Any doubt makes the answer invalid, and nothing changes.

use std::collections::{BTreeSet, HashMap};

use super::adapter::messages::{MessageClass, Verb};
use super::adapter::reading::Row;
use super::adapter::values::{Value, Values};
use super::adapter::{Adapter, Call, Variants};
use super::{JobSighting, PollAnswer, Scheduler, SchedulerError, SchedulerState, times};
use crate::model::ids::{SchedulerJobId, Tag};

impl Scheduler {
    /// Lists all of the user's jobs.
    pub async fn poll(&self) -> PollAnswer {
        let call = match self.choose(Verb::Poll, Some(&self.inner.adapter.poll)) {
            Ok(call) => call,
            Err(error) => return PollAnswer::Invalid { message: error.to_string() },
        };
        let Some(ids_call) = &self.inner.adapter.poll_ids else {
            return self.poll_once(call, &self.values()).await;
        };
        let ids = match self.poll_ids(ids_call).await {
            Ok(ids) => ids,
            Err(message) => return PollAnswer::Invalid { message },
        };
        // A half of the answers is no answer.
        let (mut all, mut alive) = (HashMap::new(), 0);
        for some in ids.chunks(call.ids_per_call) {
            let mut values = self.values();
            values.set("ids", Value::List(some.to_vec()));
            match self.poll_once(call, &values).await {
                PollAnswer::Valid { jobs, listed_all_users_jobs } => {
                    all.extend(jobs);
                    alive += listed_all_users_jobs;
                }
                invalid @ PollAnswer::Invalid { .. } => return invalid,
            }
        }
        PollAnswer::Valid { jobs: all, listed_all_users_jobs: alive }
    }

    async fn poll_once(&self, call: &Call, values: &Values) -> PollAnswer {
        match self.query(Verb::Poll, call, values).await {
            Ok(output) => {
                let user = &self.inner.settings.user;
                read_poll(&self.inner.adapter, call, user, &output.stdout, &output.stderr)
            }
            // "No job found" from schedulers that say so with an exit code of its own.
            Err(SchedulerError::Failed { class: Some(MessageClass::NotFound), .. }) => {
                PollAnswer::Valid { jobs: HashMap::new(), listed_all_users_jobs: 0 }
            }
            Err(error) => PollAnswer::Invalid { message: error.to_string() },
        }
    }

    /// The ids that the poll is to ask about, each once.
    async fn poll_ids(&self, variants: &Variants) -> Result<Vec<String>, String> {
        let call = self.choose(Verb::PollIds, Some(variants)).map_err(|error| error.to_string())?;
        let output = match self.query(Verb::PollIds, call, &self.values()).await {
            Err(SchedulerError::Failed { class: Some(MessageClass::NotFound), .. }) => return Ok(Vec::new()),
            other => other.map_err(|error| error.to_string())?,
        };
        let Some(reading) = &call.read else { return Ok(Vec::new()) };
        let rows = reading.rows(&output.stdout, &output.stderr, &[]).map_err(|error| error.to_string())?;
        let ids: Option<BTreeSet<String>> = rows.iter().map(|row| row.get("id").map(str::to_owned)).collect();
        ids.map(|ids| ids.into_iter().collect()).ok_or_else(|| "a row without a job id".to_owned())
    }
}

/// Reads a listing.
pub(super) fn read_poll(
    adapter: &Adapter,
    call: &Call,
    user: &str,
    stdout: &str,
    stderr: &str,
) -> PollAnswer {
    let rows = match call.read.as_ref().map(|reading| reading.rows(stdout, stderr, &call.columns)) {
        Some(Ok(rows)) => rows,
        Some(Err(error)) => return PollAnswer::Invalid { message: error.to_string() },
        None => Vec::new(),
    };
    let mut jobs: HashMap<SchedulerJobId, JobSighting> = HashMap::with_capacity(rows.len());
    for row in rows.iter().filter(|row| is_of_user(row, user)) {
        let (Some(id), Some(state)) = (row.get("id"), adapter.states.state(row)) else {
            // A job with a name that is no tag of ours takes no other down.
            if row.get("tag").is_some_and(|name| !name.starts_with(Tag::PREFIX)) {
                continue;
            }
            return PollAnswer::Invalid { message: format!("a job without id or state: {row:?}") };
        };
        let id = adapter.ids.listed_id(id, row.get("index"));
        let sighting = sighting(adapter, row, state);
        // An id that is listed twice was used twice: the job that still lives is the one to follow.
        let replaced = jobs.get(&id).is_none_or(|known| is_over(&known.state));
        if replaced {
            jobs.insert(id, sighting);
        }
    }
    let listed_all_users_jobs = jobs.values().filter(|job| !is_over(&job.state)).count();
    PollAnswer::Valid { jobs, listed_all_users_jobs }
}

/// Where a row tells its owner, as `user` or `user@host`, only the user's own count.
pub(super) fn is_of_user(row: &Row, user: &str) -> bool {
    row.get("owner").is_none_or(|owner| owner.split('@').next() == Some(user))
}

fn is_over(state: &SchedulerState) -> bool {
    matches!(state, SchedulerState::Ended { .. })
}

fn sighting(adapter: &Adapter, row: &Row, state: SchedulerState) -> JobSighting {
    let waits = matches!(state, SchedulerState::Queued | SchedulerState::Blocked);
    let started = row.get("started").and_then(times::instant);
    let expected = row.get("expected_start").and_then(times::instant);
    JobSighting {
        // What runs waits for nothing; PBS tells there since when it runs.
        reason: row
            .get("reason")
            .filter(|reason| *reason != "None" && state != SchedulerState::Running)
            .map(str::to_owned),
        // Many schedulers list the expected start in the column of the start.
        started_on: started.filter(|_| !waits),
        expected_start_on: expected.or(started).filter(|_| waits),
        exit: adapter.states.exit(row),
        hostname: row.get("hostname").map(str::to_owned),
        state,
    }
}
