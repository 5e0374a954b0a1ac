//! The simulator is true: its answers are held against a real Slurm, a real Grid Engine and recorded answers of OpenPBS and
//! volclava, word for word; Torque's against its documentation.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use regex::Regex;
use serde_json::{Value, json};

use crate::harness::gridengine::{self, GridEngine, GridEngineOptions};
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

/// Torque's table of error codes, and what each command says around an entry of it (its manual pages and sources).
#[test]
fn torque_answers_by_its_table_of_error_codes() {
    let (simulator, files) = (Simulator::new(Dialect::Torque), PrivateDir::new());
    let script = files.join("ok.sh");
    fs::write(&script, "#!/bin/sh\ntrue\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let ask = |program: &str, arguments: &[&str]| simulated(&simulator, program, arguments, files.path());
    assert_eq!(ask("qsub", &["ok.sh"]), said("1.pbshost\n", "", 0), "{}", simulator.log());
    assert_eq!(ask("qsub", &["-t", "0-2", "ok.sh"]), said("2[].pbshost\n", "", 0));
    let listing = wait_until(
        "all jobs are complete",
        Within::AMoment,
        || ask("qstat", &["-f", "-1", "-t"]),
        |answer| answer.out.matches("job_state = C").count() == 4,
    );
    let peace = json!({});
    let table: [(Value, &str, &[&str], u32, &str); 10] = [
        (peace.clone(), "qstat", &["-f", "-1", "99"], 15001, "qstat: Unknown Job Id Error 99.pbshost"),
        (peace.clone(), "qdel", &["99"], 15001, "qdel: nonexistent job id: 99"),
        (
            peace.clone(),
            "qdel",
            &["1"],
            15018,
            "qdel: Request invalid for state of job MSG=invalid state for job - COMPLETE 1.pbshost",
        ),
        (peace.clone(), "qhold", &["99"], 15001, "qhold: Unknown Job Id Error 99.pbshost"),
        (peace.clone(), "qrls", &["99"], 15001, "qrls: Unknown Job Id Error 99.pbshost"),
        (
            peace.clone(),
            "qsub",
            &["-q", "nosuch", "ok.sh"],
            15020,
            "qsub: submit error (Unknown queue MSG=cannot locate queue)",
        ),
        (peace.clone(), "qsub", &["-t", "5-1", "ok.sh"], 15083, "qsub: submit error (Bad Job Array Request)"),
        (
            peace.clone(),
            "qsub",
            &["none.sh"],
            1,
            "qsub: script file 'none.sh' cannot be loaded - No such file or directory",
        ),
        (json!({"answer_lost": 1}), "qsub", &["ok.sh"], 15114, "qsub: submit error (Premature End of File)"),
        (
            json!({"down": true}),
            "qstat",
            &["-f", "-1"],
            111,
            "qstat: cannot connect to server pbshost (errno=111) Connection refused",
        ),
    ];
    for (mischief, program, arguments, number, complaint) in table {
        simulator.mischief(&mischief);
        let expected = said("", &format!("{complaint}\n"), i32::try_from(number % 256).unwrap());
        assert_eq!(ask(program, arguments), expected, "{program} {arguments:?}");
    }
    // pbs_job_attributes(7B) and qstat(1B).
    let documented = "Account_Name Checkpoint Error_Path Execution_Time Hold_Types Job_Name Job_Owner Join_Path Keep_Files \
        Mail_Points Output_Path Priority Rerunable Resource_List Shell_Path_List Variable_List comment comp_time ctime etime \
        exec_host exit_status interactive job_array_id job_state mtime qtime queue resources_used server session_id start_count \
        start_time submit_args substate total_runtime";
    let documented: BTreeSet<&str> = documented.split_whitespace().collect();
    for line in listing.out.lines().filter(|line| !line.is_empty() && !line.starts_with("Job Id: ")) {
        let name = line.strip_prefix("    ").and_then(|line| line.split_once(" = ")).unwrap().0;
        assert!(documented.contains(name.split('.').next().unwrap()), "{line}");
    }
    for id in ["1.pbshost", "2[0].pbshost", "2[2].pbshost"] {
        assert!(listing.out.contains(&format!("Job Id: {id}\n")), "{}", listing.out);
    }
}

fn said(out: &str, err: &str, code: i32) -> Answer {
    Answer { out: out.to_owned(), err: err.to_owned(), code: Some(code) }
}

/// Numbers, times, hosts and memory blanked: what differs between two runs of the same.
fn blanked(text: &str) -> String {
    let numbers = Regex::new(r"\d[\d.:-]*(?:T[\d:]+)?(?:[KMG]?Bs?\b|s\b)?").unwrap();
    let days = Regex::new(r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} +N N(?: N\b)?").unwrap();
    // Behind and before numbers, and at the end of lines, the number of blanks depends on the numbers.
    let blanks = Regex::new(r"(N) {2,}| {2,}(N)| +$").unwrap();
    let text = days.replace_all(&numbers.replace_all(text, "N"), "DATE").into_owned();
    text.lines().map(|line| format!("{}\n", blanks.replace_all(line, "$1 $2").trim_end())).collect()
}

/// A fresh cell of a real Grid Engine, and the simulator.
struct TwoGridEngines {
    cell: GridEngine,
    simulator: Simulator,
    files: PrivateDir,
}

impl TwoGridEngines {
    fn start() -> TwoGridEngines {
        let cell = GridEngine::start(&GridEngineOptions { slots: 8, notify_seconds: 2 });
        TwoGridEngines { cell, simulator: Simulator::new(Dialect::Sge), files: PrivateDir::new() }
    }

    fn script(&self, name: &str, text: &str) -> String {
        fs::write(self.files.join(name), text).unwrap();
        self.files.join(name).display().to_string()
    }

    /// What the real one and ours answer.
    fn ask(&self, program: &str, arguments: &[&str]) -> [Answer; 2] {
        let ours = simulated(&self.simulator, program, arguments, self.files.path());
        let real = answer(&self.cell.client(program, arguments));
        let cell = self.cell.path("").display().to_string();
        let real = Answer { err: real.err.replace(cell.trim_end_matches('/'), "/cell"), ..real };
        [real, ours].map(|answer| Answer { out: blanked(&answer.out), err: blanked(&answer.err), ..answer })
    }

    #[track_caller]
    fn same(&self, program: &str, arguments: &[&str]) {
        let [real, ours] = self.ask(program, arguments);
        assert_eq!(real, ours, "{program} {arguments:?}");
    }

    #[track_caller]
    fn submit(&self, options: &str, script: &str) {
        let usual = "-terse -w n -r n -notify -S /bin/bash -wd /tmp -j y -o /dev/null";
        let mut arguments: Vec<&str> = usual.split(' ').chain(options.split(' ')).collect();
        arguments.push(script);
        self.same("qsub", &arguments);
    }
}

/// The same commands to both, one after the other.
#[test]
fn grid_engine_answers_as_the_real_one() {
    if !gridengine::installed("grid_engine_answers_as_the_real_one") {
        return;
    }
    let two = TwoGridEngines::start();
    let (fails, sleeps) = (two.script("fails.sh", "exit 3\n"), two.script("sleeps.sh", "sleep 60\n"));
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).unwrap().unwrap().name;
    let books = ["-o", &user, "-d", "7", "-j"];

    two.same("qacct", &books);
    two.same("qstat", &["-u", &user, "-g", "d", "-xml"]);
    two.same("qstat", &["-j", "99", "-xml"]);
    two.submit("-N fails -l h_rt=60", &fails);
    two.submit("-N array -l h_rt=60 -t 1-2", &sleeps);
    two.submit("-N wide -l h_rt=60 -pe smp 2", &sleeps);
    two.submit("-N wall -l h_rt=1", &sleeps);
    two.submit("-N held -l h_rt=60 -h", &sleeps);
    two.submit("-N held-array -l h_rt=60 -h -t 1-3", &sleeps);
    for refused in [
        "-N 7digit",
        "-q nowhere",
        "-pe nowhere 2",
        "-l nowhere=1",
        "-l h_rt=lots",
        "-P nowhere",
        "-t 1-80000",
        "-nosuch",
    ] {
        two.submit(refused, &sleeps);
    }
    two.submit("-N nothing", "/nonexistent/job.sh");

    let listed = |answer: &Answer, name: &str| answer.out.contains(&format!("<JB_name>{name}<"));
    let settled = |answer: &Answer| {
        let running = answer.out.matches("<state>r</state>").count();
        running == 3 && listed(answer, "wide") && !listed(answer, "fails") && !listed(answer, "wall")
    };
    wait_until(
        "three jobs run in both, and two have ended",
        Within::AMoment,
        || two.ask("qstat", &["-u", &user, "-xml"]),
        |[real, ours]| settled(real) && settled(ours),
    );
    for listing in [&["-u", &user, "-g", "d", "-xml"][..], &["-u", &user, "-xml"]] {
        // In another order: by priority in the real one.
        let [real, ours] = two.ask("qstat", listing).map(|answer| {
            let mut jobs: Vec<String> = answer.out.split("    <job_list").map(str::to_owned).collect();
            jobs.sort();
            (jobs.join(""), answer.code)
        });
        assert_eq!(real, ours, "qstat {listing:?}");
    }
    for (program, ids) in [
        ("qhold", &["2"][..]),
        ("qrls", &["5"]),
        ("qhold", &["99"]),
        ("qrls", &["99"]),
        ("qdel", &["6", "99"]),
        ("qdel", &["2.1", "3"]),
        ("qdel", &["99"]),
    ] {
        two.same(program, ids);
    }
    let over = |answer: &Answer| answer.out.matches("jobname").count() == 4;
    let [real, ours] = wait_until(
        "four jobs are in the books of both",
        Within::AMoment,
        || two.ask("qacct", &books),
        |[real, ours]| over(real) && over(ours),
    );
    // The order is that of the ends, some of which came at once.
    let parts = |text: &str| -> (BTreeSet<String>, String) {
        let (entries, sums) = text.split_once("OWNER").expect("sums stand below");
        (entries.split(&"=".repeat(62)).map(str::to_owned).collect(), sums.to_owned())
    };
    assert_eq!(parts(&real.out), parts(&ours.out));
    two.same("qacct", &["-o", &user, "-j", "nobody"]);
    two.same("qacct", &["-o", "nobody", "-j"]);
}

