//! The adapter engine and the local executor. No knowledge of one scheduler.
//! Starts scheduler commands and reads adapter files; each answer keeps "no" and "no answer" apart.

pub mod adapter;
pub mod answer;
pub mod capabilities;
mod clients;
mod control;
mod find;
mod inventory;
pub mod local;
mod poll;
mod post_mortem;
mod probe;
mod queues;
pub mod replay;
mod request;
pub mod runner;
mod settings;
mod submit;
mod times;
pub mod version;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use adapter::messages::{MessageClass, Verb};
use adapter::template;
use adapter::values::{Value, Values};
pub use adapter::{Adapter, AdapterError, LaunchFacts, ScriptFacts, built_in_names};
use adapter::{Call, Variants};
pub use answer::{
    ExitStatus, FindAnswer, JobLimits, JobSighting, PollAnswer, PostMortem, PostMortemAnswer, Refusal,
    SchedulerState, SubmitAnswer, Sureness,
};
pub use capabilities::Capabilities;
pub use inventory::{ChosenCommand, NeededProgram};
pub use request::SubmitRequest;
use runner::{Effect, Invocation, Ran, Whose};
pub use settings::Settings;

use crate::model::ids::SchedulerJobId;
use crate::model::limits::{self, Limit};
use crate::model::resources::JobResources;
use crate::permit::NotPermitted;

/// Our patience is at least so many times that of the scheduler's own clients, lest we kill one that still waits.
const TIMES_MESSAGE_TIMEOUT: u32 = 3;

/// Why the scheduler could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// A value that must not reach a command or script.
    #[error("{name} is `{text}`; it must be {allowed}")]
    Value {
        /// Which.
        name: &'static str,
        /// The value.
        text: String,
        /// What it must be.
        allowed: &'static str,
    },
    /// The array is bigger than the scheduler takes.
    #[error("an array of {size} elements was asked for; this scheduler takes at most {most}")]
    ArrayTooLarge {
        /// Elements asked for.
        size: u32,
        /// Most it takes.
        most: u32,
    },
    /// The adapter has no such command for this version.
    #[error("adapter `{adapter}` has no {verb} for this scheduler")]
    Unsupported {
        /// The adapter.
        adapter: String,
        /// What was asked.
        verb: &'static str,
    },
    /// A command that changes something was not started.
    #[error(transparent)]
    NotPermitted(#[from] NotPermitted),
    /// A command failed or its answer made no sense.
    #[error("{verb} failed: {message} (command: {})", argv.join(" "))]
    Failed {
        /// What was asked.
        verb: &'static str,
        /// The command.
        argv: Vec<String>,
        /// What it said.
        message: String,
        /// What its message means, where known.
        class: Option<MessageClass>,
    },
}

/// One scheduler: an adapter, this machine's settings, and what the last probe learned. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Scheduler {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    adapter: Adapter,
    settings: Settings,
    capabilities: RwLock<Arc<Capabilities>>,
    limits: RwLock<Arc<Vec<Limit>>>,
    calls: [AtomicU64; Verb::ALL.len()],
}

impl Scheduler {
    /// A scheduler that was not probed yet: it is taken for an old one until then.
    pub fn new(adapter: Adapter, settings: Settings) -> Scheduler {
        if adapter.uses_our_program() {
            runner::keep_a_place_for_ourselves();
        }
        Scheduler {
            inner: Arc::new(Inner {
                adapter,
                settings,
                capabilities: RwLock::default(),
                limits: RwLock::default(),
                calls: Default::default(),
            }),
        }
    }

    /// The adapter's name.
    pub fn name(&self) -> &str {
        &self.inner.adapter.name
    }

