//! How a command's output becomes rows of named fields: by lines, columns, records, JSON or XML. Pure.
//! Total: any bytes give rows or say why not, and never panic.

mod json;
mod records;
mod sections;
mod text;
mod xml;

use std::collections::BTreeMap;

use regex::Regex;

pub use json::JsonReading;
pub use records::RecordsReading;
pub use sections::SectionsReading;
pub use xml::XmlReading;

/// One row: our field names and the scheduler's text. Empty texts are left out.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Row(BTreeMap<String, String>);

impl Row {
    /// The text of `field`, when there is any.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }

    /// Fields and their texts, by name.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// Sets `field` unless `text` is blank.
    pub fn set(&mut self, field: &str, text: &str) {
        let text = text.trim();
        if !text.is_empty() {
            self.0.insert(field.to_owned(), text.to_owned());
        }
    }
}

/// Why an output could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot read {what}: `{text}`")]
pub struct Unreadable {
    /// What was wrong with it.
    pub what: &'static str,
    /// The offending text, shortened.
    pub text: String,
}

impl Unreadable {
    pub(crate) fn new(what: &'static str, text: &str) -> Unreadable {
        Unreadable { what, text: text.chars().take(200).collect() }
    }
}

/// Which of the two outputs is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Standard output, then standard error.
    Both,
}

/// What a line that does not fit means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unmatched {
    /// The whole output is not to be trusted.
    Refuse,
    /// It is chatter.
    Skip,
}

/// Which rows count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Take {
    /// Every row.
    All,
    /// Only the last: what a submit command prints after a site's banner.
    Last,
}

/// The form of the output.
#[derive(Clone, Debug)]
pub enum Form {
    /// One row per line, by a pattern with named groups.
    Lines(Regex),
    /// One row per word, in the field `word`.
    Words,
    /// One row per line, cut at a separator; the last column keeps what is left.
    Columns {
        /// What stands between columns.
        separator: String,
        /// Names of the columns; those asked for in the command where not given.
        names: Option<Vec<String>>,
    },
    /// `key = value`.
    Records(RecordsReading),
    /// Several lines per row.
    Sections(SectionsReading),
    /// JSON.
    Json(JsonReading),
    /// XML.
    Xml(XmlReading),
}

/// How one answer is read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// What is read.
    pub from: Stream,
    /// Its form.
    pub form: Form,
    /// Lines that are no rows and no fault.
    pub ignore: Vec<Regex>,
    /// What any other line means.
    pub unmatched: Unmatched,
    /// Found in every line that may be about a job of ours: another line that does not fit is passed over.
    pub ours: Option<Regex>,
    /// Which rows count.
    pub take: Take,
    /// Our names and where the scheduler's text for them is; the first that is there counts. Empty: names are ours.
    pub fields: BTreeMap<String, Vec<String>>,
    /// Ids of parts of a job, with groups `id` and `step`; their rows belong to the job `id`.
    pub step: Option<Regex>,
    /// An answer in which this is not found is none.
    pub must_contain: Option<Regex>,
    /// Rows of which every one of these fields matches are not the answer's business.
    pub leave_out: Vec<(String, Regex)>,
}

impl Reading {
    /// Reads an answer into rows. `columns` names the columns that the command asked for.
    pub fn rows(&self, stdout: &str, stderr: &str, columns: &[String]) -> Result<Vec<Row>, Unreadable> {
        let joined;
        let text = match self.from {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
            Stream::Both => {
                joined = format!("{stdout}\n{stderr}");
                joined.trim_start_matches('\n')
            }
        };
        if self.must_contain.as_ref().is_some_and(|pattern| !pattern.is_match(text)) {
            return Err(Unreadable::new("an answer without what every answer has", text));
        }
        let mut rows = match &self.form {
            Form::Json(json) => json.rows(text, &self.fields)?,
            Form::Xml(xml) => xml.rows(text)?.iter().map(|row| self.renamed(row)).collect(),
            Form::Records(records) => records
                .rows(self.lines(text)?.into_iter(), self.unmatched)?
                .iter()
                .map(|row| self.renamed(row))
                .collect(),
            Form::Sections(sections) => sections
                .rows(&self.lines(text)?, self.unmatched)?
                .iter()
                .map(|row| self.renamed(row))
                .collect(),
            form => {
                let lines = self.lines(text)?;
                text::rows(form, &lines, columns, |line| self.meaning_of(line))?
                    .iter()
                    .map(|row| self.renamed(row))
                    .collect()
            }
        };
        let matches = |row: &Row, field: &str, pattern: &Regex| {
            row.get(field).is_some_and(|text| pattern.is_match(text))
        };
        if !self.leave_out.is_empty() {
            rows.retain(|row| !self.leave_out.iter().all(|(field, pattern)| matches(row, field, pattern)));
        }
        if self.take == Take::Last && rows.len() > 1 {
            rows = rows.split_off(rows.len() - 1);
        }
        Ok(rows)
    }

    /// The lines that may be rows. An output that does not end in a line feed was cut short.
    fn lines<'t>(&self, text: &'t str) -> Result<Vec<&'t str>, Unreadable> {
        if !text.is_empty() && !text.ends_with('\n') {
            let last = text.rsplit('\n').next().unwrap_or(text);
            return Err(Unreadable::new("a last line that is not whole", last));
        }
        Ok(text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .filter(|line| !self.ignore.iter().any(|pattern| pattern.is_match(line)))
            .collect())
    }

    /// What it means that `line` does not fit.
    fn meaning_of(&self, line: &str) -> Unmatched {
        match &self.ours {
            Some(ours) if !ours.is_match(line) => Unmatched::Skip,
            _ => self.unmatched,
        }
    }

    fn renamed(&self, row: &Row) -> Row {
        if self.fields.is_empty() {
            return row.clone();
        }
        let mut renamed = Row::default();
        for (ours, theirs) in &self.fields {
            if let Some(text) = theirs.iter().find_map(|name| row.get(name)) {
                renamed.set(ours, text);
            }
        }
        renamed
    }
}