/// A recorded answer of volclava.
fn of_volclava(name: &str) -> Answer {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scheduler/captures/volclava").join(name);
    let read = |kind: &str| fs::read_to_string(path.with_extension(kind)).unwrap_or_default();
    Answer { out: read("out"), err: read("err"), code: Some(read("rc").trim().parse().unwrap()) }
}

/// What is said of any job alike.
#[test]
fn volclava_answers_as_recorded() {
    let (simulator, files) = (Simulator::new(Dialect::Volclava), PrivateDir::new());
    let ask = |program: &str, arguments: &[&str]| simulated(&simulator, program, arguments, files.path());
    let peace = json!({"queues": ["normal", "hold"], "array_size_max": 5000});
    let with = |name: &str, value: Value| {
        let mut mischief = peace.clone();
        mischief[name] = value;
        mischief
    };
    let submit = ["-q", "hold", "-J", "m[1-5001]", "sleep", "1"];
    let table: [(&str, Value, &str, &[&str]); 24] = [
        ("empty_bjobs", peace.clone(), "bjobs", &[]),
        ("empty_bjobs_a", peace.clone(), "bjobs", &["-a"]),
        ("unknown_id", peace.clone(), "bjobs", &["123"]),
        ("unknown_ids", peace.clone(), "bjobs", &["123", "124", "125"]),
        ("unknown_bhist", peace.clone(), "bhist", &["123"]),
        ("unknown_bkill", peace.clone(), "bkill", &["123"]),
        ("unknown_bstop", peace.clone(), "bstop", &["123"]),
        ("unknown_bresume", peace.clone(), "bresume", &["123"]),
        ("err_badqueue", peace.clone(), "bsub", &["-q", "nosuch", "sleep", "1"]),
        ("err_n100", peace.clone(), "bsub", &["-n", "100", "sleep", "1"]),
        ("err_Wabc", peace.clone(), "bsub", &["-W", "abc", "sleep", "1"]),
        ("err_Whms", peace.clone(), "bsub", &["-W", "01:00:00", "sleep", "1"]),
        ("err_Munit", peace.clone(), "bsub", &["-M", "10GB", "sleep", "1"]),
        (
            "err_multiR",
            peace.clone(),
            "bsub",
            &["-H", "-R", "rusage[mem=10]", "-R", "span[hosts=1]", "sleep", "1"],
        ),
        ("sub_stdin_empty", peace.clone(), "bsub", &[]),
        ("maxpend_ntries1", with("submit_limit", json!(0)), "bsub", &["-q", "hold", "sleep", "1"]),
        ("err_closedqueue", with("refuses", json!(1)), "bsub", &["-q", "closed", "sleep", "1"]),
        ("mbddown_bjobs_ntries1", with("down", json!(true)), "bjobs", &[]),
        ("mbddown_bsub_stdin_ntries1", with("down", json!(true)), "bsub", &[]),
        ("mbddown_bkill_ntries1", with("down", json!(true)), "bkill", &["1"]),
        ("sub_stdin", with("starts_nothing", json!(true)), "bsub", &["-q", "normal", "sleep", "1"]),
        ("arrkill_pend_all", with("starts_nothing", json!(true)), "bkill", &["2202"]),
        ("st_bkill_pend", with("starts_nothing", json!(true)), "bkill", &["17"]),
        ("arr_spec_overmax", with("starts_nothing", json!(true)), "bsub", &submit),
    ];
    for (name, mut mischief, program, arguments) in table {
        mischief["refusal"] = json!("busy");
        simulator.mischief(&mischief);
        // Jobs of the names in the recordings.
        for (job, number) in [("arrkill_pend_all", 2202), ("st_bkill_pend", 17), ("arr_spec_overmax", 2209)] {
            if name == job {
                simulator.next_id(number);
                if program == "bkill" {
                    let array = if number == 2202 { "pending[1-4]" } else { "pending" };
                    ask("bsub", &["-J", array, "sleep", "1"]);
                }
            }
        }
        assert_eq!(ask(program, arguments), of_volclava(name), "{name}");
    }
}

