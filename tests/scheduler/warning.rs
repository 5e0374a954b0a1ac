//! The warning that a job script gives itself where the scheduler has none, in a real bash.
//! Starts only its own children; writes only into temporary directories.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use qcbatch::jobscript::{TemplateSet, render};

use crate::scripts::script_input;
use crate::support::{make_executable, request, scheduler};

/// Runs a PBS script whose runner is the shell program `runner`, and gives its exit code.
fn run(directory: &Path, runner: &str, warn_after: Duration) -> Option<i32> {
    std::fs::create_dir(directory.join("0")).unwrap();
    let program = directory.join("qcbatch");
    std::fs::write(&program, format!("#!/bin/bash\n{runner}\n")).unwrap();
    make_executable(&program);
    let scheduler = scheduler("pbs");
    let mut input = script_input(&scheduler, &request(directory.to_str().unwrap(), 1));
    assert_eq!(input.warn_after, Some(Duration::from_secs(3601 - 180)));
    input.warn_after = Some(warn_after);
    input.array_index_variable = None;
    input.program = program;
    let script = directory.join("job.sh");
    std::fs::write(&script, render(&input, &TemplateSet::load(&[]).unwrap()).unwrap()).unwrap();
    let mut job = Command::new("/bin/bash");
    job.arg(&script).env_clear().env("PATH", "/usr/bin:/bin").env("TMPDIR", directory);
    job.status().unwrap().code()
}

/// Whether any process that runs the script in `directory` lives: the script itself or its timer.
fn script_lives(directory: &Path) -> bool {
    let script = directory.join("job.sh").display().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .map(|process| std::fs::read(process.path().join("cmdline")))
        .any(|line| line.is_ok_and(|line| String::from_utf8_lossy(&line).contains(&script)))
}

#[test]
fn the_runner_is_warned_in_time() {
    let directory = tempfile::tempdir().unwrap();
    // Not bash: what is ignored when bash starts, it can never heed.
    let runner = r#"exec perl -e '$SIG{USR2} = sub { open(my $seen, ">", "$ARGV[1]/seen"); print $seen "warned\n"; exit 0 };
sleep 1 while 1' "$@""#;
    assert_eq!(run(directory.path(), runner, Duration::from_secs(1)), Some(0));
    assert_eq!(std::fs::read_to_string(directory.path().join("0/seen")).unwrap(), "warned\n");
}

#[test]
fn a_script_that_ends_before_leaves_no_timer_behind() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(run(directory.path(), "exit 3", Duration::from_secs(4_000_000)), Some(3));
    while script_lives(directory.path()) {
        sleep(Duration::from_millis(20));
    }
}

/// The script alone is killed, as a person or a scheduler out of patience may do it: nothing of it stays.
#[test]
fn a_timer_ends_with_a_script_that_was_killed_alone_and_signals_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let runner = r#"kill -9 "$PPID"; touch "$2/killed"; exit 0"#;
    assert_eq!(run(directory.path(), runner, Duration::from_secs(4_000_000)), None, "a signal ended it");
    while script_lives(directory.path()) {
        sleep(Duration::from_millis(50));
    }
}
