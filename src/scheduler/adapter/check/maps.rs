//! Checks the maps: states, rules, exit codes, messages. Pure.

use std::collections::BTreeMap;

use regex::Regex;
use toml::Spanned;

use super::{Checker, Text};
use crate::scheduler::adapter::document::{ExceedsDocument, ExitDocument, MessageDocument, RuleDocument};
use crate::scheduler::adapter::messages::{Message, MessageClass, Messages, Verb};
use crate::scheduler::adapter::placeholders::fields_of_verb;
use crate::scheduler::adapter::states::{Exceeds, ExitEncoding, ExitOf, Rule, StateMap, target, targets};
use crate::scheduler::answer::SchedulerState;

impl Checker {
    pub(super) fn states(
        &mut self,
        words: BTreeMap<String, Spanned<String>>,
        word: Text,
        rules: BTreeMap<String, Spanned<RuleDocument>>,
        exits: BTreeMap<String, Spanned<ExitDocument>>,
    ) -> StateMap {
        if words.is_empty() {
            let allowed = "[states] with a line such as RUNNING = \"running\" for each of the scheduler's";
            self.problems.add(self.end.clone(), "there is no map of states", allowed);
        }
        self.written_states = words.keys().cloned().collect();
        let words =
            words.into_iter().filter_map(|(word, meaning)| Some((word, self.target(&meaning)?))).collect();
        let mut ranked: Vec<_> = rules.into_values().collect();
        ranked.sort_by_key(|rule| rule.get_ref().rank);
        let rules = ranked.into_iter().filter_map(|rule| self.rule(rule)).collect();
        let mut ranked: Vec<_> = exits.into_values().collect();
        ranked.sort_by_key(|exit| exit.get_ref().rank);
        let exits = ranked.into_iter().filter_map(|exit| self.exit(exit)).collect();
        StateMap { word: word.and_then(|text| self.regex(&text, &["state"])), rules, words, exits }
    }

    /// That every state the scheduler's own documentation lists has a meaning: in `[states]`, or by a rule that looks
    /// at the state.
    pub(super) fn documented_states(&mut self, states: &StateMap, documented: &[Spanned<String>]) {
        let ruled = |word: &str| {
            let looks = |(field, pattern): &(String, Regex)| field == "state" && pattern.is_match(word);
            states.rules.iter().any(|rule| rule.when.iter().any(looks))
        };
        for word in documented {
            let name = word.get_ref().as_str();
            // A meaning that is itself wrong has been told already.
            if !self.written_states.contains(name) && !ruled(name) {
                let title = format!("the documented state `{name}` has no meaning");
                let allowed = format!("add `{name} = \"…\"` to [states], or a rule for it; {}", targets());
                self.problems.add(word.span(), title, allowed);
            }
        }
    }

    fn target(&mut self, meaning: &Spanned<String>) -> Option<SchedulerState> {
        let state = target(meaning.get_ref());
        if state.is_none() {
            self.problems.add(meaning.span(), format!("unknown state `{}`", meaning.get_ref()), targets());
        }
        state
    }

    fn rule(&mut self, rule: Spanned<RuleDocument>) -> Option<Rule> {
        let span = rule.span();
        let rule = rule.into_inner();
        if rule.when.is_empty() && rule.lacks.is_empty() && rule.exceeds.is_none() {
            self.problems.add(span, "the rule would always hold", "`when`, `lacks` or `exceeds`");
        }
        let mut when = Vec::new();
        for (field, pattern) in rule.when {
            self.check_field(&field, pattern.span());
            when.extend(self.regex(&pattern, &[]).map(|pattern| (field, pattern)));
        }
        for field in &rule.lacks {
            self.check_field(field.get_ref(), field.span());
        }
        let exceeds = match rule.exceeds {
            Some(amount) => Some(self.exceeds(amount.into_inner())?),
            None => None,
        };
        let then = self.required(rule.then, "then", "what holds when the rule does")?;
        Some(Rule {
            when,
            lacks: rule.lacks.into_iter().map(Spanned::into_inner).collect(),
            exceeds,
            then: self.target(&then)?,
            exit: rule.exit.map_or(ExitOf::Own, |word| self.exit_of(&word)),
        })
    }

