//! The catalogue of failures tells the truth: it lists every number once, and every test that it names exists.

use std::collections::BTreeSet;
use std::fs;

use regex::Regex;

use crate::source::{root, rust_files};

/// Numbers of the survey that the page must list. 59 to 70 concern what a job script does to signals and variables, which
/// the golden scripts pin; those after 130 are our own.
fn surveyed() -> BTreeSet<u32> {
    (1..=58).chain(71..=130).collect()
}

/// Names of tests in some text.
fn named_tests(text: &str) -> Vec<String> {
    let named = Regex::new(r"`([a-z]\w*_\w+|array|exits|instants)`").expect("a constant");
    named.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// Every function of the tree, tests among them.
fn functions() -> BTreeSet<String> {
    let function = Regex::new(r"\bfn (\w+)").expect("a constant");
    let mut present = BTreeSet::new();
    for source in rust_files("src").into_iter().chain(rust_files("tests")) {
        present.extend(function.captures_iter(&source.code).map(|found| found[1].to_owned()));
    }
    present
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
    let unique: BTreeSet<u32> = listed.iter().copied().collect();
    assert_eq!(listed.len(), unique.len(), "a number stands in two rows: {listed:?}");
    let missing: Vec<u32> = surveyed().difference(&unique).copied().collect();
    assert!(missing.is_empty(), "not in the catalogue: {missing:?}");
}

#[test]
fn tests_that_the_catalogue_names_exist() {
    let page = fs::read_to_string(root().join("docs/failures.md")).expect("the catalogue is there");
    let present = functions();
    let mut missing = Vec::new();
    for (numbers, tests) in rows(&page) {
        assert!(!tests.trim().is_empty(), "F{numbers:?} says neither a test nor why there is none");
        let names = named_tests(&tests).into_iter();
        missing
            .extend(names.filter(|name| !present.contains(name)).map(|name| format!("F{numbers:?}: {name}")));
    }
    assert!(missing.is_empty(), "no such test:\n{}", missing.join("\n"));
}

#[test]
fn each_promise_of_reliability_names_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/reliability.md")).expect("the page is there");
    let present = functions();
    let mut wrong = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise")) {
        let proof = line.trim_matches('|').rsplit(" | ").next().unwrap_or_default();
        let names = named_tests(proof);
        if names.is_empty() && !proof.contains("not proven") {
            wrong.push(format!("neither a test nor `not proven`: {line}"));
        }
        wrong.extend(
            names
                .into_iter()
                .filter(|name| !present.contains(name))
                .map(|name| format!("no such test: {name}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