    /// What the last probe learned; empty before the first.
    pub fn capabilities(&self) -> Arc<Capabilities> {
        Arc::clone(&self.inner.capabilities.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_capabilities(&self, capabilities: Capabilities) {
        *self.inner.capabilities.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(capabilities);
    }

    /// What job scripts must know of this scheduler.
    pub fn script_facts(&self) -> &ScriptFacts {
        &self.inner.adapter.script
    }

    /// Whether job scripts have to warn themselves before the walltime, as far as the last probe tells.
    pub fn warns_itself(&self) -> bool {
        let versions = self.script_facts().warns_itself.as_ref();
        versions.is_some_and(|versions| versions.contains(self.capabilities().version.as_ref()))
    }

    /// How long the scheduler waits between asking a job that asks for `resources` to end and killing it, as far as it tells:
    /// the queue first, then the scheduler, then what is usual.
    pub fn kill_wait(&self, resources: &JobResources) -> Option<Duration> {
        let of_queue = limits::allowed(&self.known_limits(), resources).kill_wait;
        of_queue.or(self.capabilities().kill_wait).or(self.script_facts().kill_wait)
    }

    /// Names that the scheduler's own log of job `index` (from 0) may have in its submission's directory, the likeliest first.
    pub fn log_names(&self, index: u32) -> Vec<String> {
        let facts = self.script_facts();
        let number = (facts.first_array_index + index).to_string();
        let of_element = facts.array_log_file.as_ref().map(|name| name.replace("{index}", &number));
        of_element.into_iter().chain((index == 0).then(|| facts.log_name.clone())).collect()
    }

    /// The file in `directory` that takes a submission's scheduler output, as the scheduler wants it written.
    pub fn log_path(&self, directory: &Path, array_size: u32) -> PathBuf {
        let facts = self.script_facts();
        directory.join(if array_size > 1 { &facts.array_log_name } else { &facts.log_name })
    }

    /// The id of the job `index` (from 0) of a submission: the submission's own for a single job.
    pub fn element_id(&self, submission: &SchedulerJobId, index: u32, array_size: u32) -> SchedulerJobId {
        if array_size > 1 {
            self.inner.adapter.ids.element_id(&submission.0, index)
        } else {
            submission.clone()
        }
    }

    /// The submission whose job `index` (from 0) has the id `element`; nothing where the id does not fit.
    pub fn submission_id(
        &self,
        element: &SchedulerJobId,
        index: u32,
        array_size: u32,
    ) -> Option<SchedulerJobId> {
        let ids = &self.inner.adapter.ids;
        if array_size > 1 {
            ids.submission_of(&element.0, index)
        } else {
            ids.is_submission(&element.0).then(|| element.clone())
        }
    }

    /// How far apart two empty look-ups by tag must be to be believed.
    pub fn lookup_gap(&self) -> Duration {
        self.inner.adapter.lookup_gap
    }

    /// After this a submit command has surely given up.
    pub fn submit_timeout(&self) -> Duration {
        self.inner.adapter.submit_timeout.max(self.clients_patience())
    }

    /// Never less than the scheduler's own clients take to give up (peers F19).
    fn clients_patience(&self) -> Duration {
        self.capabilities().message_timeout.unwrap_or(Duration::ZERO) * TIMES_MESSAGE_TIMEOUT
    }

    /// Values that every command may use.
    fn values(&self) -> Values {
        let settings = &self.inner.settings;
        let path = |path: &Path| Value::Text(path.to_string_lossy().into_owned());
        let mut values = Values::default();
        values.set("user", Value::Text(settings.user.clone()));
        values.set("program", path(&settings.program));
        values.set("state_directory", path(&settings.state_directory));
        values.set("machine_cores", Value::Number(u64::from(settings.machine_cores)));
        values
    }

    fn choose<'a>(&self, verb: Verb, variants: Option<&'a Variants>) -> Result<&'a Call, SchedulerError> {
        variants.and_then(|variants| variants.choose(&self.capabilities())).ok_or_else(|| {
            SchedulerError::Unsupported { adapter: self.name().to_owned(), verb: verb.as_str() }
        })
    }

    fn argv(&self, call: &Call, values: &Values) -> Vec<String> {
        template::expand(&call.argv, values, &self.capabilities())
    }

    fn invocation(&self, verb: Verb, call: &Call, values: &Values) -> Invocation {
        let adapter = &self.inner.adapter;
        let file = |text: &Option<template::Template>| {
            text.as_ref().and_then(|text| text.expand(values)).map(|words| PathBuf::from(words.concat()))
        };
        let usual = if verb == Verb::Submit { adapter.submit_timeout } else { adapter.query_timeout };
        let argv = self.argv(call, values);
        let own = argv.first().is_some_and(|program| Path::new(program) == self.inner.settings.program);
        Invocation {
            whose: if own { Whose::Ours } else { Whose::Clients },
            argv,
            environment: self.inner.settings.environment(adapter),
            stdin: file(&call.stdin),
            directory: file(&call.directory),
            timeout: call.timeout.unwrap_or(usual).max(self.clients_patience()),
            output_limit_bytes: adapter.output_limit_bytes,
            gives_up_at: call.retries.iter().map(|retry| retry.pattern.clone()).collect(),
        }
    }

