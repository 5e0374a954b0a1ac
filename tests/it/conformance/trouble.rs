//! Scenarios of what goes wrong, on the simulator: the engine never takes doubt for an answer. Numbers are those of docs/failures.md.

use std::time::Duration;

use jiff::{Timestamp, ToSpan};
use qcbatch::model::job::JobOutcome;
use qcbatch::scheduler::{FindAnswer, PollAnswer, PostMortemAnswer, Refusal, SchedulerState, SubmitAnswer};
use serde_json::json;

use super::ground::{Ground, ended};

/// F1, F2, F99: accepted, but the answer was lost; the tag tells.
pub async fn f01_lost_answer_is_found_by_tag(ground: &Ground) {
    ground.mischief(&json!({"answer_lost": 1}));
    let request = ground.request(1, "true");
    let answer = ground.scheduler.submit(&request).await;
    assert!(matches!(answer, SubmitAnswer::Unclear { .. }), "{answer:?}");
    let since = Timestamp::now() - 5.minutes();
    let FindAnswer::Known(ids) = ground.scheduler.find_by_tag(&request.tag, since).await else {
        panic!("it was accepted")
    };
    assert_eq!(ids.len(), 1);
    assert_eq!(ground.end(&ids[0]).await.0, JobOutcome::Completed);
}

/// F7: accepted, but only a banner came; that is no refusal either. A banner before the id does not hide it.
pub async fn f07_unreadable_id_is_unclear(ground: &Ground) {
    ground.mischief(&json!({"id_unreadable": 1}));
    let request = ground.request(1, "true");
    let answer = ground.scheduler.submit(&request).await;
    assert!(matches!(answer, SubmitAnswer::Unclear { .. }), "{answer:?}");
    let since = Timestamp::now() - 5.minutes();
    let found = ground.scheduler.find_by_tag(&request.tag, since).await;
    assert!(matches!(&found, FindAnswer::Known(ids) if ids.len() == 1), "{found:?}");
    ground.mischief(&json!({"banner": "*** 13 nodes are down ***\n"}));
    let behind_banner = ground.submit("true").await;
    let answer = ground.scheduler.poll().await;
    match &answer {
        PollAnswer::Invalid { .. } => {}
        PollAnswer::Valid { jobs, .. } => assert_eq!(jobs.len(), 2, "a banner is not a job: {jobs:?}"),
    }
    ground.mischief(&json!({}));
    assert_eq!(ground.end(&behind_banner).await.0, JobOutcome::Completed);
}

/// F10, F82: a limit on jobs is a limit, not a failure; the same call works when there is room.
pub async fn f10_limit_is_not_failure(ground: &Ground) {
    ground.mischief(&json!({"submit_limit": 1}));
    let first = ground.submit("sleep 60").await;
    let request = ground.request(1, "true");
    let answer = ground.scheduler.submit(&request).await;
    assert!(matches!(answer, SubmitAnswer::Refused { kind: Refusal::Limit, .. }), "{answer:?}");
    ground.scheduler.cancel(std::slice::from_ref(&first)).await.unwrap();
    ground.end(&first).await;
    ground.accepted(ground.scheduler.submit(&request).await);
}

/// F20, F84: a scheduler that is away says nothing about any job.
pub async fn f20_away_is_no_answer(ground: &Ground) {
    let id = ground.submit("sleep 60").await;
    ground.running(&id).await;
    ground.mischief(&json!({"down": true}));
    let request = ground.request(1, "true");
    let answer = ground.scheduler.submit(&request).await;
    let not_now = matches!(
        answer,
        SubmitAnswer::Refused { kind: Refusal::Transient, .. } | SubmitAnswer::Unclear { .. }
    );
    assert!(not_now, "{answer:?}");
    assert!(matches!(ground.scheduler.poll().await, PollAnswer::Invalid { .. }));
    let found = ground.scheduler.find_by_tag(&request.tag, Timestamp::now() - 5.minutes()).await;
    assert!(matches!(found, FindAnswer::Unanswered { .. }), "{found:?}");
    let books = ground.scheduler.post_mortem(std::slice::from_ref(&id)).await;
    let told = matches!(&books, PostMortemAnswer::Known(_));
    assert!(!told, "{books:?}");
    ground.scheduler.cancel(std::slice::from_ref(&id)).await.unwrap_err();
    ground.mischief(&json!({}));
    ground.running(&id).await;
}

/// F21, F74: a listing that breaks off in the middle is no listing.
pub async fn f21_torn_listing_is_invalid(ground: &Ground) {
    let id = ground.submit("sleep 60").await;
    ground.running(&id).await;
    ground.mischief(&json!({"torn": 1}));
    let answer = ground.scheduler.poll().await;
    assert!(matches!(answer, PollAnswer::Invalid { .. }), "{answer:?}");
    ground.running(&id).await;
}

