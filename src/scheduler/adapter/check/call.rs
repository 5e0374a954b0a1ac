//! Checks commands: their pieces, placeholders, variants, and the probe's calls. Pure.

use std::collections::BTreeMap;

use toml::Spanned;

use super::{Checker, Span};
use crate::scheduler::adapter::document::{
    CallDocument, ConditionalDocument, NumberDocument, PieceDocument, ProbeDocument, RetryDocument,
};
use crate::scheduler::adapter::messages::Verb;
use crate::scheduler::adapter::template::{Joined, Piece, Placeholder, Template};
use crate::scheduler::adapter::{Call, Probe, ProbedNumber, Retry, Variants, placeholders};
use crate::scheduler::capabilities::NUMBERS;
use crate::scheduler::version::VersionRange;

impl Checker {
    /// A call with its variants; those that are gated by a version come before the one that is for all.
    pub(super) fn variants(&mut self, verb: Verb, mut call: CallDocument, span: &Span) -> Variants {
        let variants = std::mem::take(&mut call.variants);
        let mut calls = Vec::new();
        for (name, variant) in variants {
            let place = variant.span();
            let variant = variant.into_inner();
            if variant.since.is_none() && variant.until.is_none() {
                let title = format!("the variant `{name}` is for no version in particular");
                self.problems.add(place.clone(), title, "`since`, `until` or both");
            }
            let called = self.call(verb, variant.over(&call), &place);
            calls.extend(called.map(|call| Call { variant: Some(name), ..call }));
        }
        calls.extend(self.call(verb, call, span));
        Variants(calls)
    }

    fn call(&mut self, verb: Verb, call: CallDocument, span: &Span) -> Option<Call> {
        let known = placeholders::of_verb(verb);
        if let Some(service) = call.needs.as_ref().filter(|name| !self.services.contains(name.get_ref())) {
            let title = format!("no probe tells whether there is `{}`", service.get_ref());
            let there: Vec<&str> = self.services.iter().map(String::as_str).collect();
            self.problems.add(service.span(), title, format!("probed services: {}", there.join(", ")));
        }
        if let Some(list) =
            call.columns_listed_in.as_ref().filter(|name| !self.lists.contains(name.get_ref()))
        {
            let title = format!("no probe fills in the list `{}`", list.get_ref());
            let there: Vec<&str> = self.lists.iter().map(String::as_str).collect();
            self.problems.add(list.span(), title, format!("probed lists: {}", there.join(", ")));
        }
        let Some(argv) = call.argv.filter(|argv| !argv.is_empty()) else {
            self.problems.add(
                span.clone(),
                format!("`{}` has no command", verb.as_str()),
                "argv = [\"program\", …]",
            );
            return None;
        };
        let columns = call.columns.map(Spanned::into_inner).unwrap_or_default();
        let read = self.reading(verb, call.read, &columns, span);
        Some(Call {
            variant: None,
            versions: VersionRange { since: self.version(call.since), until: self.version(call.until) },
            needs: call.needs.map(Spanned::into_inner),
            argv: self.pieces(argv, &known),
            stdin: call.stdin.and_then(|text| self.template(&text, &known, true)),
            directory: call.directory.and_then(|text| self.template(&text, &known, true)),
            timeout: self.span(call.timeout),
            usable_exit_codes: call.usable_exit_codes.unwrap_or_else(|| vec![0]),
            optional: call.optional.unwrap_or(false),
            ids_per_call: match &call.ids_per_call {
                Some(number) => self.at_least_one(number),
                None => self.ids_per_call,
            },
            columns,
            columns_listed_in: call.columns_listed_in.map(Spanned::into_inner),
            retries: self.retries(verb, call.retries),
            read,
        })
    }

