//! Looking: lists, single records, jobs, counts, and the reason why something waits.

use std::time::Duration;

use qcbatch::model::failure::FailureClass;
use qcbatch::model::ids::{PoolName, RecordId, TaskId};
use qcbatch::model::job::{JobOutcome, JobState};
use qcbatch::model::record::{RecordStatus, RecordType};
use qcbatch::model::view::RecordFilter;
use qcbatch::store::job::JobUpdate;
use qcbatch::store::job_line::Hold;
use qcbatch::store::release::{Charge, JobEnd};
use serde_json::json;

use crate::world::{
    SITE, World, bad, decide, good, good_with, optimization, optimization_result, planned, record_of,
    singlepoint, water, water_record,
};

async fn ids_of(world: &World, filter: RecordFilter) -> Vec<i64> {
    world.store.list(&filter, None, 100).await.unwrap().records.iter().map(|line| line.id.0).collect()
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let world = World::new().await;
    let mut records = vec![
        record_of(singlepoint("pm7"), water(0)),
        record_of(singlepoint("pm6"), water(1)),
        record_of(optimization(), water(2)),
        record_of(
            singlepoint("pm7"),
            serde_json::from_value(json!({
                "symbols": ["H", "C", "H", "H", "H"],
                "geometry": [1.2, 1.2, 1.2, 0, 0, 0, -1.2, -1.2, 1.2, 1.2, -1.2, -1.2, -1.2, 1.2, -1.2],
            }))
            .unwrap(),
        ),
    ];
    records[1].compute_tag = "special".to_owned();
    let ids: Vec<i64> = world.add(records).await.iter().map(|added| added.record_id.0).collect();
    let filter = RecordFilter::default;
    let words = |word: &str| vec![word.to_owned()];

    assert_eq!(ids_of(&world, filter()).await, [ids[3], ids[2], ids[1], ids[0]], "newest first");
    assert_eq!(ids_of(&world, RecordFilter { method: words("PM6"), ..filter() }).await, [ids[1]]);
    assert_eq!(ids_of(&world, RecordFilter { program: words("mopac"), ..filter() }).await.len(), 4);
    assert_eq!(ids_of(&world, RecordFilter { program: words("psi4"), ..filter() }).await.len(), 0);
    assert_eq!(ids_of(&world, RecordFilter { compute_tag: words("special"), ..filter() }).await, [ids[1]]);
    assert_eq!(ids_of(&world, RecordFilter { formula: words("CH4"), ..filter() }).await, [ids[3]]);
    assert_eq!(ids_of(&world, RecordFilter { formula: words("H4C"), ..filter() }).await, [ids[3]]);
    let both = RecordFilter { method: words("pm7"), formula: words("H2O"), ..filter() };
    assert_eq!(ids_of(&world, both).await, [ids[2], ids[0]]);
    let some = RecordFilter { ids: vec![RecordId(ids[2]), RecordId(77)], ..filter() };
    assert_eq!(ids_of(&world, some).await, [ids[2]]);
    let now = jiff::Timestamp::now();
    let hour = jiff::SignedDuration::from_hours(1);
    assert_eq!(ids_of(&world, RecordFilter { since: Some(now + hour), ..filter() }).await.len(), 0);
    assert_eq!(ids_of(&world, RecordFilter { since: Some(now - hour), ..filter() }).await.len(), 4);
    let status = RecordFilter { status: vec![RecordStatus::Error, RecordStatus::Complete], ..filter() };
    assert_eq!(ids_of(&world, status).await.len(), 0);
    assert_eq!(ids_of(&world, RecordFilter { pool: words("alpha"), ..filter() }).await.len(), 0);

    let first = world.store.list(&filter(), None, 3).await.unwrap();
    assert_eq!(first.next, Some(RecordId(ids[1])));
    let rest = world.store.list(&filter(), first.next, 3).await.unwrap();
    assert_eq!((rest.records.len(), rest.next), (1, None));
    let optimized = &first.records[1];
    assert_eq!((optimized.record_type, optimized.program.as_str()), (RecordType::Optimization, "mopac"));
    assert_eq!((optimized.method.as_str(), optimized.formula.as_str()), ("pm7", "H2O"));

    let jobs = world.run_all(4).await;
    let job = jobs[0].0;
    assert_eq!(ids_of(&world, RecordFilter { pool: words("alpha"), ..filter() }).await.len(), 4);
    let one = jobs[0].1.iter().find(|task| task.record_id.0 == ids[0]).unwrap();
    world.ingest(job, vec![good(job, one)]).await;
    assert_eq!(ids_of(&world, RecordFilter { pool: words("alpha"), ..filter() }).await.len(), 4);
    let line = world.store.list(&filter(), None, 9).await.unwrap().records.pop().unwrap();
    assert_eq!(
        (line.status, line.return_energy, line.wall_seconds),
        (RecordStatus::Complete, Some(-0.09), Some(1.5))
    );
    assert_eq!(line.pool, Some(PoolName("alpha".to_owned())));
}

