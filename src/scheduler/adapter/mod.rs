//! An adapter: how one scheduler is spoken to, read from a TOML file and checked before use.
//! The only part of the engine that reads files; everything it holds is data for pure functions.

mod check;
mod document;
mod ids;
mod layers;
pub mod messages;
pub(super) mod placeholders;
mod problems;
pub mod reading;
pub mod states;
pub mod template;
pub mod values;

use std::path::PathBuf;
use std::time::Duration;

use super::capabilities::Capabilities;
use super::version::VersionRange;
use crate::model::task::Warning;
pub use ids::IdForm;
pub use layers::built_in_names;
use messages::{Messages, Verb};
use problems::{Problem, Sources};
use reading::Reading;
use states::StateMap;
use template::{Piece, Template};

/// Why an adapter cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// No such adapter.
    #[error("no adapter `{name}` is built in ({known}) or in {directories:?}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// Where it was looked for.
        directories: Vec<PathBuf>,
        /// The built-in ones.
        known: String,
    },
    /// Its name is none.
    #[error("`{name}` is no name of an adapter; letters, digits, `_`, `-` and `.` make one")]
    Name {
        /// The name asked for.
        name: String,
    },
    /// A file that is there cannot be read.
    #[error("cannot read adapter file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The files are wrong; the report shows every problem with its place.
    #[error("adapter `{name}` has {}\n{report}", counted(*count))]
    Invalid {
        /// The adapter.
        name: String,
        /// How many problems.
        count: usize,
        /// All of them, several lines each.
        report: String,
        /// `file:line: what is wrong` of each.
        lines: Vec<String>,
    },
}

impl AdapterError {
    fn invalid(name: &str, sources: &Sources, problems: &[Problem]) -> AdapterError {
        let line = |problem: &Problem| {
            format!("{}: {}; {}", sources.place(&problem.span), problem.title, problem.allowed)
        };
        AdapterError::Invalid {
            name: name.to_owned(),
            count: problems.len(),
            lines: problems.iter().map(line).collect(),
            report: sources.report(problems),
        }
    }
}

/// `1 mistake`, `2 mistakes`.
fn counted(mistakes: usize) -> String {
    format!("{mistakes} mistake{}", if mistakes == 1 { "" } else { "s" })
}

/// A checked adapter.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// Its name.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Variables of ours that scheduler commands may see.
    pub environment_pass: Vec<String>,
    /// Variables set for scheduler commands.
    pub environment_set: Vec<(String, String)>,
    /// Patience with queries.
    pub query_timeout: Duration,
    /// Patience with submissions.
    pub submit_timeout: Duration,
    /// Two look-ups by tag that find nothing must be so far apart to be believed.
    pub lookup_gap: Duration,
    /// Most bytes read of either output of a command.
    pub output_limit_bytes: usize,
    /// How ids look.
    pub ids: IdForm,
    /// Written before every directive.
    pub directive_prefix: String,
    /// Directives.
    pub directives: Vec<Piece>,
    /// What job scripts must know.
    pub script: ScriptFacts,
    /// States, rules, exit codes.
    pub states: StateMap,
    /// What messages mean.
    pub messages: Messages,
    /// Calls of the probe, in order.
    pub probe: Vec<Probe>,
    /// Submits.
    pub submit: Variants,
    /// Looks a tag up, in order.
    pub find_by_tag: Vec<Variants>,
    /// Lists the ids that the poll asks about, where a listing cannot be held to the user's jobs.
    pub poll_ids: Option<Variants>,
    /// Lists all of the user's jobs.
    pub poll: Variants,
    /// Asks the books.
    pub post_mortem: Option<Variants>,
    /// Ends jobs.
    pub cancel: Variants,
    /// Keeps jobs from starting.
    pub hold: Option<Variants>,
    /// Lets them start.
    pub release: Option<Variants>,
    /// Limits on the user's jobs.
    pub limits: Option<Variants>,
    /// Limits of queues, qualities of service and accounts, in order.
    pub queues: Vec<LimitTable>,
    /// Whether the scheduler answers at all.
    pub alive: Option<Variants>,
}

