//! PBS as it really answers: every recorded output of an OpenPBS server goes through the adapter, one row each.
//! Reads `captures/openpbs`; runs only programs of its own that repeat what was recorded.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use qcbatch::model::ids::SchedulerJobId;
use qcbatch::model::resources::NodeSharing;
use qcbatch::permit::WithoutLease;
use qcbatch::scheduler::{
    Adapter, ExitStatus, FindAnswer, PollAnswer, PostMortemAnswer, Scheduler, SchedulerError, SchedulerState,
    SubmitAnswer,
};

use crate::scripts::{script_input, shown};
use crate::support::{Recorded, request, scheduler, settings, tag};

/// Recorded, but of commands or forms that the adapter does not use.
const LEFT_OUT: [(&str, &str); 9] = [
    ("qalter, qmove, qorder, qmsg, qrerun, qsig, qmgr, pbsnodes, tracejob", "commands that are never called"),
    ("qstat without -f", "tables for people, with names and ids cut"),
    ("qstat -B without -f, or with -F json", "the probe asks for the text with -f"),
    ("qstat -Q", "limits of queues are learned from refusals"),
    ("qselect -T", "elements of arrays come from qstat -t"),
    ("qsub -W block=true", "nothing waits for a job in this way"),
    ("qsub --version, pbsnodes --version", "qstat --version is the one that is asked"),
    ("accounting log", "readable for root only"),
    ("job environments, delivered files, PERF.txt", "no answers of commands"),
];

/// Sites whose qstat lacks dsv: the same fields in the other two forms.
const OTHER_FORMS: [(&str, &str); 3] = [
    (
        "json",
        r#"{ json = { rows = "/Jobs", key = "id", rows_may_be_absent = true }, fields = { owner = "Job_Owner", hold = "Hold_Types", state = "job_state", substate = "substate", reason = "comment", exit = "Exit_status", submitted = "ctime", started = "stime", ended = ["obittime", "history_timestamp"], hostname = "exec_host", max_memory = "/resources_used/mem", depend = "depend", diagnosis = "/resources_used/diag_messages" } }"#,
    ),
    (
        "plain",
        r#"{ records = { separator = " = ", start = '^Job Id: (?<id>\S+)$', continuation = '^\t' }, unmatched = "skip", fields = { id = "id", owner = "Job_Owner", hold = "Hold_Types", state = "job_state", substate = "substate", reason = "comment", exit = "Exit_status", submitted = "ctime", started = "stime", ended = ["obittime", "history_timestamp"], hostname = "exec_host", max_memory = "resources_used.mem", depend = "depend", diagnosis = "resources_used.diag_messages" } }"#,
    ),
    (
        "dsv with |",
        r#"{ records = { separator = "=", start = '^Job Id: (?<id>\S+)$', field_separator = "|" }, unmatched = "skip", fields = { id = "id", owner = "Job_Owner", hold = "Hold_Types", state = "job_state", substate = "substate", reason = "comment", exit = "Exit_status", submitted = "ctime", started = "stime", ended = ["obittime", "history_timestamp"], hostname = "exec_host", max_memory = "resources_used.mem", depend = "depend", diagnosis = "resources_used.diag_messages" } }"#,
    ),
];

/// One recorded call.
struct Capture {
    name: String,
    words: Vec<String>,
    stdout: PathBuf,
    stderr: PathBuf,
    code: i32,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scheduler/captures/openpbs")
}

fn captures() -> Vec<Capture> {
    let mut captures = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "cmd") {
            let text = std::fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&text).into_owned();
            let with = |kind: &str| path.with_file_name(file_name(&path, kind));
            captures.push(Capture {
                name: file_name(&path, "").trim_end_matches('.').to_owned(),
                words: text.lines().next().unwrap().split_whitespace().map(str::to_owned).collect(),
                code: std::fs::read_to_string(with("rc")).unwrap().trim().parse().unwrap(),
                stdout: with("out"),
                stderr: with("err"),
            });
        }
    }
    captures.sort_by(|a, b| a.name.cmp(&b.name));
    captures
}

