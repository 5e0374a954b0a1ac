//! Turns a merged document into an adapter, and finds everything that is wrong with it. Pure.

mod call;
mod maps;
mod queues;
mod reading;

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use regex::{Regex, RegexBuilder};
use toml::Spanned;

use super::document::{CallDocument, DirectivesDocument, Document, IdsDocument, ScriptDocument, WarnsItself};
use super::messages::Verb;
use super::problems::{Problem, Problems, Sources};
use super::{Adapter, Call, IdForm, LaunchFacts, ScriptFacts, Variants, placeholders};
use crate::model::task::Warning;
use crate::scheduler::times;
use crate::scheduler::version::{Version, VersionRange};

type Text = Option<Spanned<String>>;
type Span = Range<usize>;

/// Checks `document`; on any problem, all of them come back.
pub(super) fn adapter(
    name: &str,
    document: Document,
    sources: &Sources,
    problems: Problems,
) -> Result<Adapter, Vec<Problem>> {
    let mut checker = Checker {
        problems,
        end: sources.last_start()..sources.last_start(),
        services: BTreeSet::new(),
        lists: BTreeSet::new(),
        texts: BTreeSet::new(),
        row_fields: BTreeSet::new(),
        written_states: BTreeSet::new(),
        ids_per_call: 100,
    };
    let adapter = checker.adapter(name, document);
    let mut problems = checker.problems.0;
    if let (Some(adapter), true) = (adapter, problems.is_empty()) {
        return Ok(adapter);
    }
    problems.sort_by_key(|problem| problem.span.start);
    problems.dedup_by(|a, b| a.span == b.span && a.title == b.title);
    Err(problems)
}

struct Checker {
    problems: Problems,
    /// Where problems of no place of their own are shown: the beginning of the last file.
    end: Span,
    /// Services, lists and texts that the probe fills in.
    services: BTreeSet<String>,
    lists: BTreeSet<String>,
    texts: BTreeSet<String>,
    /// Fields that rows of poll and post-mortem have.
    row_fields: BTreeSet<String>,
    /// Words that `[states]` gives a meaning, right or wrong.
    written_states: BTreeSet<String>,
    ids_per_call: usize,
}

impl Checker {
    fn adapter(&mut self, name: &str, document: Document) -> Option<Adapter> {
        // A name in a file that this one extends is that file's.
        let own = |written: &&Spanned<String>| written.span().start >= self.end.start;
        if let Some(written) = document.name.as_ref().filter(own).filter(|written| written.get_ref() != name)
        {
            self.problems.add(
                written.span(),
                format!("the adapter calls itself `{}`", written.get_ref()),
                format!("its file's name says `{name}`"),
            );
        }
        if let Some(number) = &document.calls.ids_per_call {
            self.ids_per_call = self.at_least_one(number);
        }
        let environment_set = self.environment(&document);
        let probe = self.probes(document.probe);
        let submit = self.verb(Verb::Submit, document.submit);
        let find_by_tag = self.find_by_tag(document.find_by_tag);
        let poll_ids = self.optional_verb(Verb::PollIds, document.poll_ids);
        let poll = self.verb(Verb::Poll, document.poll);
        self.ids_for_poll(poll_ids.as_ref(), poll.as_ref());
        let post_mortem = self.optional_verb(Verb::PostMortem, document.post_mortem);
        let cancel = self.verb(Verb::Cancel, document.cancel);
        let states = self.states(document.states, document.state_word, document.rules, document.exits);
        self.documented_states(&states, &document.documented_states);
        let (directive_prefix, directives) = self.directives(document.directives);
        Some(Adapter {
            name: name.to_owned(),
            description: document.description.map(Spanned::into_inner).unwrap_or_default(),
            environment_pass: document.environment.pass.into_iter().map(Spanned::into_inner).collect(),
            environment_set,
            query_timeout: self.span(document.calls.query_timeout).unwrap_or(Duration::from_secs(60)),
            submit_timeout: self.span(document.calls.submit_timeout).unwrap_or(Duration::from_secs(120)),
            lookup_gap: self.span(document.calls.lookup_gap).unwrap_or(Duration::from_secs(30)),
            output_limit_bytes: self.size(document.calls.output_limit).unwrap_or(16 << 20),
            script: self.script(document.script, document.ids.first_index),
            ids: self.ids(document.ids)?,
            directive_prefix,
            directives,
            states,
            messages: self.messages(document.messages),
            probe,
            submit: submit?,
            find_by_tag,
            poll_ids,
            poll: poll?,
            post_mortem,
            cancel: cancel?,
            hold: self.optional_verb(Verb::Hold, document.hold),
            release: self.optional_verb(Verb::Release, document.release),
            limits: self.optional_verb(Verb::Limits, document.limits),
            queues: self.queues(document.queues),
            alive: self.optional_verb(Verb::Alive, document.alive),
        })
    }

