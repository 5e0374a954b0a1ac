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
    assert!(error.contains("local, ") && error.contains("slurm"), "{error}");
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
fn what_no_probe_tells_and_sections_without_a_beginning_are_refused() {
    let text = "extends = \"slurm\"\n[directives]\nlines = [{ probed = { unit = \"^MB\" }, then = [\"-M\"] }]\n[poll.read]\nsections = { lines = [\"(?<id>.)(?<state>.)\"] }\nmust_contain = \"(\"\n";
    let (lines, _) = problems(&[("x.toml", text)], "x");
    assert_eq!(
        lines,
        [
            "x.toml:1: `start` is missing; a pattern of a section's first line",
            "x.toml:3: no probe tells the text `unit`; probed texts: ",
            "x.toml:6: the pattern does not compile; unclosed group",
        ]
    );
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
    let line = |name: &str| match Adapter::load(name, &dirs) {
        Err(AdapterError::Invalid { lines, .. }) => lines[0].rsplit('/').next().unwrap().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(line("a"), "b.toml:1: `a` extends `b` extends `a`; an adapter that does not extend this one");
    let known = "one of local, lsf, pbs, sge, slurm, torque, or another file's name";
    assert_eq!(line("c"), format!("c.toml:1: there is no adapter `nobody`; {known}"));
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
    // What stands behind the broken place is not held against anybody.
    assert!(lines[0].starts_with("slurm.toml:1"), "{lines:?}");
    assert!(lines.iter().all(|line| line.ends_with("not valid TOML")), "{lines:?}");
}

#[test]
fn the_first_directory_has_the_last_word() {
    let (_own, mut dirs) = directory(&[("slurm.toml", "[calls]\nids_per_call = 7\n")]);
    let text = "[calls]\nids_per_call = 9\nquery_timeout = \"5s\"\n";
    let (_site, site) = directory(&[("slurm.toml", text)]);
    dirs.extend(site);
    let adapter = Adapter::load("slurm", &dirs).unwrap();
    assert_eq!((adapter.cancel.0[0].ids_per_call, adapter.query_timeout), (7, Duration::from_secs(5)));
}

#[test]
fn an_adapter_from_nothing_is_told_what_it_needs() {
    let (lines, _) = problems(&[("mine.toml", "description = \"mine\"\n")], "mine");
    for needed in ["[submit]", "[poll]", "[cancel]", "look-up by tag", "map of states", "ids.submission"] {
        assert!(lines.iter().any(|line| line.contains(needed)), "{needed}: {lines:?}");
    }
}

/// What a mistake is and what is said of it: the whole report, as a site's admin sees it.
#[test]
fn each_kind_of_mistake_is_told_with_what_to_do() {
    let table = [
        ("unknown_key", "[poll]\nargv = [\"squeue\"]\nattempts = 3\n"),
        ("pattern_does_not_compile", "[messages.mine]\nclass = \"limit\"\npattern = 'too (many jobs'\n"),
        ("missing_group_of_submit", "[submit]\nread = { lines = '^Submitted batch job \\d+$' }\n"),
        (
            "missing_group_of_step",
            "[post_mortem.read]\nstep = '^\\d+\\.\\w+$'\ncolumns = { separator = \"|\" }\nfields = { id = \"JobID\", state = \"State\", exit = \"ExitCode\" }\n",
        ),
        ("missing_group_of_state", "state_word = '^[A-Z]+'\n"),
        ("missing_group_of_exit", "[exits.mine]\npattern = '^\\d+$'\n"),
        (
            "missing_group_of_limit",
            "[rules.mine]\nexceeds = { field = \"reason\", limit_in = \"reason\", limit = 'mem=(\\d+)' }\nthen = \"ended memory\"\n",
        ),
        (
            "rule_on_a_field_that_is_not_there",
            "[rules.mine]\nexceeds = { field = \"vmem\", limit_in = \"reason\", limit = 'mem=(?<limit>\\d+)' }\nthen = \"ended memory\"\n",
        ),
        ("documented_state_without_meaning", "documented_states = [\"PENDING\", \"DREAMING\"]\n"),
        ("unknown_placeholder_of_a_command", "[cancel]\nargv = [\"scancel\", \"--name={tag}\", \"{ids}\"]\n"),
        ("unknown_placeholder_of_a_directive", "[directives]\nlines = [\"--time={wall_time:minutes}\"]\n"),
        ("placeholder_that_may_be_absent", "[directives]\nlines = [\"--partition={queue}\"]\n"),
    ];
    let mut told = String::new();
    for (name, text) in table {
        let (lines, report) = problems(&[("slurm.toml", text)], "slurm");
        assert!(lines.iter().all(|line| line.starts_with("slurm.toml:")), "{name}: {lines:?}");
        told.push_str(&format!("======== {name}\n{report}\n\n"));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_rule_that_looks_at_the_state_gives_it_a_meaning_too() {
    let text = "documented_states = [\"PENDING\", \"E\"]\n[rules.ended]\nwhen.state = '^E$'\nwhen.exit = '.'\nthen = \"ended completed\"\n";
    let (_held, dirs) = directory(&[("slurm.toml", text)]);
    Adapter::load("slurm", &dirs).unwrap();
}

#[test]
fn a_poll_by_ids_needs_the_ids_and_a_joined_word_its_joint() {
    let poll = "argv = [\"q\", [\"{ids}\"]]\nread = { lines = '^(?<id>\\d+) (?<state>\\w+)$' }\n";
    let own = format!("extends = \"slurm\"\n[poll]\n{poll}");
    let (lines, _) = problems(&[("own.toml", &own)], "own");
    assert!(
        lines.iter().any(|line| line.contains("nothing tells the ids that [poll] asks about")),
        "{lines:?}"
    );
    let ids = "[poll_ids]\nargv = [\"ids\"]\nread = { words = true, fields = { id = \"word\" } }\n";
    let (lines, _) = problems(&[("slurm.toml", ids)], "slurm");
    assert!(lines.iter().any(|line| line.contains("does not ask about the ids")), "{lines:?}");
    let text = "[directives]\nlines = [{ pieces = [\"a\"] }]\n[probe.version]\nproves = \"X\"\n[probe.x]\nproves = \"Y\"\ncall.argv = [\"x\"]\n";
    let (lines, _) = problems(&[("slurm.toml", text)], "slurm");
    assert!(lines.iter().any(|line| line.starts_with("slurm.toml:2: half of a joined word")), "{lines:?}");
    assert!(
        lines.iter().any(|line| line.starts_with("slurm.toml:6: nothing proves that this is Y")),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 2, "{lines:?}");
}
