//! One requested calculation, whatever QCSchema generation it was written in: type, specification, molecule. Pure.
//!
//! `qcschema` makes these from documents; the store keeps molecules and specifications once, by hash.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::molecule::Molecule;
use super::record::RecordType;

/// What is computed from a geometry: QCSchema's `driver`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// The energy, a number.
    Energy,
    /// dE/dx, `[natoms, 3]`.
    Gradient,
    /// d²E/dx², `[3 natoms, 3 natoms]`.
    Hessian,
    /// A map of properties.
    Properties,
    /// Chosen by the procedure that calls it (inside optimizations).
    Deferred,
}

impl Driver {
    /// Every driver.
    pub const ALL: [Driver; 5] =
        [Driver::Energy, Driver::Gradient, Driver::Hessian, Driver::Properties, Driver::Deferred];

    /// The word used in SQL, JSON and the CLI.
    pub const fn as_str(self) -> &'static str {
        match self {
            Driver::Energy => "energy",
            Driver::Gradient => "gradient",
            Driver::Hessian => "hessian",
            Driver::Properties => "properties",
            Driver::Deferred => "deferred",
        }
    }

    /// The driver that `word` names.
    pub fn parse(word: &str) -> Option<Driver> {
        Self::ALL.into_iter().find(|driver| driver.as_str() == word)
    }
}

/// QCArchive's `QCSpecification`: how one geometry is computed. Words are lower case.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QcSpecification {
    /// The program, as QCEngine names it.
    pub program: String,
    /// What is computed.
    pub driver: Driver,
    /// The method (`hf`, `pm7`, `b3lyp-d3bj`).
    pub method: String,
    /// The basis; empty where a method has none.
    pub basis: String,
    /// The program's own keywords.
    pub keywords: Map<String, Value>,
    /// Members that differ from QCSchema's defaults only.
    pub protocols: Map<String, Value>,
}

/// QCArchive's `OptimizationSpecification` around the specification of its gradients.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizationSpecification {
    /// The optimizer, as QCEngine names the procedure (`geometric`, `optking`, `berny`).
    pub program: String,
    /// The optimizer's own keywords, without `program`.
    pub keywords: Map<String, Value>,
    /// Members that differ from QCSchema's defaults only.
    pub protocols: Map<String, Value>,
    /// How gradients are computed; its driver is `deferred`.
    pub qc_specification: QcSpecification,
}

/// Either kind of specification.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "record_type")]
pub enum Specification {
    /// Of a single point.
    Singlepoint(QcSpecification),
    /// Of an optimization.
    Optimization(OptimizationSpecification),
}

impl Specification {
    /// The record type that this specification makes.
    pub fn record_type(&self) -> RecordType {
        match self {
            Specification::Singlepoint(_) => RecordType::Singlepoint,
            Specification::Optimization(_) => RecordType::Optimization,
        }
    }

    /// The specification of the single points: itself, or the one inside an optimization.
    pub fn qc(&self) -> &QcSpecification {
        match self {
            Specification::Singlepoint(qc) => qc,
            Specification::Optimization(optimization) => &optimization.qc_specification,
        }
    }

    /// Programs that a pool must have, lower case, as QCFractal's `required_programs` without `qcengine`.
    pub fn required_programs(&self) -> Vec<String> {
        match self {
            Specification::Singlepoint(qc) => vec![qc.program.clone()],
            Specification::Optimization(optimization) => {
                let mut programs =
                    vec![optimization.program.clone(), optimization.qc_specification.program.clone()];
                programs.dedup();
                programs
            }
        }
    }
}

/// One requested calculation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Calculation {
    /// How.
    pub specification: Specification,
    /// On what; for an optimization the initial geometry.
    pub molecule: Molecule,
    /// The user's own `extras`, kept with the record.
    pub extras: Map<String, Value>,
}