/// `a.b.cmd` with another ending; names hold dots.
fn file_name(path: &Path, kind: &str) -> String {
    format!("{}{kind}", path.file_name().unwrap().to_str().unwrap().strip_suffix("cmd").unwrap())
}

impl Capture {
    fn program(&self) -> &str {
        let known = ["qsub", "qstat", "qselect", "qdel", "qhold", "qrls"];
        self.words.iter().find(|word| known.contains(&word.as_str())).unwrap()
    }

    fn has(&self, word: &str) -> bool {
        self.words.iter().any(|one| one.eq_ignore_ascii_case(word))
    }

    fn form(&self) -> &'static str {
        if self.has("json") {
            "json"
        } else if self.has("dsv") && self.has("-D") {
            "dsv"
        } else if self.has("dsv") {
            "dsv with |"
        } else {
            "plain"
        }
    }
}

/// Programs that repeat what was recorded, and schedulers of each form that call them.
struct Replay {
    recorded: Recorded,
    schedulers: BTreeMap<&'static str, Scheduler>,
}

impl Replay {
    fn new() -> Replay {
        let mut recorded = Recorded::new();
        let mut schedulers = BTreeMap::new();
        for program in ["qsub", "qstat", "qdel", "qhold", "qrls"] {
            recorded = recorded.program(program, "[ \"$1\" = --version ] && [ -e \"${0%/*}/B\" ] && { echo 'pbs_version = 23.06.06'; exit 0; }; d=${0%/*}; cat \"$d/out\"; cat \"$d/err\" >&2; read -r rc <\"$d/rc\"; exit \"$rc\"");
        }
        let other = "d=${0%/*}; [ -e \"$d/select\" ] || { echo 1.pbshost; exit 0; }; cat \"$d/out\"; cat \"$d/err\" >&2; read -r rc <\"$d/rc\"; exit \"$rc\"";
        recorded = recorded.program("qselect", other);
        let path = format!("{}:/usr/bin:/bin", recorded.path().display());
        let mut settings = settings(&path);
        settings.user = "qcuser".to_owned();
        schedulers.insert("dsv", Scheduler::new(Adapter::load("pbs", &[]).unwrap(), settings.clone()));
        for (number, (form, read)) in OTHER_FORMS.into_iter().enumerate() {
            let name = format!("pbs-{number}");
            let text = format!("extends = \"pbs\"\n[poll]\nread = {read}\n[post_mortem]\nread = {read}\n");
            std::fs::write(recorded.path().join(format!("{name}.toml")), text).unwrap();
            let adapter = Adapter::load(&name, &[recorded.path().to_owned()]).unwrap();
            schedulers.insert(form, Scheduler::new(adapter, settings.clone()));
        }
        Replay { recorded, schedulers }
    }

    fn put(&self, capture: &Capture) {
        let to = |name: &str| self.recorded.path().join(name);
        std::fs::copy(&capture.stdout, to("out")).unwrap();
        std::fs::copy(&capture.stderr, to("err")).unwrap();
        std::fs::write(to("rc"), format!("{}\n", capture.code)).unwrap();
        for (name, there) in [("select", capture.program() == "qselect"), ("B", capture.has("-B"))] {
            if there {
                std::fs::write(to(name), "").unwrap();
            } else if to(name).exists() {
                std::fs::remove_file(to(name)).unwrap();
            }
        }
    }