#[tokio::test]
async fn points_of_trajectories_are_not_in_the_way() {
    let world = World::new().await;
    let id = world.add(vec![record_of(optimization(), water(0))]).await[0].record_id;
    let jobs = world.run_all(1).await;
    world
        .ingest(jobs[0].0, vec![good_with(jobs[0].0, &jobs[0].1[0], &optimization_result(&[-1.25, -1.5]))])
        .await;
    let detail = world.store.detail(id).await.unwrap().unwrap();
    assert_eq!(detail.trajectory.len(), 2);
    assert_eq!(detail.energies.as_deref(), Some(&[-1.25, -1.5][..]));
    assert!(detail.final_molecule.is_some() && detail.task.is_none());
    assert_eq!(detail.specification["qc_specification"]["method"], "pm7");
    assert_eq!(ids_of(&world, RecordFilter::default()).await, [id.0]);
    let counts = world.store.status(SITE).await.unwrap().records;
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [(RecordStatus::Complete, 1)]);
    // By its id a point is a record like any other.
    let point = world.store.detail(detail.trajectory[1]).await.unwrap().unwrap();
    assert_eq!((point.line.status, point.line.return_energy), (RecordStatus::Complete, Some(-1.5)));
    assert_eq!(point.history[0].outputs, ["stdout"]);
    // Asked for by itself, it is found and shown.
    let qcbatch::model::calculation::Specification::Singlepoint(mut qc) = singlepoint("pm7") else {
        unreachable!()
    };
    qc.driver = qcbatch::model::calculation::Driver::Gradient;
    let specification = qcbatch::model::calculation::Specification::Singlepoint(qc);
    let added = world.add(vec![record_of(specification, water(11))]).await;
    assert_eq!((added[0].record_id, added[0].existed()), (detail.trajectory[1], true));
    assert_eq!(ids_of(&world, RecordFilter::default()).await.len(), 2);
    assert_eq!(world.store.status(SITE).await.unwrap().records[&RecordStatus::Complete], 2);
}

#[tokio::test]
async fn a_record_tells_its_story() {
    let world = World::new().await;
    let mut record = water_record(0);
    record.resources.cores = Some(2);
    record.calculation.extras.insert("mine".to_owned(), json!([1]));
    let id = world.add(vec![record]).await[0].record_id;
    let jobs = world.run_all(1).await;
    world.ingest(jobs[0].0, vec![bad(jobs[0].0, &jobs[0].1[0], FailureClass::Memory)]).await;
    let detail = world.store.detail(id).await.unwrap().unwrap();
    assert_eq!(detail.specification["method"], "pm7");
    assert_eq!(detail.molecule["symbols"], json!(["O", "H", "H"]));
    assert_eq!(detail.extras["mine"], json!([1]));
    let attempt = &detail.history[0];
    assert_eq!((attempt.attempt, attempt.failure), (0, Some(FailureClass::Memory)));
    assert_eq!(attempt.outputs, ["stdout", "error"]);
    let task = detail.task.unwrap();
    assert_eq!((task.tries, task.losses, task.cores, task.job), (1, 0, Some(2), None));
    assert_eq!(
        task.waiting_reason.as_deref(),
        Some("attempt 0 failed, it is tried again: memory failure (random_error): first line")
    );
    let kinds: Vec<&str> = detail.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["running", "retried"]);
    assert_eq!(world.store.detail(RecordId(99)).await.unwrap(), None);
}

