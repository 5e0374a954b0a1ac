//! `qcbatch adapter check` and `adapter replay` as a site's admin runs them: on this machine and on a real Slurm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::harness::private_dir::PrivateDir;
use crate::harness::{Slurm, SlurmOptions};

const QCBATCH: &str = env!("CARGO_BIN_EXE_qcbatch");

/// A user with a configuration and no daemon.
struct Admin {
    directory: PrivateDir,
    environment: Vec<(String, String)>,
}

impl Admin {
    fn new(pool: &str) -> Admin {
        let directory = PrivateDir::new();
        let state = toml::Value::from(directory.subdirectory("state", 0o700).display().to_string());
        let text = format!("[site]\nstate = {state}\n[[pool]]\npoll_interval = \"1s\"\n{pool}\n");
        fs::write(directory.join("qcbatch.toml"), text).unwrap();
        Admin { directory, environment: Vec::new() }
    }

    fn with_slurm(slurm: &Slurm, keys: &str) -> Admin {
        let mut admin =
            Admin::new(&format!("name = \"cluster\"\nadapter = \"slurm\"\nqueue = \"main\"\n{keys}"));
        let (name, value) = slurm.env();
        admin.environment.push((name.to_owned(), value.display().to_string()));
        admin
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(QCBATCH)
            .arg("--config")
            .arg(self.directory.join("qcbatch.toml"))
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// The first report of `adapter check ARGUMENTS --json`, and the exit code.
    #[track_caller]
    fn check(&self, arguments: &[&str]) -> (Value, i32) {
        let output = self.run(&[&["adapter", "check", "--json"], arguments].concat());
        let reports: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        (reports[0].clone(), output.status.code().unwrap())
    }

    /// What is left of the submissions.
    fn left_behind(&self, pool: &str) -> Vec<PathBuf> {
        let spool = self.directory.join("state").join("spool").join(pool);
        fs::read_dir(spool).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }
}

/// The verdict on `subject` and what was said.
#[track_caller]
fn finding<'a>(report: &'a Value, subject: &str) -> (&'a str, &'a str) {
    let findings = report["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["subject"] == subject);
    let found = found.unwrap_or_else(|| panic!("{subject} in {report:#}"));
    (found["verdict"].as_str().unwrap(), found["detail"].as_str().unwrap())
}

#[track_caller]
fn assert_verdicts(report: &Value, verdict: &str, subjects: &[&str]) {
    for subject in subjects {
        assert_eq!(finding(report, subject).0, verdict, "{subject}: {report:#}");
    }
}

const SEEN_FROM_THE_NODE: [&str; 4] = ["spool", "clock", "program", "job id in the job"];

#[test]
fn this_machine_is_proven_with_its_exit_code() {
    let admin = Admin::new("name = \"local\"\nadapter = \"local\"\nsetup = [\"export SEEN=1\"]");
    let (report, code) = admin.check(&[]);
    assert_eq!(code, 0, "{report:#}");
    assert_verdicts(&report, "proven", &SEEN_FROM_THE_NODE);
    let all = [
        "commands",
        "version",
        "job script",
        "submit",
        "find by tag",
        "poll",
        "end by poll",
        "post-mortem",
        "exit code",
    ];
    assert_verdicts(&report, "proven", &all);
    assert_verdicts(&report, "unproven", &["cancel", "hold, release", "limits"]);
    assert_eq!(admin.left_behind("local"), Vec::<PathBuf>::new());
}

#[test]
fn a_real_slurm_is_proven_and_what_it_cannot_tell_is_said() {
    let slurm = Slurm::start();
    let admin = Admin::with_slurm(&slurm, "");
    let (report, code) = admin.check(&["slurm", "--timeout", "5m"]);
    assert_eq!(code, 0, "{report:#}\n{}", slurm.logs());
    assert_verdicts(&report, "proven", &SEEN_FROM_THE_NODE);
    assert_verdicts(
        &report,
        "proven",
        &["commands", "version", "submit", "find by tag", "poll", "end by poll"],
    );
    assert_eq!(
        (report["array_size_max"].as_u64(), report["services"]["accounting"].as_bool()),
        (Some(1000), Some(false))
    );
    // This Slurm keeps no books, and its listing tells no exit code.
    assert_verdicts(&report, "unproven", &["post-mortem", "exit code"]);
    assert!(finding(&report, "poll").1.ends_with("ended failed"), "{report:#}");
    let jobs = slurm.jobs();
    assert_eq!((jobs.len(), jobs[0].state.as_str()), (1, "FAILED"), "{jobs:?}");
    let text = admin.run(&["adapter", "check", "--pool", "cluster"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("not proven  exit code") && text.contains("0 failed, "), "{text}");
}

#[test]
fn a_setup_line_that_fails_is_told_with_what_it_said() {
    let admin = Admin::new(
        "name = \"local\"\nadapter = \"local\"\nsetup = [\"ls /no/such/modules\", \"export SEEN=1\"]",
    );
    let (report, code) = admin.check(&["local"]);
    assert_eq!(code, 1, "{report:#}");
    let text = report.to_string();
    assert!(text.contains("ls /no/such/modules"), "the line is named: {report:#}");
    assert!(text.contains("No such file or directory"), "and what it said: {report:#}");
}

#[test]
fn a_job_that_does_not_end_is_cancelled_and_told() {
    let slurm = Slurm::start();
    let admin = Admin::with_slurm(&slurm, "extra = [\"--begin=now+3600\"]");
    let (report, code) = admin.check(&["--timeout", "2s"]);
    assert_eq!((code, report["ending"].as_str()), (7, Some("timed_out")), "{report:#}");
    assert_verdicts(&report, "proven", &["submit", "cancel"]);
    let (verdict, detail) = finding(&report, "job");
    assert!(verdict == "failed" && detail.contains("queued (BeginTime)"), "{report:#}");
    let jobs = slurm.jobs();
    assert!(jobs.iter().all(|job| job.state == "CANCELLED"), "{jobs:?}");
    assert_eq!(admin.left_behind("cluster").len(), 1, "the files of what went wrong are kept");
}

#[test]
fn what_is_wrong_is_named_and_nothing_is_left_in_the_queue() {
    let slurm = Slurm::start_with(SlurmOptions { max_array_size: 11, ..SlurmOptions::default() });
    let admin = Admin::with_slurm(
        &slurm,
        "account = \"x\"\n[[pool]]\nname = \"odd\"\nadapter = \"slurm\"\nqueue = \"nosuch\"",
    );
    let (report, code) = admin.check(&["--pool", "odd"]);
    assert_eq!((code, report["array_size_max"].as_u64()), (1, Some(10)), "{report:#}");
    let (verdict, detail) = finding(&report, "submit");
    assert!(verdict == "failed" && detail.starts_with("refused (for good)"), "{report:#}");
    assert_eq!(slurm.jobs(), []);
    assert_eq!(admin.left_behind("odd"), Vec::<PathBuf>::new());
}

#[test]
fn missing_commands_pools_and_adapters_are_told_by_exit_codes() {
    let mut admin = Admin::new("name = \"cluster\"\nadapter = \"slurm\"");
    assert_eq!(admin.run(&["adapter", "check", "--pool", "moon"]).status.code(), Some(5));
    assert_eq!(admin.run(&["adapter", "check", "moon"]).status.code(), Some(5));
    assert_eq!(admin.run(&["adapter", "check", "slurm", "--pool", "cluster"]).status.code(), Some(2));
    let empty = admin.directory.subdirectory("empty", 0o700);
    admin.environment.push(("PATH".to_owned(), empty.display().to_string()));
    let (report, code) = admin.check(&[]);
    assert_eq!(code, 1);
    let (verdict, detail) = finding(&report, "commands");
    assert!(verdict == "failed" && detail.contains("is not in PATH"), "{report:#}");
}

/// A mistake in an adapter's file costs nothing: no database is made, no lease taken, and it is shown with its line.
#[test]
fn a_daemon_with_a_wrong_adapter_file_does_not_start() {
    let admin = Admin::new("name = \"cluster\"\nadapter = \"mine\"");
    let adapters = admin.directory.subdirectory("adapters", 0o700);
    fs::write(adapters.join("mine.toml"), "extends = \"slurm\"\n[cancel]\nargv = [\"scancel\", \"{id}\"]\n")
        .unwrap();
    let setting = format!("site.adapter_directories=[\"{}\"]", adapters.display());
    let output = admin.run(&["--set", &setting, "daemon"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(6), "{told}");
    for said in ["mine.toml:3:", "unknown placeholder `{id}`", "here there are ids"] {
        assert!(told.contains(said), "{said}: {told}");
    }
    assert!(!admin.directory.join("state/pg").exists(), "{told}");
}

// -- replay --------------------------------------------------------------------------------------------------------

fn recordings(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings").join(name).display().to_string()
}

#[test]
fn recorded_answers_are_told_line_by_line() {
    let admin = Admin::new("name = \"cluster\"\nadapter = \"slurm\"");
    let output = admin.run(&["adapter", "replay", &recordings("slurm")]);
    insta::assert_snapshot!("replay_slurm", String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// A few answers of each other family, as a site's admin would replay them.
#[test]
fn recorded_answers_of_other_schedulers_are_told_line_by_line() {
    let admin = Admin::new("name = \"cluster\"\nadapter = \"slurm\"");
    for (adapter, folder) in [("pbs", "pbs"), ("lsf", "lsf"), ("sge", "sge")] {
        let output = admin.run(&["adapter", "replay", "--user", "qcuser", adapter, &recordings(folder)]);
        insta::assert_snapshot!(format!("replay_{folder}"), String::from_utf8_lossy(&output.stdout));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[test]
fn what_cannot_be_read_is_marked_and_ends_with_1() {
    let admin = Admin::new("name = \"cluster\"\nadapter = \"slurm\"");
    let output = admin.run(&["adapter", "replay", "slurm", &recordings("slurm-odd")]);
    insta::assert_snapshot!("replay_slurm_odd", String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let empty = admin.directory.subdirectory("empty", 0o700);
    let output = admin.run(&["adapter", "replay", "slurm", empty.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
}

/// What a real Slurm says today is read to the last line. With `QCBATCH_RECORD_TO` the recordings are kept there.
#[test]
fn every_answer_of_a_real_slurm_is_read() {
    let slurm = Slurm::start();
    let admin = Admin::with_slurm(&slurm, "");
    let kept = std::env::var_os("QCBATCH_RECORD_TO").map(PathBuf::from);
    let directory = kept.unwrap_or_else(|| admin.directory.subdirectory("recorded", 0o700));
    let record = |name: &str, command: &str| {
        let output = Command::new("/bin/sh")
            .args(["-c", command])
            .env("SLURM_CONF", slurm.env().1)
            .envs([("SLURM_TIME_FORMAT", "%s"), ("LC_ALL", "C"), ("TZ", "UTC")])
            .output()
            .unwrap();
        fs::write(directory.join(format!("{name}.cmd")), format!("{command}\n")).unwrap();
        fs::write(directory.join(format!("{name}.out")), output.stdout).unwrap();
        fs::write(directory.join(format!("{name}.err")), output.stderr).unwrap();
        fs::write(directory.join(format!("{name}.rc")), format!("{}\n", output.status.code().unwrap()))
            .unwrap();
    };
    let submit = "sbatch --parsable --no-requeue --export=NONE --open-mode=append --job-name=qcb-01jd000000000000000000000a \
                  --signal=B:USR2@15 --time=1 --chdir=/tmp --output=/dev/null";
    record("probe-version", "scontrol --version");
    record("probe-settings", "scontrol show config");
    record("poll-no-jobs", "squeue -h -r --me -t all -o '%i|%A|%F|%K|%T|%S|%e|%M|%r'");
    record("submit-array", &format!("{submit} --partition=main --array=0-1 tests/recordings/exit7.sh"));
    record("submit-bad-partition", &format!("{submit} --partition=nosuch tests/recordings/exit7.sh"));
    record("submit-no-script", &format!("{submit} /nonexistent/job.sh"));
    slurm.wait_idle();
    record("poll-ended", "squeue -h -r --me -t all -o '%i|%A|%F|%K|%T|%S|%e|%M|%r'");
    record("find-by-tag", "squeue -h --me -t all --name=qcb-01jd000000000000000000000a -o '%F|%V'");
    record(
        "post-mortem-no-accounting",
        "sacct -n -P -D -j 1 -o JobID,JobIDRaw,State,ExitCode,Submit,Start,End,Reason,NodeList,MaxRSS",
    );
    record("cancel-unknown", "scancel 999999");
    record("cancel-ended", "scancel 1_0");
    record("alive", "scontrol ping");
    let output = admin.run(&["adapter", "replay", "slurm", directory.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}