    fn retries(&mut self, verb: Verb, retries: BTreeMap<String, Spanned<RetryDocument>>) -> Vec<Retry> {
        let mut checked = Vec::new();
        for retry in retries.into_values() {
            if verb != Verb::Submit {
                let title = format!("`{}` may be asked twice", verb.as_str());
                self.problems.add(retry.span(), title, "`retries` of [submit] only");
            }
            let RetryDocument { pattern, after } = retry.into_inner();
            let pattern = self.required(pattern, "pattern", "what the client says before it tries again");
            let Some(pattern) = pattern.and_then(|text| self.regex(&text, &[])) else { continue };
            checked.push(Retry { pattern, after: self.span(after).unwrap_or_default() });
        }
        checked
    }

    /// Checks the pieces of a command or of the directives.
    pub(super) fn pieces(
        &mut self,
        pieces: Vec<Spanned<PieceDocument>>,
        known: &[Placeholder],
    ) -> Vec<Piece> {
        pieces.into_iter().map(|piece| self.piece(piece, known)).collect()
    }

    fn piece(&mut self, piece: Spanned<PieceDocument>, known: &[Placeholder]) -> Piece {
        let span = piece.span();
        let simple = |templates| Piece {
            only_if: None,
            unless: None,
            versions: VersionRange::default(),
            probed: Vec::new(),
            templates,
            joined: None,
        };
        match piece.into_inner() {
            PieceDocument::Word(text) => {
                simple(self.template(&Spanned::new(span, text), known, true).into_iter().collect())
            }
            PieceDocument::Words(texts) => {
                simple(texts.iter().filter_map(|text| self.template(text, known, false)).collect())
            }
            PieceDocument::Conditional(mut piece) => Piece {
                joined: self.joined(&mut piece, &span, known),
                only_if: piece.only_if.and_then(|name| self.value_name(&name, known)),
                unless: piece.unless.and_then(|name| self.value_name(&name, known)),
                versions: VersionRange { since: self.version(piece.since), until: self.version(piece.until) },
                probed: self.probed(piece.probed),
                templates: piece.then.iter().filter_map(|text| self.template(text, known, false)).collect(),
            },
        }
    }

    fn joined(
        &mut self,
        piece: &mut ConditionalDocument,
        span: &Span,
        known: &[Placeholder],
    ) -> Option<Joined> {
        let pieces = std::mem::take(&mut piece.pieces);
        match (piece.join.take(), pieces.is_empty(), piece.then.is_empty()) {
            (None, true, _) => None,
            (Some(by), false, true) => {
                Some(Joined { by: by.into_inner(), pieces: self.pieces(pieces, known) })
            }
            _ => {
                self.problems.add(
                    span.clone(),
                    "half of a joined word",
                    "`join` and `pieces`, without `then`",
                );
                None
            }
        }
    }

    fn probed(&mut self, probed: BTreeMap<String, Spanned<String>>) -> Vec<(String, regex::Regex)> {
        let mut conditions = Vec::new();
        for (name, text) in probed {
            if !self.texts.contains(&name) {
                let there: Vec<&str> = self.texts.iter().map(String::as_str).collect();
                let title = format!("no probe tells the text `{name}`");
                self.problems.add(text.span(), title, format!("probed texts: {}", there.join(", ")));
            }
            conditions.extend(self.regex(&text, &[]).map(|pattern| (name, pattern)));
        }
        conditions
    }

