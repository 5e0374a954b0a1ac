//! Optimizations go on from where the last attempt was stopped, unless it failed where it was.

use qcbatch::model::failure::FailureClass;
use qcbatch::model::ids::JobId;
use qcbatch::model::job::JobOutcome;
use qcbatch::model::task::{Progress, RESTART_EXTRA, TaskReport};
use qcbatch::store::ingest::{IngestOutcome, Stored};
use qcbatch::store::release::{Charge, Charged, JobEnd};
use serde_json::json;

use crate::world::{World, bad, decide, optimization, record_of, underway, water};

const FARTHER: [f64; 9] = [0.0, 0.0, 0.2, 0.0, 1.5, -0.9, 0.0, -1.5, -0.9];

fn progress(gradients: u32) -> Progress {
    let mut geometry = FARTHER.to_vec();
    geometry[2] += f64::from(gradients) / 8.0;
    Progress { geometry, energy: Some(-0.5), gradients }
}

async fn ingest(world: &World, job: JobId, from: u64, reports: Vec<TaskReport>) -> Stored {
    match world.writer.ingest(job, from, from + 1, reports, &decide).await.unwrap() {
        IngestOutcome::Stored(stored) => stored,
        moved => panic!("{moved:?}"),
    }
}

fn lost(id: JobId) -> JobEnd {
    JobEnd {
        id,
        outcome: JobOutcome::Walltime,
        exit_code: None,
        signal: None,
        reason: None,
        hostname: None,
        charge: Charge::Failure(FailureClass::Infrastructure),
        charged: Charged::All,
        chunks: vec![],
    }
}

#[tokio::test]
async fn the_next_attempt_begins_where_the_last_one_was_and_the_record_stays() {
    let world = World::new().await;
    let id = world.add(vec![record_of(optimization(), water(0))]).await[0].record_id;
    let first = world.run_all(1).await.remove(0);
    let (job, task) = (first.0, &first.1[0]);
    let told = vec![underway(job, task, progress(2)), underway(job, task, progress(5))];
    assert_eq!(ingest(&world, job, 0, told).await, Stored::default());
    assert_eq!(world.status_of(id).await, "running");
    assert_eq!(world.number("SELECT count(*) AS value FROM compute_history").await, 0, "nothing has ended");
    world.writer.end_job(lost(job), &decide).await.unwrap();

    let second = world.run_all(1).await.remove(0);
    let calculation = &second.1[0].calculation;
    assert_eq!(calculation.molecule.geometry(), progress(5).geometry);
    assert_eq!(calculation.extras[RESTART_EXTRA], json!({"attempt": 0, "gradients": 5, "energy": -0.5}));
    let detail = world.store.detail(id).await.unwrap().unwrap();
    assert_eq!(detail.molecule["geometry"], json!(water(0).geometry()), "what was asked stays");
    assert!(detail.extras.is_empty());

    // A word of the first attempt that comes late is of no use.
    ingest(&world, job, 1, vec![underway(job, task, progress(6))]).await;
    world.writer.end_job(lost(second.0), &decide).await.unwrap();
    let third = world.run_all(1).await.remove(0);
    assert_eq!(third.1[0].calculation.molecule.geometry(), progress(5).geometry);
}

#[tokio::test]
async fn an_attempt_that_failed_of_itself_is_followed_by_one_that_begins_anew() {
    for (class, goes_on) in [
        (FailureClass::Walltime, true),
        (FailureClass::Memory, true),
        (FailureClass::Program, false),
        (FailureClass::Convergence, false),
    ] {
        for together in [true, false] {
            let world = World::new().await;
            world.add(vec![record_of(optimization(), water(0))]).await;
            let first = world.run_all(1).await.remove(0);
            let (job, task) = (first.0, &first.1[0]);
            let (told, failed) = (underway(job, task, progress(3)), bad(job, task, class));
            if together {
                ingest(&world, job, 0, vec![told, failed]).await;
            } else {
                ingest(&world, job, 0, vec![told]).await;
                ingest(&world, job, 1, vec![failed]).await;
            }
            let second = world.run_all(1).await.remove(0);
            let geometry = second.1[0].calculation.molecule.geometry();
            let expected = if goes_on { progress(3).geometry } else { water(0).geometry().to_vec() };
            assert_eq!(geometry, expected, "{class:?}, together: {together}");
        }
    }
}
