//! Lists all of the user's jobs in one call without ids. Any doubt makes the answer invalid, and nothing changes.

use std::collections::HashMap;

use super::adapter::messages::{MessageClass, Verb};
use super::adapter::reading::Row;
use super::adapter::{Adapter, Call};
use super::{JobSighting, PollAnswer, Scheduler, SchedulerError, SchedulerState, times};
use crate::model::ids::SchedulerJobId;

impl Scheduler {
    /// Lists all of the user's jobs.
    pub async fn poll(&self) -> PollAnswer {
        let call = match self.choose(Verb::Poll, Some(&self.inner.adapter.poll)) {
            Ok(call) => call,
            Err(error) => return PollAnswer::Invalid { message: error.to_string() },
        };
        match self.query(Verb::Poll, call, &self.values()).await {
            Ok(output) => read_poll(&self.inner.adapter, call, &output.stdout, &output.stderr),
            // "No job found" from schedulers that say so with an exit code of its own.
            Err(SchedulerError::Failed { class: Some(MessageClass::NotFound), .. }) => {
                PollAnswer::Valid { jobs: HashMap::new(), listed_all_users_jobs: 0 }
            }
            Err(error) => PollAnswer::Invalid { message: error.to_string() },
        }
    }
}

/// Reads a listing.
pub(super) fn read_poll(adapter: &Adapter, call: &Call, stdout: &str, stderr: &str) -> PollAnswer {
    let rows = match call.read.as_ref().map(|reading| reading.rows(stdout, stderr, &call.columns)) {
        Some(Ok(rows)) => rows,
        Some(Err(error)) => return PollAnswer::Invalid { message: error.to_string() },
        None => Vec::new(),
    };
    let mut jobs: HashMap<SchedulerJobId, JobSighting> = HashMap::with_capacity(rows.len());
    for row in &rows {
        let (Some(id), Some(state)) = (row.get("id"), adapter.states.state(row)) else {
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

fn is_over(state: &SchedulerState) -> bool {
    matches!(state, SchedulerState::Ended { .. })
}

fn sighting(adapter: &Adapter, row: &Row, state: SchedulerState) -> JobSighting {
    let waits = matches!(state, SchedulerState::Queued | SchedulerState::Blocked);
    let started = row.get("started").and_then(times::instant);
    let expected = row.get("expected_start").and_then(times::instant);
    JobSighting {
        reason: row.get("reason").filter(|reason| *reason != "None").map(str::to_owned),
        // Many schedulers list the expected start in the column of the start.
        started_on: started.filter(|_| !waits),
        expected_start_on: expected.or(started).filter(|_| waits),
        exit: adapter.states.exit(row),
        hostname: row.get("hostname").map(str::to_owned),
        state,
    }
}
