//! The rendered script in a real bash, with programs in the runner's place: signals, exit codes, end records, scratch.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qcbatch::jobscript::{TemplateSet, render};
use qcbatch::model::ids::JobId;
use qcbatch::model::task::{EndReason, EndRecord};

use crate::scripts::script_input;
use crate::support::{make_executable, request, scheduler};

struct Job {
    directory: tempfile::TempDir,
    script: PathBuf,
}

impl Job {
    /// A job whose runner is the shell program `runner`; `$2` is its job directory.
    fn new(runner: &str) -> Job {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        std::fs::create_dir(path.join("1")).unwrap();
        let program = path.join("qcbatch");
        std::fs::write(&program, format!("#!/bin/bash\n{runner}\n")).unwrap();
        make_executable(&program);
        let scheduler = scheduler("local");
        let mut input = script_input(&scheduler, &request(path.to_str().unwrap(), 2));
        input.program = program;
        let script = path.join("job.sh");
        std::fs::write(&script, render(&input, &TemplateSet::load(&[]).unwrap()).unwrap()).unwrap();
        Job { directory, script }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join("1").join(name)
    }

    fn start(&self) -> Child {
        Command::new("/bin/bash")
            .arg(&self.script)
            .env_clear()
            .envs([
                ("PATH", "/usr/bin:/bin"),
                ("QCBATCH_LOCAL_ARRAY_INDEX", "1"),
                ("QCBATCH_LOCAL_JOB_ID", "7_1"),
            ])
            .env("TMPDIR", self.directory.path())
            .spawn()
            .unwrap()
    }

    fn run(&self) -> ExitStatus {
        self.start().wait().unwrap()
    }

    fn end(&self) -> Option<EndRecord> {
        let text = std::fs::read(self.file("end.json")).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    fn scratch_is_gone(&self) -> bool {
        let names = std::fs::read_dir(self.directory.path()).unwrap();
        names.flatten().all(|entry| !entry.file_name().to_string_lossy().starts_with("qcbatch."))
    }
}

fn await_file(path: &Path) {
    while !path.exists() {
        sleep(Duration::from_millis(10));
    }
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

#[test]
fn a_runner_that_ends_well_leaves_nothing_to_say() {
    let job = Job::new(
        r#"echo "$1 $2 $TMPDIR $QCBATCH_SCHEDULER_JOB_ID $PWD" > "$2/seen"; umask >> "$2/seen"; exit 0"#,
    );
    assert_eq!(job.run().code(), Some(0));
    assert_eq!(job.end(), None);
    let seen = std::fs::read_to_string(job.file("seen")).unwrap();
    let own = job.directory.path().join("1").display().to_string();
    assert!(seen.starts_with(&format!("node {own} {}/qcbatch.", job.directory.path().display())), "{seen}");
    assert!(seen.contains(&format!(" 7_1 {own}\n0077\n")), "{seen}");
    assert!(job.scratch_is_gone());
}

#[test]
fn exit_codes_are_passed_on_and_an_end_record_stands_in() {
    let job = Job::new("exit 3");
    assert_eq!(job.run().code(), Some(3));
    let end = job.end().unwrap();
    assert_eq!((end.job_id, end.reason, end.exit_code, end.results), (JobId(102), EndReason::Failed, 3, 0));
    assert!(end.detail.unwrap().contains("exit code 3"));
    let killed = Job::new("kill -9 $$");
    assert_eq!(killed.run().code(), Some(137));
    assert_eq!(killed.end().unwrap().exit_code, 137);
    assert_eq!(std::fs::read_dir(killed.directory.path().join("1")).unwrap().count(), 1);
}

#[test]
fn the_runners_own_end_record_stays() {
    let own = r#"{"job_id":102,"reason":"done","exit_code":1,"results":2,"results_bytes":9,"detail":null}"#;
    let job = Job::new(&format!("echo '{own}' > \"$2/end.json\"; exit 1"));
    assert_eq!(job.run().code(), Some(1));
    assert_eq!(job.end().unwrap().reason, EndReason::Done);
}

#[test]
fn another_copys_records_are_left_alone() {
    let job = Job::new("exit 9");
    std::fs::write(job.file("start.json"), r#"{"job_id":102,"scheduler_job_id":"6_1"}"#).unwrap();
    assert_eq!(job.run().code(), Some(9));
    assert_eq!(job.end(), None);
    std::fs::write(job.file("start.json"), "{\n  \"job_id\": 102,\n  \"scheduler_job_id\": \"7_1\"\n}")
        .unwrap();
    assert_eq!(job.run().code(), Some(9));
    assert!(job.end().is_some());
}

#[test]
fn signals_reach_the_runner_and_its_real_exit_code_comes_back() {
    // Not bash: what is ignored when bash starts, it can never heed.
    let runner = r#"exec perl -MTime::HiRes=sleep -e '
sub note { open(my $file, ">>", "$ARGV[1]/signals"); print $file "$_[0]\n"; close $file }
$SIG{USR2} = sub { note("USR2") };
$SIG{TERM} = sub { note("TERM"); sleep 0.3; exit 42 };
open(my $ready, ">", "$ARGV[1]/ready");
sleep 0.05 while 1' "$@""#;
    let job = Job::new(runner);
    let mut child = job.start();
    await_file(&job.file("ready"));
    signal(&child, Signal::SIGUSR2);
    await_file(&job.file("signals"));
    signal(&child, Signal::SIGTERM);
    while !std::fs::read_to_string(job.file("signals")).unwrap().contains("TERM") {
        sleep(Duration::from_millis(10));
    }
    signal(&child, Signal::SIGUSR2);
    assert_eq!(child.wait().unwrap().code(), Some(42));
    let signals = std::fs::read_to_string(job.file("signals")).unwrap();
    assert!(signals.starts_with("USR2\nTERM\n"), "{signals}");
    assert!(job.scratch_is_gone());
}

/// bash loses the exit code in one of some fifteen such races; the runner's own record has it then.
#[test]
fn a_signal_at_the_very_end_does_not_change_the_exit_code() {
    let own = r#"{"job_id":102,"reason":"done","exit_code":5,"results":2,"results_bytes":9,"detail":null}"#;
    let runner =
        format!("trap '' USR2; touch \"$2/ready\"; echo '{own}' > \"$2/end.json\"; sleep 0.03; exit 5");
    for round in 0..60_u64 {
        let job = Job::new(&runner);
        let mut child = job.start();
        await_file(&job.file("ready"));
        sleep(Duration::from_micros(20_000 + 300 * round));
        // The script may be gone already: then there is nobody to disturb.
        let _ = kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGUSR2);
        assert_eq!(child.wait().unwrap().code(), Some(5), "round {round}");
    }
}

#[test]
fn a_missing_job_directory_is_told_by_the_exit_code() {
    let job = Job::new("exit 0");
    std::fs::remove_dir(job.directory.path().join("1")).unwrap();
    assert_eq!(job.run().code(), Some(93));
}