/// A line of a recording, and ours, with everything blanked that differs from machine to machine.
fn shape(line: &str) -> String {
    let named = Regex::new(r"Command <.*>$|<[^>]*>").unwrap();
    blanked(&named.replace_all(line, "<>"))
}

/// Tables and histories have the layout of the recordings: columns, order of states, wrapped lines, words.
#[test]
fn volclava_lists_as_recorded() {
    let (simulator, files) = (Simulator::new(Dialect::Volclava), PrivateDir::new());
    let ask = |program: &str, arguments: &[&str]| {
        let answer = simulated(&simulator, program, arguments, files.path());
        assert_eq!((answer.err.as_str(), answer.code), ("", Some(0)), "{program} {arguments:?}");
        answer.out
    };
    simulator.mischief(&json!({"walltime_scale": 0.02, "slots": 100}));
    // 1 to 7: in the order of their ends, but for the walltime.
    let submit = |name: &str, more: &[&str], command: &str| {
        ask("bsub", &[&["-J", name][..], more, &[command]].concat());
    };
    submit("run_job", &[], "sleep 60");
    submit("ususp_job", &[], "sleep 60");
    submit("psusp_job", &["-H"], "sleep 60");
    submit("done_job", &[], "true");
    submit("exit3_job", &["-o", "exit3.out", "-e", "exit3.err"], "exit 3");
    submit("kill_pend", &["-H", "-o", "kp.out"], "sleep 600");
    submit("kill_run", &["-o", "kr.out"], "sleep 600");
    submit("rl_plain", &["-W", "1", "-o", "rlp.out"], "sleep 600");
    submit("k_ign", &["-o", "ign.out"], "trap '' INT TERM; while :; do sleep 0.1; done");
    let running = |count: usize| {
        wait_until(
            "so many jobs run",
            Within::AMoment,
            || (ask("bjobs", &["-a", "-w"]), simulator.log()),
            |(table, _)| table.matches(" RUN ").count() == count,
        )
    };
    running(4);
    ask("bstop", &["2"]);
    ask("bkill", &["6", "7", "9"]);
    let (table, _) = running(1);
    let real = of_volclava("mix_bjobs_aw").out;
    assert_eq!(table.lines().next(), real.lines().next());
    let columns = |table: &str, name: &str| {
        let line =
            table.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {table}"));
        let starts =
            [16, 22, 45, 57, 68].map(|at| line[at - 1..].starts_with(' ') && !line[at..].starts_with(' '));
        let host = line[45..57].trim_end().replace("node1", "vm");
        (line[16..33].to_owned(), host, line[57..67].to_owned(), starts)
    };
    for name in ["run_job", "ususp_job", "psusp_job", "done_job", "exit3_job", "kill_run", "rl_plain"] {
        assert_eq!(columns(&table, name), columns(&real, name), "{name}");
    }
    for (id, recorded) in [
        ("5", "mix_bhist_l_exit3"),
        ("7", "mix_bhist_l_killed"),
        ("6", "mix_bhist_l_killed_pend"),
        ("8", "mix_bhist_l_runlimit"),
        ("9", "mix_bhist_l_sig9"),
    ] {
        // Where lines break depends on the lengths of names; that they do is seen below.
        let lines = |text: &str| -> Vec<String> {
            let whole = text.replace(&format!("\n{}", " ".repeat(21)), "");
            // The real one tells only of some jobs that they have an error file, and of the limit with blanks behind it.
            whole.replace(", Error File <%J.trap.err>", "").lines().map(shape).collect()
        };
        assert_eq!(lines(&ask("bhist", &["-l", id])), lines(&of_volclava(recorded).out), "{recorded}");
    }
    let wrapped = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.contains("Exited with")).map(shape).collect()
    };
    let ours = ask("bhist", &["-l", "7"]);
    assert_eq!(wrapped(&ours), wrapped(&of_volclava("mix_bhist_l_killed").out));
    assert!(ours.contains(&format!("0.0 second\n{}s;\n", " ".repeat(21))), "{ours}");
}
