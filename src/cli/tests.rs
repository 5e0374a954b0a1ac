//! The command line as a whole: clap's own checks, the help of every command, and its documentation.

use clap::{Command, CommandFactory, Parser};

use super::*;

/// Every command with its path, depth first: `db`, `db start`, …
fn commands() -> Vec<(String, Command)> {
    fn collect(path: &str, command: &Command, found: &mut Vec<(String, Command)>) {
        for child in command.get_subcommands() {
            let path = format!("{path} {}", child.get_name()).trim_start().to_owned();
            found.push((path.clone(), child.clone()));
            collect(&path, child, found);
        }
    }
    let mut root = Cli::command();
    root.build();
    let mut found = Vec::new();
    collect("", &root, &mut found);
    found
}

#[test]
fn clap_finds_no_contradiction() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_of_every_command() {
    let mut text = Cli::command().term_width(100).render_help().to_string();
    for (path, command) in commands() {
        if command.is_hide_set() || path.starts_with("local") {
            continue;
        }
        text.push_str(&format!("\n======== qcbatch {path}\n"));
        text.push_str(&command.term_width(100).render_help().to_string());
    }
    // Options that every command has are shown once, above.
    let (mut kept, mut skipping, mut seen) = (String::new(), false, false);
    for line in text.lines() {
        if line == "Global options:" {
            skipping = seen;
            seen = true;
        } else if !line.starts_with(' ') && !line.is_empty() {
            skipping = false;
        }
        if !skipping {
            kept.push_str(line.trim_end());
            kept.push('\n');
        }
    }
    insta::assert_snapshot!("help", kept);
}

#[test]
fn every_command_is_documented_with_an_example() {
    let page = include_str!("../../docs/cli.md");
    for (path, command) in commands() {
        if command.is_hide_set() || path.starts_with("local") {
            continue;
        }
        let heading = format!("`qcbatch {path}");
        let has_heading = page.lines().any(|line| line.starts_with('#') && line.contains(&heading));
        let is_group = command.has_subcommands();
        assert!(has_heading || !is_group && page.contains(&heading), "docs/cli.md lacks `qcbatch {path}`");
        if !is_group {
            let example = page.lines().any(|line| {
                line.trim_start().starts_with(&format!("qcbatch {path}"))
                    || line.contains(&format!("$(qcbatch {path}"))
            });
            assert!(example, "docs/cli.md has no example of `qcbatch {path}`");
        }
    }
}

#[test]
fn every_long_option_is_documented() {
    let page = include_str!("../../docs/cli.md");
    for (path, command) in commands() {
        if command.is_hide_set() || path.starts_with("local") {
            continue;
        }
        for option in command.get_arguments().filter_map(|argument| argument.get_long()) {
            assert!(
                option == "help" || option == "version" || page.contains(&format!("--{option}")),
                "{path}: --{option}"
            );
        }
    }
}

/// Lines of the page's code blocks that begin with `qcbatch`, without what a shell would take away.
#[test]
fn every_example_is_understood() {
    let page = include_str!("../../docs/cli.md");
    let mut examples = 0;
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            inside = !inside;
            continue;
        }
        if !inside || !line.starts_with("qcbatch ") {
            continue;
        }
        let end = [" > ", " | ", " &", "  #", " && "].iter().filter_map(|mark| line.find(mark)).min();
        let line = &line[..end.unwrap_or(line.len())];
        let words: Vec<String> =
            line.split_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect();
        if let Err(error) = Cli::try_parse_from(&words) {
            panic!("`{line}` is not understood: {error}");
        }
        examples += 1;
    }
    assert!(examples > 25, "{examples} examples");
}

#[test]
fn what_contradicts_itself_is_refused() {
    for line in [
        "qcbatch",
        "qcbatch nothing",
        "qcbatch list --json --quiet",
        "qcbatch list --status sleeping",
        "qcbatch list --limit 0",
        "qcbatch submit",
        "qcbatch submit a.json --wait --parsable",
        "qcbatch submit a.json --dry-run --wait",
        "qcbatch submit a.xyz --driver deferred",
        "qcbatch submit a.json --cores 0",
        "qcbatch submit a.json --memory 4",
        "qcbatch show",
        "qcbatch show x",
        "qcbatch logs 1 --follow --attempt 0",
    ] {
        assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
    let negative = Cli::try_parse_from(["qcbatch", "submit", "a.xyz", "--charge", "-1"]);
    assert!(negative.is_ok(), "{negative:?}");
}
