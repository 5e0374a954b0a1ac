//! Shell quoting of every value that a template prints. Pure.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Output, State, Value};

/// Prints `value` as one shell word. Text marked safe goes in as it is: only typed lines are marked so.
pub(super) fn format(out: &mut Output<'_>, _state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Number | ValueKind::Bool => write!(out, "{value}").map_err(Error::from),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            if let Some(control) = text.chars().find(|c| c.is_control()) {
                return Err(refused(format!("a value holds the control character {control:?}")));
            }
            let printed = if value.is_safe() { text.to_owned() } else { word(text) };
            out.write_str(&printed).map_err(Error::from)
        }
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        other => Err(refused(format!("a {other} cannot be printed into a script; print its parts"))),
    }
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// `text` as one shell word: bare when nothing in it means anything to a shell, in single quotes otherwise.
pub(super) fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_bare_only_when_harmless() {
        assert_eq!(word("/a/b-c_1.0"), "/a/b-c_1.0");
        assert_eq!(word(""), "''");
        assert_eq!(word("it's"), r"'it'\''s'");
        assert_eq!(word("~root"), "'~root'");
        assert_eq!(word("$(reboot)"), "'$(reboot)'");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_shell_reads_back_what_was_quoted(text in "[^\\x00]{0,40}") {
            let script = format!("printf %s {}", word(&text));
            let output = Command::new("/bin/bash").args(["-c", &script]).output().unwrap();
            prop_assert_eq!(output.stdout, text.into_bytes());
        }
    }
}
