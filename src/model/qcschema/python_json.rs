//! JSON text exactly as Python's `json.dumps` writes it, because QCArchive's hashes are taken over that text. Pure.
//!
//! `sort_keys=True` and `ensure_ascii=True` with the default separators; floats as Python's `repr` has them.

use std::fmt::Write;

use serde_json::{Map, Value};

/// Appends `value` as `json.dumps(value, sort_keys=True)`.
pub fn write_value(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => write_float(text, float),
            _ => append(text, number),
        },
        Value::String(string) => write_string(text, string),
        Value::Array(items) => write_list(text, items, write_value),
        Value::Object(members) => write_object(text, members),
    }
}

/// Appends a map. `serde_json::Map` is ordered by key, bytewise, which is Python's order of code points.
pub fn write_object(text: &mut String, members: &Map<String, Value>) {
    text.push('{');
    for (position, (key, value)) in members.iter().enumerate() {
        if position > 0 {
            text.push_str(", ");
        }
        write_string(text, key);
        text.push_str(": ");
        write_value(text, value);
    }
    text.push('}');
}

/// Appends `[a, b]`, each item by `write_item`.
pub fn write_list<T>(text: &mut String, items: &[T], write_item: impl Fn(&mut String, &T)) {
    text.push('[');
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            text.push_str(", ");
        }
        write_item(text, item);
    }
    text.push(']');
}

/// Appends what has the same text in Rust and in Python: integers.
pub fn append(text: &mut String, value: impl std::fmt::Display) {
    write!(text, "{value}").expect("writing to a String cannot fail");
}

/// Appends a float as Python's `repr`: the shortest digits that read back the same (of two equally near the even one,
/// which the standard library does not promise), a `.0` where none would show that it is a float, and an exponent below
/// 1e-4 and from 1e16 on.
pub fn write_float(text: &mut String, float: f64) {
    let mut buffer = zmij::Buffer::new();
    let digits = buffer.format_finite(float);
    let magnitude = float.abs();
    if magnitude == 0.0 || (1e-4..1e16).contains(&magnitude) {
        text.push_str(digits);
        return;
    }
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    text.push_str(sign);
    match digits.split_once('e') {
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => append(text, format_args!("{digits}e-{exponent:0>2}")),
            None => append(text, format_args!("{digits}e+{:0>2}", exponent.trim_start_matches('+'))),
        },
        None => write_small_scientific(text, digits),
    }
}

/// Appends `0.0000625` as `6.25e-05`.
fn write_small_scientific(text: &mut String, digits: &str) {
    let fraction = digits.trim_start_matches("0.");
    let significant = fraction.trim_start_matches('0');
    let exponent = fraction.len() - significant.len() + 1;
    let (first, rest) = significant.split_at(1.min(significant.len()));
    let point = if rest.is_empty() { "" } else { "." };
    append(text, format_args!("{first}{point}{rest}e-{exponent:02}"));
}

/// Appends a quoted string, everything outside printable ASCII escaped as UTF-16 units.
pub fn write_string(text: &mut String, string: &str) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            ' '..='~' => text.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    append(text, format_args!("\\u{unit:04x}"));
                }
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests;
