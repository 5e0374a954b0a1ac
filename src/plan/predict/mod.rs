//! How long a calculation will take and how much memory it will hold, learned from history. Pure.
//!
//! Time and memory are powers of size: a straight line in logarithms. The line of a calculation is learned in steps, from
//! the general to the special: the stated prior, then other work of the same program, other methods of the same work,
//! other bases of the same method, the same calculation elsewhere, and here. Each step takes what the one before
//! believes, less surely, as its prior; no run is counted twice. So one run of a new method moves the prediction, and a
//! hundred make it forget its relatives.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::runtime::line::Sums;
use crate::model::runtime::{
    Line, Measure, Place, Quantity, RuntimeHistory, RuntimeKey, RuntimeSubject, Size,
};

pub mod ask;
pub mod prior;

pub use ask::{Expectation, expectation};

/// How special the history is that a prediction rests on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// No history of the program: the stated prior.
    Prior,
    /// The program, doing other work (an energy for a gradient).
    Program,
    /// The same program and work, other methods.
    Work,
    /// The same program, work and method, other bases.
    Method,
    /// The same calculation in other pools, or on another number of cores.
    Key,
    /// The same calculation in this pool.
    Place,
}

impl Level {
    /// From the general to the special, without the prior.
    const STEPS: [Level; 5] = [Level::Program, Level::Work, Level::Method, Level::Key, Level::Place];

    /// The history of `subject`, as seen from a calculation of `key` at `place`; none where it is of another program.
    fn of(subject: &RuntimeSubject, key: &RuntimeKey, place: &Place) -> Option<Level> {
        let other = &subject.key;
        if other.program != key.program {
            None
        } else if other.work != key.work {
            Some(Level::Program)
        } else if other.method != key.method {
            Some(Level::Work)
        } else if other.basis != key.basis {
            Some(Level::Method)
        } else if subject.place != *place {
            Some(Level::Key)
        } else {
            Some(Level::Place)
        }
    }

    /// By how much (standard deviations, in logarithms) level and slope differ between members of this level.
    const fn differences(self, quantity: Quantity, measure: Measure) -> (f64, f64) {
        let (level, slope) = match self {
            Level::Prior => (0.0, 0.0),
            Level::Program => (1.6, 0.6),
            Level::Work => (1.2, 0.5),
            // Basis functions know of the basis, atoms do not.
            Level::Method => match measure {
                Measure::Atoms => (0.9, 0.3),
                Measure::BasisFunctions => (0.4, 0.3),
            },
            Level::Key | Level::Place => (0.5, 0.15),
        };
        match quantity {
            Quantity::WallSeconds => (level, slope),
            Quantity::MemoryBytes => (0.5 * level, slope),
        }
    }
}

/// What a prediction rests on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Evidence {
    /// The most special history there is.
    pub level: Level,
    /// Runs of that level.
    pub runs: u64,
    /// Of these, stopped at a limit.
    pub stopped: u64,
    /// Runs of the program in all.
    pub program_runs: u64,
    /// When the first of the level's runs was stored.
    pub since: Option<Timestamp>,
    /// By what size was measured.
    pub measure: Measure,
}

/// A predicted value.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Estimate {
    /// As likely more as less.
    pub median: f64,
    /// Less in one of twenty cases.
    pub low: f64,
    /// More in one of twenty cases.
    pub high: f64,
    /// What it rests on.
    pub evidence: Evidence,
}

/// Time and memory of one calculation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Prediction {
    /// Elapsed time.
    pub wall_seconds: Estimate,
    /// The most memory that program and worker hold.
    pub memory_bytes: Estimate,
}

/// Of the spread around a line, a special line inherits the experience of so many runs.
const INHERITED_RUNS: f64 = 6.0;

/// The normal distribution's value that 95 % lie below.
const NORMAL_95: f64 = 1.644_853_6;

/// Runs that make basis functions a better measure than atoms.
const ENOUGH_BY_FUNCTIONS: u64 = 3;

