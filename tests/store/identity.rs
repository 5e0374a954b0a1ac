//! A result is stored for the record whose calculation it answers, and for no other; what fits nothing is kept aside.

use qcbatch::model::failure::FailureClass;
use qcbatch::model::identity::{CalculationHash, DatabaseId, Issue};
use qcbatch::model::ids::{AsideId, JobId, RecordId, TaskId};
use qcbatch::model::job::JobOutcome;
use qcbatch::model::task::{Progress, TaskReport};
use qcbatch::store::ingest::{IngestOutcome, Stored};
use qcbatch::store::release::{Charge, Charged, JobEnd};
use qcbatch::store::staging::StagedTask;
use serde_json::json;

use crate::world::{
    SITE, World, atomic_result, bad, decide, good_with, optimization, record_of, underway, water,
};

/// An energy that no record of these tests asks for.
const STRANGE: f64 = -666.0;

async fn ingest(world: &World, job: JobId, from: u64, reports: Vec<TaskReport>) -> Stored {
    match world.writer.ingest(job, from, from + 1, reports, &decide).await.unwrap() {
        IngestOutcome::Stored(stored) => stored,
        moved => panic!("{moved:?}"),
    }
}

/// The energy of the molecule with this number.
fn energy(number: i64) -> f64 {
    -(number as f64)
}

fn answer(job: JobId, task: &StagedTask) -> TaskReport {
    good_with(job, task, &atomic_result(energy(task.record_id.0)))
}

fn strange(job: JobId, task: &StagedTask) -> TaskReport {
    good_with(job, task, &atomic_result(STRANGE))
}

/// The same report with another issue.
fn issued(report: TaskReport, change: impl FnOnce(&mut Issue)) -> TaskReport {
    let mut issue = report.issue.unwrap();
    change(&mut issue);
    TaskReport { issue: Some(issue), ..report }
}

const ELSEWHERE: DatabaseId = DatabaseId([9; 16]);
const OTHER: CalculationHash = CalculationHash([9; 16]);

async fn reasons(world: &World) -> Vec<String> {
    let mut lines = world.store.reports_aside(SITE, 100).await.unwrap();
    lines.reverse();
    lines.into_iter().map(|line| format!("{} {} {}", line.record_id, line.outcome, line.reason)).collect()
}

async fn newest(world: &World) -> AsideId {
    world.store.reports_aside(SITE, 1).await.unwrap()[0].id
}

/// Each complete record has its own energy, and there are so many.
async fn each_has_its_own_energy(world: &World, complete: i64) {
    let wrong = "SELECT count(*) AS value FROM record WHERE return_energy IS DISTINCT FROM -id AND status = 'complete'";
    assert_eq!(world.number(wrong).await, 0);
    assert_eq!(
        world.number("SELECT count(*) AS value FROM record WHERE status = 'complete'").await,
        complete
    );
}

fn ended(id: JobId) -> JobEnd {
    JobEnd {
        id,
        outcome: JobOutcome::Lost,
        exit_code: None,
        signal: None,
        reason: None,
        hostname: None,
        charge: Charge::Nothing,
        charged: Charged::All,
        chunks: vec![],
    }
}

#[tokio::test]
async fn forged_frames_are_kept_aside_and_never_stored() {
    let world = World::new().await;
    world.add_waters(7).await;
    let jobs = world.run_all(6).await;
    let ((job, tasks), (other, others)) = ((jobs[0].0, &jobs[0].1), (jobs[1].0, &jobs[1].1));
    let forged = vec![
        issued(strange(job, &tasks[0]), |issue| issue.database = ELSEWHERE),
        issued(strange(job, &tasks[1]), |issue| issue.calculation = Some(OTHER)),
        TaskReport { task_id: TaskId(999), ..strange(job, &tasks[2]) },
        TaskReport { attempt: 77, ..strange(job, &tasks[3]) },
        strange(other, &tasks[4]),
        strange(job, &others[0]),
        issued(bad(job, &tasks[5], FailureClass::Program), |issue| issue.calculation = Some(OTHER)),
        TaskReport { issue: None, ..strange(job, &others[0]) },
        issued(TaskReport { record_id: RecordId(12_345), ..strange(job, &tasks[0]) }, |issue| {
            issue.database = ELSEWHERE;
        }),
    ];
    let count = forged.len();
    assert_eq!(ingest(&world, job, 0, forged).await, Stored { aside: count, ..Stored::default() });
    assert_eq!(
        reasons(&world).await,
        [
            "1 complete foreign_database",
            "2 complete other_calculation",
            "3 complete other_task",
            "4 complete never_handed_out",
            "5 complete other_job",
            "7 complete held_by_other",
            "6 error other_calculation",
            "7 complete unidentified",
            "12345 complete foreign_database",
        ]
    );
    assert_eq!(world.store.status(SITE).await.unwrap().reports_aside, count as i64);
    let told = "SELECT count(*) AS value FROM event WHERE kind = 'aside' AND record_id = 2";
    assert_eq!(world.number(told).await, 1, "`show` tells it of the record");
    each_has_its_own_energy(&world, 0).await;
    // What is right comes in beside it, from either job.
    let right: Vec<TaskReport> = tasks.iter().map(|task| answer(job, task)).collect();
    assert_eq!(ingest(&world, job, 1, right).await.completed, 6);
    assert_eq!(ingest(&world, other, 0, vec![answer(other, &others[0])]).await.completed, 1);
    each_has_its_own_energy(&world, 7).await;
}

