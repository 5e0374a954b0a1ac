//! What is wrong with a document, where in it and what would be right. Pure.
//! Translates serde's errors into paths and words that a chemist can act on.

use serde::Deserialize;
use serde_path_to_error::Segment;

use super::place;

/// Characters of a path, and of what a document says in a message.
const LONGEST_PATH: usize = 120;
const LONGEST_REASON: usize = 200;

/// Why a document is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{path}: {}", self.message())]
pub struct InputError {
    /// Where in the document, such as `$.molecule.geometry[5]`; `$` is the document itself.
    pub path: String,
    /// What was found there.
    pub reason: String,
    /// What would be right; empty where the reason says it.
    pub expected: String,
    /// Lines between the document's first line and the fault, as far as known.
    pub line_offset: u64,
}

impl InputError {
    /// An error at `path`, which starts with `$`.
    pub fn new(
        path: impl Into<String>,
        reason: impl Into<String>,
        expected: impl Into<String>,
    ) -> InputError {
        InputError { path: path.into(), reason: reason.into(), expected: expected.into(), line_offset: 0 }
    }

    /// The error without its place.
    pub fn message(&self) -> String {
        let InputError { reason, expected, .. } = self;
        if expected.is_empty() { reason.clone() } else { format!("{reason} ({expected} expected)") }
    }

    /// The same error seen from the document that holds this one at `base`.
    pub fn inside(mut self, base: &str) -> InputError {
        self.path.replace_range(..1, base);
        self
    }

    /// The same error with the line of its path in `text`, where it has none yet.
    pub fn found_in(self, text: &str) -> InputError {
        if self.line_offset > 0 {
            return self;
        }
        let line_offset = place::lines_before(text, &self.path);
        InputError { line_offset, ..self }
    }

    /// The same error in a document that starts `lines` further down.
    pub fn below(mut self, lines: u64) -> InputError {
        self.line_offset += lines;
        self
    }
}

/// Reads `text` as a `T`; the error's path starts with `$`.
///
/// The path costs time to keep, so it is found by reading a second time, only when something is wrong.
pub(super) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, InputError> {
    serde_json::from_str(text).or_else(|_| {
        let mut reader = serde_json::Deserializer::from_str(text);
        let value = serde_path_to_error::deserialize(&mut reader)
            .map_err(|error| translate(text, json_path(error.path()), error.inner()))?;
        reader.end().map_err(|error| translate(text, "$".to_owned(), &error))?;
        Ok(value)
    })
}

/// What is wrong with `text` as JSON, with the line; none where it is JSON.
pub fn syntax_error(text: &str) -> Option<InputError> {
    let error = serde_json::from_str::<serde::de::IgnoredAny>(text).err()?;
    Some(translate(text, "$".to_owned(), &error))
}

fn json_path(path: &serde_path_to_error::Path) -> String {
    let mut text = String::from("$");
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("[{index}]")),
            Segment::Map { key } => push_key(&mut text, key),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    shortened(text, LONGEST_PATH)
}

fn push_key(path: &mut String, key: &str) {
    let plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain {
        path.push('.');
        path.push_str(key);
    } else {
        path.push_str(&format!("[{key:?}]"));
    }
}

fn translate(text: &str, path: String, error: &serde_json::Error) -> InputError {
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let (path, reason, expected) = match error.classify() {
        serde_json::error::Category::Data => {
            let (reason, expected) = split_expected(message);
            (path, reason, expected)
        }
        _ if message.starts_with("recursion limit") => {
            (path, "nested too deeply".to_owned(), "at most 127 levels".to_owned())
        }
        _ => match no_number(text, error) {
            Some(word) => {
                let reason =
                    format!("not valid JSON at column {}: {word} is no number of JSON", error.column());
                ("$".to_owned(), reason, "a finite number, or text".to_owned())
            }
            None => {
                let reason = format!("not valid JSON at column {}: {message}", error.column());
                ("$".to_owned(), reason, String::new())
            }
        },
    };
    InputError { path, reason, expected, line_offset: (error.line() as u64).saturating_sub(1) }
}

/// The word of Python for a number that JSON does not have, where that is what `error` met.
fn no_number<'a>(text: &'a str, error: &serde_json::Error) -> Option<&'a str> {
    let line = text.split('\n').nth(error.line().checked_sub(1)?)?;
    // the column is that of the character that was read last, from 1
    let met = error.column().saturating_sub(1).min(line.len());
    let is_of_word = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'-';
    let start = met - line.as_bytes()[..met].iter().rev().take_while(|byte| is_of_word(byte)).count();
    let end = met + line.as_bytes()[met..].iter().take_while(|byte| is_of_word(byte)).count();
    let word = line.get(start..end)?;
    ["NaN", "nan", "Infinity", "-Infinity", "inf", "-inf", "Inf", "-Inf", "-NaN"]
        .contains(&word)
        .then_some(word)
}

/// Cuts serde's `…, expected …` in two and says it in our words.
fn split_expected(message: &str) -> (String, String) {
    let (reason, expected) = match message.split_once(", expected ") {
        Some((reason, expected)) => (reason, expected),
        None => (message, ""),
    };
    let reason = match reason.split_once(' ') {
        _ if reason.starts_with("missing field ") => {
            format!("{} is missing", &reason["missing field ".len()..])
        }
        _ if reason.starts_with("unknown field ") => {
            format!("unknown key {}", &reason["unknown field ".len()..])
        }
        _ if reason.starts_with("duplicate field ") => {
            format!("{} is there twice", &reason["duplicate field ".len()..])
        }
        _ if reason.starts_with("unknown variant ") => reason["unknown variant ".len()..].to_owned(),
        Some(("invalid", rest)) => match rest.split_once(": ") {
            Some((_, "map")) => "found an object".to_owned(),
            Some((_, "sequence")) => "found a list".to_owned(),
            Some((_, found)) => format!("found {found}"),
            None => reason.to_owned(),
        },
        _ => reason.to_owned(),
    };
    let expected = match expected {
        "f64" => "a number",
        "i64" | "u64" | "u32" => "an integer",
        "a sequence" => "a list",
        "a map" => "an object",
        "a tuple of size 3" => "three numbers",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    (shortened(reason, LONGEST_REASON), expected.to_owned())
}

/// `text`, cut where it is longer than an error message should be.
fn shortened(mut text: String, most_characters: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most_characters) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::syntax_error;

    #[test]
    fn a_syntax_error_has_its_own_line_and_names_what_is_no_number() {
        let told = |text: &str| syntax_error(text).map(|error| (error.line_offset, error.message()));
        assert_eq!(told("{\"a\": [1, 2.5e3]}"), None);
        for (text, line, words) in [
            ("{\n\"a\": NaN}", 1, "NaN is no number"),
            ("{\"a\":\n\n[0, Infinity]}", 2, "Infinity is no number"),
            ("{\"a\": -Infinity}", 0, "-Infinity is no number"),
            ("{\"a\": nan}", 0, "nan is no number"),
            ("{\n\"a\": nul}", 1, "expected ident"),
            ("{\n\"a\": 1,\n}", 2, "key must be a string"),
            ("{\"é\": NaN}", 0, "NaN is no number"),
        ] {
            let (found, message) = told(text).unwrap();
            assert_eq!(found, line, "{text}");
            assert!(message.contains(words), "{text}: {message}");
        }
    }
}