/// What a job script must know of its scheduler.
#[derive(Clone, Default, Debug)]
pub struct ScriptFacts {
    /// The variable that holds an array element's index; unset outside arrays.
    pub array_index_variable: Option<String>,
    /// The index of an array's first element.
    pub first_array_index: u32,
    /// A shell word that gives the job's id as the scheduler lists it.
    pub job_id: Option<String>,
    /// Versions that cannot warn jobs before their walltime: the script does.
    pub warns_itself: Option<VersionRange>,
    /// What the scheduler's USR2 announces.
    pub warning: Warning,
    /// Time between the request to end and the kill, where neither the probe nor a queue tells.
    pub kill_wait: Option<Duration>,
    /// Name of the file for the scheduler's own output of a single job.
    pub log_name: String,
    /// The same for an array, with the scheduler's own pattern for the index.
    pub array_log_name: String,
    /// What the file of an element is called in the end, with `{index}`; none where that is not told.
    pub array_log_file: Option<String>,
    /// Lines that come before anything else in the script.
    pub lines: Vec<String>,
    /// How a script starts itself on the further nodes of its job; none where jobs have one node.
    pub launch: Option<LaunchFacts>,
}

/// How a job script reaches the further nodes of its job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaunchFacts {
    /// A shell command that prints a word for each node, the script's own first.
    pub hosts: String,
    /// Shell words that run the command behind them on node `$qcb_host`.
    pub command: String,
}

/// One command and how its answer is read.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name among the variants of its command; none for the one that is for all versions.
    pub variant: Option<String>,
    /// Versions it is for.
    pub versions: VersionRange,
    /// Optional service it needs.
    pub needs: Option<String>,
    /// The command.
    pub argv: Vec<Piece>,
    /// A file that becomes its standard input.
    pub stdin: Option<Template>,
    /// Where it runs.
    pub directory: Option<Template>,
    /// Its own patience.
    pub timeout: Option<Duration>,
    /// Exit codes with which its output counts.
    pub usable_exit_codes: Vec<i32>,
    /// Whether its failure is no reason to stop (probes).
    pub optional: bool,
    /// Most ids that one call takes.
    pub ids_per_call: usize,
    /// Columns it asks for.
    pub columns: Vec<String>,
    /// The probed list that says which columns there are.
    pub columns_listed_in: Option<String>,
    /// What its client says that is about to send the request again: it is ended there.
    pub retries: Vec<Retry>,
    /// How its answer is read.
    pub read: Option<Reading>,
}

impl Call {
    /// The columns to ask for: those wanted that the scheduler has, as far as that was probed.
    pub fn columns_for(&self, capabilities: &Capabilities) -> Vec<String> {
        let listed = self.columns_listed_in.as_ref().and_then(|list| capabilities.lists.get(list));
        let there = |name: &String| {
            listed.is_none_or(|listed| listed.iter().any(|one| one.eq_ignore_ascii_case(name)))
        };
        self.columns.iter().filter(|name| there(name)).cloned().collect()
    }
}

/// A client that sends a request a second time by itself may have it taken twice.
#[derive(Clone, Debug)]
pub struct Retry {
    /// What it says on standard error; its group `seconds`, if there is one, tells how long it sleeps.
    pub pattern: regex::Regex,
    /// The least time between its start and the second request, where the text does not tell.
    pub after: Duration,
}

impl Retry {
    /// The least time between the client's start and its second request, when it says that it will send one.
    pub fn comes_after(&self, stderr: &str) -> Option<Duration> {
        let said = self.pattern.captures(stderr)?;
        let seconds = said.name("seconds").and_then(|seconds| seconds.as_str().parse().ok());
        Some(seconds.map_or(self.after, Duration::from_secs))
    }
}

/// A call and its variants for other versions.
#[derive(Clone, Debug)]
pub struct Variants(pub Vec<Call>);

impl Variants {
    /// The call for the probed version: the first that is for it. `None` also when it needs a service that is not there.
    pub fn choose(&self, capabilities: &Capabilities) -> Option<&Call> {
        self.0
            .iter()
            .find(|call| call.versions.contains(capabilities.version.as_ref()))
            .filter(|call| call.needs.as_ref().is_none_or(|service| capabilities.has(service)))
    }
}

