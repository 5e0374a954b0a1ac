//! Arrows point down: which room may use which, and what a room must not touch at all.

use std::collections::BTreeSet;

use crate::source::{Source, rust_files};

/// Each room and the rooms that it may use. `main.rs` and `lib.rs` stand above all.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("plan", &["model"]),
    ("config", &["model"]),
    ("spool", &["model", "failpoint", "permit"]),
    ("intake", &["model"]),
    ("process", &[]),
    ("permit", &[]),
    ("failpoint", &[]),
    ("scheduler", &["model", "process", "failpoint", "permit"]),
    ("jobscript", &["model"]),
    ("store", &["model", "process"]),
    ("trial", &["model", "config", "spool", "scheduler", "jobscript", "permit"]),
    ("node", &["model", "process", "spool", "failpoint"]),
    ("api", &["model", "plan", "config", "spool", "intake", "store", "process", "failpoint"]),
    (
        "daemon",
        &[
            "model",
            "plan",
            "config",
            "spool",
            "scheduler",
            "jobscript",
            "store",
            "api",
            "failpoint",
            "permit",
        ],
    ),
    (
        "cli",
        &[
            "model",
            "plan",
            "config",
            "spool",
            "intake",
            "scheduler",
            "jobscript",
            "store",
            "node",
            "api",
            "daemon",
            "trial",
        ],
    ),
];

/// What pure rooms never touch: clocks, chance, files, processes, the network, the database.
const IMPURE: &[&str] = &[
    "tokio",
    "diesel",
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::thread",
    "std::os",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "Zoned::now",
    "rand",
    "nix",
    "tracing",
    "tempfile",
    "notify",
];

/// Rooms that the shipped code of a file names as `crate::room` or in `use crate::{room, …}`.
fn rooms_used(source: &Source) -> BTreeSet<&str> {
    let mut rooms = BTreeSet::new();
    for (at, matched) in source.shipped().match_indices("crate::") {
        let after = source.shipped().get(at + matched.len()..).unwrap_or_default();
        match after.strip_prefix('{') {
            Some(list) => rooms.extend(heads_of_list(list)),
            None => rooms.extend(first_word(after)),
        }
    }
    rooms
}

fn first_word(text: &str) -> Option<&str> {
    let end = text.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(text.len());
    text.get(..end).filter(|word| !word.is_empty())
}

/// `a, b::c, d::{e, f}}` has the heads a, b, d.
fn heads_of_list(list: &str) -> Vec<&str> {
    let (mut depth, mut heads, mut expects) = (0_i32, Vec::new(), true);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expects = true,
            _ if expects && depth == 0 && !c.is_whitespace() => {
                heads.extend(list.get(at..).and_then(first_word));
                expects = false;
            }
            _ => {}
        }
    }
    heads
}

/// Whether the word stands in the code, not as a part of a longer one.
fn names(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let is_part = |c: Option<char>| c.is_some_and(|c| c == '_' || c.is_alphanumeric());
        let before = code.get(..at).and_then(|text| text.chars().next_back());
        let after = code.get(at + word.len()..).and_then(|text| text.chars().next());
        !is_part(before) && !is_part(after)
    })
}

#[test]
fn rooms_use_only_rooms_below() {
    let known: Vec<&str> = MAY_USE.iter().map(|(room, _)| *room).collect();
    let mut wrong = Vec::new();
    for source in rust_files("src") {
        let Some(room) = source.room() else { continue };
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("{}: no room is called {room}", source.path));
            continue;
        };
        let used = rooms_used(&source);
        let foreign =
            used.iter().filter(|used| known.contains(used) && **used != room && !allowed.contains(used));
        wrong.extend(foreign.map(|used| format!("{}: {room} must not use {used}", source.path)));
    }
    assert!(wrong.is_empty(), "arrows that point up:\n{}", wrong.join("\n"));
}

#[test]
fn no_room_may_use_what_it_does_not_use() {
    let sources = rust_files("src");
    let mut idle = Vec::new();
    for (room, allowed) in MAY_USE {
        let of_room = sources
            .iter()
            .filter(|source| source.room() == Some(room) || source.path == format!("src/{room}.rs"));
        let used: BTreeSet<&str> = of_room.flat_map(rooms_used).collect();
        idle.extend(
            allowed.iter().filter(|other| !used.contains(**other)).map(|other| format!("{room}: {other}")),
        );
    }
    assert!(idle.is_empty(), "permissions that nobody uses:\n{}", idle.join("\n"));
}

#[test]
fn model_and_plan_are_pure() {
    let mut wrong = Vec::new();
    for source in rust_files("src").iter().filter(|source| matches!(source.room(), Some("model" | "plan"))) {
        let impure = IMPURE.iter().filter(|word| names(source.shipped(), word));
        wrong.extend(impure.map(|word| format!("{}: {word}", source.path)));
    }
    assert!(wrong.is_empty(), "pure rooms that touch the world:\n{}", wrong.join("\n"));
}

#[test]
fn only_the_store_speaks_sql() {
    let diesel = |source: &Source| source.room() != Some("store") && names(&source.code, "diesel");
    let wrong: Vec<String> = rust_files("src").into_iter().filter(diesel).map(|source| source.path).collect();
    assert!(wrong.is_empty(), "diesel outside src/store:\n{}", wrong.join("\n"));
}

#[test]
fn shipped_code_does_not_panic_on_purpose() {
    let mut wrong = Vec::new();
    for source in rust_files("src") {
        let words = [".unwrap()", "panic!", "todo!", "unimplemented!", "dbg!"];
        let found = words.iter().filter(|word| source.shipped().contains(**word));
        wrong.extend(found.map(|word| format!("{}: {word}", source.path)));
    }
    assert!(wrong.is_empty(), "panics outside tests:\n{}", wrong.join("\n"));
}

#[test]
fn the_rules_see_what_they_look_for() {
    assert_eq!(heads_of_list("a, b::c, d::{e, f}}; x"), ["a", "b", "d"]);
    assert!(names("use std::fs;", "std::fs") && !names("use std::fstab;", "std::fs"));
    assert!(names("rand::random()", "rand") && !names("operand", "rand"));
}