#[tokio::test]
async fn what_was_kept_aside_is_adopted_only_if_it_answers_the_record() {
    let world = World::new().await;
    let ids = world.add_waters(4).await;
    let jobs = world.run_all(4).await;
    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    let stray = vec![
        issued(answer(job, &tasks[0]), |issue| issue.database = ELSEWHERE),
        issued(strange(job, &tasks[1]), |issue| issue.calculation = Some(OTHER)),
        issued(bad(job, &tasks[2], FailureClass::Program), |issue| issue.database = ELSEWHERE),
        issued(strange(job, &tasks[3]), |issue| *issue = Issue { database: ELSEWHERE, calculation: None }),
    ];
    assert_eq!(ingest(&world, job, 0, stray).await.aside, 4);
    let kept = world.store.ids_of_reports_aside(SITE).await.unwrap();
    let adopt = async |id| world.writer.adopt_report_aside(id).await.unwrap();
    assert_eq!(adopt(kept[0]).await, Ok(ids[0]), "the same calculation, whoever asked for it");
    assert_eq!(adopt(kept[0]).await, Err("there is no such report".to_owned()));
    let refused = adopt(kept[1]).await.unwrap_err();
    assert!(refused.contains("another calculation"), "{refused}");
    assert!(adopt(kept[2]).await.is_err(), "a failure is no result");
    assert!(adopt(kept[3]).await.is_err(), "nothing says what it answers");
    each_has_its_own_energy(&world, 1).await;
    let attempts =
        "SELECT count(*) AS value FROM compute_history WHERE record_id = 1 AND status = 'complete'";
    assert_eq!(world.number(attempts).await, 1);
    assert_eq!(ingest(&world, job, 1, vec![answer(job, &tasks[0])]).await.duplicates, 1);
    // A record that is complete by now keeps its result.
    assert_eq!(ingest(&world, job, 2, vec![answer(job, &tasks[1])]).await.completed, 1);
    assert!(adopt(kept[1]).await.is_err());
    assert_eq!(world.writer.remove_reports_aside(&kept).await.unwrap(), kept[1..]);
    assert_eq!(world.store.status(SITE).await.unwrap().reports_aside, 0);
}

#[tokio::test]
async fn reports_of_an_earlier_version_are_believed_while_their_job_holds_the_attempt() {
    let world = World::new().await;
    world.add_waters(4).await;
    let first = world.run_all(4).await.remove(0);
    let (job, tasks) = (first.0, &first.1);
    let bare = |report: TaskReport| TaskReport { issue: None, ..report };
    let batch = vec![bare(answer(job, &tasks[0])), bare(bad(job, &tasks[1], FailureClass::Memory))];
    let stored = ingest(&world, job, 0, batch).await;
    assert_eq!(stored, Stored { completed: 1, retried: 1, ..Stored::default() });
    // A task that an earlier version stored has no hash, and this version's runner reports it.
    world.execute("UPDATE task SET calculation_hash = NULL WHERE record_id = 3").await;
    assert_eq!(ingest(&world, job, 1, vec![answer(job, &tasks[2])]).await.completed, 1);
    world.writer.end_job(ended(job), &decide).await.unwrap();
    let second = world.run_all(4).await.remove(0);
    let late = vec![bare(strange(job, &tasks[3])), bare(bad(job, &tasks[3], FailureClass::Program))];
    assert_eq!(ingest(&world, job, 2, late).await, Stored { aside: 1, dropped: 1, ..Stored::default() });
    assert_eq!(reasons(&world).await, ["4 complete unidentified"]);
    // A person knows better, and the record's own attempt comes too late then.
    assert_eq!(world.writer.adopt_report_aside(newest(&world).await).await.unwrap(), Ok(RecordId(4)));
    let again = second.1.iter().map(|task| answer(second.0, task)).collect();
    let stored = ingest(&world, second.0, 0, again).await;
    assert_eq!(stored, Stored { completed: 1, duplicates: 1, ..Stored::default() });
}