/// F23, F71, F87, F95: a job that everybody forgot is absent, not ended; only evidence tells.
pub async fn f23_forgotten_is_absent_not_ended(ground: &Ground) {
    let id = ground.submit("true").await;
    ground.end(&id).await;
    ground.mischief(&json!({"forget_finished": true}));
    let jobs = ground.listing().await;
    assert!(!jobs.contains_key(&id), "{jobs:?}");
    match ground.scheduler.post_mortem(std::slice::from_ref(&id)).await {
        PostMortemAnswer::Known(known) => assert!(known.is_empty(), "{known:?}"),
        PostMortemAnswer::Unavailable => {}
        PostMortemAnswer::Unanswered { message } => panic!("the books answered: {message}"),
    }
}

/// F24: a scheduler without books says so, and nothing is read into it.
pub async fn f24_no_books(ground: &Ground) {
    ground.mischief(&json!({"no_accounting": true}));
    ground.scheduler.probe().await.unwrap();
    let id = ground.submit("true").await;
    let request = ground.request(1, "true");
    let found = ground.scheduler.find_by_tag(&request.tag, Timestamp::now() - 5.minutes()).await;
    assert_eq!(found, FindAnswer::NotKnown);
    if let PostMortemAnswer::Known(known) = ground.scheduler.post_mortem(std::slice::from_ref(&id)).await {
        assert!(known.len() <= 1, "{known:?}");
    }
}

/// F41, F42: a job that was requeued is not over; it ends once, after its second run.
pub async fn f41_requeued_is_not_over(ground: &Ground) {
    for verb in ["requeue", "requeue-preempted", "requeue-node-failure"] {
        let id = ground.submit("if [ -e ran ]; then exit 0; fi; touch ran; sleep 60").await;
        ground.running(&id).await;
        wait_for_first_run(ground, &id, verb).await;
        ground.control(verb, &id, &[]);
        let (outcome, _) = ground.end(&id).await;
        assert_eq!(outcome, JobOutcome::Completed, "{verb}");
        let runs: Vec<i64> =
            ground.simulator().jobs().iter().filter_map(|job| job["runs"].as_i64()).collect();
        assert_eq!(runs.last(), Some(&2), "{verb}: it ran twice");
    }
}

/// Waits until the script is past its mark; else a second run would take itself for the first.
async fn wait_for_first_run(ground: &Ground, id: &qcbatch::model::ids::SchedulerJobId, verb: &str) {
    let jobs = ground.simulator().jobs();
    let job = jobs.last().unwrap_or_else(|| panic!("{verb}: {id} is in the table"));
    let script = std::path::Path::new(job["script"].as_str().unwrap());
    let mark = script.with_file_name("ran");
    while !mark.exists() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// F43: taken off for another job.
pub async fn f43_preempted(ground: &Ground) {
    let id = ground.submit("sleep 60").await;
    ground.running(&id).await;
    ground.control("preempt", &id, &[]);
    assert_eq!(ground.end(&id).await.0, JobOutcome::Preempted);
}

/// F44, F80, F91: killed at its walltime, whatever the exit code says.
pub async fn f44_killed_at_its_walltime(ground: &Ground) {
    ground.mischief(&json!({"walltime_scale": 0.02, "kill_wait": 0.2}));
    let id = ground.submit("trap '' TERM USR2; while :; do sleep 0.1; done").await;
    assert_eq!(ground.end(&id).await.0, JobOutcome::Walltime);
}

/// F47, F48, F79: killed for its memory.
pub async fn f47_killed_for_its_memory(ground: &Ground) {
    let id = ground.submit("sleep 60").await;
    ground.running(&id).await;
    ground.control("memory", &id, &[]);
    assert_eq!(ground.end(&id).await.0, JobOutcome::Memory);
}

/// F9, F46, F96: what waits for something that time does not mend is blocked, not queued.
pub async fn f46_never_starts_is_blocked(ground: &Ground, reason: &str) {
    ground.mischief(&json!({"starts_nothing": true}));
    let id = ground.submit("true").await;
    ground.until(&id, "queued", |job| job.state == SchedulerState::Queued).await;
    ground.control("block", &id, &[reason]);
    ground.until(&id, "blocked", |job| job.state == SchedulerState::Blocked).await;
}

/// F52: ids wrap; the job that lives is the one that counts.
pub async fn f52_ids_wrap(ground: &Ground) {
    ground.mischief(&json!({"id_max": 1}));
    let first = ground.submit("true").await;
    ground.end(&first).await;
    let second = ground.submit("sleep 60").await;
    assert_eq!(first, second);
    ground.running(&second).await;
}

/// F83, F89: a job that the site moved to another queue stays in sight.
pub async fn f83_moved_to_another_queue(ground: &Ground) {
    let id = ground.submit("sleep 60").await;
    ground.running(&id).await;
    ground.control("move", &id, &["overflow"]);
    ground.running(&id).await;
}

/// A suspended job is neither running nor over.
pub async fn suspended(ground: &Ground) {
    let id = ground.submit("sleep 60").await;
    ground.running(&id).await;
    ground.control("suspend", &id, &[]);
    let job = ground.until(&id, "suspended", |job| job.state == SchedulerState::Suspended).await;
    assert_eq!(ended(&job.state), None);
    ground.control("resume", &id, &[]);
    ground.running(&id).await;
}
