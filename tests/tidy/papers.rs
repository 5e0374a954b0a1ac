//! Papers tell the truth: commands that README names exist, links lead somewhere, every page is in the book.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use regex::Regex;

use crate::source::{files_below, root};

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn captures(pattern: &str, text: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).expect("the pattern is a constant of this file");
    pattern.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// Pages for people: README and everything under docs/.
fn pages() -> Vec<String> {
    let mut pages = files_below("docs", "md");
    pages.push("README.md".to_owned());
    pages
}

#[test]
fn make_targets_that_pages_name_exist() {
    let targets = captures(r"(?m)^([a-z][a-z-]*):", &read("Makefile"));
    for page in pages() {
        let named = captures(r"(?m)(?:`|^|&& )make ([a-z][a-z-]*)", &read(&page));
        let missing: Vec<&String> = named.difference(&targets).collect();
        assert!(missing.is_empty(), "{page} names make targets that do not exist: {missing:?}");
    }
}

#[test]
fn every_make_target_says_what_it_does() {
    let makefile = read("Makefile");
    let targets = captures(r"(?m)^([a-z][a-z-]*):", &makefile);
    let told = captures(r"(?m)^([a-z][a-z-]*):.*## \S", &makefile);
    assert_eq!(targets, told, "`make help` lists every target");
}

#[test]
fn every_page_is_in_the_book() {
    let listed = captures(r"\]\(([^)]+\.md)\)", &read("docs/SUMMARY.md"));
    let present: BTreeSet<String> = files_below("docs", "md")
        .into_iter()
        .filter_map(|path| path.strip_prefix("docs/").map(str::to_owned))
        .filter(|page| page != "SUMMARY.md")
        .collect();
    assert_eq!(listed, present, "docs/SUMMARY.md lists exactly the pages under docs/");
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let folder = root().join(&page).parent().expect("a page is in a folder").to_owned();
        for link in captures(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", &read(&page)) {
            if !link.contains("://") && !folder.join(&link).exists() {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "links to nothing:\n{}", broken.join("\n"));
}

#[test]
fn the_changelog_has_a_place_for_the_next_change() {
    assert!(read("CHANGELOG.md").contains("\n## [Unreleased]\n"), "CHANGELOG.md has a section [Unreleased]");
}

#[test]
fn shell_scripts_are_posix_shell() {
    let mut scripts = files_below("config", "sh");
    scripts.extend(files_below("tests", "sh"));
    for script in scripts {
        let output =
            Command::new("sh").arg("-n").arg(root().join(&script)).output().expect("every Unix has sh");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