    /// The row of one recorded call.
    async fn row(&self, capture: &Capture) -> String {
        self.put(capture);
        let scheduler = &self.schedulers["dsv"];
        let ids = [SchedulerJobId("1.pbshost".into())];
        match capture.program() {
            "qsub" => match scheduler.submit(&request("/tmp", 1), &WithoutLease).await {
                SubmitAnswer::Accepted { scheduler_job_id } => format!("accepted {}", scheduler_job_id.0),
                SubmitAnswer::Refused { kind, message } => format!("refused {kind:?}: {}", line(&message)),
                SubmitAnswer::NotCalled { message } => format!("not called: {message}"),
                SubmitAnswer::Unclear { message } => format!("unclear: {}", line(&message)),
            },
            "qdel" => done(scheduler.cancel(&ids, &WithoutLease).await),
            "qhold" => done(scheduler.hold(&ids, &WithoutLease).await),
            "qrls" => done(scheduler.release(&ids, &WithoutLease).await),
            "qselect" => match scheduler.find_by_tag(&tag(), "2026-11-22T01:02:03Z".parse().unwrap()).await {
                FindAnswer::Known(ids) => {
                    format!("found {}", ids.iter().map(|id| id.0.as_str()).collect::<Vec<_>>().join(" "))
                }
                FindAnswer::NotKnown => "found none".to_owned(),
                FindAnswer::Unanswered { message } => format!("no answer: {}", line(&message)),
            },
            _ if capture.has("--version") || capture.has("-B") => match scheduler.probe().await {
                Ok(found) => format!(
                    "version {:?} cluster {:?} array_size_max {:?} services {:?}",
                    found.version.map(|version| version.to_string()),
                    found.cluster,
                    found.array_size_max,
                    found.services
                ),
                Err(error) => format!("probe failed: {}", line(&error.to_string())),
            },
            _ => self.listing(capture).await,
        }
    }

    async fn listing(&self, capture: &Capture) -> String {
        let scheduler = &self.schedulers[capture.form()];
        let poll = scheduler.poll().await;
        let asked = capture.words.iter().filter(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        let mut ids: Vec<_> = asked.map(|word| SchedulerJobId(word.replace('\\', ""))).collect();
        let mut rows = BTreeMap::new();
        let mut text = format!("{}, ", capture.form());
        match poll {
            PollAnswer::Valid { jobs, listed_all_users_jobs } => {
                write!(text, "poll: {listed_all_users_jobs} alive").unwrap();
                for (id, job) in jobs {
                    ids.push(id.clone());
                    rows.insert(
                        id.0,
                        (state(&job.state, job.exit), job.reason.unwrap_or_default(), String::new()),
                    );
                }
            }
            PollAnswer::Invalid { message } => write!(text, "poll: no answer: {}", line(&message)).unwrap(),
        }
        if capture.words.iter().any(|word| word.starts_with("-x")) {
            match scheduler.post_mortem(&ids).await {
                PostMortemAnswer::Known(jobs) => {
                    write!(text, "; books: {}", jobs.len()).unwrap();
                    for (id, job) in jobs {
                        let seen = state(&job.state, job.exit);
                        let reason = job.reason.clone().unwrap_or_default();
                        // Other users' jobs are in the books only.
                        let row = rows.entry(id.0).or_insert_with(|| (seen.clone(), reason, String::new()));
                        assert_eq!(row.0, seen, "{}", capture.name);
                        let ended = job.ended_on.map_or_else(String::new, |at| format!(", ended {at}"));
                        let memory =
                            job.max_memory_bytes.map_or_else(String::new, |bytes| format!(", {bytes} B"));
                        row.2 = format!("{ended}{memory}");
                    }
                }
                PostMortemAnswer::Unavailable => text.push_str("; books: not kept"),
                PostMortemAnswer::Unanswered { message } => {
                    write!(text, "; books: no answer: {}", line(&message)).unwrap()
                }
            }
        }
        for (id, (state, reason, more)) in rows {
            write!(text, "\n    {id}: {state}{more} | {reason}").unwrap();
        }
        text
    }
}

fn done(result: Result<(), SchedulerError>) -> String {
    match result {
        Ok(()) => "done".to_owned(),
        Err(SchedulerError::Failed { message, class, .. }) => {
            format!("failed {:?}: {}", class.map(|class| class.as_str()), line(&message))
        }
        Err(error) => error.to_string(),
    }
}

fn state(state: &SchedulerState, exit: ExitStatus) -> String {
    let mut text = match state {
        SchedulerState::Ended { outcome, .. } => format!("ended {}", outcome.as_str()),
        other => format!("{other:?}").to_lowercase(),
    };
    if let Some(code) = exit.code {
        write!(text, ", code {code}").unwrap();
    }
    if let Some(signal) = exit.signal {
        write!(text, ", signal {signal}").unwrap();
    }
    text
}

/// The beginning of a message; a command line in it, which holds this test's directory, is cut.
fn line(message: &str) -> String {
    let text = message.split(" (command: ").next().unwrap_or(message);
    text.chars().take(110).filter(|c| !c.is_control()).collect()
}

#[tokio::test]
async fn every_recorded_answer_is_read_as_the_table_says() {
    let replay = Replay::new();
    let mut table = String::new();
    for (what, why) in LEFT_OUT {
        writeln!(table, "left out: {what}: {why}").unwrap();
    }
    for capture in captures() {
        let row = replay.row(&capture).await;
        writeln!(table, "{} ({}, rc {}): {row}", capture.name, capture.program(), capture.code).unwrap();
    }
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!("pbs_every_recorded_answer", table) });
}

