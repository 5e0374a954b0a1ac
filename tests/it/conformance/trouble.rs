//! Scenarios of what goes wrong, on the simulator: the engine never takes doubt for an answer. Numbers are those of docs/failures.md.

use std::fs;
use std::time::Duration;

use jiff::{Timestamp, ToSpan};
use qcbatch::model::ids::{SchedulerJobId, Tag};
use qcbatch::model::job::JobOutcome;
use qcbatch::permit::WithoutLease;
use qcbatch::scheduler::{FindAnswer, PollAnswer, PostMortemAnswer, Refusal, SchedulerState, SubmitAnswer};
use serde_json::json;

use super::ground::{Ground, ended};

/// F1, F2, F99: accepted, but the answer was lost; the tag tells.
pub async fn f01_lost_answer_is_found_by_tag(ground: &Ground) {
    ground.mischief(&json!({"answer_lost": 1}));
    let request = ground.request(1, "true");
    let answer = ground.scheduler.submit(&request, &WithoutLease).await;
    assert!(matches!(answer, SubmitAnswer::Unclear { .. }), "{answer:?}");
    let since = Timestamp::now() - 5.minutes();
    let FindAnswer::Known(ids) = ground.scheduler.find_by_tag(&request.tag, since).await else {
        panic!("it was accepted")
    };
    assert_eq!(ids.len(), 1);
    assert_eq!(ground.end(&ids[0]).await.0, JobOutcome::Completed);
}

/// F7: accepted, but only a banner came; that is no refusal either. A banner before the id does not hide it, nor does a complaint.
pub async fn f07_unreadable_id_is_unclear(ground: &Ground) {
    ground.mischief(&json!({"id_unreadable": 1}));
    let request = ground.request(1, "true");
    let answer = ground.scheduler.submit(&request, &WithoutLease).await;
    assert!(matches!(answer, SubmitAnswer::Unclear { .. }), "{answer:?}");
    let since = Timestamp::now() - 5.minutes();
    let found = ground.scheduler.find_by_tag(&request.tag, since).await;
    assert!(matches!(&found, FindAnswer::Known(ids) if ids.len() == 1), "{found:?}");
    ground.mischief(&json!({"banner": "*** 13 nodes are down ***\n"}));
    let behind_banner = ground.submit("true").await;
    ground.mischief(&json!({"complains": "*** 13 nodes are down ***\n"}));
    let behind_complaint = ground.submit("true").await;
    ground.mischief(&json!({"banner": "*** 13 nodes are down ***\n"}));
    let answer = ground.scheduler.poll().await;
    if let (PollAnswer::Valid { jobs, .. }, FindAnswer::Known(first)) = (&answer, &found) {
        let mut ids = jobs.keys();
        let ours = |id| first.contains(id) || [&behind_banner, &behind_complaint].contains(&id);
        assert!(ids.all(ours), "a banner is no job: {jobs:?}");
    }
    ground.mischief(&json!({}));
    for id in [behind_banner, behind_complaint] {
        assert_eq!(ground.end(&id).await.0, JobOutcome::Completed);
    }
}

/// F16: the longest tag is a name that comes back whole.
pub async fn f16_tags_are_names_that_come_back_whole(ground: &Ground) {
    let mut request = ground.request(3, "true");
    request.tag = Tag::new((1 << 48) - 1, u128::MAX);
    let id = ground.accepted(ground.scheduler.submit(&request, &WithoutLease).await);
    let since = Timestamp::now() - 5.minutes();
    assert_eq!(ground.scheduler.find_by_tag(&request.tag, since).await, FindAnswer::Known(vec![id]));
    assert!(ground.simulator().jobs().iter().all(|job| job["name"] == request.tag.as_str()));
}

/// F18, F19: accepted, but the command never returned and was killed; the tag tells.
pub async fn f19_killed_client_is_found_by_tag(ground: &Ground) {
    ground.mischief(&json!({"hangs_after_accepting": 1}));
    let request = ground.request(1, "true");
    let answer = ground.scheduler.submit(&request, &WithoutLease).await;
    assert!(matches!(answer, SubmitAnswer::Unclear { .. }), "{answer:?}");
    let since = Timestamp::now() - 5.minutes();
    let found = ground.scheduler.find_by_tag(&request.tag, since).await;
    assert!(matches!(&found, FindAnswer::Known(ids) if ids.len() == 1), "{found:?}");
}

