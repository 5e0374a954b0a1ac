//! The promises of `plan::predict::ask`.

use proptest::prelude::*;

use super::*;
use crate::model::runtime::Measure;
use crate::plan::predict::Evidence;

fn prediction(level: Level, runs: u64, seconds: f64) -> Prediction {
    let evidence =
        Evidence { level, runs, stopped: 0, program_runs: runs, since: None, measure: Measure::Atoms };
    let estimate =
        |median: f64| Estimate { median, low: median / 2.0, high: median * 2.0, evidence: evidence.clone() };
    Prediction { wall_seconds: estimate(seconds), memory_bytes: estimate(1e9) }
}

const DEFAULTS: TaskResources = TaskResources {
    cores: Some(1),
    memory_bytes: Some(2 << 30),
    walltime_seconds: Some(3600),
    gpus: None,
    nodes: None,
};

#[test]
fn without_history_the_configured_default_holds() {
    for level in [Level::Prior, Level::Program] {
        let nothing = expectation(&prediction(level, 0, 50_000.0), &TaskResources::default(), &DEFAULTS);
        assert_eq!((nothing.walltime_seconds, nothing.memory_bytes), (None, None));
    }
}

#[test]
fn history_of_the_calculation_replaces_it_and_less_can_only_raise_it() {
    let walltime = |level, runs, seconds| {
        expectation(&prediction(level, runs, seconds), &TaskResources::default(), &DEFAULTS).walltime_seconds
    };
    assert_eq!(walltime(Level::Place, 5, 10.0), Some(300));
    assert_eq!(walltime(Level::Method, 5, 100.0), Some(450));
    assert_eq!(walltime(Level::Place, 5, 2000.0), Some(9600));
    assert_eq!(walltime(Level::Place, 4, 10.0), Some(3600));
    assert_eq!(walltime(Level::Work, 500, 10.0), Some(3600));
    assert_eq!(walltime(Level::Work, 500, 2000.0), Some(9600));
}

#[test]
fn what_a_task_says_itself_holds() {
    let expected = expectation(&prediction(Level::Place, 9, 10.0), &TaskResources::default(), &DEFAULTS);
    let asks = TaskResources { walltime_seconds: Some(7), ..TaskResources::default() };
    let completed = expected.completes(&asks, &TaskResources::default());
    assert_eq!(completed.walltime_seconds, Some(7));
    assert_eq!(completed.memory_bytes, Some(3 << 30));
}

#[test]
fn a_task_with_nodes_of_its_own_is_given_all_that_they_have() {
    let expected = expectation(&prediction(Level::Place, 9, 10.0), &TaskResources::default(), &DEFAULTS);
    let most = TaskResources { cores: Some(64), memory_bytes: Some(200 << 30), ..TaskResources::default() };
    let wide = TaskResources { nodes: Some(2), ..TaskResources::default() };
    let given = |asks: &TaskResources| {
        let given = expected.completes(asks, &most);
        (given.cores, given.memory_bytes, given.walltime_seconds)
    };
    assert_eq!(given(&wide), (Some(64), Some(200 << 30), Some(300)));
    assert_eq!(given(&TaskResources { cores: Some(8), ..wide }), (Some(8), Some(200 << 30), Some(300)));
    assert_eq!(given(&TaskResources { nodes: Some(1), ..wide }), (None, Some(3 << 30), Some(300)));
}

proptest! {
    #[test]
    fn a_limit_is_never_below_the_need_nor_above_the_pool(seconds in 0.0..1e7f64, most in 300..1_000_000u64) {
        let pool = TaskResources { walltime_seconds: Some(most), ..TaskResources::default() };
        let given = expectation(&prediction(Level::Place, 9, seconds), &pool, &DEFAULTS).walltime_seconds.unwrap();
        prop_assert!(given <= most);
        prop_assert!(given == most || given as f64 >= (seconds * 4.0).floor());
        prop_assert!(given == most || given <= 300 || given as f64 <= seconds * 4.0 * 1.5 + 1.0);
    }
}
