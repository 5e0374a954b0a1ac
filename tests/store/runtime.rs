//! Results teach how long calculations take: once each, in the transaction that stores them.

use qcbatch::model::failure::FailureClass;
use qcbatch::model::ids::PoolName;
use qcbatch::model::molecule::Molecule;
use qcbatch::model::runtime::{Measure, Moments, Place, Quantity, RuntimeHistory, RuntimeKey, Work};
use qcbatch::store::staging::StagedTask;
use serde_json::{Value, json};

use crate::world::{
    SITE, World, atomic_result, bad, decide, good, good_with, optimization, optimization_result, record_of,
    singlepoint, water,
};

async fn history(world: &World) -> Vec<RuntimeHistory> {
    world.store.runtime_history(&["mopac".to_owned(), "psi4".to_owned()]).await.unwrap()
}

fn of(history: &[RuntimeHistory], quantity: Quantity, measure: Measure) -> Vec<&RuntimeHistory> {
    let suits = |row: &&RuntimeHistory| row.subject.quantity == quantity && row.subject.measure == measure;
    history.iter().filter(suits).collect()
}

#[tokio::test]
async fn a_batch_of_results_is_a_handful_of_sums() {
    let world = World::new().await;
    world.add_waters(40).await;
    let jobs = world.run_all(40).await;
    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    let reports = tasks.iter().map(|task| {
        let mut report = good(job, task);
        report.provenance.peak_memory_bytes = Some(100 << 20);
        report.provenance.started_on = Some(1_800_000_000.25);
        report
    });
    world.ingest(job, reports.collect()).await;

    let history = history(&world).await;
    assert_eq!(history.len(), 2, "{history:?}");
    let time = of(&history, Quantity::WallSeconds, Measure::Atoms)[0];
    assert_eq!(time.subject.key, RuntimeKey::new("mopac", "pm7", "", Work::Energy));
    let place = Place { site: SITE.to_owned(), pool: PoolName("alpha".to_owned()), cores: 2 };
    assert_eq!(time.subject.place, place);
    let Moments { runs, stopped, weight, x, y, .. } = time.moments;
    assert_eq!((runs, stopped, weight), (40, 0, 40.0));
    assert!((x / 40.0 - 0.3f64.ln()).abs() < 1e-9 && (y / 40.0 - 1.5f64.ln()).abs() < 1e-9, "{time:?}");
    let memory = of(&history, Quantity::MemoryBytes, Measure::Atoms)[0];
    assert!((memory.moments.y / 40.0 - (100.0 * 1048576.0f64).ln()).abs() < 1e-9, "{memory:?}");
    let stored =
        "SELECT format('%s %s %s', count(*), min(peak_memory_bytes), max(extract(epoch FROM started_on)))
        AS value FROM compute_history";
    assert_eq!(world.text(stored).await, "40 104857600 1800000000.250000");
}

#[tokio::test]
async fn nothing_counts_twice() {
    let world = World::new().await;
    world.add_waters(3).await;
    let jobs = world.run_all(3).await;
    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    let reports = || tasks.iter().map(|task| good(job, task)).collect::<Vec<_>>();
    world.ingest(job, reports()).await;
    let once = history(&world).await;
    world.ingest(job, reports()).await;
    assert!(world.writer.ingest(job, 0, 100, reports(), &decide).await.is_ok());
    assert_eq!(history(&world).await, once);
    assert_eq!(once[0].moments.runs, 3);
}

#[tokio::test]
async fn of_failures_only_those_count_that_ran_out_of_something() {
    let world = World::new().await;
    world.add_waters(4).await;
    let jobs = world.run_all(4).await;
    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    let failed = |task: &StagedTask, class| {
        let mut report = bad(job, task, class);
        report.provenance.wall_seconds = 900.0;
        report
    };
    let reports = vec![
        failed(&tasks[0], FailureClass::Walltime),
        failed(&tasks[1], FailureClass::Memory),
        failed(&tasks[2], FailureClass::Program),
        failed(&tasks[3], FailureClass::Input),
    ];
    world.ingest(job, reports).await;
    let history = history(&world).await;
    let time = of(&history, Quantity::WallSeconds, Measure::Atoms)[0].moments;
    assert_eq!((time.runs, time.stopped), (1, 1));
    assert!(time.y > 900f64.ln(), "{time:?}");
    let memory = of(&history, Quantity::MemoryBytes, Measure::Atoms)[0].moments;
    assert_eq!((memory.runs, memory.stopped), (1, 1));
    assert!(memory.y > (f64::from(1 << 30)).ln(), "{memory:?}");
}

#[tokio::test]
async fn a_record_that_is_retried_knows_what_it_ran_out_of() {
    let world = World::new().await;
    let ids = world.add_waters(2).await;
    let jobs = world.run_all(2).await;
    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    let mut report = bad(job, &tasks[0], FailureClass::Walltime);
    report.provenance.wall_seconds = 600.5;
    world.ingest(job, vec![report, bad(job, &tasks[1], FailureClass::Program)]).await;
    let known = world.store.known_calculations(&ids, &ids).await.unwrap();
    let of = |record| known.iter().find(|known| known.record_id == record).unwrap();
    let earlier = &of(ids[0]).earlier;
    assert_eq!(earlier.len(), 1);
    assert_eq!((earlier[0].failure, earlier[0].wall_seconds), (FailureClass::Walltime, Some(600.5)));
    assert_eq!(earlier[0].memory_bytes, Some(1 << 30));
    assert!(of(ids[1]).earlier.is_empty());
    assert_eq!(of(ids[1]).size.atoms, 3);
}

