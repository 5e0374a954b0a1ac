//! Asks the scheduler's books how jobs ended that left its listing.

use std::collections::HashMap;

use jiff::Timestamp;

use super::adapter::messages::{MessageClass, Verb};
use super::adapter::reading::Row;
use super::adapter::values::Value;
use super::adapter::{Adapter, Call};
use super::{PostMortem, PostMortemAnswer, Scheduler, SchedulerError, SchedulerState, times};
use crate::model::ids::SchedulerJobId;
use crate::model::job::JobOutcome;

impl Scheduler {
    /// Asks for `ids`, in as many calls as the adapter's limit on ids makes of it.
    pub async fn post_mortem(&self, ids: &[SchedulerJobId]) -> PostMortemAnswer {
        let Ok(call) = self.choose(Verb::PostMortem, self.inner.adapter.post_mortem.as_ref()) else {
            return PostMortemAnswer::Unavailable;
        };
        let columns = call.columns_for(&self.capabilities());
        let mut known = HashMap::new();
        for some in ids.chunks(call.ids_per_call) {
            let mut values = self.values();
            values.set("ids", Value::List(some.iter().map(|id| id.0.clone()).collect()));
            values.set("columns", Value::List(columns.clone()));
            match self.query(Verb::PostMortem, call, &values).await {
                Ok(output) => {
                    match read_books(&self.inner.adapter, call, &columns, &output.stdout, &output.stderr) {
                        Ok(more) => known.extend(more),
                        Err(message) => return PostMortemAnswer::Unanswered { message },
                    }
                }
                Err(SchedulerError::Failed { class: Some(MessageClass::Unavailable), .. }) => {
                    return PostMortemAnswer::Unavailable;
                }
                Err(SchedulerError::Failed { class: Some(MessageClass::NotFound), .. }) => {}
                Err(error) => return PostMortemAnswer::Unanswered { message: error.to_string() },
            }
        }
        known.retain(|id, _| ids.contains(id));
        PostMortemAnswer::Known(known)
    }
}

/// Reads the books: of several rows for one id the one submitted last counts; rows of steps add to their job.
pub(super) fn read_books(
    adapter: &Adapter,
    call: &Call,
    columns: &[String],
    stdout: &str,
    stderr: &str,
) -> Result<HashMap<SchedulerJobId, PostMortem>, String> {
    let Some(reading) = &call.read else { return Ok(HashMap::new()) };
    let rows = reading.rows(stdout, stderr, columns).map_err(|error| error.to_string())?;
    let mut jobs: HashMap<SchedulerJobId, (Option<Timestamp>, PostMortem)> = HashMap::new();
    let mut steps: Vec<(SchedulerJobId, &Row)> = Vec::new();
    for row in &rows {
        let Some(id) = row.get("id") else { return Err(format!("a row without id: {row:?}")) };
        if let Some(captures) = reading.step.as_ref().and_then(|pattern| pattern.captures(id)) {
            let id = captures.name("id").map_or("", |found| found.as_str());
            steps.push((adapter.ids.listed_id(id, row.get("index")), row));
            continue;
        }
        let Some(state) = adapter.states.state(row) else {
            return Err(format!("a job without state: {row:?}"));
        };
        let id = adapter.ids.listed_id(id, row.get("index"));
        let submitted = row.get("submitted").and_then(times::instant);
        if jobs.get(&id).is_none_or(|(known, _)| submitted >= *known) {
            jobs.insert(id, (submitted, post_mortem(adapter, row, state)));
        }
    }
    for (id, row) in steps {
        if let Some((_, job)) = jobs.get_mut(&id) {
            add_step(adapter, job, row);
        }
    }
    Ok(jobs.into_iter().map(|(id, (_, job))| (id, job)).collect())
}

fn post_mortem(adapter: &Adapter, row: &Row, state: SchedulerState) -> PostMortem {
    PostMortem {
        state,
        exit: adapter.states.exit(row),
        reason: row.get("reason").filter(|reason| *reason != "None").map(str::to_owned),
        hostname: row.get("hostname").filter(|name| *name != "None assigned").map(str::to_owned),
        started_on: row.get("started").and_then(times::instant),
        ended_on: row.get("ended").and_then(times::instant),
        max_memory_bytes: row.get("max_memory").and_then(times::bytes),
    }
}

/// Memory is told by steps; a step that was killed for it explains a job that merely failed.
fn add_step(adapter: &Adapter, job: &mut PostMortem, row: &Row) {
    let memory = row.get("max_memory").and_then(times::bytes);
    job.max_memory_bytes = job.max_memory_bytes.max(memory);
    let step = adapter.states.state(row);
    if let (
        SchedulerState::Ended { outcome: outcome @ JobOutcome::Failed, .. },
        Some(SchedulerState::Ended { outcome: JobOutcome::Memory, .. }),
    ) = (&mut job.state, step)
    {
        *outcome = JobOutcome::Memory;
    }
}