/// F10, F15: a limit, a server that cannot now, and what will never be are told apart; nothing was taken.
pub async fn f15_refusals_are_told_apart(ground: &Ground) {
    use Refusal::{Limit, Permanent, Transient};
    for (refusal, wanted) in
        [("limit", Limit), ("policy", Permanent), ("queue", Permanent), ("busy", Transient)]
    {
        ground.mischief(&json!({"refuses": 1, "refusal": refusal}));
        let answer = ground.scheduler.submit(&ground.request(1, "true"), &WithoutLease).await;
        match &answer {
            SubmitAnswer::Refused { kind, .. } => assert_eq!(*kind, wanted, "{refusal}: {answer:?}"),
            // Where the words leave open whether the job was taken.
            other => assert!(
                refusal == "busy" && matches!(other, SubmitAnswer::Unclear { .. }),
                "{refusal}: {other:?}"
            ),
        }
    }
    assert!(ground.simulator().jobs().is_empty());
}

/// F40: as many calls for many jobs as for one.
pub async fn f40_as_many_calls_for_many_jobs_as_for_one(ground: &Ground) {
    // The fewest of some tries: a slow machine may have one poll that takes too long and is repeated.
    let asking_costs = async |ids: &[SchedulerJobId]| {
        let mut fewest = None;
        for _ in 0..3 {
            let before = ground.simulator().all_calls();
            ground.listing().await;
            ground.scheduler.post_mortem(ids).await;
            let calls = ground.simulator().all_calls() - before;
            fewest = Some(fewest.map_or(calls, |fewest| calls.min(fewest)));
        }
        fewest
    };
    let one = ground.submit("true").await;
    let for_one = asking_costs(std::slice::from_ref(&one)).await;
    let mut ids = vec![one];
    for _ in 0..3 {
        let submission =
            ground.accepted(ground.scheduler.submit(&ground.request(8, "true"), &WithoutLease).await);
        ids.extend((0..8).map(|index| ground.scheduler.element_id(&submission, index, 8)));
    }
    assert_eq!(asking_costs(&ids).await, for_one);
}

/// F10, F82: a limit on jobs is a limit, not a failure; the same call works when there is room.
pub async fn f10_limit_is_not_failure(ground: &Ground) {
    ground.mischief(&json!({"submit_limit": 1}));
    let first = ground.submit("sleep 60").await;
    let request = ground.request(1, "true");
    let answer = ground.scheduler.submit(&request, &WithoutLease).await;
    assert!(matches!(answer, SubmitAnswer::Refused { kind: Refusal::Limit, .. }), "{answer:?}");
    ground.scheduler.cancel(std::slice::from_ref(&first), &WithoutLease).await.unwrap();
    ground.end(&first).await;
    ground.accepted(ground.scheduler.submit(&request, &WithoutLease).await);
}

