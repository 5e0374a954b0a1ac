//! From the scheduler's states, reasons and exit encodings to ours, as the adapter maps them. Pure.

use std::collections::BTreeMap;

use regex::Regex;

use super::reading::Row;
use crate::model::job::JobOutcome;
use crate::scheduler::answer::{ExitStatus, SchedulerState, Sureness};

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

/// A rule that holds when every pattern matches its field and every lacking field is absent.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Fields and what they must match.
    pub when: Vec<(String, Regex)>,
    /// Fields that must be absent.
    pub lacks: Vec<String>,
    /// What then holds.
    pub then: SchedulerState,
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
        let Some(text) = row.get("exit") else { return ExitStatus::default() };
        self.exits.iter().find_map(|encoding| encoding.decode(text)).unwrap_or_default()
    }
}

impl Rule {
    fn holds(&self, row: &Row) -> bool {
        self.when.iter().all(|(field, pattern)| row.get(field).is_some_and(|text| pattern.is_match(text)))
            && self.lacks.iter().all(|field| row.get(field).is_none())
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
