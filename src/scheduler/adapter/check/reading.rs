//! Checks how answers are read, and that they give the fields that each verb needs. Pure.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;

use super::{Checker, Span};
use crate::scheduler::adapter::document::{
    JsonDocument, ReadDocument, RecordsDocument, SectionsDocument, XmlDocument,
};
use crate::scheduler::adapter::messages::Verb;
use crate::scheduler::adapter::placeholders;
use crate::scheduler::adapter::reading::{
    Form, JsonReading, Reading, RecordsReading, SectionsReading, Stream, Take, Unmatched, XmlReading,
};

impl Checker {
    pub(super) fn reading(
        &mut self,
        verb: Verb,
        read: Option<Spanned<ReadDocument>>,
        columns: &[String],
        span: &Span,
    ) -> Option<Reading> {
        let (needed, _) = placeholders::fields_of_verb(verb);
        let Some(read) = read else {
            if !needed.is_empty() {
                let title = format!("nothing says how the answer of `{}` is read", verb.as_str());
                self.problems.add(
                    span.clone(),
                    title,
                    "a table `read` with lines, columns, records, sections, json, xml or words",
                );
            }
            return None;
        };
        let place = read.span();
        let read = read.into_inner();
        let fields: BTreeMap<String, Vec<String>> =
            read.fields.into_iter().map(|(ours, theirs)| (ours, theirs.into_inner().0)).collect();
        let from = self.word(
            read.from,
            Stream::Stdout,
            &[("stdout", Stream::Stdout), ("stderr", Stream::Stderr), ("both", Stream::Both)],
        );
        let take = self.word(read.take, Take::All, &[("all", Take::All), ("last", Take::Last)]);
        let unmatched = self.word(
            read.unmatched,
            Unmatched::Refuse,
            &[("refuse", Unmatched::Refuse), ("skip", Unmatched::Skip)],
        );
        let ignore = read.ignore.iter().filter_map(|text| self.regex(text, &[])).collect();
        let ours = read.ours.and_then(|text| self.regex(&text, &[]));
        let must_contain = read.must_contain.and_then(|text| self.regex(&text, &[]));
        let leave_out = read
            .leave_out
            .into_iter()
            .filter_map(|(field, text)| Some((field, self.regex(&text, &[])?)))
            .collect();
        let step = read.step.and_then(|text| self.regex(&text, &["id", "step"]));

        let ways = [
            read.lines.is_some(),
            read.words == Some(true),
            read.columns.is_some(),
            read.records.is_some(),
            read.sections.is_some(),
            read.json.is_some(),
            read.xml.is_some(),
        ];
        let count = ways.into_iter().filter(|way| *way).count();
        if count != 1 {
            let title = format!("the answer of `{}` is read in {count} ways", verb.as_str());
            let allowed = "exactly one of lines, words, columns, records, sections, json, xml";
            self.problems.add(place, title, allowed);
            return None;
        }
        // What the form can give; unknown for records, JSON and XML.
        let (form, names) = if let Some(text) = read.lines {
            let pattern = self.regex(&text, if fields.is_empty() { needed } else { &[] })?;
            let names = pattern.capture_names().flatten().map(str::to_owned).collect();
            (Form::Lines(pattern), Some(names))
        } else if let Some(cut) = read.columns {
            let separator = self.required(cut.separator, "separator", "what stands between columns");
            let names = cut.names.as_deref().unwrap_or(columns).iter().cloned().collect();
            let separator = separator.map(Spanned::into_inner).unwrap_or_default();
            (Form::Columns { separator, names: cut.names }, Some(names))
        } else if let Some(records) = read.records {
            (Form::Records(self.records(records)), None)
        } else if let Some(sections) = read.sections {
            let sections = self.sections(sections)?;
            let patterns = std::iter::once(&sections.start).chain(&sections.lines);
            let names = patterns.flat_map(|pattern| pattern.capture_names().flatten());
            let names = names.map(str::to_owned).collect();
            (Form::Sections(sections), Some(names))
        } else if let Some(json) = read.json {
            (Form::Json(self.json(json)), None)
        } else if let Some(xml) = read.xml {
            (Form::Xml(self.xml(xml)), None)
        } else {
            (Form::Words, Some(BTreeSet::from(["word".to_owned()])))
        };
        self.check_fields(verb, &form, &fields, names.as_ref(), needed, &place);
        Some(Reading { from, form, ignore, unmatched, ours, take, fields, step, must_contain, leave_out })
    }

