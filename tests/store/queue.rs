//! The queue: the right tasks in the right order, each handed out once.

use qcbatch::model::ids::{PoolName, TaskId};
use qcbatch::model::resources::TaskResources;
use qcbatch::store::queue::CandidateFilter;

use crate::world::{World, any_pool, optimization, planned, record_of, singlepoint, water, water_record};

async fn found(world: &World, filter: &CandidateFilter) -> Vec<i64> {
    world.store.candidates(filter, 100).await.unwrap().iter().map(|task| task.record_id.0).collect()
}

#[tokio::test]
async fn priority_goes_before_age() {
    let world = World::new().await;
    let mut records: Vec<_> = (0..4).map(water_record).collect();
    records[1].compute_priority = 0;
    records[3].compute_priority = 2;
    let ids: Vec<i64> = world.add(records).await.iter().map(|added| added.record_id.0).collect();
    assert_eq!(found(&world, &any_pool("alpha")).await, [ids[3], ids[0], ids[2], ids[1]]);
    let first = world.store.candidates(&any_pool("alpha"), 2).await.unwrap();
    assert_eq!(first.iter().map(|task| task.record_id.0).collect::<Vec<_>>(), [ids[3], ids[0]]);
    // An older one comes first, also when it needs other programs.
    world
        .execute(&format!(
            "UPDATE task SET sort_date = now() - interval '1 day' WHERE record_id = {}",
            ids[2]
        ))
        .await;
    assert_eq!(found(&world, &any_pool("alpha")).await, [ids[3], ids[2], ids[0], ids[1]]);
}

#[tokio::test]
async fn a_pool_gets_what_it_can_run() {
    let world = World::new().await;
    let mut records = vec![
        record_of(singlepoint("pm7"), water(0)),
        record_of(optimization(), water(1)),
        record_of(singlepoint("pm7"), water(2)),
        record_of(singlepoint("pm7"), water(3)),
        record_of(singlepoint("pm7"), water(4)),
    ];
    records[2].compute_tag = "special".to_owned();
    records[3].pool = Some(PoolName("beta".to_owned()));
    records[4].resources.memory_bytes = Some(8 << 30);
    let ids: Vec<i64> = world.add(records).await.iter().map(|added| added.record_id.0).collect();

    let mut filter = any_pool("alpha");
    assert_eq!(found(&world, &filter).await, [ids[0], ids[1], ids[2], ids[4]]);
    assert_eq!(found(&world, &any_pool("beta")).await, ids);
    filter.programs = Some(vec!["mopac".to_owned(), "psi4".to_owned()]);
    assert_eq!(found(&world, &filter).await, [ids[0], ids[2], ids[4]]);
    filter.compute_tags = vec!["other".to_owned()];
    assert_eq!(found(&world, &filter).await, [ids[0], ids[4]], "the tag `*` of a task fits every pool");
    filter.compute_tags = vec!["other".to_owned(), "special".to_owned()];
    filter.most = TaskResources { memory_bytes: Some(4 << 30), ..TaskResources::default() };
    assert_eq!(found(&world, &filter).await, [ids[0], ids[2]]);
    filter.defaults = TaskResources { memory_bytes: Some(5 << 30), ..TaskResources::default() };
    assert_eq!(found(&world, &filter).await, [0i64; 0]);
    let asks = &world.store.candidates(&any_pool("alpha"), 9).await.unwrap()[3].resources;
    assert_eq!(asks.memory_bytes, Some(8 << 30));
}

#[tokio::test]
async fn a_task_that_asks_for_gpus_goes_where_there_are_so_many() {
    let world = World::new().await;
    let mut records = vec![water_record(0), water_record(1), water_record(2)];
    records[1].resources.gpus = Some(2);
    records[2].resources.gpus = Some(0);
    let ids: Vec<i64> = world.add(records).await.iter().map(|added| added.record_id.0).collect();
    let mut filter = any_pool("alpha");
    let mut with = async |gpus| {
        filter.most = TaskResources { gpus: Some(gpus), ..TaskResources::default() };
        found(&world, &filter).await
    };
    assert_eq!(with(0).await, [ids[0], ids[2]]);
    assert_eq!(with(1).await, [ids[0], ids[2]]);
    assert_eq!(with(2).await, ids);
    let asked: Vec<Option<u32>> = world.candidates(9).await.iter().map(|task| task.resources.gpus).collect();
    assert_eq!(asked, [None, Some(2), None], "to ask for none is to ask for nothing");
}

