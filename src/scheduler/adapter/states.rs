//! From the scheduler's states, reasons and exit encodings to ours, as the adapter maps them. Pure.

use std::collections::BTreeMap;

use regex::Regex;

use super::reading::Row;
use crate::model::job::JobOutcome;
use crate::scheduler::answer::{ExitStatus, SchedulerState, Sureness};
use crate::scheduler::times;

/// The adapter's maps.
#[derive(Clone, Debug)]
pub struct StateMap {
    /// Cuts the word out of a decorated state (`CANCELLED by 1001`), in the group `state`.
    pub word: Option<Regex>,
    /// Rules over several fields, tried in order before the words.
    pub rules: Vec<Rule>,
    /// The scheduler's words and what they mean.
    pub words: BTreeMap<String, SchedulerState>,
    /// Encodings of exit codes, tried in order.
    pub exits: Vec<ExitEncoding>,
}

/// A rule that holds when every pattern matches its field, every lacking field is absent, and the amount is above its limit.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Fields and what they must match.
    pub when: Vec<(String, Regex)>,
    /// Fields that must be absent.
    pub lacks: Vec<String>,
    /// What must be above its limit.
    pub exceeds: Option<Exceeds>,
    /// What then holds.
    pub then: SchedulerState,
    /// Whose exit code the row shows.
    pub exit: ExitOf,
}

/// Whose exit code a row shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitOf {
    /// The job's own.
    Own,
    /// Another's, such as that of the array whose element it is.
    Another,
}

/// An amount of memory and the limit that the job had for it.
#[derive(Clone, Debug)]
pub struct Exceeds {
    /// The field with the amount.
    pub field: String,
    /// The field that tells the limit, among other things.
    pub limit_in: String,
    /// Finds the limit there, in the group `limit`.
    pub limit: Regex,
    /// The field that tells how many times the job had it; once without.
    pub times: Option<String>,
}

/// One way to write exit codes.
#[derive(Clone, Debug)]
pub struct ExitEncoding {
    /// With the groups `code`, `signal` or both.
    pub pattern: Regex,
    /// What is taken off the number in `signal`.
    pub signal_offset: i32,
}

/// Reads the target of a map: `queued`, `running`, `ended failed`, `ended preempted once absent`, …
pub fn target(text: &str) -> Option<SchedulerState> {
    let ended = |outcome: &str, sure| {
        JobOutcome::parse(outcome).map(|outcome| SchedulerState::Ended { outcome, sure })
    };
    match text.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["queued"] => Some(SchedulerState::Queued),
        ["blocked"] => Some(SchedulerState::Blocked),
        ["running"] => Some(SchedulerState::Running),
        ["suspended"] => Some(SchedulerState::Suspended),
        ["ending"] => Some(SchedulerState::Ending),
        ["unknown"] => Some(SchedulerState::Unrecognised(String::new())),
        ["ended", outcome] => ended(outcome, Sureness::Now),
        ["ended", outcome, "once", "absent"] => ended(outcome, Sureness::OnceAbsent),
        _ => None,
    }
}

/// What [`target`] understands, for error messages.
pub fn targets() -> String {
    let outcomes: Vec<&str> = JobOutcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
    format!(
        "queued, blocked, running, suspended, ending, unknown, `ended OUTCOME` or `ended OUTCOME once absent` with OUTCOME one of {}",
        outcomes.join(", ")
    )
}

impl StateMap {
    /// The state that `row` shows; `None` when it shows none at all.
    pub fn state(&self, row: &Row) -> Option<SchedulerState> {
        let text = row.get("state")?;
        let word = self
            .word
            .as_ref()
            .and_then(|pattern| pattern.captures(text))
            .and_then(|captures| captures.name("state"))
            .map_or(text, |found| found.as_str());
        let ruled = self.rules.iter().find(|rule| rule.holds(row)).map(|rule| rule.then.clone());
        let state = ruled.or_else(|| self.words.get(word).cloned());
        let known = state.filter(|state| !matches!(state, SchedulerState::Unrecognised(_)));
        Some(known.unwrap_or_else(|| SchedulerState::Unrecognised(text.to_owned())))
    }

    /// The exit code and signal that `row` shows.
    pub fn exit(&self, row: &Row) -> ExitStatus {
        if self.rules.iter().find(|rule| rule.holds(row)).is_some_and(|rule| rule.exit == ExitOf::Another) {
            return ExitStatus::default();
        }
        let Some(text) = row.get("exit") else { return ExitStatus::default() };
        self.exits.iter().find_map(|encoding| encoding.decode(text)).unwrap_or_default()
    }
}

impl Rule {
    fn holds(&self, row: &Row) -> bool {
        self.when.iter().all(|(field, pattern)| row.get(field).is_some_and(|text| pattern.is_match(text)))
            && self.lacks.iter().all(|field| row.get(field).is_none())
            && self.exceeds.as_ref().is_none_or(|amount| amount.holds(row))
    }
}

impl Exceeds {
    /// Only what can be read in full is above anything.
    fn holds(&self, row: &Row) -> bool {
        let amount = row.get(&self.field).and_then(times::bytes);
        let limit = row.get(&self.limit_in).and_then(|text| self.limit.captures(text));
        let limit = limit.and_then(|found| times::bytes(found.name("limit")?.as_str()));
        let times = match &self.times {
            Some(field) => row.get(field).and_then(|text| text.trim().parse::<u64>().ok()),
            None => Some(1),
        };
        let limit = limit.zip(times).map(|(limit, times)| limit.saturating_mul(times));
        amount.zip(limit).is_some_and(|(amount, limit)| amount > limit)
    }
}

impl ExitEncoding {
    fn decode(&self, text: &str) -> Option<ExitStatus> {
        let captures = self.pattern.captures(text)?;
        let number = |group| captures.name(group).and_then(|found| found.as_str().parse::<i32>().ok());
        let signal = number("signal")
            .and_then(|number| number.checked_sub(self.signal_offset))
            .filter(|number| *number != 0);
        Some(ExitStatus { code: number("code"), signal })
    }
}
