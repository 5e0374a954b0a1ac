//! Taking in: everything once, whole or not at all.

use qcbatch::model::calculation::Specification;
use qcbatch::model::task::Placement;
use qcbatch::store::StoreError;
use qcbatch::store::intake::{AddedRecord, Novelty, Reuse};

use crate::world::{World, optimization, record_of, singlepoint, take_lease, water, water_record};

fn novelties(added: &[AddedRecord]) -> Vec<Novelty> {
    added.iter().map(|added| added.novelty).collect()
}

#[tokio::test]
async fn identical_requests_are_one_record() {
    let world = World::new().await;
    let batch = vec![water_record(0), water_record(1), water_record(0)];
    let first = world.add(batch.clone()).await;
    assert_eq!(novelties(&first), [Novelty::New, Novelty::New, Novelty::Existing]);
    assert_eq!(first[0].record_id, first[2].record_id);
    let second = world.add(batch).await;
    assert_eq!(novelties(&second), [Novelty::Existing; 3]);
    assert_eq!(
        second.iter().map(|added| added.record_id).collect::<Vec<_>>(),
        [first[0].record_id, first[1].record_id, first[0].record_id]
    );
    assert_eq!(world.number("SELECT count(*) AS value FROM molecule").await, 2);
    assert_eq!(world.number("SELECT count(*) AS value FROM specification").await, 1);
    assert_eq!(world.number("SELECT count(*) AS value FROM demand").await, 1);
    assert_eq!(world.number("SELECT count(*) AS value FROM task WHERE available").await, 2);
}

#[tokio::test]
async fn duplicates_are_found_between_batches_of_one_intake() {
    let world = World::new().await;
    let mut intake = world.writer.begin_intake().await.unwrap();
    let first = intake.add(vec![water_record(0)]).await.unwrap();
    let second = intake.add(vec![water_record(0), water_record(1)]).await.unwrap();
    intake.commit().await.unwrap();
    assert_eq!(novelties(&second), [Novelty::Existing, Novelty::New]);
    assert_eq!(first[0].record_id, second[0].record_id);
}

#[tokio::test]
async fn a_stored_molecule_keeps_the_name_that_came_first() {
    let world = World::new().await;
    let named = |name: &str| {
        let mut document = serde_json::to_value(water(0)).unwrap();
        document["name"] = name.into();
        record_of(singlepoint("pm7"), serde_json::from_value(document).unwrap())
    };
    let added = world.add(vec![named("first"), named("second")]).await;
    assert_eq!(novelties(&added), [Novelty::New, Novelty::Existing], "the name is no part of the question");
    world.add(vec![named("third")]).await;
    let detail = world.store.detail(added[1].record_id).await.unwrap().unwrap();
    assert_eq!(detail.molecule["name"], "first");
}

#[tokio::test]
async fn always_new_is_always_new() {
    let world = World::new().await;
    let mut new = water_record(0);
    new.reuse = Reuse::AlwaysNew;
    let added = world.add(vec![new.clone(), new.clone(), water_record(0)]).await;
    assert_eq!(novelties(&added), [Novelty::New, Novelty::New, Novelty::Existing]);
    assert_ne!(added[0].record_id, added[1].record_id);
    assert_eq!(novelties(&world.add(vec![new]).await), [Novelty::New]);
    assert_eq!(world.number("SELECT count(*) AS value FROM molecule").await, 1);
}

#[tokio::test]
async fn types_and_methods_are_told_apart() {
    let world = World::new().await;
    let records = vec![
        record_of(singlepoint("pm7"), water(0)),
        record_of(singlepoint("pm6"), water(0)),
        record_of(optimization(), water(0)),
        record_of(optimization(), water(0)),
    ];
    let added = world.add(records).await;
    assert_eq!(novelties(&added), [Novelty::New, Novelty::New, Novelty::New, Novelty::Existing]);
    // Two single points, the optimization, and its gradients (driver `deferred`).
    assert_eq!(world.number("SELECT count(*) AS value FROM specification").await, 4);
    let programs = world
        .text(
            "SELECT string_agg(required_programs::text, ' ' ORDER BY required_programs) AS value FROM demand",
        )
        .await;
    assert_eq!(programs, "{geometric,mopac} {mopac}");
}

#[tokio::test]
async fn an_intake_that_is_not_committed_leaves_nothing() {
    let world = World::new().await;
    let mut intake = world.writer.begin_intake().await.unwrap();
    intake.add((0..10).map(water_record).collect()).await.unwrap();
    drop(intake);
    let mut intake = world.writer.begin_intake().await.unwrap();
    intake.add((0..10).map(water_record).collect()).await.unwrap();
    intake.roll_back().await.unwrap();
    for table in ["record", "task", "molecule", "specification", "demand", "record_count"] {
        assert_eq!(world.number(&format!("SELECT count(*) AS value FROM {table}")).await, 0, "{table}");
    }
    assert_eq!(novelties(&world.add(vec![water_record(0)]).await), [Novelty::New]);
}

#[tokio::test]
async fn a_daemon_that_lost_its_lease_takes_nothing_in() {
    let world = World::new().await;
    let stale = world.writer.clone();
    take_lease(&world.store).await;
    assert!(matches!(stale.begin_intake().await, Err(StoreError::LeaseLost { .. })));
    // The connection is still good for others.
    assert_eq!(world.number("SELECT count(*) AS value FROM record").await, 0);
}

#[tokio::test]
async fn what_was_asked_is_what_is_staged() {
    let world = World::new().await;
    let mut asked = record_of(optimization(), water(3));
    asked.calculation.extras.insert("note".to_owned(), "mine".into());
    let Specification::Optimization(part) = &mut asked.calculation.specification else { unreachable!() };
    part.keywords.insert("maxiter".to_owned(), 12.into());
    part.qc_specification
        .keywords
        .insert("nested".to_owned(), serde_json::json!({"a": [1.5, null, "\u{e5}"]}));
    world.add(vec![asked.clone()]).await;
    let jobs = world.run_all(1).await;
    assert_eq!(jobs[0].1[0].calculation, asked.calculation);
}

#[tokio::test]
async fn a_waiting_record_gets_a_job_of_its_own_when_that_is_asked_for() {
    let world = World::new().await;
    world.add(vec![water_record(0), water_record(1)]).await;
    let mut now = water_record(0);
    now.placement = Placement::Dedicated;
    assert_eq!(novelties(&world.add(vec![now]).await), [Novelty::Existing]);
    let dedicated = "SELECT count(*) AS value FROM task WHERE placement = 'dedicated'";
    assert_eq!(world.number(dedicated).await, 1);
}

/// A client that hangs up in the middle drops the intake: the next one must not wait until the server ends it.
#[tokio::test]
async fn a_dropped_intake_frees_its_lock() {
    let world = World::new().await;
    let mut abandoned = world.writer.begin_intake().await.unwrap();
    abandoned.add(vec![water_record(0)]).await.unwrap();
    drop(abandoned);
    world.add(vec![water_record(1)]).await;
    assert_eq!(world.number("SELECT count(*) AS value FROM record").await, 1);
    let ended = "SELECT count(*) AS value FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'idle in transaction'";
    assert_eq!(world.number(ended).await, 0);
}
