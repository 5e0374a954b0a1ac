//! Scenarios of an ordinary life, for every scheduler: submit, find, follow, end, cancel, hold.

use std::fs;

use jiff::{Timestamp, ToSpan};
use qcbatch::model::ids::SchedulerJobId;
use qcbatch::model::job::JobOutcome;
use qcbatch::permit::WithoutLease;
use qcbatch::scheduler::{FindAnswer, Refusal, SchedulerState, SubmitAnswer};

use super::ground::Ground;

/// It answers what it is, and can be asked for its limits.
pub async fn probe_and_limits(ground: &Ground) {
    let capabilities = ground.scheduler.probe().await.unwrap();
    assert!(capabilities.version.is_some(), "{capabilities:?}");
    ground.scheduler.alive().await.unwrap();
    ground.scheduler.limits().await.unwrap();
    let untold = ground.scheduler.learn_limits().await;
    assert!(untold.is_empty(), "{untold:?}");
}

/// A job is accepted, found by its tag, listed while it lives, and ends well.
pub async fn single_job(ground: &Ground) {
    let since = Timestamp::now() - 5.minutes();
    let own_id = ground.scheduler.script_facts().job_id.clone().expect("jobs know their ids");
    let body = format!("echo {own_id} > id; until [ -e go ]; do sleep 0.1; done; echo done > result");
    let request = ground.request(1, &body);
    assert_eq!(ground.scheduler.find_by_tag(&request.tag, since).await, FindAnswer::NotKnown);
    let id = ground.accepted(ground.scheduler.submit(&request, &WithoutLease).await);
    assert_eq!(ground.scheduler.find_by_tag(&request.tag, since).await, FindAnswer::Known(vec![id.clone()]));
    ground.running(&id).await;
    fs::write(request.directory.join("go"), "").unwrap();
    let (outcome, exit) = ground.end(&id).await;
    assert_eq!(outcome, JobOutcome::Completed);
    assert!(matches!(exit.code, None | Some(0)) && exit.signal.is_none(), "{exit:?}");
    assert_eq!(
        fs::read_to_string(request.directory.join("result")).unwrap(),
        "done\n",
        "it ran where it should"
    );
    assert_eq!(fs::read_to_string(request.directory.join("id")).unwrap().trim(), id.0, "it knows its id");
    assert_eq!(ground.scheduler.find_by_tag(&request.tag, since).await, FindAnswer::Known(vec![id]));
}

/// The elements of an array have ids of their own, know their index, and end each in its way.
pub async fn array(ground: &Ground) {
    let index = ground.scheduler.script_facts().array_index_variable.clone().expect("arrays have indexes");
    let first = ground.scheduler.script_facts().first_array_index;
    let own_id = ground.scheduler.script_facts().job_id.clone().expect("jobs know their ids");
    let body = format!("i=$(( ${index} - {first} )); echo $i > result-$i; echo {own_id} > id-$i; exit $i");
    let request = ground.request(3, &body);
    let id = ground.accepted(ground.scheduler.submit(&request, &WithoutLease).await);
    let since = Timestamp::now() - 5.minutes();
    assert_eq!(ground.scheduler.find_by_tag(&request.tag, since).await, FindAnswer::Known(vec![id.clone()]));
    for index in 0..3_u32 {
        let element = ground.scheduler.element_id(&id, index, 3);
        assert_eq!(ground.scheduler.submission_id(&element, index, 3), Some(id.clone()));
        let (outcome, exit) = ground.end(&element).await;
        let expected = if index == 0 { JobOutcome::Completed } else { JobOutcome::Failed };
        assert_eq!(outcome, expected, "{element}");
        let code = i32::try_from(index).unwrap();
        assert!(exit.code.is_none_or(|found| found == code), "{element}: {exit:?}");
        assert_eq!(
            fs::read_to_string(request.directory.join(format!("result-{index}"))).unwrap(),
            format!("{index}\n")
        );
        let own = fs::read_to_string(request.directory.join(format!("id-{index}"))).unwrap();
        assert_eq!(own.trim(), element.0, "it knows its id");
    }
}

/// Exit codes and signals arrive, as far as the scheduler tells any.
pub async fn exits(ground: &Ground) {
    let failed = ground.submit("exit 3").await;
    let killed = ground.submit("kill -9 $$").await;
    let (outcome, exit) = ground.end(&failed).await;
    assert_eq!(outcome, JobOutcome::Failed);
    assert!(matches!(exit.code, None | Some(3)), "{exit:?}");
    let (outcome, exit) = ground.end(&killed).await;
    // Slurm takes a script killed at once for one that was never launched; Grid Engine does not tell who killed it.
    use JobOutcome::{Cancelled, Failed, Memory, NodeFailure};
    assert!(matches!(outcome, Failed | NodeFailure | Memory | Cancelled), "{outcome:?}");
    let told = exit.signal.is_some() || exit.code.is_some();
    assert!(!told || exit.signal == Some(9) || exit.code == Some(137), "{exit:?}");
}

/// Jobs that run or wait can be cancelled; cancelling what is over or unknown is no error.
pub async fn cancel(ground: &Ground) {
    let running = ground.fill().await;
    let waiting = ground.submit("sleep 60").await;
    ground.until(&waiting, "listed", |_| true).await;
    ground.scheduler.cancel(&[waiting.clone(), running.clone()], &WithoutLease).await.unwrap();
    ground.cancelled(&waiting).await;
    assert_eq!(ground.end(&running).await.0, JobOutcome::Cancelled);
    ground.scheduler.cancel(&[waiting], &WithoutLease).await.unwrap();
}

/// A held job waits when there is room, and runs when it is released.
pub async fn hold_and_release(ground: &Ground) {
    let filler = ground.fill().await;
    let id = ground.submit("true").await;
    ground.until(&id, "queued", |job| job.state == SchedulerState::Queued).await;
    let only: &[SchedulerJobId] = std::slice::from_ref(&id);
    ground.scheduler.hold(only, &WithoutLease).await.unwrap();
    ground.until(&id, "blocked", |job| job.state == SchedulerState::Blocked).await;
    ground.scheduler.cancel(std::slice::from_ref(&filler), &WithoutLease).await.unwrap();
    ground.end(&filler).await;
    ground.until(&id, "still blocked", |job| job.state == SchedulerState::Blocked).await;
    ground.scheduler.release(only, &WithoutLease).await.unwrap();
    assert_eq!(ground.end(&id).await.0, JobOutcome::Completed);
}

/// What can never run is refused for good.
pub async fn impossible_is_refused(ground: &Ground) {
    let request = ground.request_with(1, "true", |resources| resources.queue = Some("nowhere".to_owned()));
    let answer = ground.scheduler.submit(&request, &WithoutLease).await;
    assert!(matches!(answer, SubmitAnswer::Refused { kind: Refusal::Permanent, .. }), "{answer:?}");
    let since = Timestamp::now() - 5.minutes();
    assert_eq!(ground.scheduler.find_by_tag(&request.tag, since).await, FindAnswer::NotKnown);
}
