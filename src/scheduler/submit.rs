//! Submits a job, and never takes doubt for refusal: what is unclear is looked up by tag, not called again.

use std::time::Duration;

use tokio::sync::Semaphore;

use super::adapter::messages::{MessageClass, Verb};
use super::adapter::{Call, template};
use super::runner::{Effect, Ran, Whose};
use super::{Refusal, Scheduler, SchedulerError, SubmitAnswer, SubmitRequest, clip, said, with_stderr};
use crate::model::ids::SchedulerJobId;
use crate::permit::Guard;

/// One submission at a time over all schedulers: the other of the two places for clients stays free for questions.
static SUBMITTING: Semaphore = Semaphore::const_new(1);

impl Scheduler {
    /// The directive lines of the script of `request`, one line each.
    pub fn directives(&self, request: &SubmitRequest) -> Result<Vec<String>, SchedulerError> {
        let values = self.submit_values(request)?;
        let adapter = &self.inner.adapter;
        let words = template::expand(&adapter.directives, &values, &self.capabilities());
        Ok(words.into_iter().map(|word| format!("{}{word}", adapter.directive_prefix)).collect())
    }

    /// The command that [`Scheduler::submit`] runs.
    pub fn submit_argv(&self, request: &SubmitRequest) -> Result<Vec<String>, SchedulerError> {
        let call = self.choose(Verb::Submit, Some(&self.inner.adapter.submit))?;
        Ok(self.argv(call, &self.submit_values(request)?))
    }

    fn submit_values(&self, request: &SubmitRequest) -> Result<super::Values, SchedulerError> {
        if let Some(most) = self.capabilities().array_size_max.filter(|most| request.array_size > *most) {
            return Err(SchedulerError::ArrayTooLarge { size: request.array_size, most });
        }
        let mut values = request.values(self.inner.adapter.ids.first_index)?;
        values.add(self.values());
        Ok(values)
    }

    /// Submits once, if `guard` permits it when the command is about to start. The script must be written already.
    pub async fn submit(&self, request: &SubmitRequest, guard: &dyn Guard) -> SubmitAnswer {
        let prepared = self
            .submit_values(request)
            .and_then(|values| Ok((self.choose(Verb::Submit, Some(&self.inner.adapter.submit))?, values)));
        match prepared {
            Err(error) => SubmitAnswer::Refused { kind: Refusal::Permanent, message: error.to_string() },
            Ok((call, values)) => {
                let invocation = self.invocation(Verb::Submit, call, &values);
                let _turn = match invocation.whose {
                    // It is never closed, so that an error cannot come; then no limit is the lesser evil.
                    Whose::Clients => SUBMITTING.acquire().await.ok(),
                    Whose::Ours => None,
                };
                let ran = self.run(Verb::Submit, &invocation, Effect::Changes(guard)).await;
                self.read_submit(call, &ran)
            }
        }
    }

    /// Reads what the submit command answered.
    pub(super) fn read_submit(&self, call: &Call, ran: &Ran) -> SubmitAnswer {
        let (code, stdout, stderr) = match ran {
            Ran::NotStarted { message } => {
                return SubmitAnswer::Refused { kind: Refusal::Transient, message: message.clone() };
            }
            Ran::NotPermitted(refusal) => return SubmitAnswer::NotCalled { message: refusal.to_string() },
            Ran::Unfinished { message, stderr } => {
                return SubmitAnswer::Unclear { message: with_stderr(message, stderr) };
            }
            Ran::GivenUp { lived, stdout, stderr } => {
                return self.read_given_up(call, *lived, (stdout, stderr));
            }
            Ran::Exited { code, stdout, stderr } => (*code, stdout, stderr),
        };
        let message = format!("exit code {code}: {}", clip(&said(stdout, stderr)));
        if retry_in(call, stderr).is_some() {
            // Each of its requests may have been taken: all jobs of the tag are looked for, whatever it ended with.
            return SubmitAnswer::Unclear { message };
        }
        let usable = call.usable_exit_codes.contains(&code);
        let class = self
            .inner
            .adapter
            .messages
            .class_with(Verb::Submit, stderr, code)
            .into_iter()
            .chain(self.inner.adapter.messages.class_with(Verb::Submit, stdout, code))
            .min();
        if class == Some(MessageClass::Unclear) {
            // Whatever the exit code: a client that tried more than once may have been heard more than once.
            return SubmitAnswer::Unclear { message };
        }
        if usable || class == Some(MessageClass::Accepted) {
            return match self.submitted_id(call, stdout, stderr) {
                Some(scheduler_job_id) => SubmitAnswer::Accepted { scheduler_job_id },
                None => SubmitAnswer::Unclear { message: format!("no job id in the answer; {message}") },
            };
        }
        refusal_or_doubt(class, message)
    }

    /// Reads what a client had said when it was ended because it was about to send its request a second time. Its refusal
    /// counts only where the second request surely was not sent and no id was printed: an id means that one was taken.
    fn read_given_up(&self, call: &Call, lived: Duration, (stdout, stderr): (&str, &str)) -> SubmitAnswer {
        let message = with_stderr("it was ended before it tried again", stderr);
        let sent_again = retry_in(call, stderr).is_none_or(|after| lived >= after);
        if sent_again || self.submitted_id(call, stdout, stderr).is_some() {
            return SubmitAnswer::Unclear { message };
        }
        refusal_or_doubt(self.inner.adapter.messages.class(Verb::Submit, stderr), message)
    }

    fn submitted_id(&self, call: &Call, stdout: &str, stderr: &str) -> Option<SchedulerJobId> {
        let rows = call.read.as_ref()?.rows(stdout, stderr, &[]).ok()?;
        let id = rows.last()?.get("id")?;
        self.inner.adapter.ids.is_submission(id).then(|| SchedulerJobId(id.to_owned()))
    }
}

/// A class of message as an answer: doubt is never refusal.
fn refusal_or_doubt(class: Option<MessageClass>, message: String) -> SubmitAnswer {
    let kind = match class {
        Some(MessageClass::Limit) => Refusal::Limit,
        Some(MessageClass::Transient | MessageClass::Unavailable) => Refusal::Transient,
        Some(MessageClass::Permanent | MessageClass::NotFound) => Refusal::Permanent,
        None | Some(MessageClass::Accepted | MessageClass::Unclear | MessageClass::Harmless) => {
            return SubmitAnswer::Unclear { message };
        }
    };
    SubmitAnswer::Refused { kind, message }
}

/// The least time between the start of the client of `call` and another request, when it says that it will send one.
fn retry_in(call: &Call, stderr: &str) -> Option<Duration> {
    call.retries.iter().filter_map(|retry| retry.comes_after(stderr)).min()
}
