//! Commands that need no daemon: configuration, adapters, the private database.

use std::os::unix::fs::MetadataExt;
use std::process::{Command, Output, Stdio};

use crate::fixture::{QCBATCH, errors};
use crate::harness::private_dir::PrivateDir;

/// Runs `qcbatch ARGUMENTS` for a user whose home is the directory.
fn qcbatch(home: &PrivateDir, arguments: &[&str]) -> Output {
    Command::new(QCBATCH)
        .args(arguments)
        .env("HOME", home.path())
        .envs([("XDG_CONFIG_HOME", ""), ("XDG_STATE_HOME", ""), ("QCBATCH_CONFIG", "")])
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_configuration_is_begun_checked_and_shown() {
    let home = PrivateDir::new();
    let file = home.join(".config/qcbatch/qcbatch.toml");
    let begun = qcbatch(&home, &["config", "init"]);
    assert!(begun.status.success(), "{begun:?}");
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let again = qcbatch(&home, &["config", "init"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(errors(&again).contains("exists and is left as it is\nhint: "), "{again:?}");
    assert!(qcbatch(&home, &["config", "init", "--force"]).status.success());

    let checked = qcbatch(&home, &["config", "check", file.to_str().unwrap()]);
    assert!(checked.status.success() && errors(&checked).contains("0 errors"), "{checked:?}");
    let shown = text(&qcbatch(&home, &["config", "show", "--set", "daemon.tick=7s"]));
    assert!(shown.lines().any(|line| line.starts_with("tick = \"7s\"") && line.contains("--set")), "{shown}");

    std::fs::write(&file, "[daemon]\ntikc = \"5s\"\n").unwrap();
    let refused = qcbatch(&home, &["config", "show"]);
    assert_eq!(refused.status.code(), Some(6));
    assert!(errors(&refused).contains("tikc") && errors(&refused).contains("qcbatch.toml:2"), "{refused:?}");
    assert_eq!(qcbatch(&home, &["config", "check", file.to_str().unwrap()]).status.code(), Some(6));
    assert_eq!(qcbatch(&home, &["status"]).status.code(), Some(6));
}

#[test]
fn adapters_are_listed_and_a_missing_one_is_told() {
    let home = PrivateDir::new();
    let listed = text(&qcbatch(&home, &["adapter", "list"]));
    assert!(listed.contains("local") && listed.contains("slurm"), "{listed}");
    assert_eq!(text(&qcbatch(&home, &["adapter", "list", "-q"])), "local\nlsf\npbs\nsge\nslurm\ntorque\n");
    let own = home.subdirectory("adapters", 0o700);
    std::fs::write(own.join("slurm.toml"), "[states]\nRUNNING = \"runing\"\n").unwrap();
    let setting = format!("site.adapter_directories=[\"{}\"]", own.display());
    let refused = qcbatch(&home, &["--set", &setting, "adapter", "list"]);
    assert_eq!(refused.status.code(), Some(6), "{refused:?}");
    assert!(text(&refused).contains("cannot be used: adapter `slurm` has 1 mistake\n"), "{refused:?}");
    let place = format!("{}:2:11", own.join("slurm.toml").display());
    assert!(
        errors(&refused).contains(&place) && errors(&refused).contains("\n2 | RUNNING = \"runing\"\n"),
        "{refused:?}"
    );
    let missing = qcbatch(&home, &["adapter", "check", "moon"]);
    assert_eq!(missing.status.code(), Some(5), "{missing:?}");
    let checked = qcbatch(&home, &["adapter", "check", "local"]);
    assert!(checked.status.success(), "{checked:?}");
    assert!(text(&checked).contains("7, as the job ended"), "{checked:?}");
}

#[test]
fn a_database_that_was_never_made_is_told() {
    let home = PrivateDir::new();
    let status = qcbatch(&home, &["db", "status"]);
    assert_eq!(status.status.code(), Some(1), "{status:?}");
    assert!(text(&status).starts_with("private PostgreSQL: not made yet, "), "{status:?}");
    let stopped = qcbatch(&home, &["db", "stop"]);
    assert!(stopped.status.success(), "{stopped:?}");
    assert_eq!(errors(&stopped), "the private PostgreSQL was not running\n");
    let file = home.join("external.toml");
    std::fs::write(&file, "[database]\nurl = \"postgres://u@localhost/d\"\n").unwrap();
    let external = qcbatch(&home, &["--config", file.to_str().unwrap(), "db", "start"]);
    assert_eq!(external.status.code(), Some(1));
    assert!(errors(&external).contains("names an external server"), "{external:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = PrivateDir::new();
    let script = format!("{QCBATCH} config show; echo $? >&2");
    let mut child = Command::new("/bin/sh")
        .args(["-c", &script])
        .env("HOME", home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(errors(&output), "0\n");
}

#[test]
fn what_the_configuration_names_and_is_not_there_is_a_wrong_configuration() {
    let home = PrivateDir::new();
    let file = home.join("qcbatch.toml");
    let config = file.to_str().unwrap();
    let python = home.join("python3");
    std::fs::write(&python, "").unwrap();
    let pool = "[[pool]]\nname = \"p\"\n";
    for (lines, told) in [
        (format!("{pool}adapter = \"slrum\"\n"), "slrum"),
        (format!("{pool}adapter = \"local\"\ntemplate = \"nowhere\"\n"), "nowhere"),
        (
            format!("[worker]\npython = \"{}\"\n{pool}adapter = \"local\"\n", python.display()),
            "nobody may execute it",
        ),
    ] {
        std::fs::write(&file, &lines).unwrap();
        for command in [&["config", "check"][..], &["daemon"]] {
            let refused = qcbatch(&home, &[&["--config", config], command].concat());
            assert_eq!(refused.status.code(), Some(6), "{command:?} {lines}\n{refused:?}");
            assert!(errors(&refused).contains(told), "{command:?}: {refused:?}");
        }
    }
}

#[test]
fn a_socket_path_that_is_too_long_is_refused_before_anything_is_started() {
    let home = PrivateDir::new();
    let longest = home.join(&"s".repeat(103 - home.path().as_os_str().len() - 1));
    let checked = |path: &std::path::Path| {
        let setting = format!("daemon.socket={}", path.display());
        qcbatch(&home, &["--set", &setting, "config", "check"])
    };
    assert!(checked(&longest).status.success(), "{:?}", checked(&longest));
    let longer = longest.with_file_name("s".repeat(104 - home.path().as_os_str().len() - 1));
    assert_eq!(checked(&longer).status.code(), Some(6));
    let setting = format!("daemon.socket={}", longer.display());
    assert_eq!(qcbatch(&home, &["--set", &setting, "daemon"]).status.code(), Some(6));
    assert!(!home.join(".local/state/qcbatch/pg").exists(), "no PostgreSQL was made");
}