#[tokio::test]
async fn it_is_told_why_a_record_waits() {
    let world = World::new().await;
    let mut records = vec![water_record(0), water_record(1), water_record(2)];
    records[1].pool = Some(PoolName("beta".to_owned()));
    records[2].compute_tag = "gpu".to_owned();
    let ids: Vec<RecordId> = world.add(records).await.iter().map(|added| added.record_id).collect();
    let why = async |id: RecordId| world.store.job_of_record(id).await.unwrap().unwrap().waiting_reason;
    assert_eq!(why(ids[0]).await.as_deref(), Some("waits for a free job slot in a pool with mopac"));
    assert_eq!(why(ids[1]).await.as_deref(), Some("waits for a free job slot in pool beta"));
    assert_eq!(
        why(ids[2]).await.as_deref(),
        Some("waits for a free job slot in a pool with mopac that serves the compute tag gpu")
    );
    let task = world.candidates(1).await[0].task_id;
    world
        .writer
        .note_waiting(vec![(task, "asks for more memory than pool alpha has".to_owned())])
        .await
        .unwrap();
    assert_eq!(why(ids[0]).await.as_deref(), Some("asks for more memory than pool alpha has"));

    let id = world.writer.plan_submission(&planned(vec![vec![task]])).await.unwrap().unwrap();
    let job = world.store.live_jobs(SITE).await.unwrap()[0].id;
    let expected = format!("held by job {job}, which is being submitted to pool alpha");
    assert_eq!(why(ids[0]).await, Some(expected));
    world.accept(id).await;
    let update = JobUpdate::from_state(job, JobState::Queued).reason("Priority");
    world.writer.update_jobs(vec![update]).await.unwrap();
    let expected = format!("held by job {job} ({id}_0), which waits in the queue of pool alpha: Priority");
    assert_eq!(why(ids[0]).await, Some(expected));
    world.writer.start_jobs(&[job]).await.unwrap();
    assert_eq!(why(ids[0]).await, None, "it runs");

    let held = world.store.job_of_record(ids[0]).await.unwrap().unwrap();
    assert_eq!((held.hold, held.array_index, held.status), (Hold::Now, Some(0), RecordStatus::Running));
    assert_eq!(held.job.unwrap().open_tasks, 1);
    assert_eq!(world.store.job_of_record(ids[1]).await.unwrap().unwrap().job, None);
    assert_eq!(world.store.job_of_record(RecordId(77)).await.unwrap(), None);
}

#[tokio::test]
async fn jobs_and_counts_follow_what_happens() {
    let world = World::new().await;
    world.add_waters(3).await;
    let jobs = world.run_all(2).await;
    let waiting: Vec<TaskId> = world.candidates(1).await.iter().map(|task| task.task_id).collect();
    assert!(waiting.is_empty());
    let status = world.store.status(SITE).await.unwrap();
    assert_eq!(status.records.into_iter().collect::<Vec<_>>(), [(RecordStatus::Running, 3)]);
    assert_eq!(status.jobs[&PoolName("alpha".to_owned())][&JobState::Running], 2);
    assert!(world.store.status("elsewhere").await.unwrap().jobs.is_empty());

    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    world.ingest(job, tasks.iter().map(|task| good(job, task)).collect()).await;
    let end = JobEnd {
        id: job,
        outcome: JobOutcome::Completed,
        exit_code: Some(0),
        signal: None,
        reason: None,
        hostname: Some("node1".to_owned()),
        charge: Charge::Failure(FailureClass::Infrastructure),
        charged: qcbatch::store::release::Charged::All,
        chunks: Vec::new(),
    };
    world.writer.end_job(end, &decide).await.unwrap();
    let pools = [PoolName("alpha".to_owned())];
    let live = world.store.jobs(&[], &[], 10).await.unwrap();
    assert_eq!(live.iter().map(|line| line.id).collect::<Vec<_>>(), [jobs[1].0]);
    let all = world.store.jobs(&pools, &JobState::ALL, 10).await.unwrap();
    assert_eq!(all.iter().map(|line| line.id).collect::<Vec<_>>(), [jobs[1].0, job]);
    assert_eq!((all[1].outcome, all[1].open_tasks, all[1].tasks), (Some(JobOutcome::Completed), 0, 2));
    assert!(world.store.jobs(&[PoolName("beta".to_owned())], &[], 10).await.unwrap().is_empty());

    let counts = world.store.status(SITE).await.unwrap().records;
    assert_eq!(
        counts.into_iter().collect::<Vec<_>>(),
        [(RecordStatus::Running, 1), (RecordStatus::Complete, 2)]
    );
    let rows = world.number("SELECT count(*) AS value FROM record_count").await;
    assert!(rows <= 4, "the counts were folded at the job's end, yet there are {rows} rows");

    assert!(
        world.store.ended_submissions(SITE, Duration::ZERO, 10).await.unwrap().is_empty(),
        "one job runs"
    );
    let end = JobEnd {
        id: jobs[1].0,
        outcome: JobOutcome::Lost,
        exit_code: None,
        signal: None,
        reason: None,
        hostname: None,
        charge: Charge::Nothing,
        charged: qcbatch::store::release::Charged::All,
        chunks: Vec::new(),
    };
    world.writer.end_job(end, &decide).await.unwrap();
    let ended = world.store.ended_submissions(SITE, Duration::ZERO, 10).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert!(world.store.ended_submissions(SITE, Duration::from_secs(60), 10).await.unwrap().is_empty());
    world.writer.note_swept(&[ended[0].id]).await.unwrap();
    assert!(world.store.ended_submissions(SITE, Duration::ZERO, 10).await.unwrap().is_empty());
}