    /// Commands that were run so far, by verb; each counts, whatever came of it.
    pub fn calls(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.inner.calls.iter().map(|count| count.load(Ordering::Relaxed));
        Verb::ALL.into_iter().map(Verb::as_str).zip(counts).filter(|(_, count)| *count > 0)
    }

    /// Runs a command and counts it.
    async fn run(&self, verb: Verb, invocation: &Invocation, effect: Effect<'_>) -> Ran {
        if let Some(position) = Verb::ALL.into_iter().position(|other| other == verb) {
            self.inner.calls[position].fetch_add(1, Ordering::Relaxed);
        }
        runner::run(invocation, effect).await
    }

    /// Runs a query and gives its output when it is to be trusted: a usable exit code and no unknown complaint.
    async fn query(&self, verb: Verb, call: &Call, values: &Values) -> Result<Output, SchedulerError> {
        self.call(verb, call, values, Effect::Asks).await
    }

    /// The same for commands that may change something.
    async fn call(
        &self,
        verb: Verb,
        call: &Call,
        values: &Values,
        effect: Effect<'_>,
    ) -> Result<Output, SchedulerError> {
        let invocation = self.invocation(verb, call, values);
        let ran = match self.run(verb, &invocation, effect).await {
            Ran::NotPermitted(refusal) => return Err(SchedulerError::NotPermitted(refusal)),
            ran => ran,
        };
        self.trust(verb, call, &ran).map_err(|(message, class)| SchedulerError::Failed {
            verb: verb.as_str(),
            argv: invocation.argv,
            message,
            class,
        })
    }

    /// Decides whether a query's answer is one.
    fn trust(&self, verb: Verb, call: &Call, ran: &Ran) -> Result<Output, (String, Option<MessageClass>)> {
        let messages = &self.inner.adapter.messages;
        match ran {
            Ran::NotStarted { message } => Err((message.clone(), Some(MessageClass::Transient))),
            Ran::NotPermitted(refusal) => Err((refusal.to_string(), Some(MessageClass::Transient))),
            Ran::Unfinished { message, stderr } => Err((with_stderr(message, stderr), None)),
            Ran::GivenUp { stderr, .. } => Err((with_stderr("it was about to try again", stderr), None)),
            Ran::Exited { code, stdout, stderr } => {
                let class = messages.class_with(verb, stderr, *code);
                if call.usable_exit_codes.contains(code) {
                    let trouble = match class {
                        None | Some(MessageClass::Harmless | MessageClass::NotFound) => {
                            messages.unknown_line(verb, stderr)
                        }
                        Some(_) => Some(stderr.trim()),
                    };
                    return match trouble {
                        // Nothing but "no such job": an answer, and a plain one.
                        None if class == Some(MessageClass::NotFound) && stdout.trim().is_empty() => {
                            Err((clip(stderr.trim()), class))
                        }
                        None => Ok(Output { stdout: stdout.clone(), stderr: stderr.clone() }),
                        Some(text) => Err((format!("unexpected words: {}", clip(text)), class)),
                    };
                }
                let class = class.or_else(|| messages.class_with(verb, stdout, *code));
                // "No such job" beside rows does not mean that there are no jobs.
                let lists = matches!(verb, Verb::Poll | Verb::FindByTag);
                let rows = lists && messages.unknown_line(verb, stdout).is_some();
                let class = class.filter(|class| *class != MessageClass::NotFound || !rows);
                Err((format!("exit code {code}: {}", clip(&said(stdout, stderr))), class))
            }
        }
    }
}

/// What a trusted query wrote.
struct Output {
    stdout: String,
    stderr: String,
}

/// What a command said that failed: its standard error, else what it printed.
fn said(stdout: &str, stderr: &str) -> String {
    let text = if stderr.trim().is_empty() { stdout } else { stderr };
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

fn with_stderr(message: &str, stderr: &str) -> String {
    let said = said("", stderr);
    if said.is_empty() { message.to_owned() } else { format!("{message}; it said: {}", clip(&said)) }
}

/// Scheduler messages end in logs and tables: long ones are cut.
fn clip(text: &str) -> String {
    const MOST: usize = 500;
    match text.char_indices().nth(MOST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