/// Water and hydrogen peroxide have different formulas; conformers of one do not.
fn psi4() -> qcbatch::model::calculation::Specification {
    let qcbatch::model::calculation::Specification::Singlepoint(mut qc) = singlepoint("hf") else {
        unreachable!()
    };
    qc.program = "psi4".to_owned();
    qc.basis = "sto-3g".to_owned();
    qcbatch::model::calculation::Specification::Singlepoint(qc)
}

fn with_functions(functions: u32) -> Value {
    let mut result = atomic_result(-75.0);
    result["properties"]["calcinfo_nbasis"] = json!(functions);
    result
}

#[tokio::test]
async fn basis_functions_are_known_of_every_molecule_of_the_same_formula() {
    let world = World::new().await;
    world.add(vec![record_of(psi4(), water(0))]).await;
    let jobs = world.run_all(1).await;
    world.ingest(jobs[0].0, vec![good_with(jobs[0].0, &jobs[0].1[0], &with_functions(7))]).await;
    let by_functions = history(&world).await;
    assert_eq!(of(&by_functions, Quantity::WallSeconds, Measure::BasisFunctions)[0].moments.runs, 1);

    let neon: Molecule =
        serde_json::from_value(json!({"symbols": ["Ne"], "geometry": [0.0, 0.0, 0.0]})).unwrap();
    let ids: Vec<_> = world
        .add(vec![
            record_of(psi4(), water(9)),
            record_of(psi4(), neon),
            record_of(singlepoint("pm7"), water(9)),
        ])
        .await
        .iter()
        .map(|added| added.record_id)
        .collect();
    let known = world.store.known_calculations(&ids, &[]).await.unwrap();
    let functions =
        |index: usize| known.iter().find(|known| known.record_id == ids[index]).unwrap().size.basis_functions;
    assert_eq!((functions(0), functions(1), functions(2)), (Some(7), None, None));
    let asked = |formula: &str| ("psi4".to_owned(), "sto-3g".to_owned(), formula.to_owned());
    let sizes = world.store.basis_sizes(&[asked("H2O"), asked("Ne"), asked("H2O")]).await.unwrap();
    assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [(asked("H2O"), 7)]);
}

#[tokio::test]
async fn an_optimization_is_work_of_its_own() {
    let world = World::new().await;
    world.add(vec![record_of(optimization(), water(0))]).await;
    let jobs = world.run_all(1).await;
    let report = good_with(jobs[0].0, &jobs[0].1[0], &optimization_result(&[-1.0, -1.1]));
    world.ingest(jobs[0].0, vec![report]).await;
    let history = history(&world).await;
    assert_eq!(history.len(), 1, "points of the trajectory have no time of their own: {history:?}");
    assert_eq!(history[0].subject.key, RuntimeKey::new("mopac", "pm7", "", Work::Optimization));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_the_same_kind_at_once_are_all_counted() {
    let world = World::new().await;
    let mut records: Vec<_> = (0..40).map(|n| record_of(singlepoint("pm7"), water(n))).collect();
    records.extend((0..40).map(|n| record_of(psi4(), water(n))));
    world.add(records).await;
    let jobs = world.run_all(8).await;
    let batches = jobs.iter().map(|(job, tasks)| {
        let reports = tasks.iter().map(|task| good_with(*job, task, &with_functions(7))).collect();
        world.writer.ingest(*job, 0, 100, reports, &decide)
    });
    for outcome in futures_util::future::join_all(batches).await {
        outcome.unwrap();
    }
    let history = history(&world).await;
    let runs: u64 =
        of(&history, Quantity::WallSeconds, Measure::Atoms).iter().map(|row| row.moments.runs).sum();
    assert_eq!(runs, 80);
}

#[tokio::test]
async fn a_database_of_before_is_learned_from_when_it_is_migrated() {
    const UP: &str = include_str!("../../src/store/migrations/2026-11-22-051000_runtime/up.sql");
    const DOWN: &str = include_str!("../../src/store/migrations/2026-11-22-051000_runtime/down.sql");
    let world = World::new().await;
    world.add((0..2).map(|n| record_of(psi4(), water(n))).collect()).await;
    world.add(vec![record_of(optimization(), water(5)), record_of(singlepoint("pm7"), water(5))]).await;
    let jobs = world.run_all(4).await;
    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    let mut late = bad(job, &tasks[3], FailureClass::Walltime);
    late.provenance.wall_seconds = 300.0;
    let reports = vec![
        good_with(job, &tasks[0], &with_functions(7)),
        good_with(job, &tasks[1], &with_functions(7)),
        good_with(job, &tasks[2], &optimization_result(&[-1.0])),
        late,
    ];
    world.ingest(job, reports).await;
    let learned = history(&world).await;
    world.execute(&format!("BEGIN; {DOWN} {UP} COMMIT")).await;
    let again = history(&world).await;
    assert_eq!(learned.len(), again.len());
    for row in &learned {
        let found =
            again.iter().find(|other| other.subject == row.subject).expect("the same kinds and places");
        let (one, two) = (row.moments, found.moments);
        assert_eq!((one.runs, one.stopped), (two.runs, two.stopped), "{:?}", row.subject);
        for (a, b) in [(one.x, two.x), (one.y, two.y), (one.xx, two.xx), (one.xy, two.xy), (one.yy, two.yy)] {
            assert!((a - b).abs() < 1e-9, "{one:?} {two:?}");
        }
    }
    let sizes = "SELECT concat_ws(' ', program, basis, formula, functions) AS value FROM basis_size";
    assert_eq!(world.text(sizes).await, "psi4 sto-3g H2O 7");
}
