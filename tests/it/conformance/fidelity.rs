//! The simulator is true: its answers are held against a real Slurm and against recorded answers of OpenPBS, word for word.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use regex::Regex;
use serde_json::{Value, json};

use crate::harness::private_dir::PrivateDir;
use crate::harness::simulator::{Dialect, Simulator};
use crate::harness::{Slurm, Within, wait_until};

/// What a command answered, without what differs from machine to machine.
#[derive(PartialEq, Eq, Debug)]
struct Answer {
    out: String,
    err: String,
    code: Option<i32>,
}

fn answer(output: &Output) -> Answer {
    let host = Regex::new(r" at \S+ is ").unwrap();
    let text = |bytes: &[u8]| host.replace_all(&String::from_utf8_lossy(bytes), " at HOST is ").into_owned();
    Answer { out: text(&output.stdout), err: text(&output.stderr), code: output.status.code() }
}

fn simulated(simulator: &Simulator, program: &str, arguments: &[&str], directory: &Path) -> Answer {
    let output = Command::new(simulator.bin().join(program))
        .args(arguments)
        .env("LC_ALL", "C")
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    answer(&output)
}

/// The same commands, one after the other, to a fresh real Slurm without books and to the simulator.
#[test]
fn slurm_answers_as_the_real_one() {
    let (slurm, simulator, files) = (Slurm::start(), Simulator::new(Dialect::Slurm), PrivateDir::new());
    simulator.mischief(&json!({"no_accounting": true}));
    let script = |name: &str, text: &str| {
        fs::write(files.join(name), text).unwrap();
        files.join(name).display().to_string()
    };
    let fails = script("fails.sh", "#!/bin/sh\nexit 3\n");
    fs::set_permissions(files.join("fails.sh"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (dos, bare) = (script("dos.sh", "#!/bin/sh\r\nexit 0\r\n"), script("bare.sh", "exit 0\n"));
    let form = "%i|%A|%F|%K|%T|%r|%j|%P";
    let submit =
        ["--parsable", "--job-name=a", "--partition=main", "--time=1", "--chdir=/tmp", "--output=/dev/null"];
    let both = |program: &str, arguments: &[&str]| {
        let real = answer(&slurm.client(program, arguments));
        (real, simulated(&simulator, program, arguments, files.path()))
    };
    for arguments in [
        [&submit[..], &[&fails]].concat(),
        [&submit[..], &["--array=0-1", &fails]].concat(),
        vec!["--parsable", &dos],
        vec!["--parsable", &bare],
        vec!["--parsable", "--partition=nowhere", &fails],
        [&submit[..], &["--array=0-5000", &fails]].concat(),
    ] {
        let (real, ours) = both("sbatch", &arguments);
        assert_eq!(real, ours, "sbatch {arguments:?}");
    }
    let listing = ["-h", "-r", "-t", "all", "-S", "i", "-o", form];
    let over = |text: &str| text.lines().count() == 3 && text.lines().all(|line| line.contains("FAILED"));
    wait_until(
        "all jobs are over in both",
        Within::AMoment,
        || both("squeue", &listing),
        |(real, ours)| over(&real.out) && over(&ours.out),
    );
    let (real, ours) = both("squeue", &["-h", "-r", "-t", "all", "-o", form]);
    let rows = |answer: &Answer| -> BTreeSet<String> { answer.out.lines().map(own_id_blanked).collect() };
    assert_eq!(rows(&real), rows(&ours));
    for (program, arguments) in [
        ("squeue", &["-h", "-j", "999", "-o", form][..]),
        ("squeue", &["-h", "-j", "998,999", "-o", form]),
        ("squeue", &["-h", "--me", "-t", "all", "--name=nobody", "-o", "%F|%V"]),
        ("scancel", &["999"]),
        ("scontrol", &["hold", "999"]),
        ("scontrol", &["ping"]),
        ("sacct", &["-n", "-P", "-D", "-j", "1", "-o", "JobID,State"]),
    ] {
        let (real, ours) = both(program, arguments);
        assert_eq!(real, ours, "{program} {arguments:?}");
    }
}

/// Elements other than the last have ids of their own, which nobody promises.
fn own_id_blanked(line: &str) -> String {
    let mut fields: Vec<&str> = line.split('|').collect();
    fields[1] = "";
    fields.join("|")
}

/// A recorded answer of OpenPBS.
fn recorded(name: &str) -> Answer {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let folders = ["scheduler/captures/openpbs", "simulator/captures"];
    let read = |kind: &str| {
        let paths = folders.map(|folder| tests.join(folder).join(format!("{name}.{kind}")));
        let path =
            paths.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("{name}.{kind} is recorded"));
        fs::read_to_string(path).unwrap()
    };
    Answer { out: read("out"), err: read("err"), code: Some(read("rc").trim().parse().unwrap()) }
}

#[test]
fn pbs_answers_as_recorded() {
    let (simulator, files) = (Simulator::new(Dialect::Pbs), PrivateDir::new());
    let script = files.join("ok.sh");
    fs::write(&script, "#!/bin/sh\ntrue\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let ask = |program: &str, arguments: &[&str]| simulated(&simulator, program, arguments, files.path());
    assert_eq!(ask("qsub", &["ok.sh"]).code, Some(0), "{}", simulator.log());
    wait_until("the job is over", Within::AMoment, || ask("qselect", &[]), |answer| answer.out.is_empty());
    let peace = json!({});
    let table: [(&str, Value, &str, &[&str]); 11] = [
        ("version_qstat", peace.clone(), "qstat", &["--version"]),
        ("submit_bad_queue", peace.clone(), "qsub", &["-q", "nosuch", "ok.sh"]),
        ("submit_bad_array", peace.clone(), "qsub", &["-J", "5-1", "ok.sh"]),
        ("submit_limq3_over_limit", json!({"submit_limit": 0}), "qsub", &["ok.sh"]),
        ("qselect_none", peace.clone(), "qselect", &["-N", "nonexistentname"]),
        ("qdel_unknown", peace.clone(), "qdel", &["99999"]),
        ("qdel_finished", peace.clone(), "qdel", &["1"]),
        ("hist_disabled_qstat_x", json!({"no_accounting": true}), "qstat", &["-x"]),
        ("down_qsub", json!({"down": true}), "qsub", &["ok.sh"]),
        ("down_qselect", json!({"down": true}), "qselect", &[]),
        ("down_qdel", json!({"down": true}), "qdel", &["1"]),
    ];
    for (name, mischief, program, arguments) in table {
        simulator.mischief(&mischief);
        assert_eq!(ask(program, arguments), recorded(name), "{name}");
    }
    simulator.mischief(&peace);
    let keys = |text: &str| -> BTreeSet<String> {
        let fields = text.lines().flat_map(|line| line.split('\u{1f}').skip(1));
        fields.filter_map(|field| Some(field.split_once('=')?.0.to_owned())).collect()
    };
    let ours = keys(&ask("qstat", &["-E", "-x", "-f", "-F", "dsv", "-D", "\u{1f}", "1"]).out);
    let real = keys(&recorded("E_dsv").out);
    assert!(!ours.is_empty() && ours.is_subset(&real), "not in a recorded answer: {:?}", &ours - &real);
}