    fn exit_of(&mut self, word: &Spanned<String>) -> ExitOf {
        match word.get_ref().as_str() {
            "own" => {}
            "another" => return ExitOf::Another,
            other => {
                let title = format!("`{other}` has no exit code");
                self.problems.add(word.span(), title, "`own` or `another`");
            }
        }
        ExitOf::Own
    }

    fn exceeds(&mut self, amount: ExceedsDocument) -> Option<Exceeds> {
        let field = self.required(amount.field, "field", "the field with the amount")?;
        let limit_in = self.required(amount.limit_in, "limit_in", "the field that tells the limit")?;
        let limit = self.required(amount.limit, "limit", "a pattern with the group `limit`")?;
        for named in [Some(&field), Some(&limit_in), amount.times.as_ref()].into_iter().flatten() {
            self.check_field(named.get_ref(), named.span());
        }
        Some(Exceeds {
            field: field.into_inner(),
            limit_in: limit_in.into_inner(),
            limit: self.regex(&limit, &["limit"])?,
            times: amount.times.map(Spanned::into_inner),
        })
    }

    fn check_field(&mut self, field: &str, span: std::ops::Range<usize>) {
        // A site's own reading may lack what the built-in rules look at.
        let usual = fields_of_verb(Verb::Poll).1.contains(&field);
        if !usual && !self.row_fields.contains(field) {
            let there: Vec<&str> = self.row_fields.iter().map(String::as_str).collect();
            let allowed = format!("fields of poll and post_mortem: {}", there.join(", "));
            self.problems.add(span, format!("no answer has a field `{field}`"), allowed);
        }
    }

    fn exit(&mut self, exit: Spanned<ExitDocument>) -> Option<ExitEncoding> {
        let exit = exit.into_inner();
        let text =
            self.required(exit.pattern, "pattern", "a pattern with the groups `code`, `signal` or both")?;
        let pattern = self.regex(&text, &[])?;
        if !pattern.capture_names().flatten().any(|name| name == "code" || name == "signal") {
            self.problems.add(
                text.span(),
                "the pattern finds neither code nor signal",
                "(?<code>…), (?<signal>…)",
            );
        }
        Some(ExitEncoding { pattern, signal_offset: exit.signal_offset })
    }

    pub(super) fn messages(&mut self, messages: BTreeMap<String, Spanned<MessageDocument>>) -> Messages {
        Messages(messages.into_values().filter_map(|message| self.message(message.into_inner())).collect())
    }

    fn message(&mut self, message: MessageDocument) -> Option<Message> {
        let text = self.required(message.pattern, "pattern", "what the message looks like");
        let pattern = text.and_then(|text| self.regex(&text, &[]));
        let word = self.required(message.class, "class", "what the message means");
        let class = word.and_then(|word| {
            let class = MessageClass::parse(word.get_ref());
            if class.is_none() {
                let allowed: Vec<&str> = MessageClass::ALL.iter().map(|class| class.as_str()).collect();
                let title = format!("unknown class `{}`", word.get_ref());
                self.problems.add(word.span(), title, format!("one of {}", allowed.join(", ")));
            }
            class
        });
        let mut verbs = Vec::new();
        for word in message.verbs.unwrap_or_default() {
            match Verb::parse(word.get_ref()) {
                Some(verb) => verbs.push(verb),
                None => {
                    let allowed: Vec<&str> = Verb::ALL.iter().map(|verb| verb.as_str()).collect();
                    let title = format!("unknown verb `{}`", word.get_ref());
                    self.problems.add(word.span(), title, format!("one of {}", allowed.join(", ")));
                }
            }
        }
        Some(Message { pattern: pattern?, class: class?, verbs, exit_codes: message.exit_codes })
    }
}
