//! A span of time is measured by one clock, and no effect outside the database goes round the lease.

use crate::source::{Source, rust_files};

/// Where a moment is passed through and never compared with another clock's.
const MOMENT_PASSED_THROUGH: &[&str] = &["src/plan/predict/mod.rs", ONE_CLOCK];

/// How long a node is avoided outlives the daemon, so that it is kept as a moment: of the daemon's own clock, and compared
/// with that clock alone. A clock that is wrong makes the time longer or shorter, and nothing else.
const ONE_CLOCK: &str = "src/plan/blame/nodes.rs";

fn places(sources: &[Source], words: &[&str], allowed: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| !allowed.contains(&source.path.as_str())) {
        for (number, line) in source.shipped().lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    found
}

/// The database's clock and the daemon's may differ by hours. Whoever decides gets spans that were measured before, each by
/// one clock, so that no function can compare a moment of one clock with a moment of another.
#[test]
fn no_decision_gets_a_moment_of_any_clock() {
    let sources: Vec<Source> = rust_files("src/plan");
    let wrong = places(&sources, &["Timestamp", "duration_since", "Zoned"], MOMENT_PASSED_THROUGH);
    assert!(wrong.is_empty(), "plan decides by spans, not by moments:\n{}", wrong.join("\n"));
    let compares = places(&sources, &["duration_since", "now:"], &[ONE_CLOCK]);
    assert!(compares.is_empty(), "moments are compared:\n{}", compares.join("\n"));
}

/// Only trials of an adapter, node runners and tests act without a lease.
#[test]
fn the_daemon_never_acts_without_its_lease() {
    let sources: Vec<Source> = rust_files("src")
        .into_iter()
        .filter(|source| matches!(source.room(), Some("daemon" | "api" | "store")))
        .collect();
    let wrong = places(&sources, &["without_lease", "WithoutLease"], &[]);
    assert!(wrong.is_empty(), "an effect that shows no lease:\n{}", wrong.join("\n"));
}