    fn environment(&mut self, document: &Document) -> Vec<(String, String)> {
        let names = document.environment.pass.iter().map(|name| (name.get_ref().as_str(), name.span()));
        let set = &document.environment.set;
        for (name, span) in names.chain(set.iter().map(|(name, value)| (name.as_str(), value.span()))) {
            let valid =
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !valid {
                self.problems.add(
                    span,
                    format!("`{name}` is no name of a variable"),
                    "letters, digits and `_`",
                );
            }
        }
        set.iter().map(|(name, value)| (name.clone(), value.get_ref().clone())).collect()
    }

    fn ids(&mut self, ids: IdsDocument) -> Option<IdForm> {
        let submission =
            self.required(ids.submission, "ids.submission", "a pattern of the scheduler's job ids")?;
        let pattern = self.regex(&submission, &[])?;
        let element = self.required(
            ids.element,
            "ids.element",
            "an array element's id, such as '{submission}_{index}'",
        )?;
        let mut rest = element.get_ref().replace("{index}", "");
        for name in pattern.capture_names().flatten() {
            rest = rest.replace(&format!("{{{name}}}"), "");
        }
        if !element.get_ref().contains("{index}") || rest.contains(['{', '}']) {
            let names: Vec<&str> = pattern.capture_names().flatten().collect();
            let allowed = format!("`{{index}}` and the groups of `submission`: {}", names.join(", "));
            self.problems.add(element.span(), "cannot make an element's id", allowed);
        }
        Some(IdForm { submission: pattern, element: element.into_inner(), first_index: ids.first_index })
    }

    fn directives(&mut self, directives: DirectivesDocument) -> (String, Vec<super::template::Piece>) {
        let pieces = self.pieces(directives.lines.unwrap_or_default(), &placeholders::of_verb(Verb::Submit));
        (directives.prefix.map(Spanned::into_inner).unwrap_or_default(), pieces)
    }

    fn script(&mut self, script: ScriptDocument, first_array_index: u32) -> ScriptFacts {
        let lines = script.lines.unwrap_or_default();
        let log_name = script.log_name.map_or_else(|| "scheduler.log".to_owned(), Spanned::into_inner);
        let words = [&script.job_id, &script.array_index_variable, &script.hosts, &script.launch];
        for line in lines.iter().chain(words.into_iter().flatten()) {
            if line.get_ref().contains(char::is_control) {
                self.problems.add(
                    line.span(),
                    "a control character in a script line",
                    "one line of plain text",
                );
            }
        }
        ScriptFacts {
            array_index_variable: script.array_index_variable.map(Spanned::into_inner),
            first_array_index,
            job_id: script.job_id.map(Spanned::into_inner),
            warns_itself: script.warns_itself.and_then(|written| self.warns_itself(written)),
            kill_wait: self.span(script.kill_wait),
            warning: script.warning.map_or(Warning::WalltimeNear, |word| self.warning(&word)),
            array_log_file: script.array_log_file.map(|name| self.array_log_file(name)),
            array_log_name: script.array_log_name.map_or_else(|| log_name.clone(), Spanned::into_inner),
            log_name,
            lines: lines.into_iter().map(Spanned::into_inner).collect(),
            launch: self.launch(script.hosts, script.launch),
        }
    }

    fn launch(&mut self, hosts: Text, launch: Text) -> Option<LaunchFacts> {
        match (hosts, launch) {
            (Some(hosts), Some(launch)) => {
                Some(LaunchFacts { hosts: hosts.into_inner(), command: launch.into_inner() })
            }
            (Some(alone), None) | (None, Some(alone)) => {
                let allowed = "both `hosts` and `launch`, or neither";
                self.problems.add(alone.span(), "no way to start a runner on each node", allowed);
                None
            }
            (None, None) => None,
        }
    }

    fn warns_itself(&mut self, written: Spanned<WarnsItself>) -> Option<VersionRange> {
        let span = written.span();
        let placed = |text: String| Some(Spanned::new(span.clone(), text));
        match written.into_inner() {
            WarnsItself::Always(always) => always.then(VersionRange::default),
            WarnsItself::Versions(versions) => Some(VersionRange {
                since: self.version(versions.since.and_then(placed)),
                until: self.version(versions.until.and_then(placed)),
            }),
        }
    }

