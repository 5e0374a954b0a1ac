//! `predict`: a table of what is expected, pool by pool, and what it rests on.

use serde::Serialize;

use crate::api::wire::{PredictedCalculation, PredictedInPool, Scarce};
use crate::cli::format;
use crate::cli::screen::{Report, Screen};
use crate::cli::table::{Column, render};
use crate::model::runtime::Measure;
use crate::plan::predict::{Estimate, Evidence, Level};

/// Predictions in the order of the documents.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Predictions(pub Vec<PredictedCalculation>);

const COLUMNS: [Column; 10] = [
    Column::left("FORMULA", 0).cut_to(8),
    Column::right("ATOMS", 6),
    Column::left("MODEL", 1).cut_to(10),
    Column::left("TASK", 5),
    Column::left("POOL", 0).cut_to(6),
    Column::right("TIME", 0),
    Column::left("9 OF 10 WITHIN", 2),
    Column::right("MEMORY", 3),
    Column::left("GIVEN", 4),
    Column::left("HISTORY", 0).cut_to(16),
];

impl Report for Predictions {
    fn table(&self, screen: &Screen) -> String {
        let mut rows = Vec::new();
        let mut notes = String::new();
        for calculation in &self.0 {
            for pool in &calculation.pools {
                rows.push(row(calculation, pool, screen));
                notes.extend(pool.short_of.iter().map(|scarce| short(calculation, pool, *scarce)));
            }
            if calculation.pools.is_empty() {
                let reasons: Vec<String> = calculation
                    .unfit
                    .iter()
                    .map(|unfit| format!("{}: {}", unfit.pool, unfit.reason))
                    .collect();
                let formula = &calculation.formula;
                notes.push_str(&format!("{formula}: no pool can run it ({})\n", reasons.join("; ")));
            }
        }
        let table = match rows.is_empty() {
            true => String::new(),
            false => render(&COLUMNS, &rows, screen.width, screen.colour),
        };
        table + &notes
    }

    fn quiet(&self) -> String {
        let first = |calculation: &PredictedCalculation| match calculation.pools.first() {
            Some(pool) => format!("{:.3}\n", pool.prediction.wall_seconds.median),
            None => format!("{}\n", format::ABSENT),
        };
        self.0.iter().map(first).collect()
    }
}

fn row(calculation: &PredictedCalculation, pool: &PredictedInPool, screen: &Screen) -> Vec<String> {
    let time = &pool.prediction.wall_seconds;
    let given = [
        pool.given.walltime_seconds.map(|seconds| format::duration(seconds as f64)),
        pool.given.memory_bytes.map(format::bytes),
    ];
    vec![
        calculation.formula.clone(),
        calculation.size.atoms.to_string(),
        format::model(&calculation.key.method, &calculation.key.basis),
        calculation.key.work.as_str().to_owned(),
        pool.pool.to_string(),
        format::duration(time.median),
        format!("{} to {}", format::duration(time.low), format::duration(time.high)),
        format::bytes(pool.prediction.memory_bytes.median as u64),
        given.into_iter().flatten().collect::<Vec<_>>().join(", "),
        history(&time.evidence, calculation, screen),
    ]
}

/// What a prediction rests on.
fn history(evidence: &Evidence, calculation: &PredictedCalculation, screen: &Screen) -> String {
    let key = &calculation.key;
    let what = match evidence.level {
        Level::Prior => return "none: a guess by the kind of method".to_owned(),
        Level::Place => "here",
        Level::Key => "in other pools",
        Level::Method => &format!("of {} in other bases", key.method),
        Level::Work => &format!("of other methods of {}", key.program),
        Level::Program => &format!("of other tasks of {}", key.program),
    };
    let mut text = format!("{} {what}", format::count(evidence.runs, "run"));
    if evidence.stopped > 0 {
        text.push_str(&format!(", {} stopped at a limit", evidence.stopped));
    }
    if evidence.measure == Measure::BasisFunctions {
        text.push_str(", by basis functions");
    }
    if let Some(since) = evidence.since {
        text.push_str(&format!(", since {}", since.to_zoned(screen.zone.clone()).strftime("%Y-%m-%d")));
    }
    text
}