/// F20, F84: a scheduler that is away says nothing about any job.
pub async fn f20_away_is_no_answer(ground: &Ground) {
    let id = ground.submit("sleep 60").await;
    ground.running(&id).await;
    ground.mischief(&json!({"down": true}));
    let request = ground.request(1, "true");
    let answer = ground.scheduler.submit(&request, &WithoutLease).await;
    let not_now = matches!(
        answer,
        SubmitAnswer::Refused { kind: Refusal::Transient, .. } | SubmitAnswer::Unclear { .. }
    );
    assert!(not_now, "{answer:?}");
    assert!(matches!(ground.scheduler.poll().await, PollAnswer::Invalid { .. }));
    let found = ground.scheduler.find_by_tag(&request.tag, Timestamp::now() - 5.minutes()).await;
    assert!(matches!(found, FindAnswer::Unanswered { .. }), "{found:?}");
    // LSF's books are files that can be read without it.
    if let PostMortemAnswer::Known(books) = ground.scheduler.post_mortem(std::slice::from_ref(&id)).await {
        assert!(books.values().all(|job| job.outcome().is_none()), "{books:?}");
    }
    ground.scheduler.cancel(std::slice::from_ref(&id), &WithoutLease).await.unwrap_err();
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

/// F87: the list forgets what ended long ago; the books still tell how.
pub async fn f87_gone_from_the_list_and_in_the_books(ground: &Ground) {
    let id = ground.submit("exit 3").await;
    ground.end(&id).await;
    ground.control("age", &id, &["7200"]);
    let jobs = ground.listing().await;
    assert!(!jobs.contains_key(&id), "{jobs:?}");
    let PostMortemAnswer::Known(books) = ground.scheduler.post_mortem(std::slice::from_ref(&id)).await else {
        panic!("the books are kept")
    };
    assert_eq!((books[&id].outcome(), books[&id].exit.code), (Some(JobOutcome::Failed), Some(3)));
}

/// F88: what ended is listed too, although the command hides it when it is asked in the plainest way.
pub async fn f88_what_ended_is_listed(ground: &Ground) {
    let id = ground.submit("true").await;
    ground.until(&id, "over", |job| ended(&job.state) == Some(JobOutcome::Completed)).await;
}

/// F95: an ended job has left the list and is not in the books yet; that is neither a failure nor an end.
pub async fn f95_books_come_later_than_the_end(ground: &Ground) {
    ground.mischief(&json!({"books_late": true}));
    let id = ground.submit("true").await;
    while ground.listing().await.contains_key(&id) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answer = ground.scheduler.post_mortem(std::slice::from_ref(&id)).await;
    assert!(matches!(&answer, PostMortemAnswer::Known(books) if books.is_empty()), "{answer:?}");
    ground.mischief(&json!({}));
    assert_eq!(ground.end(&id).await.0, JobOutcome::Completed);
}

/// F41, F42: a job that was requeued is not over; it ends once, after its second run.
pub async fn f41_requeued_is_not_over(ground: &Ground) {
    for verb in ["requeue", "requeue-preempted", "requeue-node-failure"] {
        let request = ground.request(1, "if [ -e ran ]; then exit 0; fi; touch ran; sleep 60");
        let id = ground.accepted(ground.scheduler.submit(&request, &WithoutLease).await);
        // Else a second run would take itself for the first.
        while !request.directory.join("ran").exists() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        ground.running(&id).await;
        ground.control(verb, &id, &[]);
        let (outcome, _) = ground.end(&id).await;
        assert_eq!(outcome, JobOutcome::Completed, "{verb}");
        let runs: Vec<i64> =
            ground.simulator().jobs().iter().filter_map(|job| job["runs"].as_i64()).collect();
        assert_eq!(runs.last(), Some(&2), "{verb}: it ran twice");
    }
}

/// F43: taken off for another job.
pub async fn f43_preempted(ground: &Ground) {
    let id = ground.submit("sleep 60").await;
    ground.running(&id).await;
    ground.control("preempt", &id, &[]);
    assert_eq!(ground.end(&id).await.0, JobOutcome::Preempted);
}

/// F44, F80: killed at its walltime, whatever the exit code says.
pub async fn f44_killed_at_its_walltime(ground: &Ground) {
    ground.mischief(&json!({"walltime_scale": 0.02, "kill_wait": 0.2}));
    let id = ground.submit("trap '' TERM USR2; while :; do sleep 0.1; done").await;
    assert_eq!(ground.end(&id).await.0, JobOutcome::Walltime);
}

/// A job hears of the end of its walltime in time to end by itself.
pub async fn warned_before_its_walltime(ground: &Ground) {
    ground.mischief(&json!({"walltime_scale": 0.005}));
    let body = "trap 'touch warned; exit 0' USR2; while :; do sleep 0.1; done";
    let mut request = ground.request_with(1, body, |resources| resources.walltime = Duration::from_secs(600));
    request.warning = Duration::from_secs(300);
    ground.write_script(&request, body);
    let id = ground.accepted(ground.scheduler.submit(&request, &WithoutLease).await);
    assert_eq!(ground.end(&id).await.0, JobOutcome::Completed);
    assert!(request.directory.join("warned").exists());
}

/// F47, F48, F79: killed for its memory.
pub async fn f47_killed_for_its_memory(ground: &Ground) {
    let request = ground.request_with(1, "sleep 60", |resources| resources.memory_bytes = Some(1 << 30));
    let id = ground.accepted(ground.scheduler.submit(&request, &WithoutLease).await);
    ground.running(&id).await;
    ground.control("memory", &id, &[]);
    assert_eq!(ground.end(&id).await.0, JobOutcome::Memory);
}

/// F9, F46, F96: what waits for something that time does not mend is blocked, not queued.
pub async fn f46_never_starts_is_blocked(ground: &Ground, reason: &str) {
    ground.mischief(&json!({"starts_nothing": true}));
    let id = ground.submit("true").await;
    ground.until(&id, "queued", |job| job.state == SchedulerState::Queued).await;
    // F98: waiting jobs have no queue in some lists, and count all the same.
    let answer = ground.scheduler.poll().await;
    assert!(matches!(answer, PollAnswer::Valid { listed_all_users_jobs: 1, .. }), "{answer:?}");
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

/// F96: a job that could not be started, here for want of its directory, stands there for ever.
pub async fn f96_error_state_is_blocked(ground: &Ground) {
    ground.mischief(&json!({"starts_nothing": true}));
    let request = ground.request(1, "true");
    let id = ground.accepted(ground.scheduler.submit(&request, &WithoutLease).await);
    fs::remove_dir_all(&request.directory).unwrap();
    ground.mischief(&json!({}));
    ground.until(&id, "blocked", |job| job.state == SchedulerState::Blocked).await;
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
