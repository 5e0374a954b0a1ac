//! Grid Engine by what a Son of Grid Engine 8.1.9 answered (`captures/sge/NAME.out`, `.err`, `.rc`; an absent file is empty).

use std::collections::BTreeMap;

use jiff::Timestamp;
use qcbatch::model::ids::{SchedulerJobId, Tag};
use qcbatch::model::job::JobOutcome::{
    Cancelled, Completed, Failed, Memory, NodeFailure, Preempted, Walltime,
};
use qcbatch::permit::WithoutLease;
use qcbatch::scheduler::adapter::reading::Row;
use qcbatch::scheduler::{
    Adapter, ExitStatus, FindAnswer, PollAnswer, PostMortemAnswer, Refusal, Scheduler, SchedulerState,
    SubmitAnswer, Sureness,
};
use rstest::rstest;

use SchedulerState::{Blocked, Ending, Queued, Running, Suspended};

use crate::scripts::{script_input, shown};
use crate::support::{Recorded, request, scheduler, tag};

fn capture(name: &str, kind: &str) -> String {
    let path = format!("{}/tests/scheduler/captures/sge/{name}.{kind}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap_or_default()
}

/// A Grid Engine whose `program` answers as recorded under `name`.
fn answering(program: &str, name: &str) -> (Recorded, Scheduler) {
    let code: i32 = capture(name, "rc").trim().parse().unwrap();
    let recorded = Recorded::new().answers(program, &capture(name, "out"), &capture(name, "err"), code);
    let scheduler = recorded.scheduler("sge");
    (recorded, scheduler)
}

fn ids(texts: &[&str]) -> Vec<SchedulerJobId> {
    texts.iter().map(|text| SchedulerJobId((*text).to_owned())).collect()
}

async fn polled(name: &str) -> BTreeMap<String, SchedulerState> {
    let (_recorded, scheduler) = answering("qstat", name);
    match scheduler.poll().await {
        PollAnswer::Valid { jobs, .. } => jobs.into_iter().map(|(id, job)| (id.0, job.state)).collect(),
        PollAnswer::Invalid { message } => panic!("{message}"),
    }
}

fn states(table: &[(&str, SchedulerState)]) -> BTreeMap<String, SchedulerState> {
    table.iter().map(|(id, state)| ((*id).to_owned(), state.clone())).collect()
}

#[test]
fn sge_single() {
    let scheduler = scheduler("sge");
    let request = request("/spool/main/qcb-x", 1);
    insta::assert_snapshot!(shown(&scheduler, &request, &script_input(&scheduler, &request)));
}

#[test]
fn sge_array_with_everything() {
    let scheduler = scheduler("sge");
    let mut request = request("/spool/main/qcb-x", 3);
    let resources = &mut request.resources;
    (resources.tasks, resources.gpus, resources.gpu_type) = (2, 2, Some("a100".to_owned()));
    (resources.queue, resources.account) = (Some("main".to_owned()), Some("chem".to_owned()));
    (resources.constraint, resources.reservation) = (Some("infiniband".to_owned()), Some("7".to_owned()));
    resources.extra = vec!["-l scratch=10G".to_owned()];
    insta::assert_snapshot!(shown(&scheduler, &request, &script_input(&scheduler, &request)));
}

#[tokio::test]
async fn a_listing_tells_every_task_of_an_array() {
    assert_eq!(
        polled("poll").await,
        states(&[
            ("9", Running),
            ("10.1", Running),
            ("10.2", Running),
            ("10.3", Running),
            ("11.1", Blocked),
            ("11.2", Blocked),
            ("12", Blocked),
            ("13", Running),
            ("14", Queued),
            ("22", Queued),
            ("24", Queued),
        ])
    );
    let deleting = polled("poll-deleting").await;
    assert_eq!(deleting.get("10.3"), Some(&Ending));
    let suspended = polled("poll-suspended-held").await;
    assert_eq!((suspended.get("10.2"), suspended.get("11.1")), (Some(&Suspended), Some(&Running)));
    assert_eq!(polled("poll-none").await, BTreeMap::new());
}

#[tokio::test]
async fn a_listing_without_answer_changes_nothing() {
    // F97: another document with exit code 0.
    for name in ["unknown-job", "frozen-poll", "down-poll"] {
        let (_recorded, scheduler) = answering("qstat", name);
        assert!(matches!(scheduler.poll().await, PollAnswer::Invalid { .. }), "{name}");
    }
    let cut: String = capture("poll", "out").lines().take(40).map(|line| format!("{line}\n")).collect();
    for text in [cut.as_str(), ""] {
        let recorded = Recorded::new().answers("qstat", text, "", 0);
        assert!(matches!(recorded.scheduler("sge").poll().await, PollAnswer::Invalid { .. }), "{text}");
    }
}

/// The letters that qstat(1) documents, alone and combined.
#[rstest]
#[case("qw", Queued)]
#[case("Rq", Queued)]
#[case("Rqw", Queued)]
#[case("hqw", Blocked)]
#[case("hRwq", Blocked)]
#[case("hRqw", Blocked)]
#[case("Eqw", Blocked)]
#[case("Ehqw", Blocked)]
#[case("EhRqw", Blocked)]
#[case("t", Running)]
#[case("r", Running)]
#[case("Rr", Running)]
#[case("Rt", Running)]
#[case("hr", Running)]
#[case("s", Suspended)]
#[case("ts", Suspended)]
#[case("S", Suspended)]
#[case("tS", Suspended)]
#[case("T", Suspended)]
#[case("tT", Suspended)]
#[case("Rs", Suspended)]
#[case("Rts", Suspended)]
#[case("RS", Suspended)]
#[case("RtT", Suspended)]
#[case("dr", Ending)]
#[case("dt", Ending)]
#[case("dRr", Ending)]
#[case("ds", Ending)]
#[case("dT", Ending)]
#[case("dRS", Ending)]
#[case("dqw", Ending)]
#[case("X", SchedulerState::Unrecognised("X".into()))]
fn letters(#[case] word: &str, #[case] expected: SchedulerState) {
    let mut row = Row::default();
    row.set("state", word);
    assert_eq!(Adapter::load("sge", &[]).unwrap().states.state(&row), Some(expected));
}

#[rstest]
#[case("26 : opening output file", "0", NodeFailure, Sureness::Now)]
#[case("1 : assumedly before job", "0", NodeFailure, Sureness::Now)]
#[case("25 : rescheduling", "99", Preempted, Sureness::OnceAbsent)]
#[case("100 : assumedly after job", "139                  (Segmentation fault)", Failed, Sureness::Now)]
// Dead of the warning that `-notify` sends before a qdel kills.
#[case("100 : assumedly after job", "140                  (User defined signal 2)", Cancelled, Sureness::Now)]
#[case(
    "37  : qmaster enforced h_rt, h_cpu, or h_vmem limit",
    "140                  (User defined signal 2)",
    Walltime,
    Sureness::Now
)]
#[case("0", "1", Failed, Sureness::Now)]
fn failures_of_the_books(
    #[case] failed: &str,
    #[case] exit: &str,
    #[case] outcome: qcbatch::model::job::JobOutcome,
    #[case] sure: Sureness,
) {
    let mut row = Row::default();
    row.set("state", failed);
    row.set("exit", exit);
    let expected = SchedulerState::Ended { outcome, sure };
    assert_eq!(Adapter::load("sge", &[]).unwrap().states.state(&row), Some(expected));
}

