//! The catalogue of failures tells the truth: it lists every number once, and every test that it names exists.

use std::collections::BTreeSet;
use std::fs;

use regex::Regex;

use crate::source::{root, rust_files};

/// Numbers of failures that concern how schedulers are spoken to.
fn expected() -> BTreeSet<u32> {
    (1..=58).chain(71..=101).collect()
}

/// Rows of the tables: numbers and the last column.
fn rows(page: &str) -> Vec<(Vec<u32>, String)> {
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(str::to_owned).collect::<Vec<_>>();
    let number = Regex::new(r"F(\d+)").expect("a constant");
    page.lines()
        .filter(|line| line.starts_with("| F"))
        .map(|line| {
            let cells = cells(line);
            let numbers =
                number.captures_iter(&cells[0]).map(|found| found[1].parse().expect("digits")).collect();
            (numbers, cells.last().expect("a row has cells").clone())
        })
        .collect()
}

#[test]
fn every_failure_is_in_the_catalogue_once() {
    let page = fs::read_to_string(root().join("docs/failures.md")).expect("the catalogue is there");
    let mut listed: Vec<u32> = rows(&page).into_iter().flat_map(|(numbers, _)| numbers).collect();
    listed.sort_unstable();
    assert_eq!(listed, expected().into_iter().collect::<Vec<_>>());
}

#[test]
fn tests_that_the_catalogue_names_exist() {
    let page = fs::read_to_string(root().join("docs/failures.md")).expect("the catalogue is there");
    let function = Regex::new(r"\bfn (\w+)").expect("a constant");
    let mut present = BTreeSet::new();
    for source in rust_files("src").into_iter().chain(rust_files("tests")) {
        present.extend(function.captures_iter(&source.code).map(|found| found[1].to_owned()));
    }
    let named = Regex::new(r"`([a-z]\w*_\w+|array|exits|instants)`").expect("a constant");
    let mut missing = Vec::new();
    for (numbers, tests) in rows(&page) {
        assert!(!tests.trim().is_empty(), "F{numbers:?} says neither a test nor why there is none");
        let names = named.captures_iter(&tests).map(|found| found[1].to_owned());
        missing
            .extend(names.filter(|name| !present.contains(name)).map(|name| format!("F{numbers:?}: {name}")));
    }
    assert!(missing.is_empty(), "no such test:\n{}", missing.join("\n"));
}
