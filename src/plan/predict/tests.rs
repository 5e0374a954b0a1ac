//! The promises of `plan::predict`: the nearest history counts most, evidence narrows, size never lowers.

use proptest::prelude::*;

use super::*;
use crate::model::ids::PoolName;
use crate::model::runtime::{Measured, Run, Work};

fn key(program: &str, method: &str, basis: &str, work: Work) -> RuntimeKey {
    RuntimeKey { program: program.into(), method: method.into(), basis: basis.into(), work }
}

fn pm7() -> RuntimeKey {
    key("mopac", "pm7", "", Work::Energy)
}

fn place(pool: &str) -> Place {
    Place { site: "here".into(), pool: PoolName(pool.into()), cores: 1 }
}

fn size(atoms: u32) -> Size {
    Size { atoms, basis_functions: None }
}

/// History of runs: key, pool, atoms, seconds.
fn history(runs: impl IntoIterator<Item = (RuntimeKey, &'static str, Size, Measured)>) -> Forecaster {
    let mut rows: Vec<RuntimeHistory> = Vec::new();
    for (key, pool, size, seconds) in runs {
        let run = Run { key, place: place(pool), size, wall_seconds: Some(seconds), memory_bytes: None };
        for (subject, observation) in run.observations() {
            let row = match rows.iter_mut().position(|row| row.subject == subject) {
                Some(at) => &mut rows[at],
                None => {
                    rows.push(RuntimeHistory {
                        subject,
                        moments: Default::default(),
                        since: Timestamp::UNIX_EPOCH,
                    });
                    rows.last_mut().unwrap()
                }
            };
            row.moments.observe(observation);
        }
    }
    Forecaster::new(rows)
}

fn took(key: RuntimeKey, atoms: u32, seconds: f64) -> (RuntimeKey, &'static str, Size, Measured) {
    (key, "cpu", size(atoms), Measured::Whole(seconds))
}

/// `count` runs of 4 to 23 atoms that take atoms^2.5/100 seconds, a quarter more or less.
fn usual(count: u32, factor: f64) -> Vec<(RuntimeKey, &'static str, Size, Measured)> {
    (0..count)
        .map(|n| {
            let atoms = 4 + n % 20;
            let noise = if n % 2 == 0 { 1.25 } else { 0.8 };
            took(pm7(), atoms, factor * noise * f64::from(atoms).powf(2.5) / 100.0)
        })
        .collect()
}

fn seconds(forecaster: &mut Forecaster, key: &RuntimeKey, atoms: u32) -> Estimate {
    forecaster.predict(key, size(atoms), &place("cpu")).wall_seconds
}

#[test]
fn with_no_history_the_prior_speaks_and_says_how_little_it_knows() {
    let estimate = seconds(&mut Forecaster::new(Vec::new()), &key("psi4", "hf", "sto-3g", Work::Energy), 10);
    assert_eq!(estimate.evidence.level, Level::Prior);
    assert!(estimate.low < 1.0 && estimate.high > 400.0, "{estimate:?}");
}

#[test]
fn small_molecules_foretell_a_large_one() {
    let estimate = seconds(&mut history(usual(60, 1.0)), &pm7(), 60);
    let truth = 60f64.powf(2.5) / 100.0;
    assert!(estimate.median / truth > 0.6 && estimate.median / truth < 1.6, "{estimate:?} for {truth}");
    assert!(estimate.low < truth && truth < estimate.high, "{estimate:?} for {truth}");
    assert!(estimate.high / estimate.low < 20.0, "{estimate:?}");
    assert_eq!((estimate.evidence.level, estimate.evidence.runs), (Level::Place, 60));
}

#[test]
fn an_unseen_calculation_is_judged_by_the_nearest_relatives() {
    let mut known = history((0..40).map(|n| {
        took(key("psi4", "b3lyp", "def2-svp", Work::Energy), 5 + n % 10, 30.0 * f64::from(5 + n % 10))
    }));
    let prior = |key: &RuntimeKey| seconds(&mut Forecaster::new(Vec::new()), key, 10);
    for (asked, level) in [
        (key("psi4", "b3lyp", "def2-svp", Work::Energy), Level::Place),
        (key("psi4", "b3lyp", "def2-tzvp", Work::Energy), Level::Method),
        (key("psi4", "pbe", "def2-svp", Work::Energy), Level::Work),
        (key("psi4", "pbe", "def2-svp", Work::Gradient), Level::Program),
        (key("orca", "b3lyp", "def2-svp", Work::Energy), Level::Prior),
    ] {
        let estimate = seconds(&mut known, &asked, 10);
        assert_eq!(estimate.evidence.level, level, "{asked:?}");
        let width = |estimate: &Estimate| estimate.high / estimate.low;
        if level > Level::Prior {
            assert!(width(&estimate) < width(&prior(&asked)), "{asked:?}: {estimate:?}");
        }
    }
    let elsewhere = known.predict(&key("psi4", "b3lyp", "def2-svp", Work::Energy), size(10), &place("gpu"));
    assert_eq!(elsewhere.wall_seconds.evidence.level, Level::Key);
    assert!((elsewhere.wall_seconds.median / 300.0).ln().abs() < 0.5, "{elsewhere:?}");
}

#[test]
fn the_nearer_the_relatives_the_surer() {
    let mut known = history((0..40).map(|n| {
        took(key("psi4", "b3lyp", "def2-svp", Work::Energy), 5 + n % 10, 30.0 * f64::from(5 + n % 10))
    }));
    let mut width = |method: &str, basis: &str, work| {
        let estimate = seconds(&mut known, &key("psi4", method, basis, work), 10);
        estimate.high / estimate.low
    };
    let widths = [
        width("b3lyp", "def2-svp", Work::Energy),
        width("b3lyp", "def2-tzvp", Work::Energy),
        width("pbe", "def2-svp", Work::Energy),
        width("pbe", "def2-svp", Work::Gradient),
    ];
    assert!(widths.is_sorted(), "{widths:?}");
}

#[test]
fn a_pool_that_is_slower_is_told_apart() {
    let runs = usual(40, 1.0)
        .into_iter()
        .chain(usual(40, 3.0).into_iter().map(|(key, _, size, measured)| (key, "slow", size, measured)));
    let mut known = history(runs);
    let fast = known.predict(&pm7(), size(12), &place("cpu")).wall_seconds.median;
    let slow = known.predict(&pm7(), size(12), &place("slow")).wall_seconds.median;
    assert!((slow / fast / 3.0).ln().abs() < 0.15, "{fast} {slow}");
}

#[test]
fn basis_functions_tell_more_than_atoms_where_they_are_known() {
    // Ten atoms of hydrogen, ten of carbon: only the functions tell them apart.
    let of = |functions: u32, seconds: f64| {
        let size = Size { atoms: 10, basis_functions: Some(functions) };
        (key("psi4", "hf", "def2-svp", Work::Energy), "cpu", size, Measured::Whole(seconds))
    };
    let runs = (0..20).flat_map(|_| [of(50, 2.0), of(140, 2.0 * 2.8f64.powf(2.5))]);
    let mut known = history(runs);
    let mut predict = |functions| {
        let size = Size { atoms: 10, basis_functions: functions };
        known.predict(&key("psi4", "hf", "def2-svp", Work::Energy), size, &place("cpu")).wall_seconds
    };
    let by_functions = predict(Some(140));
    assert_eq!(by_functions.evidence.measure, Measure::BasisFunctions);
    assert!((by_functions.median / 26.2).ln().abs() < 0.1, "{by_functions:?}");
    let by_atoms = predict(None);
    assert!(by_atoms.high / by_atoms.low > 3.0 * by_functions.high / by_functions.low, "{by_atoms:?}");
}

#[test]
fn a_time_out_raises_what_is_expected() {
    let mut runs = usual(6, 1.0);
    let before = seconds(&mut history(runs.clone()), &pm7(), 15).median;
    runs.push((pm7(), "cpu", size(15), Measured::StoppedAt(3600.0)));
    let after = seconds(&mut history(runs), &pm7(), 15);
    assert!(after.median > before, "{before} {after:?}");
    assert_eq!(after.evidence.stopped, 1);
    let alone = seconds(&mut history([(pm7(), "cpu", size(15), Measured::StoppedAt(3600.0))]), &pm7(), 15);
    assert!(alone.high > 3600.0, "{alone:?}");
}

#[test]
fn one_hanging_run_does_not_spoil_the_prediction() {
    let mut runs = usual(40, 1.0);
    let before = seconds(&mut history(runs.clone()), &pm7(), 15);
    runs.push((pm7(), "cpu", size(15), Measured::StoppedAt(86_400.0)));
    let after = seconds(&mut history(runs), &pm7(), 15);
    assert!(after.median < 1.2 * before.median && after.high < 2.0 * before.high, "{before:?} {after:?}");
}

#[test]
fn the_students_quantiles_are_those_of_the_tables() {
    for (freedom, quantile) in [(4.0, 2.132), (6.0, 1.943), (10.0, 1.812), (30.0, 1.697), (1000.0, 1.646)] {
        let found = student(NORMAL_95, freedom);
        assert!((found / quantile - 1.0).abs() < 0.01, "{freedom}: {found}, not {quantile}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn more_evidence_narrows_the_interval(count in 3u32..40) {
        let width = |count| {
            let estimate = seconds(&mut history(usual(count, 1.0)), &pm7(), 12);
            estimate.high / estimate.low
        };
        prop_assert!(width(4 * count) < width(count), "{} {}", width(count), width(4 * count));
        prop_assert!(width(count) < width(0));
    }

    #[test]
    fn a_larger_molecule_never_takes_less(
        runs in prop::collection::vec((1u32..200, -3.0..10.0f64), 0..25), atoms in 1u32..500, more in 0u32..500,
    ) {
        let runs = runs.into_iter().map(|(atoms, log)| took(pm7(), atoms, log.exp()));
        let mut known = history(runs);
        let (small, large) = (seconds(&mut known, &pm7(), atoms), seconds(&mut known, &pm7(), atoms + more));
        let nearly = 1.0 - 1e-9;
        prop_assert!(large.median >= small.median * nearly);
        prop_assert!(large.high >= small.high * nearly && large.low >= small.low * nearly);
    }

    #[test]
    fn bounds_lie_around_the_median(
        runs in prop::collection::vec((1u32..200, -3.0..10.0f64), 0..25), atoms in 1u32..500,
    ) {
        let runs = runs.into_iter().map(|(atoms, log)| took(pm7(), atoms, log.exp()));
        let estimate = seconds(&mut history(runs), &pm7(), atoms);
        prop_assert!(estimate.low <= estimate.median && estimate.median <= estimate.high, "{estimate:?}");
        prop_assert!(estimate.low > 0.0 && estimate.high.is_finite());
    }

    #[test]
    fn on_a_machine_that_is_slower_everything_is_predicted_slower_alike(factor in 0.2..50.0f64) {
        let usual_median = seconds(&mut history(usual(80, 1.0)), &pm7(), 12).median;
        let scaled = seconds(&mut history(usual(80, factor)), &pm7(), 12).median;
        prop_assert!((scaled / usual_median / factor).ln().abs() < 0.05, "{usual_median} {scaled} {factor}");
    }
}