    fn warning(&mut self, word: &Spanned<String>) -> Warning {
        match word.get_ref().as_str() {
            "walltime" => {}
            "kill" => return Warning::Kill,
            other => {
                let title = format!("unknown meaning `{other}` of a warning");
                self.problems.add(word.span(), title, "`walltime` or `kill`");
            }
        }
        Warning::WalltimeNear
    }

    fn array_log_file(&mut self, name: Spanned<String>) -> String {
        if !name.get_ref().contains("{index}") || name.get_ref().contains('/') {
            let allowed = "one name with `{index}`, such as 'scheduler-{index}.log'";
            self.problems.add(name.span(), "no name of an element's log", allowed);
        }
        name.into_inner()
    }

    fn verb(&mut self, verb: Verb, call: Option<Spanned<CallDocument>>) -> Option<Variants> {
        if call.is_none() {
            let title = format!("there is no [{}]", verb.as_str());
            self.problems.add(self.end.clone(), title, "every scheduler needs it");
        }
        self.optional_verb(verb, call)
    }

    /// A poll by ids needs a call that tells them, and the other way round.
    fn ids_for_poll(&mut self, poll_ids: Option<&Variants>, poll: Option<&Variants>) {
        let Some(poll) = poll else { return };
        let by_ids = |call: &Call| call.argv.iter().any(|piece| piece.names().contains(&"ids"));
        let told = match poll_ids {
            None if poll.0.iter().any(by_ids) => "nothing tells the ids that [poll] asks about",
            Some(_) if !poll.0.iter().all(by_ids) => "[poll] does not ask about the ids of [poll_ids]",
            _ => return,
        };
        let allowed = "[poll_ids] with a command that lists ids, and [\"{ids}\"] in the command of [poll]";
        self.problems.add(self.end.clone(), told, allowed);
    }

    fn optional_verb(&mut self, verb: Verb, call: Option<Spanned<CallDocument>>) -> Option<Variants> {
        let call = call?;
        let span = call.span();
        Some(self.variants(verb, call.into_inner(), &span))
    }

    // -- small things ------------------------------------------------------------------------------------------

    fn required(&mut self, text: Text, key: &str, allowed: &str) -> Option<Spanned<String>> {
        if text.is_none() {
            self.problems.add(self.end.clone(), format!("`{key}` is missing"), allowed);
        }
        text
    }

    /// Compiles a pattern in which `^` and `$` stand for lines, and misses groups that it must have.
    fn regex(&mut self, text: &Spanned<String>, groups: &[&str]) -> Option<Regex> {
        let pattern = match RegexBuilder::new(text.get_ref()).multi_line(true).build() {
            Ok(pattern) => pattern,
            Err(error) => {
                let told = error.to_string();
                let why =
                    told.lines().last().unwrap_or("not a pattern").trim_start_matches("error: ").to_owned();
                self.problems.add(text.span(), "the pattern does not compile", why);
                return None;
            }
        };
        for group in groups {
            if !pattern.capture_names().flatten().any(|name| name == *group) {
                let title = format!("the pattern has no group `{group}`");
                self.problems.add(text.span(), title, format!("write `(?<{group}>…)` around it"));
            }
        }
        Some(pattern)
    }

    fn span(&mut self, text: Text) -> Option<Duration> {
        let text = text?;
        let span = times::span(text.get_ref());
        if span.is_none() {
            let title = format!("`{}` is no length of time", text.get_ref());
            self.problems.add(text.span(), title, "a number and a unit: 90s, 10m, 1h");
        }
        span
    }

    fn size(&mut self, text: Text) -> Option<usize> {
        let text = text?;
        let size = times::bytes(text.get_ref()).and_then(|bytes| usize::try_from(bytes).ok());
        if size.is_none() {
            let title = format!("`{}` is no size", text.get_ref());
            self.problems.add(text.span(), title, "a number and a unit: 512KiB, 16MiB");
        }
        size
    }

    fn version(&mut self, text: Text) -> Option<Version> {
        let text = text?;
        let version = Version::parse(text.get_ref());
        if version.is_none() {
            let title = format!("`{}` is no version", text.get_ref());
            self.problems.add(text.span(), title, "numbers and dots: 23.02");
        }
        version
    }

    fn at_least_one(&mut self, number: &Spanned<u32>) -> usize {
        if *number.get_ref() == 0 {
            self.problems.add(number.span(), "0 ids per call", "at least 1");
        }
        (*number.get_ref()).max(1) as usize
    }
}
