//! Cancels, holds and releases jobs by explicit ids, and asks for limits and for a sign of life.
//! Whether a job really ended is for the next poll to say. What changes something is permitted by a guard call by call.

use super::adapter::Variants;
use super::adapter::messages::{MessageClass, Verb};
use super::adapter::values::Value;
use super::runner::Effect;
use super::{JobLimits, Scheduler, SchedulerError};
use crate::model::ids::SchedulerJobId;
use crate::permit::Guard;

impl Scheduler {
    /// Ends jobs. Jobs that are over or unknown are no error.
    pub async fn cancel(&self, ids: &[SchedulerJobId], guard: &dyn Guard) -> Result<(), SchedulerError> {
        self.each(Verb::Cancel, Some(&self.inner.adapter.cancel), ids, guard).await
    }

    /// Keeps waiting jobs from starting.
    pub async fn hold(&self, ids: &[SchedulerJobId], guard: &dyn Guard) -> Result<(), SchedulerError> {
        self.each(Verb::Hold, self.inner.adapter.hold.as_ref(), ids, guard).await
    }

    /// Lets held jobs start.
    pub async fn release(&self, ids: &[SchedulerJobId], guard: &dyn Guard) -> Result<(), SchedulerError> {
        self.each(Verb::Release, self.inner.adapter.release.as_ref(), ids, guard).await
    }

    /// Limits on the user's jobs, as far as the scheduler tells; the strictest of several.
    pub async fn limits(&self) -> Result<JobLimits, SchedulerError> {
        let Ok(call) = self.choose(Verb::Limits, self.inner.adapter.limits.as_ref()) else {
            return Ok(JobLimits::default());
        };
        let output = match self.query(Verb::Limits, call, &self.values()).await {
            Err(SchedulerError::Failed { class: Some(MessageClass::Unavailable), .. }) => {
                return Ok(JobLimits::default());
            }
            other => other?,
        };
        let Some(reading) = &call.read else { return Ok(JobLimits::default()) };
        let rows = reading.rows(&output.stdout, &output.stderr, &call.columns).map_err(|error| {
            SchedulerError::Failed {
                verb: Verb::Limits.as_str(),
                argv: self.argv(call, &self.values()),
                message: error.to_string(),
                class: None,
            }
        })?;
        let least = |field| rows.iter().filter_map(|row| row.get(field)?.parse::<u32>().ok()).min();
        Ok(JobLimits { submitted_max: least("submitted_max"), running_max: least("running_max") })
    }

    /// Whether the scheduler says that it is up; without a command for it nothing is said against it.
    pub async fn alive(&self) -> Result<(), SchedulerError> {
        let Ok(call) = self.choose(Verb::Alive, self.inner.adapter.alive.as_ref()) else { return Ok(()) };
        self.query(Verb::Alive, call, &self.values()).await.map(|_| ())
    }

    async fn each(
        &self,
        verb: Verb,
        variants: Option<&Variants>,
        ids: &[SchedulerJobId],
        guard: &dyn Guard,
    ) -> Result<(), SchedulerError> {
        let call = self.choose(verb, variants)?;
        for (done, some) in ids.chunks(call.ids_per_call).enumerate() {
            let mut values = self.values();
            values.set("ids", Value::List(some.iter().map(|id| id.0.clone()).collect()));
            match self.call(verb, call, &values, Effect::Changes(guard)).await {
                Ok(_)
                | Err(SchedulerError::Failed {
                    class: Some(MessageClass::NotFound | MessageClass::Harmless),
                    ..
                }) => {}
                // What is away or refuses does so for the rest too; whoever asked comes again.
                Err(error) => return Err(with_what_is_left(error, &ids[done * call.ids_per_call..])),
            }
        }
        Ok(())
    }
}

/// Says which jobs an action did not reach for sure: those of the call that failed and all after it.
fn with_what_is_left(error: SchedulerError, left: &[SchedulerJobId]) -> SchedulerError {
    const NAMED: usize = 5;
    match error {
        SchedulerError::Failed { verb, argv, message, class } => {
            let names: Vec<&str> = left.iter().take(NAMED).map(|id| id.0.as_str()).collect();
            let more = if left.len() > NAMED { ", …" } else { "" };
            let message = format!("{message}; not done for {} jobs: {}{more}", left.len(), names.join(", "));
            SchedulerError::Failed { verb, argv: clipped(argv), message, class }
        }
        other => other,
    }
}

/// A command about hundreds of ids ends in logs: the first words tell which it was.
fn clipped(mut argv: Vec<String>) -> Vec<String> {
    const WORDS: usize = 10;
    if argv.len() > WORDS {
        argv.truncate(WORDS);
        argv.push("…".to_owned());
    }
    argv
}
