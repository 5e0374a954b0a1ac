//! What is remembered of how long calculations took and how much memory they held: sums by program, method, basis,
//! driver and place. Pure; `plan::predict` makes predictions of it, the store keeps it.

pub mod line;
pub mod moments;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::calculation::{Driver, Specification};
use super::ids::PoolName;
use super::record::RecordType;
pub use line::Line;
pub use moments::{Moments, Observation};

/// Calculations that are alike but for their molecule. Words are lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct RuntimeKey {
    /// Program of the single points.
    pub program: String,
    /// Their method.
    pub method: String,
    /// Their basis; empty where the method has none.
    pub basis: String,
    /// What is computed.
    pub work: Work,
}

/// What is computed: a driver's answer for one geometry, or a whole optimization.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// The energy.
    Energy,
    /// The gradient.
    Gradient,
    /// The Hessian.
    Hessian,
    /// Properties.
    Properties,
    /// A geometry optimization.
    Optimization,
}

impl Work {
    /// Every kind.
    pub const ALL: [Work; 5] =
        [Work::Energy, Work::Gradient, Work::Hessian, Work::Properties, Work::Optimization];

    /// What a record computes: of an optimization the driver says nothing.
    pub const fn of(record_type: RecordType, driver: Driver) -> Work {
        match (record_type, driver) {
            (RecordType::Optimization, _) => Work::Optimization,
            (RecordType::Singlepoint, Driver::Energy | Driver::Deferred) => Work::Energy,
            (RecordType::Singlepoint, Driver::Gradient) => Work::Gradient,
            (RecordType::Singlepoint, Driver::Hessian) => Work::Hessian,
            (RecordType::Singlepoint, Driver::Properties) => Work::Properties,
        }
    }

    /// The word used in SQL, JSON and the CLI.
    pub const fn as_str(self) -> &'static str {
        match self {
            Work::Energy => "energy",
            Work::Gradient => "gradient",
            Work::Hessian => "hessian",
            Work::Properties => "properties",
            Work::Optimization => "optimization",
        }
    }

    /// The kind that `word` names.
    pub fn parse(word: &str) -> Option<Work> {
        Self::ALL.into_iter().find(|work| work.as_str() == word)
    }
}

impl RuntimeKey {
    /// A key of these words, whatever their case.
    pub fn new(program: &str, method: &str, basis: &str, work: Work) -> RuntimeKey {
        RuntimeKey {
            program: program.to_lowercase(),
            method: method.to_lowercase(),
            basis: basis.to_lowercase(),
            work,
        }
    }

    /// The key of calculations of this specification.
    pub fn of(specification: &Specification) -> RuntimeKey {
        let qc = specification.qc();
        let work = Work::of(specification.record_type(), qc.driver);
        RuntimeKey::new(&qc.program, &qc.method, &qc.basis, work)
    }
}

/// How large a calculation is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Size {
    /// Atoms of its molecule.
    pub atoms: u32,
    /// Basis functions, where a result for such a molecule told them.
    pub basis_functions: Option<u32>,
}

/// Where calculations run: machines, and cores given to a task, make times differ.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Place {
    /// The site.
    pub site: String,
    /// Its pool.
    pub pool: PoolName,
    /// Cores of a task.
    pub cores: u32,
}

/// What is remembered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Elapsed time, in seconds.
    WallSeconds,
    /// The most memory held, in bytes.
    MemoryBytes,
}

impl Quantity {
    /// Both.
    pub const ALL: [Quantity; 2] = [Quantity::WallSeconds, Quantity::MemoryBytes];

    /// The word used in SQL and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Quantity::WallSeconds => "wall_seconds",
            Quantity::MemoryBytes => "memory_bytes",
        }
    }

    /// The quantity that `word` names.
    pub fn parse(word: &str) -> Option<Quantity> {
        Self::ALL.into_iter().find(|quantity| quantity.as_str() == word)
    }

    /// Least and most that is believed of a measured or predicted value: a clock's jitter, a typing error.
    pub const fn range(self) -> (f64, f64) {
        match self {
            Quantity::WallSeconds => (1e-3, 1e8),
            Quantity::MemoryBytes => (1048576.0, 1e15),
        }
    }

    /// The logarithm that sums are made of.
    pub fn log(self, value: f64) -> f64 {
        let (least, most) = self.range();
        if value.is_nan() { least.ln() } else { value.clamp(least, most).ln() }
    }
}

/// By what size is measured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Number of atoms.
    Atoms,
    /// Number of basis functions.
    BasisFunctions,
}

impl Measure {
    /// Both.
    pub const ALL: [Measure; 2] = [Measure::Atoms, Measure::BasisFunctions];

    /// The word used in SQL and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Measure::Atoms => "atoms",
            Measure::BasisFunctions => "basis_functions",
        }
    }

    /// The measure that `word` names.
    pub fn parse(word: &str) -> Option<Measure> {
        Self::ALL.into_iter().find(|measure| measure.as_str() == word)
    }

    /// The logarithm of `size` over that of a small molecule: ten atoms, a hundred basis functions.
    pub fn log(self, size: Size) -> Option<f64> {
        let (count, usual) = match self {
            Measure::Atoms => (Some(size.atoms), 10.0),
            Measure::BasisFunctions => (size.basis_functions, 100.0),
        };
        count.map(|count| (f64::from(count.max(1)) / usual).ln())
    }
}

/// What one row of history is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct RuntimeSubject {
    /// Which calculations.
    pub key: RuntimeKey,
    /// Where they ran.
    pub place: Place,
    /// What was measured.
    pub quantity: Quantity,
    /// Against what size.
    pub measure: Measure,
}

/// Sums over runs, and what they are about.
#[derive(Clone, PartialEq, Debug)]
pub struct RuntimeHistory {
    /// Of what.
    pub subject: RuntimeSubject,
    /// The sums.
    pub moments: Moments,
    /// When the first of these runs was stored.
    pub since: Timestamp,
}

/// One attempt that tells something: it completed, or was stopped at a limit.
#[derive(Clone, PartialEq, Debug)]
pub struct Run {
    /// What ran.
    pub key: RuntimeKey,
    /// Where.
    pub place: Place,
    /// How large it was.
    pub size: Size,
    /// How long, if that is known.
    pub wall_seconds: Option<Measured>,
    /// The most memory it held, if that is known.
    pub memory_bytes: Option<Measured>,
}

/// A measured value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Measured {
    /// It is this.
    Whole(f64),
    /// It was stopped there: it would have been more.
    StoppedAt(f64),
}

impl Run {
    /// What it adds to which rows of history.
    pub fn observations(&self) -> impl Iterator<Item = (RuntimeSubject, Observation)> + '_ {
        let measured =
            [(Quantity::WallSeconds, self.wall_seconds), (Quantity::MemoryBytes, self.memory_bytes)];
        measured.into_iter().filter_map(|(quantity, measured)| Some((quantity, measured?))).flat_map(
            move |(quantity, measured)| {
                let (value, stopped) = match measured {
                    Measured::Whole(value) => (value, false),
                    Measured::StoppedAt(value) => (value, true),
                };
                Measure::ALL.into_iter().filter_map(move |measure| {
                    let subject = RuntimeSubject {
                        key: self.key.clone(),
                        place: self.place.clone(),
                        quantity,
                        measure,
                    };
                    let (log_size, log_value) = (measure.log(self.size)?, quantity.log(value));
                    let observation = match stopped {
                        true => Observation::StoppedAt { log_size, log_value },
                        false => Observation::Whole { log_size, log_value },
                    };
                    Some((subject, observation))
                })
            },
        )
    }
}