    /// That every field named on the right can be there, and that the needed ones are.
    fn check_fields(
        &mut self,
        verb: Verb,
        form: &Form,
        fields: &BTreeMap<String, Vec<String>>,
        names: Option<&BTreeSet<String>>,
        needed: &[&str],
        place: &Span,
    ) {
        if let Some(names) = names {
            for theirs in fields.values().flatten().filter(|name| !names.contains(*name)) {
                let there: Vec<&str> = names.iter().map(String::as_str).collect();
                let title = format!("no `{theirs}` is read");
                self.problems.add(place.clone(), title, format!("there are {}", there.join(", ")));
            }
        }
        let ours: BTreeSet<String> = match (fields.is_empty(), names) {
            (true, Some(names)) => names.clone(),
            (true, None) => BTreeSet::new(),
            (false, _) => {
                let key = match form {
                    Form::Json(json) => json.key.clone(),
                    _ => None,
                };
                fields.keys().cloned().chain(key).collect()
            }
        };
        let pattern_tells = matches!(form, Form::Lines(_)) && fields.is_empty();
        for field in needed.iter().filter(|field| !pattern_tells && !ours.contains(**field)) {
            let title = format!("the answer of `{}` gives no `{field}`", verb.as_str());
            self.problems.add(place.clone(), title, format!("fields = {{ {field} = \"…\" }}"));
        }
        if matches!(verb, Verb::Poll | Verb::PostMortem) {
            self.row_fields.extend(ours);
        }
    }

    fn records(&mut self, records: RecordsDocument) -> RecordsReading {
        let separator = self.required(records.separator, "separator", "what stands between key and value");
        RecordsReading {
            separator: separator.map(Spanned::into_inner).unwrap_or_default(),
            start: records.start.and_then(|text| self.regex(&text, &[])),
            continuation: records.continuation.and_then(|text| self.regex(&text, &[])),
            field_separator: records.field_separator.map(Spanned::into_inner),
        }
    }

    fn sections(&mut self, sections: SectionsDocument) -> Option<SectionsReading> {
        let start = self.required(sections.start, "start", "a pattern of a section's first line")?;
        Some(SectionsReading {
            start: self.regex(&start, &[])?,
            lines: sections.lines.iter().filter_map(|text| self.regex(text, &[])).collect(),
            continuation: sections.continuation.and_then(|text| self.regex(&text, &[])),
        })
    }

    fn json(&mut self, json: JsonDocument) -> JsonReading {
        let rows = json.rows.map(|rows| {
            if !rows.get_ref().is_empty() && !rows.get_ref().starts_with('/') {
                let title = format!("`{}` is no JSON pointer", rows.get_ref());
                self.problems.add(rows.span(), title, "empty for the whole document, or /member/…");
            }
            rows.into_inner()
        });
        JsonReading {
            rows: rows.unwrap_or_default(),
            rows_may_be_absent: json.rows_may_be_absent,
            key: json.key.map(Spanned::into_inner),
        }
    }

    fn xml(&mut self, xml: XmlDocument) -> XmlReading {
        let root = self.required(xml.root, "root", "the name of the outermost element");
        let rows = self.required(xml.rows, "rows", "the name of the elements that are rows");
        let text = |name: Option<Spanned<String>>| name.map(Spanned::into_inner).unwrap_or_default();
        XmlReading { root: text(root), rows: text(rows) }
    }

    fn word<T: Copy>(&mut self, text: Option<Spanned<String>>, default: T, words: &[(&str, T)]) -> T {
        let Some(text) = text else { return default };
        match words.iter().find(|(word, _)| word == text.get_ref()) {
            Some((_, value)) => *value,
            None => {
                let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let title = format!("unknown word `{}`", text.get_ref());
                self.problems.add(text.span(), title, format!("one of {}", allowed.join(", ")));
                default
            }
        }
    }
}