/// F47, F44: one number for both ends; more memory than was asked for, over all slots, tells them apart.
#[rstest]
#[case("369.402MB", "-l h_rt=120,h_vmem=150M", "1", Memory)]
#[case("369.758MB", "-l h_rt=120,h_vmem=150M -pe smp 2", "2", Memory)]
#[case("369.758MB", "-l h_rt=120,h_vmem=150M -pe smp 3", "3", Walltime)]
#[case("1.500GB", "-l h_vmem=1G", "1", Memory)]
#[case("5.449MB", "-l h_rt=3,h_vmem=150M", "1", Walltime)]
#[case("369.402MB", "-l h_rt=3", "1", Walltime)]
#[case("369.402MB", "-l my_h_vmem=1M", "1", Walltime)]
#[case("", "-l h_rt=3,h_vmem=150M", "1", Walltime)]
fn memory_and_walltime_share_a_number(
    #[case] used: &str,
    #[case] requested: &str,
    #[case] slots: &str,
    #[case] outcome: qcbatch::model::job::JobOutcome,
) {
    let mut row = Row::default();
    row.set("state", "37  : qmaster enforced h_rt, h_cpu, or h_vmem limit");
    row.set("exit", "140                  (User defined signal 2)");
    row.set("max_memory", used);
    row.set("requested", requested);
    row.set("slots", slots);
    let expected = SchedulerState::Ended { outcome, sure: Sureness::Now };
    assert_eq!(Adapter::load("sge", &[]).unwrap().states.state(&row), Some(expected));
}

