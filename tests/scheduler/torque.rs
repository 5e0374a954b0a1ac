//! Torque by its documented formats: listings, ends, messages, the script. Nothing here was recorded from a server.
//! Runs only programs of its own.

use qcbatch::model::ids::SchedulerJobId;
use qcbatch::model::resources::NodeSharing;
use qcbatch::permit::WithoutLease;
use qcbatch::scheduler::{FindAnswer, PollAnswer, PostMortemAnswer, Refusal, SubmitAnswer};

use crate::scripts::{script_input, shown};
use crate::support::{Recorded, TAG, request, scheduler, tag};

/// A job as `qstat -f -1` prints it.
fn job(id: &str, owner: &str, name: &str, more: &str) -> String {
    format!(
        "Job Id: {id}\n    Job_Name = {name}\n    Job_Owner = {owner}@login1.example.org\n    {more}\n    ctime = Sun Nov 22 01:02:03 2026\n    Variable_List = PBS_O_QUEUE=batch,A=x = y\n\n"
    )
}

#[tokio::test]
async fn states_and_ends() {
    let table = [
        ("job_state = Q", "Queued None None"),
        ("job_state = W", "Queued None None"),
        ("job_state = T", "Queued None None"),
        ("job_state = H", "Blocked None None"),
        ("job_state = R", "Running None None"),
        ("job_state = S", "Suspended None None"),
        ("job_state = E", "Ending None None"),
        ("job_state = C\n    exit_status = 0", "Ended { outcome: Completed, sure: Now } Some(0) None"),
        ("job_state = C\n    exit_status = 3", "Ended { outcome: Failed, sure: Now } Some(3) None"),
        ("job_state = C\n    exit_status = 137", "Ended { outcome: Failed, sure: Now } Some(137) Some(9)"),
        ("job_state = C\n    exit_status = 265", "Ended { outcome: Failed, sure: Now } None Some(9)"),
        ("job_state = C\n    exit_status = 271", "Ended { outcome: Cancelled, sure: Now } None Some(15)"),
        ("job_state = C\n    exit_status = -10", "Ended { outcome: Memory, sure: Now } None None"),
        ("job_state = C\n    exit_status = -11", "Ended { outcome: Walltime, sure: Now } None None"),
        ("job_state = C\n    exit_status = -12", "Ended { outcome: Walltime, sure: Now } None None"),
        ("job_state = C\n    exit_status = -3", "Ended { outcome: NodeFailure, sure: Now } None None"),
        ("job_state = C", "Ended { outcome: Cancelled, sure: Now } None None"),
        ("job_state = Z", "Unrecognised(\"Z\") None None"),
    ];
    let id = SchedulerJobId("12[3].srv.example.org".into());
    for (text, expected) in table {
        let listing =
            job("11.srv.example.org", "bob", "other", "job_state = R") + &job(&id.0, "alice", TAG, text);
        let recorded = Recorded::new().answers("qstat", &listing, "", 0);
        let scheduler = recorded.scheduler("torque");
        let PollAnswer::Valid { jobs, .. } = scheduler.poll().await else { panic!("{text}") };
        assert_eq!(jobs.len(), 1, "{text}");
        let seen = &jobs[&id];
        assert_eq!(
            format!("{:?} {:?} {:?}", seen.state, seen.exit.code, seen.exit.signal),
            expected,
            "{text}"
        );
        let PostMortemAnswer::Known(known) = scheduler.post_mortem(std::slice::from_ref(&id)).await else {
            panic!()
        };
        assert_eq!(known[&id].state, seen.state, "{text}");
    }
}

#[tokio::test]
async fn a_tag_is_the_name_of_a_job_or_of_a_whole_array() {
    let listing =
        job("11.srv", "bob", "other", "job_state = R") + &job("12[].srv", "alice", TAG, "job_state = Q");
    let find = async |text: &str, stderr: &str, code| {
        let since = "2026-11-22T01:02:03Z".parse().unwrap();
        Recorded::new()
            .answers("qstat", text, stderr, code)
            .scheduler("torque")
            .find_by_tag(&tag(), since)
            .await
    };
    assert_eq!(find(&listing, "", 0).await, FindAnswer::Known(vec![SchedulerJobId("12[].srv".into())]));
    assert_eq!(find("", "", 0).await, FindAnswer::NotKnown);
    let away = "qstat: cannot connect to server srv (errno=15137) could not connect to trqauthd\n";
    assert!(matches!(find("", away, 171).await, FindAnswer::Unanswered { .. }));
}

#[tokio::test]
async fn messages_of_qsub_and_qdel() {
    let submit = async |stdout: &str, stderr: &str, code| {
        Recorded::new()
            .answers("qsub", stdout, stderr, code)
            .scheduler("torque")
            .submit(&request("/tmp", 1), &WithoutLease)
            .await
    };
    let error = |text: &str| format!("qsub: submit error ({text})\n");
    for (kind, text) in [
        (Refusal::Permanent, "Unknown queue MSG=cannot locate queue"),
        (
            Refusal::Permanent,
            "Job exceeds queue resource limits MSG=cannot satisfy queue max walltime requirement",
        ),
        (Refusal::Permanent, "Bad UID for job execution MSG=root user not allowed"),
        (Refusal::Permanent, "Unauthorized Request "),
        (
            Refusal::Limit,
            "Maximum number of jobs already in queue for user MSG=total number of current user's jobs exceeds the queue limit",
        ),
        (Refusal::Transient, "Queue is not enabled MSG=queue is disabled"),
        (
            Refusal::Transient,
            "Pbs Server is currently too busy to service this request. Please retry this request.",
        ),
    ] {
        let answer = submit("", &error(text), 1).await;
        assert!(
            matches!(&answer, SubmitAnswer::Refused { kind: found, .. } if *found == kind),
            "{text}: {answer:?}"
        );
    }
    for text in ["Premature End of File", "Time out", "Something new"] {
        let answer = submit("", &error(text), 1).await;
        assert!(matches!(answer, SubmitAnswer::Unclear { .. }), "{text}: {answer:?}");
    }
    let answer = submit("Welcome\n12[].srv.example.org\n", "", 0).await;
    assert!(
        matches!(&answer, SubmitAnswer::Accepted { scheduler_job_id } if scheduler_job_id.0 == "12[].srv.example.org")
    );
    let ids = [SchedulerJobId("12.srv".into())];
    for (stderr, gone) in [
        ("qdel: nonexistent job id: 12.srv\n", true),
        ("qdel: Unknown Job Id Error 12.srv\n", true),
        ("qdel: Request invalid for state of job MSG=invalid state for job - COMPLETE 12.srv\n", true),
        ("qdel: Unauthorized Request  12.srv\n", false),
    ] {
        let answer = Recorded::new()
            .answers("qdel", "", stderr, 1)
            .scheduler("torque")
            .cancel(&ids, &WithoutLease)
            .await;
        assert_eq!(answer.is_ok(), gone, "{stderr}");
    }
}

#[test]
fn torque_array_with_everything() {
    let scheduler = scheduler("torque");
    let mut request = request("/spool/main/qcb-x", 3);
    request.log = scheduler.log_path(&request.directory, 3);
    let resources = &mut request.resources;
    resources.gpus = 1;
    resources.queue = Some("batch".into());
    resources.account = Some("chem42".into());
    resources.qos = Some("high".into());
    resources.sharing = NodeSharing::Exclusive;
    resources.extra = vec!["-W x=FLAGS:NOQUEUE".into()];
    insta::assert_snapshot!(shown(&scheduler, &request, &script_input(&scheduler, &request)));
}
