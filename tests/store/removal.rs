//! What a benchmark stored goes without a trace; what others stored stays, also where both share something.

use qcbatch::model::calculation::Specification;
use qcbatch::model::failure::FailureClass;
use qcbatch::model::ids::RecordId;
use qcbatch::model::record::RecordStatus;
use qcbatch::model::view::RecordFilter;
use qcbatch::store::ingest::{IngestOutcome, Stored};
use qcbatch::store::intake::NewRecord;
use qcbatch::store::removal::Removed;

use crate::world::{World, bad, decide, good, record_of, singlepoint, water, water_record};

const TAG: &str = "bench-0123456789ab";

fn synthetic(number: u32, compute_tag: &str) -> NewRecord {
    let Specification::Singlepoint(mut specification) = singlepoint("null") else { unreachable!() };
    specification.program = "synthetic".to_owned();
    NewRecord {
        compute_tag: compute_tag.to_owned(),
        ..record_of(Specification::Singlepoint(specification), water(number))
    }
}

/// Rows of every table that has any, but for the jobs and what belongs to the site.
async fn rows(world: &World) -> String {
    world
        .text(
            "SELECT coalesce(string_agg(name || ' ' || rows, ', ' ORDER BY name), '') AS value FROM (
                SELECT 'record' AS name, (SELECT count(*) FROM record) AS rows
                UNION ALL SELECT 'task', (SELECT count(*) FROM task)
                UNION ALL SELECT 'compute_history', (SELECT count(*) FROM compute_history)
                UNION ALL SELECT 'molecule', (SELECT count(*) FROM molecule)
                UNION ALL SELECT 'specification', (SELECT count(*) FROM specification)
                UNION ALL SELECT 'demand', (SELECT count(*) FROM demand)
                UNION ALL SELECT 'record events', (SELECT count(*) FROM event WHERE record_id IS NOT NULL)
                UNION ALL SELECT 'counted', (SELECT coalesce(sum(change), 0)::bigint FROM record_count)
             ) tables WHERE rows > 0",
        )
        .await
}

#[tokio::test]
async fn a_benchmark_leaves_nothing_behind() {
    let world = World::new().await;
    world.add((0..4).map(|number| synthetic(number, TAG)).collect()).await;
    let jobs = world.run_all(4).await;
    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    let reports = vec![
        good(job, &tasks[0]),
        good(job, &tasks[1]),
        bad(job, &tasks[2], FailureClass::Input),
        bad(job, &tasks[3], FailureClass::Input),
    ];
    world.ingest(job, reports).await;
    let removed = world.writer.remove_bench(TAG, RecordId(0)).await.unwrap();
    // What failed waits for another try.
    assert_eq!(removed, Removed { records: 2, molecules: 2 });
    let open = RecordFilter { compute_tag: vec![TAG.to_owned()], ..RecordFilter::default() };
    world.writer.cancel(&open).await.unwrap();
    let removed = world.writer.remove_bench(TAG, RecordId(0)).await.unwrap();
    assert_eq!(removed, Removed { records: 2, molecules: 2 });
    assert_eq!(rows(&world).await, "");

    // A result that comes all the same is dropped, and nothing is told of what is no more.
    let late = world.writer.ingest(job, 100, 200, vec![good(job, &tasks[3])], &decide).await.unwrap();
    assert_eq!(late, IngestOutcome::Stored(Stored { dropped: 1, ..Stored::default() }));
    assert_eq!(rows(&world).await, "");
}

#[tokio::test]
async fn what_others_share_with_it_stays() {
    let world = World::new().await;
    let mut records =
        vec![water_record(1), synthetic(1, TAG), synthetic(2, TAG), synthetic(3, "bench-other")];
    // A user's own record under such a tag.
    records.push(NewRecord { compute_tag: TAG.to_owned(), ..water_record(4) });
    world.add(records).await;
    let jobs = world.run_all(10).await;
    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    world.ingest(job, tasks.iter().map(|task| good(job, task)).collect()).await;
    let removed = world.writer.remove_bench(TAG, RecordId(0)).await.unwrap();
    assert_eq!(removed, Removed { records: 2, molecules: 1 });
    let left = world.text("SELECT string_agg(id::text, ' ' ORDER BY id) AS value FROM record").await;
    assert_eq!(left, "1 4 5");
    assert_eq!(world.number("SELECT count(*) AS value FROM specification").await, 2);
}

#[tokio::test]
async fn other_tags_are_not_touched() {
    let world = World::new().await;
    world.add(vec![synthetic(1, "weekly")]).await;
    let jobs = world.run_all(1).await;
    world.ingest(jobs[0].0, vec![good(jobs[0].0, &jobs[0].1[0])]).await;
    for tag in ["weekly", "*", "", "bench-"] {
        assert_eq!(world.writer.remove_bench(tag, RecordId(0)).await.unwrap(), Removed::default(), "{tag}");
    }
    assert_eq!(world.number("SELECT count(*) AS value FROM record").await, 1);
}

#[tokio::test]
async fn times_come_in_pages_and_only_open_records_are_counted() {
    let world = World::new().await;
    world.add((0..5).map(|number| synthetic(number, TAG)).collect()).await;
    world.add(vec![water_record(9)]).await;
    let open = world.store.open_by_status(TAG, RecordId(2)).await.unwrap();
    assert_eq!(open, [(RecordStatus::Waiting, 4)].into());
    let jobs = world.run_all(10).await;
    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    world.ingest(job, tasks.iter().take(3).map(|task| good(job, task)).collect()).await;
    let open = world.store.open_by_status(TAG, RecordId(0)).await.unwrap();
    assert_eq!(open, [(RecordStatus::Running, 2)].into());

    let first = world.store.timings(TAG, RecordId(0), 2).await.unwrap();
    let ids = |page: &[qcbatch::model::timing::TaskTiming]| -> Vec<i64> {
        page.iter().map(|line| line.record_id.0).collect()
    };
    assert_eq!(ids(&first), [1, 2]);
    let rest = world.store.timings(TAG, RecordId(3), 10).await.unwrap();
    assert_eq!(ids(&rest), [3, 4, 5]);
    assert_eq!((first[0].wall_seconds, first[0].job_id, first[0].cores), (Some(1.5), Some(job), Some(2)));
    assert!(first[0].stored_on.unwrap() >= first[0].created_on, "{first:?}");
    assert_eq!((rest[2].status, rest[2].stored_on, rest[2].job_id), (RecordStatus::Running, None, None));

    let grounds = world.store.job_grounds(&[job]).await.unwrap();
    assert_eq!((grounds.len(), grounds[0].cores, grounds[0].ended_on), (1, 2, None));
    assert!(world.store.size_bytes().await.unwrap() > 1 << 20);
}
