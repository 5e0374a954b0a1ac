//! Geometry optimizations: `OptimizationInput` of both generations, and bare molecules with an optimizer. Pure.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::atomic::{AtomicSpecification, Model, program_of};
use super::error::read;
use super::protocols::{AtomicProtocols, OptimizationProtocolsV1, OptimizationProtocolsV2};
use super::{DEFAULT_OPTIMIZER, InputDefaults, InputError, molecule_at};
use crate::model::calculation::{
    Calculation, Driver, OptimizationSpecification, QcSpecification, Specification,
};
use crate::model::molecule::{Molecule, MoleculeDocument};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OptimizationInputV1 {
    #[serde(default, rename = "id")]
    _id: IgnoredAny,
    #[serde(default, rename = "hash_index")]
    _hash_index: IgnoredAny,
    #[serde(default, rename = "schema_name")]
    _schema_name: IgnoredAny,
    #[serde(default, rename = "schema_version")]
    _schema_version: IgnoredAny,
    keywords: Option<Map<String, Value>>,
    extras: Option<Map<String, Value>>,
    protocols: Option<OptimizationProtocolsV1>,
    input_specification: InputSpecification,
    initial_molecule: MoleculeDocument,
    #[serde(default, rename = "provenance")]
    _provenance: IgnoredAny,
}

/// Version 1's `QCInputSpecification`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InputSpecification {
    #[serde(default, rename = "schema_name")]
    _schema_name: IgnoredAny,
    #[serde(default, rename = "schema_version")]
    _schema_version: IgnoredAny,
    #[serde(default, rename = "driver")]
    _driver: Option<GradientDriver>,
    model: Option<Model>,
    keywords: Option<Map<String, Value>>,
    extras: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OptimizationInputV2 {
    #[serde(default, rename = "id")]
    _id: IgnoredAny,
    #[serde(default, rename = "schema_name")]
    _schema_name: IgnoredAny,
    #[serde(default, rename = "schema_version")]
    _schema_version: IgnoredAny,
    specification: OptimizationSpecificationV2,
    initial_molecule: MoleculeDocument,
    #[serde(default, rename = "provenance")]
    _provenance: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OptimizationSpecificationV2 {
    #[serde(default, rename = "schema_name")]
    _schema_name: IgnoredAny,
    program: Option<String>,
    keywords: Option<Map<String, Value>>,
    protocols: Option<OptimizationProtocolsV2>,
    extras: Option<Map<String, Value>>,
    specification: AtomicSpecification<GradientDriver>,
}

/// What an optimizer asks its program for; never anything else.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum GradientDriver {
    Gradient,
    Deferred,
}

/// Reads version 1, whose optimizer stands outside and whose program is one of the optimizer's keywords.
pub(super) fn parse_v1(
    text: &str,
    wrapper: Option<&str>,
    defaults: &InputDefaults,
) -> Result<Calculation, InputError> {
    let document: OptimizationInputV1 = read(text)?;
    let mut keywords = document.keywords.unwrap_or_default();
    let program = match keywords.remove("program") {
        None | Some(Value::Null) => None,
        Some(Value::String(program)) => Some(program),
        Some(other) => {
            return Err(InputError::new(
                "$.keywords.program",
                format!("found `{other}`"),
                "a program's name",
            ));
        }
    };
    let default = defaults.program.as_deref();
    let program = program_of(program.as_deref(), None, default, "$.keywords.program")?;
    let single_point = document.input_specification;
    refuse_lost(single_point.extras.as_ref(), "$.input_specification.extras", "in `$.extras`")?;
    let (method, basis) =
        single_point.model.unwrap_or_default().words("$.input_specification.model", defaults)?;
    let specification = OptimizationSpecification {
        program: optimizer_of(None, wrapper, defaults, "$")?,
        keywords,
        protocols: document.protocols.unwrap_or_default().reduced(),
        qc_specification: QcSpecification {
            program,
            driver: Driver::Deferred,
            method,
            basis,
            keywords: single_point.keywords.unwrap_or_else(|| defaults.keywords.clone()),
            protocols: Map::new(),
        },
    };
    let molecule = molecule_at(document.initial_molecule, "$.initial_molecule")?;
    Ok(calculation(specification, molecule, document.extras.unwrap_or_default()))
}

/// Reads version 2.
pub(super) fn parse_v2(
    text: &str,
    wrapper: Option<&str>,
    defaults: &InputDefaults,
) -> Result<Calculation, InputError> {
    let document: OptimizationInputV2 = read(text)?;
    let optimizer = document.specification;
    let single_point = optimizer.specification;
    let program_path = "$.specification.specification.program";
    let default = defaults.program.as_deref();
    let program = program_of(single_point.program.as_deref(), None, default, program_path)?;
    let (method, basis) =
        single_point.model.unwrap_or_default().words("$.specification.specification.model", defaults)?;
    let protocols = single_point.protocols.as_ref().map(AtomicProtocols::reduced);
    let extras = single_point.extras.as_ref();
    refuse_lost(protocols.as_ref(), "$.specification.specification.protocols", "left to the defaults")?;
    refuse_lost(extras, "$.specification.specification.extras", "in `$.specification.extras`")?;
    let own = optimizer.program.as_deref();
    let specification = OptimizationSpecification {
        program: optimizer_of(own, wrapper, defaults, "$.specification.program")?,
        keywords: optimizer.keywords.unwrap_or_default(),
        protocols: optimizer.protocols.unwrap_or_default().reduced(),
        qc_specification: QcSpecification {
            program,
            driver: Driver::Deferred,
            method,
            basis,
            keywords: single_point.keywords.unwrap_or_else(|| defaults.keywords.clone()),
            protocols: Map::new(),
        },
    };
    let molecule = molecule_at(document.initial_molecule, "$.initial_molecule")?;
    Ok(calculation(specification, molecule, optimizer.extras.unwrap_or_default()))
}

/// An optimization of nothing but defaults.
pub(super) fn from_molecule(
    molecule: Molecule,
    optimizer: &str,
    defaults: &InputDefaults,
) -> Result<Calculation, InputError> {
    let (method, basis) = Model::default().words("$", defaults)?;
    let specification = OptimizationSpecification {
        program: super::word(optimizer, "$")?,
        keywords: Map::new(),
        protocols: Map::new(),
        qc_specification: QcSpecification {
            program: program_of(None, None, defaults.program.as_deref(), "$")?,
            driver: Driver::Deferred,
            method,
            basis,
            keywords: defaults.keywords.clone(),
            protocols: Map::new(),
        },
    };
    Ok(calculation(specification, molecule, Map::new()))
}

fn optimizer_of(
    own: Option<&str>,
    wrapper: Option<&str>,
    defaults: &InputDefaults,
    path: &str,
) -> Result<String, InputError> {
    program_of(own, wrapper, Some(defaults.optimizer.as_deref().unwrap_or(DEFAULT_OPTIMIZER)), path)
}

/// QCArchive has no place for these, so they are refused rather than dropped.
fn refuse_lost(members: Option<&Map<String, Value>>, path: &str, instead: &str) -> Result<(), InputError> {
    match members {
        Some(members) if !members.is_empty() => {
            let reason = "the single points of an optimization cannot have their own";
            Err(InputError::new(path, reason, format!("nothing here, or {instead},")))
        }
        _ => Ok(()),
    }
}

fn calculation(
    specification: OptimizationSpecification,
    molecule: Molecule,
    extras: Map<String, Value>,
) -> Calculation {
    Calculation { specification: Specification::Optimization(specification), molecule, extras }
}
