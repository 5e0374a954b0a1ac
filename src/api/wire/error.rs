//! The one error envelope of the local API and its documented codes. Pure data.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::intake::IntakeError;
use crate::model::qcschema::InputError;

/// `{"error": …}`: the body of every answer that is not 2xx.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ErrorEnvelope {
    /// The error.
    pub error: ErrorBody,
}

/// What went wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// For programs.
    pub code: ErrorCode,
    /// For people: a lower-case fragment.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Each document that was refused, the first twenty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// Why one document was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// The file, or `-` for standard input.
    pub source: String,
    /// Line in it, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Where in the document, as a JSON path; empty for the whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl Problem {
    /// The problem of a document that `source` has at `line`.
    pub fn of_document(source: impl Into<String>, line: u64, error: &InputError) -> Problem {
        let expected = match error.expected.as_str() {
            "" => String::new(),
            expected => format!(" ({expected} expected)"),
        };
        Problem {
            source: source.into(),
            line: Some(line),
            path: error.path.clone(),
            reason: format!("{}{expected}", error.reason),
        }
    }

    /// The problem of an input that was not taken; none where it could not be read at all.
    pub fn of_intake(error: &IntakeError) -> Option<Problem> {
        match error {
            IntakeError::Input { name, line, error } => Some(Problem::of_document(&**name, *line, error)),
            IntakeError::Malformed { name, line, reason } => Some(Problem {
                source: name.to_string(),
                line: Some(*line),
                path: String::new(),
                reason: reason.clone(),
            }),
            IntakeError::Archive { name } => Some(Problem {
                source: name.to_string(),
                line: None,
                path: String::new(),
                reason: "an archive, which is not looked into (unpack it, and name the directory)".to_owned(),
            }),
            IntakeError::Read { .. } | IntakeError::EmptyDirectory { .. } | IntakeError::Unseen { .. } => {
                None
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// Every code of the local API. Codes are stable; messages are not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request itself cannot be read.
    BadRequest,
    /// The peer is another user.
    Forbidden,
    /// No such record, job, output or path.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The thing is not in a state that allows it.
    Conflict,
    /// The request is larger than allowed.
    TooLarge,
    /// Documents were refused; nothing was stored.
    BadInput,
    /// A bug of ours.
    Internal,
    /// The database does not answer.
    DatabaseUnavailable,
    /// Another submission is being taken in, or this one took too long.
    Busy,
    /// This daemon does not hold the site's lease, so it writes nothing.
    NotActive,
    /// The daemon is stopping.
    Stopping,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [ErrorCode; 12] = [
        ErrorCode::BadRequest,
        ErrorCode::Forbidden,
        ErrorCode::NotFound,
        ErrorCode::MethodNotAllowed,
        ErrorCode::Conflict,
        ErrorCode::TooLarge,
        ErrorCode::BadInput,
        ErrorCode::Internal,
        ErrorCode::DatabaseUnavailable,
        ErrorCode::Busy,
        ErrorCode::NotActive,
        ErrorCode::Stopping,
    ];

    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorCode::BadRequest => "bad_request",
            ErrorCode::Forbidden => "forbidden",
            ErrorCode::NotFound => "not_found",
            ErrorCode::MethodNotAllowed => "method_not_allowed",
            ErrorCode::Conflict => "conflict",
            ErrorCode::TooLarge => "too_large",
            ErrorCode::BadInput => "bad_input",
            ErrorCode::Internal => "internal",
            ErrorCode::DatabaseUnavailable => "database_unavailable",
            ErrorCode::Busy => "busy",
            ErrorCode::NotActive => "not_active",
            ErrorCode::Stopping => "stopping",
        }
    }

    /// The HTTP status that carries it.
    pub const fn http_status(self) -> u16 {
        match self {
            ErrorCode::BadRequest => 400,
            ErrorCode::Forbidden => 403,
            ErrorCode::NotFound => 404,
            ErrorCode::MethodNotAllowed => 405,
            ErrorCode::Conflict => 409,
            ErrorCode::TooLarge => 413,
            ErrorCode::BadInput => 422,
            ErrorCode::Internal => 500,
            ErrorCode::DatabaseUnavailable | ErrorCode::Busy | ErrorCode::NotActive | ErrorCode::Stopping => {
                503
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_their_json_words_and_documented() {
        let page = include_str!("../../../docs/local-api.md");
        let documented: Vec<String> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split_once("` |"))
            .filter(|(row, _)| row.starts_with(|first: char| first.is_ascii_digit()))
            .map(|(row, _)| row.replace("| `", ""))
            .collect();
        let known: Vec<String> = ErrorCode::ALL
            .into_iter()
            .map(|code| {
                assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
                format!("{} {}", code.http_status(), code.as_str())
            })
            .collect();
        assert_eq!(documented, known);
    }

    #[test]
    fn a_problem_names_its_place() {
        let mut problem = Problem {
            source: "a.jsonl".to_owned(),
            line: Some(3),
            path: "model.method".to_owned(),
            reason: "must be a string".to_owned(),
        };
        assert_eq!(problem.to_string(), "a.jsonl:3: model.method: must be a string");
        (problem.line, problem.path) = (None, String::new());
        assert_eq!(problem.to_string(), "a.jsonl: must be a string");
    }
}
