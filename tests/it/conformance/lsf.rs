//! What only LSF and its relatives do, on the simulator: units, forms, reasons, hosts that cannot be reached.

use qcbatch::model::ids::SchedulerJobId;
use qcbatch::model::job::JobOutcome;
use qcbatch::permit::WithoutLease;
use qcbatch::scheduler::{PostMortemAnswer, SchedulerState};
use serde_json::json;

use super::ground::{CORES, Ground, ended};
use super::run;
use crate::harness::simulator::Dialect;

/// F90: the memory that is asked for arrives, whatever the unit of the site, and whoever reads it.
#[test]
fn f90_memory_arrives_whatever_the_unit() {
    let ground = Ground::simulated(Dialect::Lsf);
    run(async {
        for (product, unit) in [
            ("LSF 10.1.0.9", None),
            ("LSF 10.1.0.9", Some("GB")),
            ("LSF 9.1.3.0", None),
            ("LSF 9.1.3.0", Some("MB")),
            ("LSF 9.1.3.0", Some("GB")),
            ("openlava 4.0", None),
            ("volclava 2.2", None),
        ] {
            let mut mischief = json!({"product": product, "starts_nothing": true});
            if let Some(unit) = unit {
                mischief["limit_unit"] = json!(unit);
            }
            ground.mischief(&mischief);
            ground.scheduler.probe().await.unwrap();
            let request = ground.request_with(1, "true", |resources| resources.memory_bytes = Some(4 << 30));
            ground.accepted(ground.scheduler.submit(&request, &WithoutLease).await);
            let jobs = ground.simulator().jobs();
            assert_eq!(jobs.last().unwrap()["memory_mib"].as_f64(), Some(4096.0), "{product} {unit:?}");
        }
    });
}

/// F92: JSON, columns or a bare table: the probe finds which, and each tells how a job ended.
#[test]
fn f92_every_form_tells_how_a_job_ended() {
    let ground = Ground::simulated(Dialect::Lsf);
    run(async {
        for product in ["LSF 10.1.0.9", "LSF 9.1.3.0", "openlava 4.0"] {
            ground.mischief(&json!({"product": product}));
            ground.scheduler.probe().await.unwrap();
            let id = ground.submit("exit 3").await;
            let (outcome, exit) = ground.end(&id).await;
            assert_eq!((outcome, exit.code), (JobOutcome::Failed, Some(3)), "{product}");
        }
    });
}

/// F91: cancelled, over its memory, preempted: one exit code, told apart by the reason.
#[test]
fn f91_one_exit_code_several_reasons() {
    let ground = Ground::simulated(Dialect::Lsf);
    run(async {
        for (verb, expected) in [
            ("cancel", JobOutcome::Cancelled),
            ("memory", JobOutcome::Memory),
            ("preempt", JobOutcome::Preempted),
        ] {
            let id = ground.submit("sleep 60").await;
            ground.running(&id).await;
            ground.control(verb, &id, &[]);
            let (outcome, exit) = ground.end(&id).await;
            assert_eq!((outcome, exit.code), (expected, Some(130)), "{verb}");
        }
    });
}

/// F91: where no reason is told, the signal that is sent at the walltime tells it.
#[test]
fn f91_walltime_without_a_reason() {
    let ground = Ground::simulated(Dialect::Volclava);
    run(async {
        ground.mischief(&json!({"walltime_scale": 0.02}));
        let id = ground.submit("sleep 60").await;
        let (outcome, exit) = ground.end(&id).await;
        assert_eq!((outcome, exit.code), (JobOutcome::Walltime, Some(140)));
    });
}

/// F94: nobody reaches the host: the job is not over, in no book either, and comes back.
#[test]
fn f94_unreachable_host_is_no_end() {
    for dialect in [Dialect::Lsf, Dialect::Volclava] {
        let ground = Ground::simulated(dialect);
        run(async {
            let id = ground.submit("sleep 60").await;
            ground.running(&id).await;
            ground.control("unreachable", &id, &[]);
            until_word(&ground, &id, "UNKWN").await;
            let books = ground.scheduler.post_mortem(std::slice::from_ref(&id)).await;
            if let PostMortemAnswer::Known(books) = &books {
                assert!(books.values().all(|job| job.outcome().is_none()), "{books:?}");
            }
            ground.control("reachable", &id, &[]);
            ground.running(&id).await;
        });
    }
}

/// F94: a job cancelled on such a host is a zombie until the host is back.
#[test]
fn f94_zombie_is_no_end() {
    let ground = Ground::simulated(Dialect::Lsf);
    run(async {
        let id = ground.submit("sleep 60").await;
        ground.running(&id).await;
        ground.control("unreachable", &id, &[]);
        ground.scheduler.cancel(std::slice::from_ref(&id), &WithoutLease).await.unwrap();
        until_word(&ground, &id, "ZOMBI").await;
        ground.control("reachable", &id, &[]);
        assert_eq!(ground.end(&id).await.0, JobOutcome::Cancelled);
    });
}

async fn until_word(ground: &Ground, id: &SchedulerJobId, word: &str) {
    let job = ground.until(id, word, |job| job.state == SchedulerState::Unrecognised(word.to_owned())).await;
    assert_eq!(ended(&job.state), None);
}

/// Whole arrays, and jobs on a host that cannot be reached, are cancelled although the command ends with an error.
#[test]
fn a_cancel_in_progress_is_done() {
    let ground = Ground::simulated(Dialect::Volclava);
    run(async {
        let filler = ground.request_with(1, "sleep 60", |resources| resources.cores = CORES);
        let filler = ground.accepted(ground.scheduler.submit(&filler, &WithoutLease).await);
        ground.running(&filler).await;
        let array =
            ground.accepted(ground.scheduler.submit(&ground.request(3, "sleep 60"), &WithoutLease).await);
        ground.scheduler.cancel(std::slice::from_ref(&array), &WithoutLease).await.unwrap();
        for index in 0..3 {
            ground.cancelled(&ground.scheduler.element_id(&array, index, 3)).await;
        }
    });
}
