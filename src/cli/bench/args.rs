//! What can be typed after `qcbatch bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::wait::parse_timeout;
use crate::config::units;

/// What was typed.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Number of tasks
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub tasks: u32,

    /// What each task does: `null` answers at once, `sleep:MS` waits so many milliseconds, `true` starts /bin/true
    #[arg(long, value_name = "PROGRAM", default_value = "null", value_parser = Program::parse)]
    pub program: Program,

    /// Text that each task returns, such as `2KiB`
    #[arg(long, value_name = "SIZE", default_value = "0B", value_parser = parse_size)]
    pub payload: u64,

    /// Pool to measure; needed only if there are several
    #[arg(long, value_name = "NAME")]
    pub pool: Option<String>,

    /// Cores of each task
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub cores: Option<u32>,

    /// Use the same molecule for all tasks
    #[arg(long)]
    pub same_molecule: bool,

    /// Draw the occupancy of the cores over time to this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,

    /// Keep the records; by default they are removed
    #[arg(long)]
    pub keep: bool,

    /// Give up after this time, such as `30m`
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    pub timeout: Option<Duration>,

    /// Only remove the records of an earlier benchmark, by its compute tag
    #[arg(long, value_name = "TAG", exclusive = true)]
    pub remove: Option<String>,
}

/// What each task does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    /// Answers at once.
    Null,
    /// Starts `/bin/true`.
    True,
    /// Waits.
    Sleep {
        /// So long.
        milliseconds: u64,
    },
}

impl Program {
    fn parse(text: &str) -> Result<Program, String> {
        match text.split_once(':') {
            None if text == "null" => Ok(Program::Null),
            None if text == "true" => Ok(Program::True),
            Some(("sleep", milliseconds)) => milliseconds
                .parse()
                .map(|milliseconds| Program::Sleep { milliseconds })
                .map_err(|_| format!("`{milliseconds}` is no number of milliseconds")),
            _ => Err("the programs are null, true and sleep:MS".to_owned()),
        }
    }

    /// The method that the specification names.
    pub fn method(self) -> &'static str {
        match self {
            Program::Null => "null",
            Program::True => "true",
            Program::Sleep { .. } => "sleep",
        }
    }

    /// The specification's keywords.
    pub fn keywords(self, payload_bytes: u64) -> Map<String, Value> {
        let mut keywords = Map::new();
        if let Program::Sleep { milliseconds } = self {
            keywords.insert("milliseconds".to_owned(), json!(milliseconds));
        }
        if payload_bytes > 0 {
            keywords.insert("payload_bytes".to_owned(), json!(payload_bytes));
        }
        keywords
    }
}

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Program::Sleep { milliseconds } => write!(f, "sleep:{milliseconds}"),
            other => f.write_str(other.method()),
        }
    }
}

fn parse_size(text: &str) -> Result<u64, String> {
    units::parse_size(text).map_err(|error| format!("{error}; give {}", units::SIZE_FORMS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_read_back_and_others_are_refused() {
        for text in ["null", "true", "sleep:0", "sleep:2500"] {
            assert_eq!(Program::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "sleep", "sleep:", "sleep:1s", "true:1", "rm"] {
            assert!(Program::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn keywords_say_only_what_is_asked() {
        assert!(Program::True.keywords(0).is_empty());
        let keywords = Program::Sleep { milliseconds: 5 }.keywords(2048);
        assert_eq!(Value::Object(keywords), json!({"milliseconds": 5, "payload_bytes": 2048}));
    }
}