#[tokio::test]
async fn a_qstat_on_path_proves_nothing() {
    let server = std::fs::read_to_string(folder().join("qstat_B_f_plain.out")).unwrap();
    let with = |version: &str, to: &str| {
        let recorded = Recorded::new();
        std::fs::write(recorded.path().join("server"), &server).unwrap();
        let answer = "[ \"$1\" = -B ] && exec cat \"${0%/*}/server\"";
        recorded.program("qstat", &format!("{answer}; printf '{version}' {to}"))
    };
    let found = with("pbs_version = 23.06.06\\n", "").scheduler("pbs").probe().await.unwrap();
    assert_eq!(found.version.as_ref().map(ToString::to_string).as_deref(), Some("23.06.06"));
    assert_eq!(found.cluster.as_deref(), Some("pbshost"));
    assert_eq!(found.array_size_max, Some(10_000));
    assert!(found.has("history"));
    let older =
        with("pbs_version = PBSPro_19.2.8.20200925072630\\n", "").scheduler("pbs").probe().await.unwrap();
    assert!(older.version.is_some_and(|version| version.to_string().starts_with("19.2.8")));
    // Torque's, Grid Engine's, and nothing at all.
    for (version, to) in [("Version: 6.1.3\\nCommit: 0\\n", ">&2"), ("SGE 8.1.9\\n", ""), ("", "")] {
        let error = with(version, to).scheduler("pbs").probe().await.unwrap_err();
        assert!(matches!(error, SchedulerError::Failed { .. }), "{error}");
    }
    let torque = with("Version: 6.1.3\\nCommit: 0\\n", ">&2").scheduler("torque").probe().await.unwrap();
    assert_eq!(torque.version.map(|version| version.to_string()).as_deref(), Some("6.1.3"));
    assert!(with("pbs_version = 23.06.06\\n", "").scheduler("torque").probe().await.is_err());
}

#[tokio::test]
async fn without_history_there_are_no_books_and_one_look_up() {
    let recorded = Recorded::new()
        .program("qstat", "case $1 in --version) echo 'pbs_version = 23.06.06';; *) printf 'Server: s\\n    server_state = Active\\n';; esac")
        .program("qselect", "echo \"$*\" >> \"$0.calls\"");
    let scheduler = recorded.scheduler("pbs");
    assert!(!scheduler.probe().await.unwrap().has("history"));
    let ids = [SchedulerJobId("1.s".into())];
    assert_eq!(scheduler.post_mortem(&ids).await, PostMortemAnswer::Unavailable);
    let since = "2026-11-22T01:02:03Z".parse().unwrap();
    assert_eq!(scheduler.find_by_tag(&tag(), since).await, FindAnswer::NotKnown);
    assert_eq!(recorded.calls("qselect"), 1);
}

