//! Every recorded answer of volclava 2.2 that the adapter `lsf` could be given, byte for byte, and how it is read.
//! The table is a snapshot: one row per recording. Files without `.out` or `.err` stand for an empty output.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use qcbatch::model::ids::SchedulerJobId;
use qcbatch::permit::WithoutLease;
use qcbatch::scheduler::{
    ExitStatus, FindAnswer, PollAnswer, PostMortemAnswer, Scheduler, SchedulerError, SchedulerState,
    SubmitAnswer,
};

use crate::support::{Recorded, request, tag};

/// One recording.
pub struct Recording {
    path: PathBuf,
}

impl Recording {
    /// All recordings of a folder of `captures`, by name.
    pub fn all(folder: &str) -> Vec<Recording> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scheduler/captures").join(folder);
        let files = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<PathBuf> = files.filter(|path| path.extension().unwrap() == "cmd").collect();
        paths.sort();
        paths.into_iter().map(|path| Recording { path: path.with_extension("") }).collect()
    }

    pub fn named(folder: &str, name: &str) -> Recording {
        let found = Self::all(folder).into_iter().find(|recording| recording.name() == name);
        found.unwrap_or_else(|| panic!("no recording {folder}/{name}"))
    }

    pub fn name(&self) -> String {
        self.path.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// The command that was run, without the remarks before it.
    fn command(&self) -> String {
        let text = std::fs::read_to_string(self.path.with_extension("cmd")).unwrap();
        text.lines().find(|line| !line.is_empty() && !line.starts_with('#')).unwrap().to_owned()
    }

    /// Which program answered.
    fn program(&self) -> &'static str {
        let command = self.command();
        let known = ["bsub", "bjobs", "bhist", "bkill", "bstop", "bresume", "lsid", "bparams", "busers"];
        let words: Vec<&str> = command.split([' ', ';', '/']).collect();
        known.into_iter().find(|name| words.contains(name)).unwrap_or_else(|| panic!("{command}"))
    }

    /// The job ids of the command, as we would have asked for them.
    fn ids(&self) -> Vec<SchedulerJobId> {
        let command = self.command().replace('"', "");
        let words = command.split_whitespace().filter(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        let mut ids: Vec<_> = words.map(|word| SchedulerJobId(word.to_owned())).collect();
        if ids.is_empty() {
            ids.push(SchedulerJobId("1".into()));
        }
        ids
    }

    /// A program that answers as recorded.
    fn answering(&self, recorded: Recorded, program: &str) -> Recorded {
        let code = std::fs::read_to_string(self.path.with_extension("rc")).unwrap();
        let (out, err) = (self.path.with_extension("out"), self.path.with_extension("err"));
        let cat = |path: &Path| if path.exists() { format!("cat '{}'", path.display()) } else { ":".into() };
        recorded.program(program, &format!("{}; {} >&2; exit {}", cat(&out), cat(&err), code.trim()))
    }

    /// What comes out, in one line, of a scheduler that says it is `lsid`.
    pub async fn told(&self, lsid: &str) -> String {
        self.told_by(&mut Asked::probed(lsid).await).await
    }

    async fn told_by(&self, asked: &mut Asked) -> String {
        let program = self.program();
        if matches!(program, "lsid" | "bparams") {
            let mut fresh = Asked::new(LSID);
            fresh.recorded = self.answering(fresh.recorded, program);
            let scheduler = fresh.recorded.scheduler("lsf");
            return probe(scheduler.probe().await.map(|_| scheduler));
        }
        asked.recorded = self.answering(std::mem::replace(&mut asked.recorded, Recorded::new()), program);
        let (scheduler, ids) = (&asked.scheduler, self.ids());
        match program {
            "bsub" => {
                let directory = tempfile::tempdir().unwrap();
                std::fs::write(directory.path().join("job.sh"), "#!/bin/bash\n").unwrap();
                submitted(
                    scheduler.submit(&request(directory.path().to_str().unwrap(), 1), &WithoutLease).await,
                )
            }
            "bjobs" if self.command().contains("-J") => {
                found(scheduler.find_by_tag(&tag(), jiff::Timestamp::UNIX_EPOCH).await)
            }
            "bjobs" => listed(scheduler.poll().await),
            "bhist" => books(scheduler.post_mortem(&ids).await),
            "bkill" => acted(scheduler.cancel(&ids, &WithoutLease).await),
            "bstop" => acted(scheduler.hold(&ids, &WithoutLease).await),
            "bresume" => acted(scheduler.release(&ids, &WithoutLease).await),
            _ => format!("{:?}", scheduler.limits().await.map_err(|error| error.to_string())),
        }
    }
}

/// A scheduler and the directory of its programs.
struct Asked {
    recorded: Recorded,
    scheduler: Scheduler,
}

impl Asked {
    fn new(lsid: &str) -> Asked {
        let recorded = Recorded::new().answers("lsid", lsid, "", 0);
        let recorded = recorded.answers("bparams", "", "", 1).answers("badmin", "", "", 1);
        Asked { scheduler: recorded.scheduler("lsf"), recorded }
    }

