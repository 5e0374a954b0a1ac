//! Texts that settings come from, places in them, and the masking that keeps secrets out of what is shown of them.
//! Pure; `load` reads the files.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use regex::Regex;
use toml::de::{DeTable, DeValue};

/// What a source is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum SourceKind {
    /// A file.
    File(PathBuf),
    /// An environment variable; the text is `NAME=value`.
    Environment,
    /// A flag as it was typed.
    Flag,
    /// The schema; the text is `section.key = default`.
    Schema,
}

/// A text that settings come from.
#[derive(Debug)]
pub(super) struct Source {
    pub kind: SourceKind,
    /// The text with every secret replaced by as many asterisks as it has bytes: spans fit both.
    masked: String,
}

/// A piece of a source.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub source: Arc<Source>,
    pub span: Range<usize>,
}

impl Source {
    /// A TOML file.
    pub fn file(path: &Path, text: &str) -> Arc<Source> {
        Arc::new(Source { kind: SourceKind::File(path.to_owned()), masked: mask_document(text) })
    }

    /// A variable, a flag or a default: `secret` is the part of `text` to hide.
    pub fn line(kind: SourceKind, text: &str, secret: Option<Range<usize>>) -> Arc<Source> {
        let mut masked = mask_patterns(text);
        if let Some(span) = secret {
            mask(&mut masked, span);
        }
        Arc::new(Source { kind, masked })
    }

    /// What may be shown of it.
    pub fn shown(&self) -> &str {
        &self.masked
    }

    /// Its name in messages.
    pub fn name(&self) -> String {
        match &self.kind {
            SourceKind::File(path) => path.display().to_string(),
            SourceKind::Environment => "environment".into(),
            SourceKind::Flag => "command line".into(),
            SourceKind::Schema => "built-in default".into(),
        }
    }

    /// The line, counted from 1, that `offset` is in.
    pub fn line_of(&self, offset: usize) -> usize {
        self.masked.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source.kind {
            SourceKind::File(path) => {
                write!(f, "{}:{}", path.display(), self.source.line_of(self.span.start))
            }
            SourceKind::Environment => {
                let name = self.source.masked.split('=').next().unwrap_or_default();
                write!(f, "environment {name}")
            }
            SourceKind::Flag => write!(f, "flag {}", self.source.masked),
            SourceKind::Schema => write!(f, "default"),
        }
    }
}

/// Keys whose values are hidden wherever they stand, so that a misplaced secret is hidden too.
const SECRET_NAMES: [&str; 4] = ["url", "password", "passwd", "secret"];

static SECRET_PATTERNS: LazyLock<[Regex; 2]> = LazyLock::new(|| {
    [
        r#"://[^\s"'@/]*:([^\s"']*)@"#,
        r#"(?i)(?:password|passwd|secret|\burl)["']?\s*=\s*(?:'''|"""|\\?["'])?([^\s,}]+)"#,
    ]
    .map(|pattern| Regex::new(pattern).expect("the pattern is a constant that the tests use"))
});

fn mask_document(text: &str) -> String {
    let mut masked = mask_patterns(text);
    let (table, _) = DeTable::parse_recoverable(text);
    mask_table(table.get_ref(), &mut masked);
    masked
}

fn mask_patterns(text: &str) -> String {
    let mut masked = text.to_owned();
    for pattern in SECRET_PATTERNS.iter() {
        for found in pattern.captures_iter(text) {
            if let Some(secret) = found.get(1) {
                mask(&mut masked, secret.range());
            }
        }
    }
    masked
}

fn mask_table(table: &DeTable<'_>, masked: &mut String) {
    for (name, value) in table {
        if SECRET_NAMES.contains(&name.get_ref().as_ref()) && value.get_ref().is_str() {
            mask(masked, value.span());
        } else {
            mask_value(value.get_ref(), masked);
        }
    }
}

fn mask_value(value: &DeValue<'_>, masked: &mut String) {
    match value {
        DeValue::Table(table) => mask_table(table, masked),
        DeValue::Array(items) => items.iter().for_each(|item| mask_value(item.get_ref(), masked)),
        _ => {}
    }
}

/// Replaces each byte of `span` but line ends and the quotes around it.
fn mask(text: &mut String, span: Range<usize>) {
    let Some(piece) = text.get(span.clone()) else { return };
    let hidden: String = piece
        .bytes()
        .map(|byte| if matches!(byte, b'\n' | b'"' | b'\'') { char::from(byte) } else { '*' })
        .collect();
    text.replace_range(span, &hidden);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_stand_and_whatever_is_wrong() {
        for text in [
            "[database]\nurl = \"postgres://me:hunter2@db/qc\"",
            "[database]\nurl = 'host=db password=hunter2'",
            "[database]\nurl = \"\"\"\nhost=db\npassword='hunter2'\"\"\"",
            "database = { url = \"hunter2\" }",
            "database.\"url\" = \"hunter2\"",
            "[databse]\nulr = \"postgres://me:hunter2@db/qc\"",
            "[database]\nurl = postgres://me:hunter2@db/qc",
            "[database\nurl = \"hunter2",
            "password = \"hunter2\"",
            "[[pool]]\nenvironment = { DB_PASSWORD = \"hunter2\" }",
            "setup = [\"export PGPASSWORD=hunter2\"]",
            "password = ['x', { password = 'hunter2' }]",
        ] {
            let source = Source::file(Path::new("x.toml"), text);
            assert!(!source.shown().contains("hunter2"), "{}", source.shown());
            assert_eq!(source.shown().len(), text.len());
        }
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        let text =
            "[daemon]\ntick = \"2s\"\n[database]\nurl_file = \"/etc/qcbatch/url\"\npassword_file = \"~/.pw\"";
        assert_eq!(Source::file(Path::new("x.toml"), text).shown(), text);
    }
}