#[tokio::test]
async fn a_poll_asks_about_its_own_jobs_only_and_half_an_answer_is_none() {
    let rows = "for id in \"$@\"; do case $id in *.s) printf 'Job Id: %s\\037Job_Owner=alice@h\\037job_state=R\\n' \"$id\";; esac; done";
    let ids = |count: u32| (1..=count).map(|id| format!("{id}.s\n")).collect::<String>();
    let calls = "echo x >> \"$0.calls\"";
    let many =
        Recorded::new().answers("qselect", &ids(1100), "", 0).program("qstat", &format!("{calls}; {rows}"));
    let PollAnswer::Valid { jobs, listed_all_users_jobs } = many.scheduler("pbs").poll().await else {
        panic!()
    };
    assert_eq!((jobs.len(), listed_all_users_jobs, many.calls("qstat")), (1100, 1100, 3));
    assert_eq!(many.argv("qselect"), ["-u", "alice"]);
    let none = Recorded::new().answers("qselect", "", "", 0).program("qstat", calls);
    assert!(matches!(none.scheduler("pbs").poll().await, PollAnswer::Valid { .. }));
    assert_eq!(none.calls("qstat"), 0);
    let second_fails = format!("{calls}; [ $(wc -l < \"$0.calls\") -lt 2 ] || exit 1; {rows}");
    let half = Recorded::new().answers("qselect", &ids(600), "", 0).program("qstat", &second_fails);
    assert!(matches!(half.scheduler("pbs").poll().await, PollAnswer::Invalid { .. }));
    for (stdout, stderr, code) in
        [("", "Connection refused\n", 162), ("1.s\nrubbish\n", "", 0), ("1.s\n2.", "", 0)]
    {
        let unsure = Recorded::new().answers("qselect", stdout, stderr, code).program("qstat", rows);
        assert!(
            matches!(unsure.scheduler("pbs").poll().await, PollAnswer::Invalid { .. }),
            "{stdout}{stderr}"
        );
    }
    let other = Recorded::new().answers("qselect", "1.s\n", "", 0).answers(
        "qstat",
        "Job Id: 1.s\u{1f}Job_Owner=alicea@h\u{1f}job_state=R\n",
        "",
        0,
    );
    let PollAnswer::Valid { jobs, .. } = other.scheduler("pbs").poll().await else { panic!() };
    assert!(jobs.is_empty(), "{jobs:?}");
}

#[tokio::test]
async fn limits_are_those_of_everybody_on_the_whole_server() {
    let text =
        "Server: s\n    max_queued = [u:PBS_GENERIC=200],[u:bob=3]\n    max_run = [u:PBS_GENERIC=20]\n";
    let limits = Recorded::new().answers("qstat", text, "", 0).scheduler("pbs").limits().await.unwrap();
    assert_eq!((limits.submitted_max, limits.running_max), (Some(200), Some(20)));
}

#[test]
fn ids_of_arrays_lead_there_and_back() {
    let scheduler = scheduler("pbs");
    let submission = SchedulerJobId("67[].pbshost".into());
    let element = scheduler.element_id(&submission, 6, 10);
    assert_eq!(element.0, "67[6].pbshost");
    assert_eq!(scheduler.submission_id(&element, 6, 10), Some(submission));
    assert_eq!(scheduler.submission_id(&element, 7, 10), None);
    let single = SchedulerJobId("68.pbshost".into());
    assert_eq!(scheduler.submission_id(&single, 0, 1), Some(single));
}

#[test]
fn pbs_select_with_everything() {
    let scheduler = scheduler("pbs");
    let mut request = request("/spool/main/qcb-x", 1);
    let resources = &mut request.resources;
    resources.nodes = 2;
    resources.tasks = 4;
    resources.gpus = 2;
    resources.gpu_type = Some("a100".into());
    resources.queue = Some("prod".into());
    resources.account = Some("chem42".into());
    resources.constraint = Some("model=rome".into());
    resources.sharing = NodeSharing::Exclusive;
    resources.extra = vec!["-l filesystems=home:eagle".into()];
    insta::assert_snapshot!(shown(&scheduler, &request, &script_input(&scheduler, &request)));
}

#[test]
fn pbs_array() {
    let scheduler = scheduler("pbs");
    let mut request = request("/spool/main/qcb-x", 3);
    request.log = scheduler.log_path(&request.directory, 3);
    insta::assert_snapshot!(shown(&scheduler, &request, &script_input(&scheduler, &request)));
}