#[tokio::test]
async fn a_task_over_several_nodes_goes_where_one_task_may_have_so_many() {
    let world = World::new().await;
    let mut records = vec![water_record(0), water_record(1), water_record(2)];
    records[1].resources.nodes = Some(3);
    records[2].resources.nodes = Some(1);
    let ids: Vec<i64> = world.add(records).await.iter().map(|added| added.record_id.0).collect();
    let mut filter = any_pool("alpha");
    let mut with = async |nodes| {
        filter.most = TaskResources { nodes: Some(nodes), memory_bytes: Some(1), ..TaskResources::default() };
        let large = if nodes == 3 { Some(2) } else { None };
        filter.defaults = TaskResources { memory_bytes: large, ..TaskResources::default() };
        found(&world, &filter).await
    };
    assert_eq!(with(1).await, [ids[0], ids[2]]);
    assert_eq!(with(2).await, [ids[0], ids[2]]);
    assert_eq!(with(3).await, [ids[1]], "the default does not fit the pool, whole nodes do");
    let asked: Vec<Option<u32>> = world.candidates(9).await.iter().map(|task| task.resources.nodes).collect();
    assert_eq!(asked, [None, Some(3), None], "one node is what a task has anyhow");
}

#[tokio::test]
async fn a_task_that_is_not_due_waits() {
    let world = World::new().await;
    let ids = world.add_waters(2).await;
    assert!(world.store.has_waiting_tasks().await.unwrap());
    world
        .execute(&format!(
            "UPDATE task SET not_before = now() + interval '1 hour' WHERE record_id = {}",
            ids[0]
        ))
        .await;
    assert_eq!(found(&world, &any_pool("alpha")).await, [ids[1].0]);
    world.execute("UPDATE task SET not_before = now() + interval '1 hour'").await;
    assert!(!world.store.has_waiting_tasks().await.unwrap());
}

#[tokio::test]
async fn two_planners_at_once_lose_and_repeat_nothing() {
    let world = World::new().await;
    world.add_waters(200).await;
    let tasks: Vec<TaskId> = world.candidates(1000).await.iter().map(|task| task.task_id).collect();
    assert_eq!(tasks.len(), 200);
    // Both want all of them, dealt differently.
    let one = planned(tasks.chunks(7).map(<[_]>::to_vec).collect());
    let other = planned(tasks.rchunks(11).map(<[_]>::to_vec).collect());
    let (first, second) =
        tokio::join!(world.writer.plan_submission(&one), world.writer.plan_submission(&other));
    let mut held = Vec::new();
    for id in [first.unwrap(), second.unwrap()].into_iter().flatten() {
        for job in world.store.orders(id, None, 1000).await.unwrap() {
            assert!(!job.orders.is_empty(), "a job without work");
            held.extend(job.orders.iter().map(|task| (task.task_id, task.attempt)));
        }
    }
    held.sort();
    assert_eq!(held, tasks.iter().map(|task| (*task, 0)).collect::<Vec<_>>());
    assert!(world.candidates(10).await.is_empty());
    assert_eq!(world.writer.plan_submission(&one).await.unwrap(), None);
}

#[tokio::test]
async fn reasons_are_noted_for_waiting_tasks_only() {
    let world = World::new().await;
    world.add_waters(2).await;
    let tasks: Vec<TaskId> = world.candidates(10).await.iter().map(|task| task.task_id).collect();
    world.writer.plan_submission(&planned(vec![vec![tasks[0]]])).await.unwrap().unwrap();
    let reasons = tasks.iter().map(|task| (*task, "too large\0".to_owned())).collect();
    world.writer.note_waiting(reasons).await.unwrap();
    let noted = world
        .text("SELECT string_agg(coalesce(waiting_reason, '-'), ',' ORDER BY id) AS value FROM task")
        .await;
    assert_eq!(noted, "-,too large\u{fffd}");
}

#[tokio::test]
async fn the_backlog_is_counted_up_to_a_number() {
    let world = World::new().await;
    world.add_waters(7).await;
    let count = async |most| world.store.backlog(&any_pool("alpha"), most).await.unwrap();
    assert_eq!((count(100).await, count(5).await), (7, 5));
    world.execute("UPDATE task SET not_before = now() + interval '1 hour' WHERE id % 2 = 0").await;
    assert_eq!(count(100).await, world.candidates(100).await.len());
}

#[tokio::test]
async fn every_pool_has_synthetic_tasks_that_name_it() {
    let world = World::new().await;
    let qcbatch::model::calculation::Specification::Singlepoint(mut specification) = singlepoint("null")
    else {
        unreachable!()
    };
    specification.program = "synthetic".to_owned();
    let specification = qcbatch::model::calculation::Specification::Singlepoint(specification);
    let mut records = vec![record_of(specification.clone(), water(0)), record_of(specification, water(1))];
    records[1].pool = Some(PoolName("alpha".to_owned()));
    let ids: Vec<i64> = world.add(records).await.iter().map(|added| added.record_id.0).collect();
    let filter = CandidateFilter { programs: Some(vec!["mopac".to_owned()]), ..any_pool("alpha") };
    assert_eq!(found(&world, &filter).await, [ids[1]]);
    assert_eq!(found(&world, &any_pool("beta")).await, [ids[0]], "it names another pool");
}