fn short(calculation: &PredictedCalculation, pool: &PredictedInPool, scarce: Scarce) -> String {
    let prediction = &pool.prediction;
    let median = |estimate: &Estimate| estimate.median;
    let (needs, has) = match scarce {
        Scarce::Walltime => (
            format::duration(median(&prediction.wall_seconds)),
            format::maybe_duration(pool.given.walltime_seconds.map(|seconds| seconds as f64)),
        ),
        Scarce::Memory => (
            format::bytes(median(&prediction.memory_bytes) as u64),
            pool.given.memory_bytes.map_or_else(|| format::ABSENT.to_owned(), format::bytes),
        ),
    };
    format!("{} in {}: probably needs {needs}, it would be given {has}\n", calculation.formula, pool.pool)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::api::wire::UnfitPool;
    use crate::cli::screen::{OutputMode, Progress};
    use crate::cli::table::Colour;
    use crate::model::ids::PoolName;
    use crate::model::resources::TaskResources;
    use crate::model::runtime::{RuntimeKey, Size, Work};
    use crate::plan::predict::Prediction;

    fn screen(width: Option<usize>) -> Screen {
        let mut screen = Screen::of_process(OutputMode::Table);
        (screen.width, screen.colour, screen.zone) = (width, Colour::Off, TimeZone::UTC);
        screen.progress = Progress::Hidden;
        screen
    }

    fn estimate(median: f64, level: Level, runs: u64) -> Estimate {
        let evidence = Evidence {
            level,
            runs,
            stopped: runs / 20,
            program_runs: runs,
            since: (runs > 0).then(|| "2026-11-20T09:00:00Z".parse().unwrap()),
            measure: Measure::Atoms,
        };
        Estimate { median, low: median / 3.0, high: median * 3.0, evidence }
    }

    fn in_pool(pool: &str, level: Level, runs: u64, short_of: Vec<Scarce>) -> PredictedInPool {
        PredictedInPool {
            pool: PoolName(pool.to_owned()),
            prediction: Prediction {
                wall_seconds: estimate(5400.0, level, runs),
                memory_bytes: estimate(3e9, level, runs),
            },
            given: TaskResources {
                cores: Some(1),
                memory_bytes: Some(4 << 30),
                walltime_seconds: Some(3600),
                gpus: None,
                nodes: None,
            },
            short_of,
        }
    }

    fn predictions() -> Predictions {
        let calculation = |formula: &str, pools, unfit| PredictedCalculation {
            formula: formula.to_owned(),
            key: RuntimeKey::new("psi4", "b3lyp", "def2-svp", Work::Gradient),
            size: Size { atoms: 9, basis_functions: None },
            pools,
            unfit,
        };
        let unfit = UnfitPool {
            pool: PoolName("gpu".to_owned()),
            reason: "it does not have program `psi4`".to_owned(),
        };
        Predictions(vec![
            calculation(
                "C2H6O",
                vec![
                    in_pool("local", Level::Place, 40, vec![Scarce::Walltime]),
                    in_pool("cluster", Level::Method, 7, Vec::new()),
                ],
                Vec::new(),
            ),
            calculation("H2O", vec![in_pool("local", Level::Prior, 0, Vec::new())], Vec::new()),
            calculation("Ne", Vec::new(), vec![unfit]),
        ])
    }

    #[test]
    fn a_prediction_says_what_it_rests_on() {
        insta::assert_snapshot!(predictions().table(&screen(None)), @"
        FORMULA  ATOMS  MODEL           TASK      POOL      TIME  9 OF 10 WITHIN    MEMORY  GIVEN         HISTORY
        C2H6O        9  b3lyp/def2-svp  gradient  local    1h30m  30m00s to 4h30m  2.8 GiB  1h00m, 4 GiB  40 runs here, 2 stopped at a limit, since 2026-11-20
        C2H6O        9  b3lyp/def2-svp  gradient  cluster  1h30m  30m00s to 4h30m  2.8 GiB  1h00m, 4 GiB  7 runs of b3lyp in other bases, since 2026-11-20
        H2O          9  b3lyp/def2-svp  gradient  local    1h30m  30m00s to 4h30m  2.8 GiB  1h00m, 4 GiB  none: a guess by the kind of method
        C2H6O in local: probably needs 1h30m, it would be given 1h00m
        Ne: no pool can run it (gpu: it does not have program `psi4`)
        ");
    }

    #[test]
    fn a_narrow_table_keeps_time_and_history() {
        insta::assert_snapshot!(predictions().table(&screen(Some(60))), @"
        FORMULA  MODEL           POOL      TIME  HISTORY
        C2H6O    b3lyp/def2-svp  local    1h30m  40 runs here, 2 st…
        C2H6O    b3lyp/def2-svp  cluster  1h30m  7 runs of b3lyp in…
        H2O      b3lyp/def2-svp  local    1h30m  none: a guess by t…
        C2H6O in local: probably needs 1h30m, it would be given 1h00m
        Ne: no pool can run it (gpu: it does not have program `psi4`)
        ");
    }

    #[test]
    fn quiet_are_seconds() {
        assert_eq!(predictions().quiet(), "5400.000\n5400.000\n-\n");
    }
}