/// One call that tells limits, and where they are in its rows.
#[derive(Clone, Debug)]
pub struct LimitTable {
    /// The call.
    pub call: Variants,
    /// Field with the queue that a row is about.
    pub queue: Option<String>,
    /// Field with the quality of service.
    pub qos: Option<String>,
    /// Field with the account.
    pub account: Option<String>,
    /// Field that tells whether a queue is open, and the pattern of an open one.
    pub closed: Option<(String, regex::Regex)>,
    /// The strictest of several counts.
    pub array_size: Vec<LimitField>,
    /// As before.
    pub submitted: Vec<LimitField>,
    /// As before.
    pub running: Vec<LimitField>,
    /// As before.
    pub walltime: Vec<LimitField>,
    /// As before.
    pub kill_wait: Vec<LimitField>,
}

/// Where a limit is in a row.
#[derive(Clone, Debug)]
pub struct LimitField {
    /// The field.
    pub field: String,
    /// Patterns with the group `most`, in which `{user}` is the user's name: the first counts that finds any. None: the
    /// whole field.
    pub first: Vec<String>,
}

/// A number that a probe reads from a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProbedNumber {
    /// The field.
    pub field: String,
    /// What is taken off.
    pub subtract: u64,
    /// What the rest is multiplied with.
    pub times: u64,
}

/// One call of the probe and what is learned from it.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The call.
    pub call: Variants,
    /// Field with the version.
    pub version: Option<String>,
    /// What the scheduler is proved to be by an answer that has a version.
    pub proves: Option<String>,
    /// Field with the cluster's name.
    pub cluster: Option<String>,
    /// Numbers by name.
    pub numbers: Vec<(String, ProbedNumber)>,
    /// Services: name, field, pattern of its absence.
    pub services: Vec<(String, String, regex::Regex)>,
    /// Lists: name, field.
    pub lists: Vec<(String, String)>,
    /// Texts: name, field.
    pub texts: Vec<(String, String)>,
}

impl Adapter {
    /// Loads the adapter `name`: the built-in one with the files `<name>.toml` of `user_dirs` laid over it, the first
    /// directory's last, or the one that a file's `extends` names with that file laid over.
    pub fn load(name: &str, user_dirs: &[PathBuf]) -> Result<Adapter, AdapterError> {
        let (document, sources, problems) = layers::read(name, user_dirs)?;
        check::adapter(name, document, &sources, problems)
            .map_err(|problems| AdapterError::invalid(name, &sources, &problems))
    }
}

impl Adapter {
    /// Whether its commands are our own program's (`local`).
    pub fn uses_our_program(&self) -> bool {
        let first = |call: &Call| call.argv.first().and_then(|piece| piece.names().first().copied());
        self.submit.0.iter().any(|call| first(call) == Some("program"))
    }

    /// Every command with its variants, in the order in which a check would want them.
    pub fn commands(&self) -> Vec<(Verb, &Variants)> {
        let probes = self.probe.iter().map(|probe| (Verb::Probe, &probe.call));
        let lookups = self.find_by_tag.iter().map(|variants| (Verb::FindByTag, variants));
        let optional = [
            (Verb::PollIds, self.poll_ids.as_ref()),
            (Verb::PostMortem, self.post_mortem.as_ref()),
            (Verb::Cancel, Some(&self.cancel)),
            (Verb::Hold, self.hold.as_ref()),
            (Verb::Release, self.release.as_ref()),
            (Verb::Limits, self.limits.as_ref()),
            (Verb::Alive, self.alive.as_ref()),
        ];
        let others = optional.into_iter().filter_map(|(verb, variants)| Some((verb, variants?)));
        let queues = self.queues.iter().map(|table| (Verb::Queues, &table.call));
        probes
            .chain([(Verb::Submit, &self.submit)])
            .chain(lookups)
            .chain([(Verb::Poll, &self.poll)])
            .chain(others)
            .chain(queues)
            .collect()
    }
}

#[cfg(test)]
mod load_tests;