    async fn probed(lsid: &str) -> Asked {
        let asked = Asked::new(lsid);
        asked.scheduler.probe().await.unwrap();
        asked
    }
}

fn probe(probed: Result<Scheduler, SchedulerError>) -> String {
    match probed {
        Ok(scheduler) => {
            let learned = scheduler.capabilities();
            format!(
                "version {:?}, cluster {:?}, arrays {:?}, kept {:?}, kill after {:?}, texts {:?}",
                learned.version.as_ref().map(ToString::to_string),
                learned.cluster,
                learned.array_size_max,
                learned.finished_kept,
                learned.kill_wait,
                learned.texts
            )
        }
        Err(error) => acted(Err(error)),
    }
}

fn submitted(answer: SubmitAnswer) -> String {
    match answer {
        SubmitAnswer::Accepted { scheduler_job_id } => format!("accepted {}", scheduler_job_id.0),
        SubmitAnswer::Refused { kind, .. } => format!("refused, {kind:?}"),
        SubmitAnswer::NotCalled { .. } => "not called".to_owned(),
        SubmitAnswer::Unclear { .. } => "unclear".to_owned(),
    }
}

fn found(answer: FindAnswer) -> String {
    match answer {
        FindAnswer::Unanswered { .. } => "no answer".to_owned(),
        other => format!("{other:?}"),
    }
}

fn acted(answer: Result<(), SchedulerError>) -> String {
    match answer {
        Ok(()) => "done, or nothing to do".to_owned(),
        Err(SchedulerError::Failed { class, .. }) => format!("failed, {class:?}"),
        Err(other) => other.to_string(),
    }
}

fn listed(answer: PollAnswer) -> String {
    let PollAnswer::Valid { jobs, listed_all_users_jobs } = answer else { return "no answer".to_owned() };
    let mut lines: Vec<String> = jobs
        .into_iter()
        .map(|(id, job)| one(&id, &job.state, job.exit, job.reason.as_deref(), job.hostname.as_deref()))
        .collect();
    lines.sort();
    format!("{listed_all_users_jobs} not over: {}", lines.join("; "))
}

fn books(answer: PostMortemAnswer) -> String {
    let PostMortemAnswer::Known(jobs) = answer else { return "no answer".to_owned() };
    let mut lines: Vec<String> = jobs
        .into_iter()
        .map(|(id, job)| {
            let mut line = one(&id, &job.state, job.exit, job.reason.as_deref(), job.hostname.as_deref());
            if let Some(bytes) = job.max_memory_bytes {
                let _ = write!(line, " {bytes} B");
            }
            line
        })
        .collect();
    lines.sort();
    format!("books: {}", lines.join("; "))
}

fn one(
    id: &SchedulerJobId,
    state: &SchedulerState,
    exit: ExitStatus,
    reason: Option<&str>,
    hostname: Option<&str>,
) -> String {
    let mut line = match state {
        SchedulerState::Ended { outcome, .. } => format!("{} {outcome:?}", id.0),
        other => format!("{} {other:?}", id.0),
    };
    let mut add = |name: &str, text: Option<String>| {
        if let Some(text) = text {
            let _ = write!(line, " {name} {text}");
        }
    };
    add("code", exit.code.map(|code| code.to_string()));
    add("signal", exit.signal.map(|signal| signal.to_string()));
    add("on", hostname.map(str::to_owned));
    add("because", reason.map(str::to_owned));
    line
}

/// One row per recording of `folder`.
pub async fn table(folder: &str, lsid: &str) -> String {
    let mut asked = Asked::probed(lsid).await;
    let mut rows = String::new();
    for recording in Recording::all(folder) {
        let command: String = recording.command().chars().take(70).collect();
        let _ =
            writeln!(rows, "{} | {command}\n    {}", recording.name(), recording.told_by(&mut asked).await);
    }
    rows
}

/// Recorded, but of commands or forms that the adapter does not use.
const LEFT_OUT: [(&str, &str); 7] = [
    (
        "bmod, bswitch, brequeue, btop, bpeek, bacct, bqueues, bhosts, lsload, lshosts, lsinfo",
        "commands that are never called",
    ),
    ("bjobs without -w, or with -l, -UF, -W, -p, -A", "tables for people, with names cut and lines wrapped"),
    (
        "bjobs -o …, also -json",
        "volclava has too few columns: neither exit codes nor reasons. What it says of them is there",
    ),
    ("bhist without -l", "tables without ends"),
    ("bsub -I, -Is, -K, -pack", "nothing waits for a job in this way, and each is submitted by itself"),
    ("bjobs -w of thousands of jobs", "more of the same lines"),
    ("-h and -V of each, scripts of the recorder", "no answers about jobs"),
];

pub const LSID: &str =
    "volclava project 2.2, Nov 21 2026\n\nMy cluster name is volclava\nMy master name is vm\n";

#[tokio::test]
async fn every_recorded_answer_is_read() {
    let left_out: String = LEFT_OUT.iter().map(|(what, why)| format!("left out: {what}: {why}\n")).collect();
    insta::assert_snapshot!(left_out + &table("volclava", LSID).await);
}
