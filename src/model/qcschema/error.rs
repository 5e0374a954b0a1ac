//! What is wrong with a document, where in it and what would be right. Pure.
//! Translates serde's errors into paths and words that a chemist can act on.

use serde::Deserialize;
use serde_path_to_error::Segment;

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
            .map_err(|error| translate(json_path(error.path()), error.inner()))?;
        reader.end().map_err(|error| translate("$".to_owned(), &error))?;
        Ok(value)
    })
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

fn translate(path: String, error: &serde_json::Error) -> InputError {
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
        _ => {
            ("$".to_owned(), format!("not valid JSON at column {}: {message}", error.column()), String::new())
        }
    };
    InputError { path, reason, expected, line_offset: (error.line() as u64).saturating_sub(1) }
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
