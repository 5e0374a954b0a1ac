//! Rows from reports that tell of each job in a section of several lines, such as a history of its events. Pure.

use regex::Regex;

use super::{Row, Unmatched, Unreadable};

/// How sections look.
#[derive(Clone, Debug)]
pub struct SectionsReading {
    /// The first line of a section; its named groups become fields.
    pub start: Regex,
    /// Looked for in every line of a section; their named groups become fields, and what comes later counts.
    pub lines: Vec<Regex>,
    /// The beginning of a line that continues the line before it; what matched is cut off.
    pub continuation: Option<Regex>,
}

impl SectionsReading {
    pub(super) fn rows(&self, lines: &[&str], unmatched: Unmatched) -> Result<Vec<Row>, Unreadable> {
        let mut rows: Vec<Row> = Vec::new();
        for line in self.whole_lines(lines) {
            if let Some(row) = fields(&self.start, &line) {
                rows.push(row);
            }
            match rows.last_mut() {
                Some(row) => self.lines.iter().for_each(|pattern| add(pattern, &line, row)),
                None if unmatched == Unmatched::Skip => {}
                None => return Err(Unreadable::new("text before the first section", &line)),
            }
        }
        Ok(rows)
    }

    /// Lines with those that continue them.
    fn whole_lines(&self, lines: &[&str]) -> Vec<String> {
        let mut whole: Vec<String> = Vec::new();
        for line in lines {
            let cut = self.continuation.as_ref().and_then(|pattern| pattern.find(line));
            match (cut.filter(|found| found.start() == 0), whole.last_mut()) {
                (Some(found), Some(last)) => last.push_str(&line[found.end()..]),
                _ => whole.push((*line).to_owned()),
            }
        }
        whole
    }
}

fn fields(pattern: &Regex, line: &str) -> Option<Row> {
    let mut row = Row::default();
    pattern.is_match(line).then(|| add(pattern, line, &mut row)).map(|()| row)
}

fn add(pattern: &Regex, line: &str, row: &mut Row) {
    let Some(captures) = pattern.captures(line) else { return };
    for name in pattern.capture_names().flatten() {
        if let Some(found) = captures.name(name) {
            row.set(name, found.as_str());
        }
    }
}
