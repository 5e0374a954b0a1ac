//! A report that is larger than the daemon takes: who it is from, with a failure in place of its result. Pure.

use std::fmt;
use std::io::Read;

use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value, json};

use super::Excess;
use crate::model::failure::FailureClass;
use crate::model::task::{TaskOutcome, TaskReport};

/// Members of a report that may be bulky: they are passed over without being held.
const BULKY: [&str; 4] = ["outcome", "stdout", "stderr", "native_files"];

/// Reads the report in `json` but for what is bulky in it. Memory does not grow with its length.
pub(super) fn without_bulk(json: impl Read, excess: Excess) -> Result<TaskReport, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_reader(std::io::BufReader::new(json));
    let mut head = json.deserialize_map(Head)?;
    let outcome = TaskOutcome::Error {
        class: FailureClass::Program,
        error_type: "result_too_large".to_owned(),
        message: excess.to_string(),
    };
    head.insert("outcome".to_owned(), serde_json::to_value(outcome)?);
    head.insert("native_files".to_owned(), json!({}));
    serde_json::from_value(Value::Object(head))
}

struct Head;

impl<'de> Visitor<'de> for Head {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a report")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut head = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if BULKY.contains(&name.as_str()) {
                members.next_value::<IgnoredAny>()?;
            } else if head.len() < 64 {
                head.insert(name, members.next_value()?);
            } else {
                return Err(A::Error::custom("a report has more members than any of ours"));
            }
        }
        Ok(head)
    }
}