#[tokio::test]
async fn the_books_tell_how_jobs_ended() {
    let (_recorded, scheduler) = answering("qacct", "books");
    let asked = ids(&["9", "10.1", "3.2", "13", "4711"]);
    let PostMortemAnswer::Known(books) = scheduler.post_mortem(&asked).await else { panic!("no answer") };
    let told: Vec<_> = asked.iter().map(|id| books.get(id).map(|job| (job.outcome(), job.exit))).collect();
    let exit = |code, signal| ExitStatus { code, signal };
    assert_eq!(
        told,
        [
            Some((Some(Completed), exit(Some(0), None))),
            Some((Some(Failed), exit(Some(3), None))),
            Some((Some(Cancelled), exit(None, Some(9)))),
            Some((Some(Walltime), exit(None, Some(9)))),
            None,
        ]
    );
    let job = &books[&asked[0]];
    assert_eq!(job.hostname.as_deref(), Some("localhost"));
    assert!(job.started_on < job.ended_on && job.max_memory_bytes == Some(5_627_707), "{job:?}");
}

/// F47: what a real one booked of jobs that had more than they asked for: several processes together, with a warning (2) and
/// without (3), in two slots (7); a single one that was refused more, and failed by itself (1); one killed by a stranger (4); and
/// one that hit the soft limit (6), of which the books do not say which one it was.
#[tokio::test]
async fn recorded_ends_over_memory_are_read() {
    let (_recorded, scheduler) = answering("qacct", "books-memory");
    let asked = ids(&["1", "2", "3", "4", "6", "7"]);
    let PostMortemAnswer::Known(books) = scheduler.post_mortem(&asked).await else { panic!("no answer") };
    let told: Vec<_> = asked
        .iter()
        .map(|id| (books[id].outcome().unwrap(), books[id].exit.code, books[id].exit.signal))
        .collect();
    assert_eq!(
        told,
        [
            (Failed, Some(1), None),
            (Memory, None, Some(12)),
            (Memory, None, Some(9)),
            (Cancelled, None, Some(9)),
            (Failed, None, Some(24)),
            (Memory, None, Some(12)),
        ]
    );
}

#[tokio::test]
async fn empty_books_know_nothing() {
    // F95: not in the books yet is no end.
    let (_recorded, scheduler) = answering("qacct", "books-nobody");
    let answer = scheduler.post_mortem(&ids(&["9"])).await;
    assert!(matches!(&answer, PostMortemAnswer::Known(books) if books.is_empty()), "{answer:?}");
    let recorded = Recorded::new().answers(
        "qacct",
        "",
        "/cell/main/common/accounting: No such file or directory\nno jobs running since startup\n",
        1,
    );
    let answer = recorded.scheduler("sge").post_mortem(&ids(&["9"])).await;
    assert!(matches!(&answer, PostMortemAnswer::Known(books) if books.is_empty()), "{answer:?}");
}

#[tokio::test]
async fn tags_are_found_by_their_full_name() {
    let ask = |queue: &str, books: &str| {
        let code: i32 = capture(books, "rc").trim().parse().unwrap();
        Recorded::new().answers("qstat", &capture(queue, "out"), "", 0).answers(
            "qacct",
            &capture(books, "out"),
            &capture(books, "err"),
            code,
        )
    };
    let none: Tag = tag();
    let recorded = ask("find", "books-tag-none");
    assert_eq!(recorded.scheduler("sge").find_by_tag(&none, Timestamp::now()).await, FindAnswer::NotKnown);
    // The recorded jobs bore shorter names; only the name is changed.
    let listed = capture("find", "out").replace("qcb-01jd00000000000000000002arr<", &format!("{none}<"));
    let recorded = recorded.answers("qstat", &listed, "", 0);
    let answer = recorded.scheduler("sge").find_by_tag(&none, Timestamp::now()).await;
    assert_eq!(answer, FindAnswer::Known(ids(&["10"])));
    let ended = capture("books-tag", "out").replace("qcb-01jd00000000000000000001ok", none.as_str());
    let recorded = ask("find-none", "books-tag").answers("qacct", &ended, "", 0);
    let answer = recorded.scheduler("sge").find_by_tag(&none, Timestamp::now()).await;
    assert_eq!(answer, FindAnswer::Known(ids(&["9"])));
}

