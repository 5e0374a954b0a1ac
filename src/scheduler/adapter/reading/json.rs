//! Rows from JSON. Pure. Numbers, strings and booleans all become text, because schedulers mix them; chatter before
//! the document is skipped.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Row, Unreadable};

/// Where rows are in a JSON document.
#[derive(Clone, Debug)]
pub struct JsonReading {
    /// Pointer to an array of rows, or to an object whose members are rows.
    pub rows: String,
    /// Whether a document without it has no rows rather than being unreadable.
    pub rows_may_be_absent: bool,
    /// The field that takes a member's name where rows are members of an object.
    pub key: Option<String>,
}

impl JsonReading {
    pub(super) fn rows(
        &self,
        text: &str,
        fields: &BTreeMap<String, Vec<String>>,
    ) -> Result<Vec<Row>, Unreadable> {
        let start = text.find(['{', '[']).ok_or_else(|| Unreadable::new("an answer without JSON", text))?;
        let document: Value = serde_json::from_str(&text[start..])
            .map_err(|_| Unreadable::new("broken JSON", &text[start..]))?;
        let row = |value: &Value| -> Row {
            let mut row = Row::default();
            for (ours, theirs) in fields {
                if let Some(text) =
                    theirs.iter().find_map(|name| scalar(value, name).filter(|text| !text.is_empty()))
                {
                    row.set(ours, &text);
                }
            }
            row
        };
        match document.pointer(&self.rows) {
            Some(Value::Array(values)) => Ok(values.iter().map(row).collect()),
            Some(Value::Object(members)) => Ok(members
                .iter()
                .map(|(name, value)| {
                    let mut row = row(value);
                    if let Some(key) = &self.key {
                        row.set(key, name);
                    }
                    row
                })
                .collect()),
            None if self.rows_may_be_absent => Ok(Vec::new()),
            _ => Err(Unreadable::new("JSON without the expected rows", &text[start..])),
        }
    }
}

/// The text at `name` (a member, or a pointer when it begins with `/`); nothing for null, arrays and objects.
fn scalar(value: &Value, name: &str) -> Option<String> {
    let found = if name.starts_with('/') { value.pointer(name)? } else { value.get(name)? };
    match found {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
