//! What a pool's `setup` may do to the shell of the job script, and how a setup that fails is told: in a real bash.
//! Starts only its own children; writes only into temporary directories.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use qcbatch::jobscript::{TemplateSet, render};
use qcbatch::model::resources::SetupErrors;
use qcbatch::model::task::{EndReason, EndRecord};

use crate::scripts::script_input;
use crate::support::{make_executable, request, scheduler};

/// What the runner tells of the shell that started it: where it is, its mask, its scratch, and its ignored signals.
const RUNNER: &str = r#"#!/bin/bash
{ pwd; umask; echo "$TMPDIR"; grep SigIgn /proc/self/status; echo "$FROM_SETUP"; } >"$2/told"
echo said by the runner
exit 0
"#;

struct Job {
    directory: tempfile::TempDir,
    code: Option<i32>,
    output: String,
}

impl Job {
    fn run(setup: &[&str], errors: SetupErrors) -> Job {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::create_dir(path.join("0")).unwrap();
        let program = path.join("qcbatch");
        fs::write(&program, RUNNER).unwrap();
        make_executable(&program);
        fs::write(path.join("rc"), "false\nexport FROM_SETUP=kept\nfalse\ntrue\n").unwrap();
        fs::create_dir(path.join("valuable")).unwrap();
        let mut input = script_input(&scheduler("local"), &request(path.to_str().unwrap(), 1));
        input.array_index_variable = None;
        input.program = program;
        input.setup =
            setup.iter().map(|line| line.replace("@", path.to_str().unwrap())).collect::<Vec<String>>();
        input.setup_errors = errors;
        let script = path.join("job.sh");
        fs::write(&script, render(&input, &TemplateSet::load(&[]).unwrap()).unwrap()).unwrap();
        let mut bash = Command::new("/bin/bash");
        bash.arg(&script).env_clear().env("PATH", "/usr/bin:/bin").env("TMPDIR", path);
        let output = bash.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let both = text(&output.stdout) + &text(&output.stderr);
        Job { directory, code: output.status.code(), output: both }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn told(&self) -> Vec<String> {
        let told = fs::read_to_string(self.path("0/told"));
        let told = told.unwrap_or_else(|error| panic!("no runner ran ({error}): {}", self.output));
        told.lines().map(str::to_owned).collect()
    }

    fn end(&self) -> EndRecord {
        let bytes =
            fs::read(self.path("0/end.json")).unwrap_or_else(|error| panic!("{error}: {}", self.output));
        serde_json::from_slice(&bytes).unwrap()
    }
}

fn names(path: &Path) -> Vec<String> {
    fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn what_setup_changes_of_the_shell_does_not_reach_the_runner() {
    let plain = Job::run(&[], SetupErrors::Fatal);
    let told = plain.told();
    for line in [
        "set -euo pipefail",
        "set -f",
        "set -o posix",
        "set -o noclobber",
        "trap '' TERM INT USR2",
        "trap 'echo overruled; exit 9' EXIT",
        "trap 'exit 9' ERR",
        "umask 000",
        "IFS=/:",
        "cd /",
        "shopt -s expand_aliases; alias cd=false wait=false kill=false",
        "wait() { return 1; }; cd() { return 1; }; kill() { return 1; }",
        "exec >/dev/null 2>&1",
        "exec </dev/null",
        "shopt -s failglob nullglob",
    ] {
        let job = Job::run(&[line, "export FROM_SETUP="], SetupErrors::Fatal);
        let same = |told: Vec<String>| (told[1].clone(), told[3].clone(), told[4].clone());
        assert_eq!(same(job.told()), same(told.clone()), "{line}");
        assert_eq!(job.told()[0], fs::canonicalize(job.path("0")).unwrap().display().to_string(), "{line}");
        assert_eq!(job.code, Some(0), "{line}: {}", job.output);
        assert!(job.output.contains("said by the runner"), "{line}: {}", job.output);
        assert!(!job.output.contains("overruled"), "{line}: {}", job.output);
        assert!(!names(&job.path("0")).contains(&"setup.log".to_owned()), "{line}");
        let left: Vec<String> =
            names(job.directory.path()).into_iter().filter(|name| name.starts_with("qcbatch.")).collect();
        assert_eq!(left, Vec::<String>::new(), "{line}: scratch stays");
    }
}

#[test]
fn what_setup_sets_for_programs_stays_and_its_scratch_is_not_ours_to_remove() {
    let job =
        Job::run(&["export TMPDIR=@/valuable", "export FROM_SETUP=kept", "echo printed"], SetupErrors::Fatal);
    let told = job.told();
    assert_eq!((told[2].as_str(), told[4].as_str()), (job.path("valuable").to_str().unwrap(), "kept"));
    assert!(job.path("valuable").is_dir(), "a directory that setup named was removed");
    assert!(job.output.contains("printed"), "{}", job.output);
}

#[test]
fn a_setup_that_fails_is_told_with_its_command_and_output() {
    let failing = [
        "echo 'Lmod: \"psi4/9\" is\\unknown \u{e9}'; load() { return 3; }",
        "load psi4/9",
        "export FROM_SETUP=1",
    ];
    let job = Job::run(&failing, SetupErrors::Fatal);
    let end = job.end();
    assert_eq!((end.reason, end.exit_code, job.code), (EndReason::Failed, 95, Some(95)));
    let detail = end.detail.unwrap();
    assert!(
        detail.starts_with(
            "setup failed: `load psi4/9` ended with exit code 3; it printed: Lmod: \"psi4/9\" is\\unknown"
        ),
        "{detail}"
    );
    assert!(!job.path("0/told").exists(), "the runner was started");
    assert!(fs::read_to_string(job.path("0/setup.log")).unwrap().contains("Lmod"));
    assert!(job.output.contains("Lmod"), "the scheduler's log has it too: {}", job.output);
    for (line, code) in [("exit 7", 7), ("exit 0", 95), ("set -e; . @/rc", 1), ("set -u; echo $NOT_SET", 1)] {
        let job = Job::run(&["echo printed", line], SetupErrors::Ignored);
        let end = job.end();
        assert_eq!((end.reason, end.exit_code, job.code), (EndReason::Failed, code, Some(code)), "{line}");
        let detail = end.detail.unwrap();
        assert!(detail.starts_with("setup ended the job script with exit code"), "{line}: {detail}");
        assert!(detail.contains("printed"), "{line}: {detail}");
    }
}

#[test]
fn what_may_fail_in_setup_may_fail() {
    for lines in [
        &["false || true"][..],
        &["if false; then", "    false", "fi"],
        &["! true"],
        &["[ -r /no/such/file ] && . /no/such/file", "true"],
        &[". @/rc"],
    ] {
        let job = Job::run(lines, SetupErrors::Fatal);
        assert_eq!(job.code, Some(0), "{lines:?}: {}", job.output);
    }
    let job = Job::run(&["false", "export FROM_SETUP=kept"], SetupErrors::Ignored);
    assert_eq!((job.code, job.told()[4].as_str()), (Some(0), "kept"));
}