    fn value_name(&mut self, name: &Spanned<String>, known: &[Placeholder]) -> Option<&'static str> {
        let found = known.iter().find(|one| one.name == name.get_ref().as_str()).map(|one| one.name);
        if found.is_none() {
            let names: Vec<&str> = known.iter().map(|one| one.name).collect();
            let title = format!("unknown value `{}`", name.get_ref());
            self.problems.add(name.span(), title, format!("one of {}", names.join(", ")));
        }
        found
    }

    /// Compiles a text; where it cannot vanish, its values have to be there always.
    fn template(&mut self, text: &Spanned<String>, known: &[Placeholder], stays: bool) -> Option<Template> {
        // The unit separator stands in no name or value, which makes it the one to ask schedulers for.
        if text.get_ref().contains(|c: char| c.is_control() && c != '\u{1f}') {
            self.problems.add(text.span(), "a control character", "plain text; as a separator \\u001F");
            return None;
        }
        let template = match Template::parse(text.get_ref(), known) {
            Ok(template) => template,
            Err(why) => {
                let (title, allowed) = why.split_once("; ").unwrap_or(("the text cannot be filled in", &why));
                self.problems.add(text.span(), title, allowed);
                return None;
            }
        };
        let missing = template.names().find(|name| {
            stays && known.iter().any(|one| one.name == *name && !one.always && *name != "extra")
        });
        if let Some(name) = missing {
            let title = format!("`{{{name}}}` has not always a value");
            self.problems.add(
                text.span(),
                title,
                format!("put it in a list of its own: [\"{}\"]", text.get_ref()),
            );
        }
        Some(template)
    }

    /// The probe's calls in order. Services and lists they tell become known to later checks.
    pub(super) fn probes(&mut self, probes: BTreeMap<String, Spanned<ProbeDocument>>) -> Vec<Probe> {
        let mut ranked: Vec<_> = probes.into_values().collect();
        ranked.sort_by_key(|probe| probe.get_ref().rank);
        ranked.into_iter().map(|probe| self.probe(probe)).collect()
    }

    fn probe(&mut self, probe: Spanned<ProbeDocument>) -> Probe {
        let span = probe.span();
        let probe = probe.into_inner();
        let call = self.variants(Verb::Probe, probe.call, &span);
        let mut numbers = Vec::new();
        for (name, number) in probe.numbers {
            if !NUMBERS.contains(&name.as_str()) {
                let title = format!("unknown number `{name}`");
                self.problems.add(number.span(), title, format!("one of {}", NUMBERS.join(", ")));
            }
            let NumberDocument { field, subtract, times } = number.into_inner();
            if let Some(field) = self.required(field, "field", "the field that holds the number") {
                let field = field.into_inner();
                numbers.push((name, ProbedNumber { field, subtract, times: times.unwrap_or(1) }));
            }
        }
        let mut services = Vec::new();
        for (name, service) in probe.services {
            let service = service.into_inner();
            let field = self.required(service.field, "field", "the field that tells of the service");
            let absent =
                self.required(service.absent_when, "absent_when", "a pattern of the service's absence");
            if let (Some(field), Some(pattern)) = (field, absent.and_then(|text| self.regex(&text, &[]))) {
                self.services.insert(name.clone());
                services.push((name, field.into_inner(), pattern));
            }
        }
        let lists: Vec<(String, String)> =
            probe.lists.into_iter().map(|(name, field)| (name, field.into_inner())).collect();
        let texts: Vec<(String, String)> =
            probe.texts.into_iter().map(|(name, field)| (name, field.into_inner())).collect();
        self.texts.extend(texts.iter().map(|(name, _)| name.clone()));
        self.lists.extend(lists.iter().map(|(name, _)| name.clone()));
        if let Some(what) = probe.proves.as_ref().filter(|_| probe.version.is_none()) {
            let title = format!("nothing proves that this is {}", what.get_ref());
            self.problems.add(what.span(), title, "version = \"…\": the field that only its answer has");
        }
        Probe {
            call,
            proves: probe.proves.map(Spanned::into_inner),
            version: probe.version.map(Spanned::into_inner),
            cluster: probe.cluster.map(Spanned::into_inner),
            numbers,
            services,
            lists,
            texts,
        }
    }

    /// The look-ups by tag in order; there has to be one.
    pub(super) fn find_by_tag(&mut self, calls: BTreeMap<String, Spanned<CallDocument>>) -> Vec<Variants> {
        if calls.is_empty() {
            let allowed = "[find_by_tag.NAME] with a command: without it a lost answer can never be settled";
            self.problems.add(self.end.clone(), "there is no look-up by tag", allowed);
        }
        let mut ranked: Vec<_> = calls.into_values().collect();
        ranked.sort_by_key(|call| call.get_ref().rank.unwrap_or(0));
        ranked
            .into_iter()
            .map(|call| {
                let span = call.span();
                self.variants(Verb::FindByTag, call.into_inner(), &span)
            })
            .collect()
    }
}