#[tokio::test]
async fn after_a_restore_reports_under_the_former_id_are_stored_where_they_fit() {
    let world = World::new().await;
    world.add_waters(3).await;
    let jobs = world.run_all(3).await;
    let (job, tasks) = (jobs[0].0, jobs[0].1.clone());
    world
        .execute(
            "UPDATE database_identity SET retired_on = now();
             INSERT INTO database_identity (id) VALUES (repeat('5', 32))",
        )
        .await;
    // Another daemon: it reads the id when it starts.
    let fence = crate::world::take_lease(&world.store).await;
    let writer = world.store.writer(SITE, fence);
    let world = World { writer, ..world };
    let reports = vec![
        answer(job, &tasks[0]),
        issued(strange(job, &tasks[1]), |issue| issue.calculation = Some(OTHER)),
        TaskReport { attempt: 1, ..strange(job, &tasks[2]) },
        TaskReport { record_id: RecordId(50), task_id: TaskId(50), ..strange(job, &tasks[2]) },
    ];
    assert_eq!(ingest(&world, job, 0, reports).await, Stored { completed: 1, aside: 3, ..Stored::default() });
    assert_eq!(
        reasons(&world).await,
        ["2 complete other_calculation", "3 complete never_handed_out", "50 complete no_record"]
    );
    each_has_its_own_energy(&world, 1).await;
}

#[tokio::test]
async fn the_way_of_another_calculation_is_no_way_to_begin_from() {
    let world = World::new().await;
    world.add(vec![record_of(optimization(), water(0))]).await;
    let first = world.run_all(1).await.remove(0);
    let (job, task) = (first.0, &first.1[0]);
    let away = Progress {
        geometry: vec![0.0, 0.0, 9.0, 0.0, 1.5, -0.9, 0.0, -1.5, -0.9],
        energy: None,
        gradients: 4,
    };
    let told = || underway(job, task, away.clone());
    let strays = vec![
        issued(told(), |issue| issue.calculation = Some(OTHER)),
        issued(told(), |issue| issue.database = ELSEWHERE),
        TaskReport { record_id: RecordId(77), ..told() },
        TaskReport { attempt: 5, ..told() },
    ];
    for (from, stray) in (0..).zip(strays) {
        ingest(&world, job, from, vec![stray]).await;
    }
    world.writer.end_job(ended(job), &decide).await.unwrap();
    let second = world.run_all(1).await.remove(0);
    assert_eq!(second.1[0].calculation.molecule.geometry(), water(0).geometry());
    assert_eq!(
        second.1[0].issue, task.issue,
        "the hash is of what the record asks, wherever an attempt begins"
    );
}

#[tokio::test]
async fn the_users_own_extras_are_part_of_what_is_asked() {
    let world = World::new().await;
    let with = |extras: serde_json::Value| {
        let mut record = record_of(crate::world::singlepoint("pm7"), water(0));
        record.calculation.extras = extras.as_object().unwrap().clone();
        record.reuse = qcbatch::store::intake::Reuse::AlwaysNew;
        record
    };
    world.add(vec![with(json!({})), with(json!({"a": 1})), with(json!({"a": 1}))]).await;
    let hashes = "SELECT count(DISTINCT calculation_hash) AS value FROM task";
    assert_eq!(world.number(hashes).await, 2);
    let jobs = world.run_all(3).await;
    let hashes: Vec<_> = jobs[0].1.iter().map(|task| task.issue.unwrap().calculation.unwrap()).collect();
    assert_eq!((hashes[0] == hashes[1], hashes[1] == hashes[2]), (false, true));
}
