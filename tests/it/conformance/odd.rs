//! Odd things that were seen on live schedulers: clients that submit twice, jobs of others in the listing, elements of held
//! and of deleted arrays, a history that began anew.

use jiff::{Timestamp, ToSpan};
use qcbatch::model::job::JobOutcome;
use qcbatch::permit::WithoutLease;
use qcbatch::scheduler::{
    ExitStatus, FindAnswer, PollAnswer, PostMortemAnswer, SchedulerState, SubmitAnswer,
};
use serde_json::json;

use super::ground::{Ground, ended};
use super::run;
use crate::harness::simulator::Dialect;

/// The client got no answer, sent its request again, printed the second id and ended with 0.
#[test]
fn a_client_that_submitted_twice_is_not_believed_and_both_jobs_are_found() {
    for dialect in [Dialect::Lsf, Dialect::Volclava, Dialect::Torque] {
        let ground = Ground::simulated(dialect);
        ground.mischief(&json!({"submits_twice": 1, "starts_nothing": true}));
        run(async {
            let request = ground.request(1, "true");
            let answer = ground.scheduler.submit(&request, &WithoutLease).await;
            assert!(matches!(answer, SubmitAnswer::Unclear { .. }), "{dialect:?}: {answer:?}");
            assert_eq!(ground.simulator().jobs().len(), 2, "{dialect:?}");
            let found = ground.scheduler.find_by_tag(&request.tag, Timestamp::now() - 5.minutes()).await;
            assert!(matches!(&found, FindAnswer::Known(ids) if ids.len() == 2), "{dialect:?}: {found:?}");
        });
    }
}

#[test]
fn jobs_of_others_that_cannot_be_read_take_no_listing_down() {
    for (dialect, lines) in [
        (
            Dialect::Volclava,
            "6        big[1-1001] user    1001   -1    0    0 1002     0     0     0\n\
             12      alice   RUN   normal     vm          vm          a  name (of [no] form)\n",
        ),
        (
            Dialect::Slurm,
            "12+0|13|12|N/A|A_NEW.STATE|N/A|N/A|0:00|None\nsluid9|9||N/A|RUNNING|N/A|N/A|0:00|None\n",
        ),
    ] {
        let ground = Ground::simulated(dialect);
        ground.mischief(&json!({"starts_nothing": true}));
        run(async {
            let id = ground.submit("true").await;
            ground.mischief(&json!({"starts_nothing": true, "listed_too": lines}));
            let jobs = ground.listing().await;
            assert_eq!(jobs[&id].state, SchedulerState::Queued, "{dialect:?}: {jobs:?}");
            // What may be one of ours is still no line to be passed over.
            let ours = lines.replace("a  name (of [no] form)", "qcb-01jd000000000000000000000a [");
            if ours != lines {
                ground.mischief(&json!({"starts_nothing": true, "listed_too": ours}));
                let answer = ground.scheduler.poll().await;
                assert!(matches!(answer, PollAnswer::Invalid { .. }), "{answer:?}");
            }
        });
    }
}

#[test]
fn elements_of_a_held_array_are_held() {
    for dialect in [Dialect::Pbs, Dialect::Torque] {
        let ground = Ground::simulated(dialect);
        ground.mischief(&json!({"starts_nothing": true}));
        run(async {
            let array =
                ground.accepted(ground.scheduler.submit(&ground.request(2, "true"), &WithoutLease).await);
            let element = ground.scheduler.element_id(&array, 1, 2);
            assert_eq!(ground.listing().await[&element].state, SchedulerState::Queued);
            ground.scheduler.hold(std::slice::from_ref(&array), &WithoutLease).await.unwrap();
            let held = ground.listing().await;
            assert_eq!(held[&element].state, SchedulerState::Blocked, "{dialect:?}: {held:?}");
            ground.scheduler.release(std::slice::from_ref(&array), &WithoutLease).await.unwrap();
            assert_eq!(ground.listing().await[&element].state, SchedulerState::Queued, "{dialect:?}");
        });
    }
}

/// Without a history the server shows an element that is over with its array's attributes, exit code included.
#[test]
fn an_element_without_a_history_has_no_exit_code_of_its_arrays() {
    let ground = Ground::simulated(Dialect::Pbs);
    ground.mischief(&json!({"no_accounting": true, "slots": 2, "kill_wait": 0.1}));
    run(async {
        let array =
            ground.accepted(ground.scheduler.submit(&ground.request(3, "sleep 60"), &WithoutLease).await);
        let elements: Vec<_> = (0..3).map(|index| ground.scheduler.element_id(&array, index, 3)).collect();
        ground.running(&elements[0]).await;
        ground.running(&elements[1]).await;
        ground.scheduler.cancel(&elements[..1], &WithoutLease).await.unwrap();
        let told = ground.until(&elements[0], "over", |job| ended(&job.state).is_some()).await;
        assert_eq!(ended(&told.state), Some(JobOutcome::Cancelled));
        assert_eq!(told.exit, ExitStatus::default(), "{told:?}");
    });
}

#[test]
fn the_history_is_asked_behind_the_beginning_of_its_newest_log() {
    for dialect in [Dialect::Lsf, Dialect::Volclava] {
        let ground = Ground::simulated(dialect);
        run(async {
            let id = ground.submit("exit 3").await;
            ground.end(&id).await;
            let later = Timestamp::now() + 1.hours();
            ground.mischief(&json!({"events_since": later.as_second()}));
            let books = ground.scheduler.post_mortem(std::slice::from_ref(&id)).await;
            let PostMortemAnswer::Known(jobs) = &books else { panic!("{dialect:?}: {books:?}") };
            assert_eq!(jobs[&id].exit.code, Some(3), "{dialect:?}");
        });
    }
}
