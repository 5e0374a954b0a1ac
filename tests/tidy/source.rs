//! Rust files as the rules look at them: read once, with comments and literals blanked, without their tests.

use std::fs;
use std::path::{Path, PathBuf};

/// The project's directory.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A Rust file.
pub struct Source {
    /// Path below the project's directory, with `/`.
    pub path: String,
    /// As it is.
    pub text: String,
    /// Comments and the insides of literals replaced by spaces; line breaks are where they were.
    pub code: String,
    shipped: String,
}

impl Source {
    fn new(path: String, text: String) -> Source {
        let code = blank(&text);
        let shipped = if is_tests(&path) { String::new() } else { without_test_items(&code) };
        Source { path, text, code, shipped }
    }

    /// Number of lines.
    pub fn lines(&self) -> usize {
        self.text.lines().count()
    }

    /// The code that ships: without items that are compiled for tests only, nothing of a test file.
    pub fn shipped(&self) -> &str {
        &self.shipped
    }

    /// `src/store/records.rs` is in the room `store`; files directly in `src/` are in none.
    pub fn room(&self) -> Option<&str> {
        let (room, _) = self.path.strip_prefix("src/")?.split_once('/')?;
        Some(room)
    }
}

/// Whether the whole file is compiled for tests only.
fn is_tests(path: &str) -> bool {
    path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
        || path.contains("/tests/")
        || path.starts_with("tests/")
}

/// `code` without each `#[cfg(test)]` and the item behind it, up to its `;` or its closing brace.
fn without_test_items(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut shipped = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        let (before, marked) = rest.split_at(at);
        shipped.push_str(before);
        rest = marked.get(item_length(marked)..).unwrap_or_default();
    }
    shipped.push_str(rest);
    shipped
}

/// Length of the item at the start of blanked code: up to a `;` outside of braces, or the brace that closes its body.
fn item_length(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// Every Rust file below `directory`, sorted by path.
pub fn rust_files(directory: &str) -> Vec<Source> {
    let sources: Vec<Source> = files_below(directory, "rs")
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(root().join(&path)).expect("files of the project are UTF-8");
            Source::new(path, text)
        })
        .collect();
    assert!(!sources.is_empty(), "no Rust files below {directory}");
    sources
}

/// Paths of the files below `directory` that end in `.extension`, sorted.
pub fn files_below(directory: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![root().join(directory)];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display())) {
            let path: PathBuf = entry.expect("a directory of the project can be read").path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let below = path.strip_prefix(root()).expect("the walk starts at the root");
                found.push(below.to_str().expect("paths of the project are ASCII").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Replaces comments and the insides of string and character literals by spaces.
pub fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let taken = token_length(rest);
        let (token, after) = rest.split_at(taken);
        let is_plain = taken == first.len_utf8() && !token.starts_with('"');
        if is_plain || token.starts_with(|c: char| c == '_' || c.is_alphanumeric()) && !token.contains('"') {
            out.push_str(token);
        } else {
            out.extend(token.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = after;
    }
    out
}

/// Length of what stands at the start of `text`: a comment, a literal, a word, or one character.
fn token_length(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment_length(text);
    }
    if let Some(length) = raw_string_length(text) {
        return length;
    }
    if let Some(inside) = text.strip_prefix('"').or_else(|| text.strip_prefix("b\"")) {
        let start = text.len() - inside.len();
        return start + quoted_length(inside);
    }
    if text.starts_with('\'') {
        return char_length(text);
    }
    let word = text.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(text.len());
    word.max(text.chars().next().map_or(1, char::len_utf8))
}

/// Block comments nest.
fn block_comment_length(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// `r"…"`, `r#"…"#`, `br#"…"#`.
fn raw_string_length(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.find(|c| c != '#')?;
    let inside = after.get(hashes..)?.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
    Some(text.len() - inside.len() + length)
}

/// Up to and with the closing quote of a string whose opening quote is already behind.
fn quoted_length(inside: &str) -> usize {
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    inside.len()
}

/// A character literal, or the lone quote of a lifetime.
fn char_length(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => text.get(3..).and_then(|rest| rest.find('\'')).map_or(1, |at| at + 4),
        Some(_) => match characters.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
        None => 1,
    }
}

#[test]
fn only_what_is_compiled_for_tests_does_not_ship() {
    for (code, shipped) in [
        ("a;\n#[cfg(test)]\nmod tests;\nb();", "a;\n\nb();"),
        ("#[cfg(test)]\nmod tests { fn f() { x; } }\nb();", "\nb();"),
        ("a;", "a;"),
    ] {
        assert_eq!(without_test_items(code), shipped, "{code}");
    }
}

#[test]
fn blanking_keeps_code_and_lines_and_nothing_else() {
    for (text, code) in [
        ("a // b\nc", "a     \nc"),
        ("a /* /* b */ */ c", "a               c"),
        (r#"f("{ \" }", '{', '\'', b"}")"#, r#"f(        ,    ,     ,     )"#),
        ("r#\"{\"}\"# x", "         x"),
        ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
        ("for_word r x", "for_word r x"),
    ] {
        assert_eq!(blank(text), code, "{text}");
    }
}
