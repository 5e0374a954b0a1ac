//! Numbers of a document that would not come out as they went in: found before serde makes floats of them. Pure.
//!
//! Integers beyond 64 bits would lose digits; `-0`, which is an integer to Python, would become the float `-0.0`.

use std::borrow::Cow;

use super::InputError;

/// Digits of an integer that surely fits.
const SURE_DIGITS: usize = 18;

/// `text` with every number one that is kept whole; an error for those that cannot be. Places stay what they are.
pub(super) fn exact(text: &str) -> Result<Cow<'_, str>, InputError> {
    let bytes = text.as_bytes();
    let mut zeros = Vec::new();
    let (mut position, mut in_string) = (0, false);
    while position < bytes.len() {
        match bytes[position] {
            b'\\' if in_string => position += 1,
            b'"' => in_string = !in_string,
            b'-' | b'0'..=b'9' if !in_string => {
                let length = bytes[position..].iter().take_while(|byte| is_of_number(**byte)).count().max(1);
                let word = &text[position..position + length];
                if word == "-0" {
                    zeros.push(position);
                } else if length > SURE_DIGITS && is_lost(word) {
                    let line = text[..position].matches('\n').count() as u64;
                    let reason = format!("{word} is an integer of more than 64 bits");
                    let expected = "a smaller integer, a float such as 1e30, or text";
                    return Err(InputError::new("$", reason, expected).below(line));
                }
                position += length - 1;
            }
            _ => {}
        }
        position += 1;
    }
    if zeros.is_empty() {
        return Ok(Cow::Borrowed(text));
    }
    let mut text = text.to_owned();
    for position in zeros {
        text.replace_range(position..position + 2, " 0");
    }
    Ok(Cow::Owned(text))
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || b"+-.eE".contains(&byte)
}

fn is_lost(word: &str) -> bool {
    !word.contains(['.', 'e', 'E']) && word.parse::<i64>().is_err() && word.parse::<u64>().is_err()
}

#[cfg(test)]
mod tests {
    use super::exact;

    #[test]
    fn integers_are_kept_whole_or_refused() {
        for text in [
            "{\"a\": [18446744073709551615, -9223372036854775808, 1e300, -0.0, 0]}",
            "{\"a\": \"18446744073709551616 -0 \\\" 99999999999999999999999\"}",
            "{\"a\": 0.10000000000000000000000000001}",
        ] {
            assert_eq!(exact(text).unwrap(), text);
        }
        assert_eq!(exact("[-0, -0.0, -0e1,-0]").unwrap(), "[ 0, -0.0, -0e1, 0]");
        for text in ["{\n\"a\": 18446744073709551616}", "{\n\"a\": -9223372036854775809}"] {
            let error = exact(text).unwrap_err();
            assert!(error.reason.ends_with("is an integer of more than 64 bits"), "{error}");
            assert_eq!(error.line_offset, 1);
        }
    }
}