#[tokio::test]
async fn submissions() {
    let accepted = |id: &str| SubmitAnswer::Accepted { scheduler_job_id: SchedulerJobId(id.to_owned()) };
    for (name, id) in [("submit-single", "9"), ("submit-array", "10"), ("submit-warning", "22")] {
        let (_recorded, scheduler) = answering("qsub", name);
        assert_eq!(scheduler.submit(&request("/tmp", 1), &WithoutLease).await, accepted(id), "{name}");
    }
    // F8: accepted although it ends with an error.
    let warned = "Unable to run job: warning: root your job is not allowed to run in any queue\n\
        Your job 1 (\"qcb-01\") has been submitted.\nExiting.\n";
    let recorded = Recorded::new().answers("qsub", "", warned, 1);
    assert_eq!(recorded.scheduler("sge").submit(&request("/tmp", 1), &WithoutLease).await, accepted("1"));
    use Refusal::{Limit, Permanent};
    for (name, wanted) in [
        ("submit-limit", Limit),
        ("submit-unknown-queue", Permanent),
        ("submit-unknown-pe", Permanent),
        ("submit-unknown-resource", Permanent),
        ("submit-bad-resource", Permanent),
        ("submit-unknown-project", Permanent),
        ("submit-digit", Permanent),
        ("submit-no-script", Permanent),
        ("submit-option", Permanent),
        ("submit-impossible-w-e", Permanent),
        ("submit-array-too-large", Limit),
    ] {
        let (_recorded, scheduler) = answering("qsub", name);
        let answer = scheduler.submit(&request("/tmp", 1), &WithoutLease).await;
        assert!(matches!(answer, SubmitAnswer::Refused { kind, .. } if kind == wanted), "{name}: {answer:?}");
    }
    // F99 and what a frozen or absent master looks like: it may have arrived.
    let lost = "Unable to run job: failed receiving gdi request response for mid=1 (got syncron message receive timeout error).\nExiting.\n";
    for (stderr, code) in
        [(capture("frozen-submit", "err"), 1), (capture("down-submit", "err"), 1), (lost.to_owned(), 1)]
    {
        let recorded = Recorded::new().answers("qsub", "", &stderr, code);
        let answer = recorded.scheduler("sge").submit(&request("/tmp", 1), &WithoutLease).await;
        assert!(matches!(answer, SubmitAnswer::Unclear { .. }), "{stderr}: {answer:?}");
    }
}

#[tokio::test]
async fn acting_on_jobs() {
    for name in ["cancel", "cancel-running", "cancel-unknown", "cancel-some-unknown", "cancel-twice"] {
        let (recorded, scheduler) = answering("qdel", name);
        scheduler.cancel(&ids(&["10.1", "14"]), &WithoutLease).await.unwrap();
        assert_eq!(recorded.argv("qdel"), ["10.1", "14"]);
    }
    let (_recorded, scheduler) = answering("qdel", "down-cancel");
    assert!(scheduler.cancel(&ids(&["1"]), &WithoutLease).await.is_err());
    for name in ["hold", "hold-unknown"] {
        let (_recorded, scheduler) = answering("qhold", name);
        scheduler.hold(&ids(&["14"]), &WithoutLease).await.unwrap();
    }
    for name in ["release", "release-unknown"] {
        let (_recorded, scheduler) = answering("qrls", name);
        scheduler.release(&ids(&["14"]), &WithoutLease).await.unwrap();
    }
}

#[tokio::test]
async fn version_and_limits() {
    let recorded = |settings: &str| {
        Recorded::new().answers("qstat", &capture("version", "out"), "", 0).answers(
            "qconf",
            &capture(settings, "out"),
            "",
            0,
        )
    };
    let free = recorded("settings");
    let learned = free.scheduler("sge").probe().await.unwrap();
    assert_eq!(learned.version.map(|version| version.to_string()).as_deref(), Some("8.1.9"));
    assert_eq!(learned.array_size_max, Some(75_000));
    assert_eq!(free.scheduler("sge").limits().await.unwrap().submitted_max, None);
    assert_eq!(recorded("settings-limited").scheduler("sge").limits().await.unwrap().submitted_max, Some(1));
    let (_up, scheduler) = answering("qconf", "alive");
    scheduler.alive().await.unwrap();
    let (_down, scheduler) = answering("qconf", "down-alive");
    assert!(scheduler.alive().await.is_err());
}