/// Predictions out of a part of history: that of the programs in question.
#[derive(Clone, Debug)]
pub struct Forecaster {
    history: Vec<RuntimeHistory>,
    learned: HashMap<RuntimeSubject, (Line, Evidence)>,
}

impl Forecaster {
    /// One that knows `history`.
    pub fn new(history: Vec<RuntimeHistory>) -> Forecaster {
        Forecaster { history, learned: HashMap::new() }
    }

    /// The prediction for a calculation of `key` and `size` at `place`. Only the first of a key and place costs more
    /// than a few sums.
    pub fn predict(&mut self, key: &RuntimeKey, size: Size, place: &Place) -> Prediction {
        Prediction {
            wall_seconds: self.estimate(key, size, place, Quantity::WallSeconds),
            memory_bytes: self.estimate(key, size, place, Quantity::MemoryBytes),
        }
    }

    fn estimate(&mut self, key: &RuntimeKey, size: Size, place: &Place, quantity: Quantity) -> Estimate {
        let mut learned = |measure| {
            let subject = RuntimeSubject { key: key.clone(), place: place.clone(), quantity, measure };
            let history = &self.history;
            self.learned.entry(subject).or_insert_with_key(|subject| learn(history, subject)).clone()
        };
        let by_functions = Measure::BasisFunctions.log(size).map(|x| (x, learned(Measure::BasisFunctions)));
        let by_functions = by_functions.filter(|(_, (_, evidence))| {
            evidence.level >= Level::Method && evidence.runs >= ENOUGH_BY_FUNCTIONS
        });
        let (x, (line, evidence)) = by_functions
            .unwrap_or_else(|| (Measure::Atoms.log(size).unwrap_or_default(), learned(Measure::Atoms)));
        let reach = student(NORMAL_95, line.freedom());
        let value = |t: f64| {
            let (least, most) = quantity.range();
            line.value(x, t).exp().clamp(least, most)
        };
        Estimate { median: value(0.0), low: value(-reach), high: value(reach), evidence }
    }
}

/// The line of `subject`, learned step by step.
fn learn(history: &[RuntimeHistory], subject: &RuntimeSubject) -> (Line, Evidence) {
    let RuntimeSubject { key, place, quantity, measure } = subject;
    let mut line = prior::stated(key, *quantity);
    let mut evidence = Evidence {
        level: Level::Prior,
        runs: 0,
        stopped: 0,
        program_runs: 0,
        since: None,
        measure: *measure,
    };
    for step in Level::STEPS {
        let rows: Vec<&RuntimeHistory> = history
            .iter()
            .filter(|row| row.subject.quantity == *quantity && row.subject.measure == *measure)
            .filter(|row| Level::of(&row.subject, key, place) == Some(step))
            .collect();
        if rows.is_empty() {
            continue;
        }
        let runs = rows.iter().map(|row| row.moments.runs).sum();
        evidence = Evidence {
            level: step,
            runs,
            stopped: rows.iter().map(|row| row.moments.stopped).sum(),
            program_runs: evidence.program_runs + runs,
            since: rows.iter().map(|row| row.since).min(),
            measure: *measure,
        };
        let (level, slope) = step.differences(*quantity, *measure);
        let mut sums = Sums::default();
        for row in rows {
            match step {
                Level::Place => sums.add(&row.moments.sums()),
                _ => sums.add(&row.moments.sums_of_relatives(level / line.variance().sqrt())),
            }
        }
        line = line.updated(&sums);
        if step != Level::Place {
            line = line.widened(level, slope, INHERITED_RUNS);
        }
    }
    (line.rising(), evidence)
}

/// The quantile of Student's distribution where the normal one's is `normal`: Gleason's approximation (2000), good to a
/// percent from three degrees of freedom on.
fn student(normal: f64, freedom: f64) -> f64 {
    let g = (freedom - 1.5) / ((freedom - 1.0) * (freedom - 1.0));
    (freedom * (normal * normal * g).exp_m1()).sqrt()
}

#[cfg(test)]
mod tests;
