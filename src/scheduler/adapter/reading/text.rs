//! Rows from lines of text: a pattern per line, columns between separators, or single words. Pure.

use super::{Form, Row, Unmatched, Unreadable};

pub(super) fn rows(
    form: &Form,
    lines: &[&str],
    asked_columns: &[String],
    unmatched: impl Fn(&str) -> Unmatched,
) -> Result<Vec<Row>, Unreadable> {
    let mut rows = Vec::with_capacity(lines.len());
    for line in lines {
        let row = match form {
            Form::Lines(pattern) => by_pattern(pattern, line),
            Form::Columns { separator, names } => {
                by_columns(separator, names.as_deref().unwrap_or(asked_columns), line)
            }
            Form::Words => {
                rows.extend(line.split_whitespace().map(|word| {
                    let mut row = Row::default();
                    row.set("word", word);
                    row
                }));
                continue;
            }
            Form::Records(_) | Form::Sections(_) | Form::Json(_) | Form::Xml(_) => None,
        };
        match row {
            Some(row) => rows.push(row),
            None => match unmatched(line) {
                Unmatched::Skip => {}
                Unmatched::Refuse => return Err(Unreadable::new("a line that does not fit", line)),
            },
        }
    }
    Ok(rows)
}

fn by_pattern(pattern: &regex::Regex, line: &str) -> Option<Row> {
    let captures = pattern.captures(line)?;
    let mut row = Row::default();
    for name in pattern.capture_names().flatten() {
        if let Some(found) = captures.name(name) {
            row.set(name, found.as_str());
        }
    }
    Some(row)
}

fn by_columns(separator: &str, names: &[String], line: &str) -> Option<Row> {
    let texts: Vec<&str> = line.splitn(names.len(), separator).collect();
    if names.is_empty() || texts.len() != names.len() {
        return None;
    }
    let mut row = Row::default();
    for (name, text) in names.iter().zip(texts) {
        row.set(name, text);
    }
    Some(row)
}
