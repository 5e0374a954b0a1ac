//! Rows from `key = value` text: settings, PBS's full listing, or one record per line with a field separator. Pure.

use regex::Regex;

use super::{Row, Unmatched, Unreadable};

/// How records look.
#[derive(Clone, Debug)]
pub struct RecordsReading {
    /// What stands between key and value.
    pub separator: String,
    /// The first line (or first field) of a record; its named groups become fields. Without it all is one record.
    pub start: Option<Regex>,
    /// The beginning of a line that continues the value before it; what matched is cut off.
    pub continuation: Option<Regex>,
    /// With it each line is a record whose fields stand between separators.
    pub field_separator: Option<String>,
}

impl RecordsReading {
    pub(super) fn rows<'t>(
        &self,
        lines: impl Iterator<Item = &'t str>,
        unmatched: Unmatched,
    ) -> Result<Vec<Row>, Unreadable> {
        match &self.field_separator {
            Some(separator) => lines.map(|line| self.record_of_line(line, separator, unmatched)).collect(),
            None => self.records_of_lines(lines, unmatched),
        }
    }

    fn record_of_line(&self, line: &str, separator: &str, unmatched: Unmatched) -> Result<Row, Unreadable> {
        let mut row = Row::default();
        for field in line.split(separator).filter(|field| !field.is_empty()) {
            if !self.begin(field, &mut row) {
                self.add(field, &mut row, unmatched)?;
            }
        }
        Ok(row)
    }

    fn records_of_lines<'t>(
        &self,
        lines: impl Iterator<Item = &'t str>,
        unmatched: Unmatched,
    ) -> Result<Vec<Row>, Unreadable> {
        let mut rows: Vec<Row> = Vec::new();
        let mut pair = String::new();
        let mut current = self.start.is_none().then(Row::default);
        for line in lines {
            if let Some(found) = self.continuation.as_ref().and_then(|pattern| pattern.find(line))
                && found.start() == 0
                && !pair.is_empty()
            {
                pair.push_str(&line[found.end()..]);
                continue;
            }
            self.finish(&mut pair, current.as_mut(), unmatched)?;
            let mut started = Row::default();
            if self.begin(line, &mut started) {
                rows.extend(current.replace(started));
            } else {
                line.clone_into(&mut pair);
            }
        }
        self.finish(&mut pair, current.as_mut(), unmatched)?;
        rows.extend(current);
        Ok(rows)
    }

    fn finish(
        &self,
        pair: &mut String,
        row: Option<&mut Row>,
        unmatched: Unmatched,
    ) -> Result<(), Unreadable> {
        if pair.is_empty() {
            return Ok(());
        }
        let text = std::mem::take(pair);
        match (row, unmatched) {
            (Some(row), _) => self.add(&text, row, unmatched),
            (None, Unmatched::Skip) => Ok(()),
            (None, Unmatched::Refuse) => Err(Unreadable::new("text before the first record", &text)),
        }
    }

    fn begin(&self, text: &str, row: &mut Row) -> bool {
        let Some((pattern, captures)) =
            self.start.as_ref().and_then(|pattern| Some((pattern, pattern.captures(text)?)))
        else {
            return false;
        };
        for name in pattern.capture_names().flatten() {
            if let Some(found) = captures.name(name) {
                row.set(name, found.as_str());
            }
        }
        true
    }

    fn add(&self, text: &str, row: &mut Row, unmatched: Unmatched) -> Result<(), Unreadable> {
        match (text.split_once(self.separator.as_str()), unmatched) {
            (Some((key, value)), _) => row.set(key.trim(), value),
            (None, Unmatched::Skip) => {}
            (None, Unmatched::Refuse) => return Err(Unreadable::new("a line without key and value", text)),
        }
        Ok(())
    }
}
