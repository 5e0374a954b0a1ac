//! Sizes of files and functions, and names that say nothing.

use std::path::Path;

use crate::source::{Source, rust_files};

const LONGEST_FILE: usize = 800;
const NINE_IN_TEN: usize = 400;
const LONGEST_FUNCTION: usize = 100;
const SAYS_NOTHING: &[&str] = &["utils", "util", "common", "helpers", "helper", "misc", "shared", "stuff"];

fn every_file() -> Vec<Source> {
    let mut files = rust_files("src");
    files.extend(rust_files("tests"));
    files
}

/// Name, first line (from 1) and number of lines of every function with a body.
fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let before = code.get(..at).unwrap_or_default();
        if before.ends_with(|c: char| c == '_' || c.is_alphanumeric()) {
            continue;
        }
        let after = code.get(at + 3..).unwrap_or_default();
        let name: String = after.chars().take_while(|c| *c == '_' || c.is_alphanumeric()).collect();
        if name.is_empty() {
            continue;
        }
        if let Some(body) = body_length(after) {
            let lines = after.get(..body).unwrap_or_default().lines().count();
            found.push((name, before.matches('\n').count() + 1, lines));
        }
    }
    found
}

/// Bytes up to the brace that closes the body; none for a declaration without one.
fn body_length(after_fn: &str) -> Option<usize> {
    let (mut brackets, mut braces) = (0_i32, 0_i32);
    for (at, c) in after_fn.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            ';' if brackets == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if braces == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[test]
fn files_are_short() {
    let long: Vec<String> = every_file()
        .iter()
        .filter(|source| source.lines() > LONGEST_FILE)
        .map(|source| format!("{}: {} lines", source.path, source.lines()))
        .collect();
    assert!(long.is_empty(), "more than {LONGEST_FILE} lines:\n{}", long.join("\n"));
}

#[test]
fn most_files_are_shorter_still() {
    let mut sizes: Vec<usize> = rust_files("src").iter().map(Source::lines).collect();
    sizes.sort_unstable();
    let nine_in_ten = sizes[sizes.len() * 9 / 10];
    assert!(
        nine_in_ten <= NINE_IN_TEN,
        "nine in ten files have up to {nine_in_ten} lines, not {NINE_IN_TEN}"
    );
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for source in every_file() {
        let found = functions(&source.code).into_iter().filter(|(_, _, lines)| *lines > LONGEST_FUNCTION);
        long.extend(
            found.map(|(name, line, lines)| format!("{}:{line}: {name} has {lines} lines", source.path)),
        );
    }
    assert!(long.is_empty(), "more than {LONGEST_FUNCTION} lines:\n{}", long.join("\n"));
}

#[test]
fn every_file_says_why_it_exists() {
    let silent: Vec<String> = every_file()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.path)
        .collect();
    assert!(silent.is_empty(), "no `//!` at the top:\n{}", silent.join("\n"));
}

#[test]
fn names_say_something() {
    let vague: Vec<String> = every_file()
        .into_iter()
        .map(|source| source.path)
        .filter(|path| {
            let says_nothing = |part: &str| SAYS_NOTHING.contains(&part.trim_end_matches(".rs"));
            Path::new(path).components().any(|part| part.as_os_str().to_str().is_some_and(says_nothing))
        })
        .collect();
    assert!(vague.is_empty(), "names that say nothing:\n{}", vague.join("\n"));
}

#[test]
fn functions_are_counted_right() {
    let code =
        "trait T {\n fn declared(&self, x: [u8; 3]);\n}\nfn long() {\n  if x {\n  }\n}\nfn short() {}\n";
    let found = functions(code);
    assert_eq!(found, [("long".to_owned(), 4, 4), ("short".to_owned(), 8, 1)]);
}
