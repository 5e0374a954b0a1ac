//! Values as the schema knows them, and their reading from TOML with every problem they have.
//! Pure.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::schema::Kind;
use super::secret::Secret;
use super::text;
use super::units::{format_duration, format_size, parse_duration, parse_size};

/// A value that its kind allows.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value {
    Text(String),
    Secret(Secret),
    Integer(u64),
    Duration(Duration),
    Size(u64),
    List(Vec<String>),
    Table(BTreeMap<String, String>),
}

/// Why a value is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub span: Range<usize>,
    pub wrong: Wrong,
    /// What would be allowed.
    pub allowed: String,
}

/// What is wrong with a value.
#[derive(PartialEq, Debug)]
pub(super) enum Wrong {
    /// It is an integer, say, and should be a string.
    Type(&'static str),
    /// It has the right type; the text says what is wrong if `allowed` does not.
    Content(Option<String>),
}

impl Value {
    /// The value as TOML.
    pub fn to_toml(&self) -> String {
        match self {
            Value::Text(text) => quoted(text),
            Value::Secret(secret) => quoted(&secret.to_string()),
            Value::Integer(number) => number.to_string(),
            Value::Duration(duration) => quoted(&format_duration(*duration)),
            Value::Size(bytes) => quoted(&format_size(*bytes)),
            Value::List(items) => {
                format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
            }
            Value::Table(table) => {
                let entries: Vec<String> =
                    table.iter().map(|(name, text)| format!("{name} = {}", quoted(text))).collect();
                if entries.is_empty() { "{}".into() } else { format!("{{ {} }}", entries.join(", ")) }
            }
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Reads a TOML value of `kind`.
pub(super) fn read(kind: &Kind, value: &Spanned<DeValue<'_>>) -> Result<Value, Vec<Refusal>> {
    let span = value.span();
    let refuse = |wrong| vec![Refusal { span: span.clone(), wrong, allowed: kind.allowed() }];
    match (kind, value.get_ref()) {
        (Kind::Integer { .. }, DeValue::Integer(number)) => {
            let number = u64::from_str_radix(number.as_str(), number.radix()).ok();
            number
                .and_then(|number| in_range(kind, number).then_some(Value::Integer(number)))
                .ok_or_else(|| refuse(Wrong::Content(None)))
        }
        (Kind::List(item_kind), DeValue::Array(items)) => read_list(item_kind, items),
        (Kind::Variables, DeValue::Table(table)) => read_variables(table),
        (Kind::Integer { .. } | Kind::List(_) | Kind::Variables, other) => {
            Err(refuse(Wrong::Type(other.type_str())))
        }
        (_, DeValue::String(text)) => read_text(kind, text).map_err(|why| refuse(Wrong::Content(why))),
        (_, other) => Err(refuse(Wrong::Type(other.type_str()))),
    }
}

/// Reads what an environment variable or a flag gives: numbers, lists and tables as TOML, all else as it stands.
/// Spans of refusals count from the beginning of `raw`.
pub(super) fn read_raw(kind: &Kind, raw: &str) -> Result<Value, Vec<Refusal>> {
    match kind {
        Kind::Integer { .. } | Kind::List(_) | Kind::Variables => {
            let refused =
                |span, why| vec![Refusal { span, wrong: Wrong::Content(why), allowed: kind.allowed() }];
            let value =
                DeValue::parse(raw).map_err(|_| refused(0..raw.len(), Some("not a TOML value".into())))?;
            read(kind, &value)
        }
        _ => read(kind, &Spanned::new(0..raw.len(), DeValue::String(raw.into()))),
    }
}

fn in_range(kind: &Kind, number: u64) -> bool {
    matches!(kind, Kind::Integer { least, most } if (*least..=*most).contains(&number))
}

fn read_list(item_kind: &Kind, items: &[Spanned<DeValue<'_>>]) -> Result<Value, Vec<Refusal>> {
    let mut texts = Vec::with_capacity(items.len());
    let mut refusals = Vec::new();
    for item in items {
        match read(item_kind, item) {
            Ok(Value::Text(text)) if texts.contains(&text) && item_kind.is_set_member() => {
                refusals.push(Refusal {
                    span: item.span(),
                    wrong: Wrong::Content(Some("twice in the list".into())),
                    allowed: "each item once".into(),
                })
            }
            Ok(Value::Text(text)) => texts.push(text),
            Ok(_) => {}
            Err(more) => refusals.extend(more),
        }
    }
    if refusals.is_empty() { Ok(Value::List(texts)) } else { Err(refusals) }
}

fn read_variables(table: &toml::de::DeTable<'_>) -> Result<Value, Vec<Refusal>> {
    let mut variables = BTreeMap::new();
    let mut refusals = Vec::new();
    for (name, value) in table {
        if !text::is_variable_name(name.get_ref()) {
            refusals.push(Refusal {
                span: name.span(),
                wrong: Wrong::Content(None),
                allowed: Kind::VariableName.allowed(),
            });
        }
        let wrong = match value.get_ref() {
            DeValue::String(content) if !text::has_control(content) => {
                variables.insert(name.get_ref().to_string(), content.to_string());
                continue;
            }
            DeValue::String(_) => Wrong::Content(Some("control characters".into())),
            other => Wrong::Type(other.type_str()),
        };
        refusals.push(Refusal { span: value.span(), wrong, allowed: "a text in quotes, on one line".into() });
    }
    if refusals.is_empty() { Ok(Value::Table(variables)) } else { Err(refusals) }
}

/// Reads a text of `kind`; the error says what is wrong if `kind.allowed()` does not.
fn read_text(kind: &Kind, content: &str) -> Result<Value, Option<String>> {
    match kind {
        Kind::Duration { least, most } => {
            let duration = parse_duration(content).map_err(|error| Some(error.to_string()))?;
            let fits = (*least..=*most).contains(&duration);
            fits.then_some(Value::Duration(duration))
                .ok_or_else(|| Some(too(duration < *least, "short", "long")))
        }
        Kind::Size { least_bytes } => {
            let bytes = parse_size(content).map_err(|error| Some(error.to_string()))?;
            (bytes >= *least_bytes).then_some(Value::Size(bytes)).ok_or_else(|| Some("too small".into()))
        }
        _ => text::check(kind, content).map(|()| {
            if kind.is_secret() {
                Value::Secret(Secret::new(content))
            } else {
                Value::Text(content.to_owned())
            }
        }),
    }
}

fn too(is_low: bool, low: &str, high: &str) -> String {
    format!("too {}", if is_low { low } else { high })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_their_own_toml() {
        let table = BTreeMap::from([("A".to_owned(), "x \"y\" \\".to_owned())]);
        for (kind, value) in [
            (Kind::ShellLine, Value::Text("echo \"a\" 'b' \\".into())),
            (Kind::Integer { least: 0, most: 9 }, Value::Integer(7)),
            (Kind::Size { least_bytes: 1 }, Value::Size(3 << 30)),
            (Kind::List(&Kind::ShellLine), Value::List(vec!["a b".into(), "c".into()])),
            (Kind::Variables, Value::Table(table)),
        ] {
            let text = value.to_toml();
            let parsed = DeValue::parse(&text).unwrap();
            assert_eq!(read(&kind, &parsed).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn every_bad_item_of_a_list_is_named() {
        let text = r#"["ok", 3, "Bad Tag", "ok"]"#;
        let parsed = DeValue::parse(text).unwrap();
        let refusals = read(&Kind::List(&Kind::ComputeTag), &parsed).unwrap_err();
        let pieces: Vec<&str> = refusals.iter().map(|refusal| &text[refusal.span.clone()]).collect();
        assert_eq!(pieces, ["3", "\"Bad Tag\"", "\"ok\""]);
    }
}
