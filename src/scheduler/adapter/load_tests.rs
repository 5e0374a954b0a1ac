//! Loading adapters: the built-in ones are sound, users' files lie over them, and every mistake is shown at its place.
//! Writes only into temporary directories.

use std::path::PathBuf;

use super::*;

fn directory(files: &[(&str, &str)]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let path = directory.path().to_owned();
    (directory, vec![path])
}

fn problems(files: &[(&str, &str)], name: &str) -> (Vec<String>, String) {
    let (held, dirs) = directory(files);
    match Adapter::load(name, &dirs) {
        Err(AdapterError::Invalid { lines, report, .. }) => {
            let prefix = format!("{}/", held.path().display());
            (lines.iter().map(|line| line.replace(&prefix, "")).collect(), report.replace(&prefix, ""))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_built_in_adapters_are_sound() {
    for name in built_in_names() {
        if let Err(error) = Adapter::load(name, &[]) {
            panic!("{error}");
        }
    }
}

#[test]
fn an_unknown_adapter_is_told_with_the_known_ones() {
    let error = Adapter::load("pbs_of_tomorrow", &[]).unwrap_err().to_string();
    assert!(error.contains("local, sge, slurm"), "{error}");
}

#[test]
fn a_users_file_overrides_key_by_key() {
    let text = "[calls]\nids_per_call = 7\n[states]\nPENDING = \"blocked\"\n[environment.set]\nSLURM_CLUSTERS = \"b\"\n";
    let (_held, dirs) = directory(&[("slurm.toml", text)]);
    let adapter = Adapter::load("slurm", &dirs).unwrap();
    assert_eq!(adapter.cancel.0[0].ids_per_call, 7);
    assert_eq!(adapter.states.words["PENDING"], states::target("blocked").unwrap());
    assert_eq!(adapter.states.words["RUNNING"], states::target("running").unwrap());
    assert_eq!(adapter.environment_set.len(), 2);
    assert_eq!(adapter.query_timeout, Duration::from_secs(60));
}

#[test]
fn a_new_adapter_extends_another() {
    let (_held, dirs) = directory(&[
        ("big.toml", "extends = \"slurm\"\nname = \"big\"\n[poll]\ntimeout = \"90s\"\n"),
        (
            "bigger.toml",
            "extends = \"big\"\nname = \"bigger\"\n[cancel]\nargv = [\"scancel\", \"-Mx\", \"{ids}\"]\n",
        ),
    ]);
    let adapter = Adapter::load("bigger", &dirs).unwrap();
    assert_eq!(adapter.poll.0[1].timeout, Some(Duration::from_secs(90)));
    assert_eq!(adapter.cancel.0[0].argv.len(), 3);
}

#[test]
fn circles_and_strangers_are_refused() {
    let (_held, dirs) = directory(&[
        ("a.toml", "extends = \"b\"\n"),
        ("b.toml", "extends = \"a\"\n"),
        ("c.toml", "extends = \"nobody\"\n"),
    ]);
    assert!(matches!(Adapter::load("a", &dirs), Err(AdapterError::Circle { .. })));
    assert!(matches!(Adapter::load("c", &dirs), Err(AdapterError::Extends { .. })));
    assert!(matches!(Adapter::load("../c", &dirs), Err(AdapterError::Name { .. })));
}

#[test]
fn all_problems_are_shown_at_once_with_their_places() {
    let text = r#"[calls]
patience = "1h"
query_timeout = "soon"
ids_per_call = "many"

[states]
PENDING = "waiting"

[poll]
argv = ["squeue", "--name={tag}", "{queue}"]
read = { lines = '(?<id>\d+' }

[cancel]
argv = ["scancel", "x{ids}"]

[post_mortem]
needs = "bookkeeping"

[submit]
read = { lines = '^(?<number>\d+)$' }

[messages.mine]
class = "fatal"
pattern = "x"

[rules.mine]
when.colour = "x"
then = "ended happily"
"#;
    let (lines, _) = problems(&[("slurm.toml", text)], "slurm");
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_report_shows_the_offending_line() {
    let (_, report) = problems(&[("slurm.toml", "[states]\nPENDING = \"waiting\"\n")], "slurm");
    insta::assert_snapshot!(report);
}

#[test]
fn broken_toml_is_shown_too() {
    let (lines, _) = problems(&[("slurm.toml", "[states\nx = \n")], "slurm");
    assert!(lines.iter().any(|line| line.starts_with("slurm.toml:1")), "{lines:?}");
}

#[test]
fn an_adapter_from_nothing_is_told_what_it_needs() {
    let (lines, _) = problems(&[("mine.toml", "description = \"mine\"\n")], "mine");
    for needed in ["[submit]", "[poll]", "[cancel]", "look-up by tag", "map of states", "ids.submission"] {
        assert!(lines.iter().any(|line| line.contains(needed)), "{needed}: {lines:?}");
    }
}
