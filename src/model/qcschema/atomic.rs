//! Single points: `AtomicInput` of both generations, and bare molecules. Pure.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::error::read;
use super::protocols::AtomicProtocols;
use super::{InputDefaults, InputError, molecule_at, word};
use crate::model::calculation::{Calculation, Driver, QcSpecification, Specification};
use crate::model::molecule::{Molecule, MoleculeDocument};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AtomicInputV1 {
    #[serde(default, rename = "id")]
    _id: IgnoredAny,
    #[serde(default, rename = "schema_name")]
    _schema_name: IgnoredAny,
    #[serde(default, rename = "schema_version")]
    _schema_version: IgnoredAny,
    molecule: MoleculeDocument,
    driver: Option<SinglepointDriver>,
    model: Option<Model>,
    keywords: Option<Map<String, Value>>,
    protocols: Option<AtomicProtocols>,
    extras: Option<Map<String, Value>>,
    #[serde(default, rename = "provenance")]
    _provenance: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AtomicInputV2 {
    #[serde(default, rename = "id")]
    _id: IgnoredAny,
    #[serde(default, rename = "schema_name")]
    _schema_name: IgnoredAny,
    #[serde(default, rename = "schema_version")]
    _schema_version: IgnoredAny,
    molecule: MoleculeDocument,
    specification: AtomicSpecification<SinglepointDriver>,
    #[serde(default, rename = "provenance")]
    _provenance: IgnoredAny,
}

/// Version 2's `AtomicSpecification`, also inside optimizations, where other drivers are allowed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AtomicSpecification<D> {
    #[serde(default, rename = "schema_name")]
    _schema_name: IgnoredAny,
    pub(super) program: Option<String>,
    #[serde(default = "Option::default", rename = "driver")]
    driver: Option<D>,
    pub(super) model: Option<Model>,
    pub(super) keywords: Option<Map<String, Value>>,
    pub(super) protocols: Option<AtomicProtocols>,
    pub(super) extras: Option<Map<String, Value>>,
}

/// What a single point can be asked for.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SinglepointDriver {
    Energy,
    Gradient,
    Hessian,
    Properties,
}

impl From<SinglepointDriver> for Driver {
    fn from(driver: SinglepointDriver) -> Driver {
        match driver {
            SinglepointDriver::Energy => Driver::Energy,
            SinglepointDriver::Gradient => Driver::Gradient,
            SinglepointDriver::Hessian => Driver::Hessian,
            SinglepointDriver::Properties => Driver::Properties,
        }
    }
}

/// QCSchema's `Model`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    method: Option<String>,
    basis: Option<Basis>,
}

/// A basis by name. QCSchema also has whole basis sets here, which no program under QCEngine takes and QCArchive does not store.
struct Basis(String);

impl<'de> Deserialize<'de> for Basis {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Basis, D::Error> {
        struct Name;
        impl<'de> serde::de::Visitor<'de> for Name {
            type Value = Basis;

            fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
                formatter.write_str("the name of a basis set, or null")
            }

            fn visit_str<E>(self, name: &str) -> Result<Basis, E> {
                Ok(Basis(name.to_owned()))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, _members: A) -> Result<Basis, A::Error> {
                Err(serde::de::Error::custom(
                    "a whole basis set, which no program under QCEngine takes, expected the name of a basis set",
                ))
            }
        }
        deserializer.deserialize_any(Name)
    }
}

impl Model {
    /// Method and basis in lower case; `path` is the model's own.
    pub(super) fn words(self, path: &str, defaults: &InputDefaults) -> Result<(String, String), InputError> {
        let method = match (&self.method, &defaults.method) {
            (Some(method), _) => word(method, &format!("{path}.method"))?,
            (None, Some(method)) => word(method, &format!("{path}.method"))?,
            (None, None) => {
                return Err(InputError::new(path, "`method` is missing", "a method, or --method"));
            }
        };
        let basis = match self.basis {
            Some(Basis(basis)) => basis,
            None if self.method.is_some() => String::new(),
            None => defaults.basis.clone().unwrap_or_default(),
        };
        Ok((method, basis.trim().to_lowercase()))
    }
}

/// The program that a document, its wrapper or the user names; two names for one thing must agree.
pub(super) fn program_of(
    own: Option<&str>,
    wrapper: Option<&str>,
    default: Option<&str>,
    path: &str,
) -> Result<String, InputError> {
    let own = own.filter(|own| !own.trim().is_empty()).map(|own| word(own, path)).transpose()?;
    let wrapper = wrapper.map(|wrapper| word(wrapper, path)).transpose()?;
    match (own, wrapper, default) {
        (Some(own), Some(wrapper), _) if own != wrapper => {
            Err(InputError::new(path, format!("`{own}`"), format!("`{wrapper}`, as beside `input_data`,")))
        }
        (Some(program), ..) | (None, Some(program), _) => Ok(program),
        (None, None, Some(default)) => word(default, path),
        (None, None, None) => Err(InputError::new(path, "no program", "a program's name, or --program")),
    }
}

/// Reads version 1, whose program stands outside.
pub(super) fn parse_v1(
    text: &str,
    wrapper: Option<&str>,
    defaults: &InputDefaults,
) -> Result<Calculation, InputError> {
    let document: AtomicInputV1 = read(text)?;
    let driver = document.driver.map(Driver::from).or(defaults.driver);
    let driver = driver.ok_or_else(|| missing_driver("$"))?;
    let program = program_of(None, wrapper, defaults.program.as_deref(), "$")?;
    let (method, basis) = document.model.unwrap_or_default().words("$.model", defaults)?;
    let specification = QcSpecification {
        program,
        driver,
        method,
        basis,
        keywords: document.keywords.unwrap_or_else(|| defaults.keywords.clone()),
        protocols: document.protocols.unwrap_or_default().reduced(),
    };
    finish(specification, molecule_at(document.molecule, "$.molecule")?, document.extras.unwrap_or_default())
}

/// Reads version 2.
pub(super) fn parse_v2(
    text: &str,
    wrapper: Option<&str>,
    defaults: &InputDefaults,
) -> Result<Calculation, InputError> {
    const PATH: &str = "$.specification";
    let AtomicInputV2 { molecule, specification: document, .. } = read(text)?;
    let driver = document.driver.map(Driver::from).or(defaults.driver);
    let driver = driver.ok_or_else(|| missing_driver(PATH))?;
    let program_path = "$.specification.program";
    let program =
        program_of(document.program.as_deref(), wrapper, defaults.program.as_deref(), program_path)?;
    let (method, basis) = document.model.unwrap_or_default().words("$.specification.model", defaults)?;
    let specification = QcSpecification {
        program,
        driver,
        method,
        basis,
        keywords: document.keywords.unwrap_or_else(|| defaults.keywords.clone()),
        protocols: document.protocols.unwrap_or_default().reduced(),
    };
    finish(specification, molecule_at(molecule, "$.molecule")?, document.extras.unwrap_or_default())
}

/// A single point of nothing but defaults.
pub(super) fn from_molecule(molecule: Molecule, defaults: &InputDefaults) -> Result<Calculation, InputError> {
    let (method, basis) = Model::default().words("$", defaults)?;
    let specification = QcSpecification {
        program: program_of(None, None, defaults.program.as_deref(), "$")?,
        driver: defaults.driver.unwrap_or(Driver::Energy),
        method,
        basis,
        keywords: defaults.keywords.clone(),
        protocols: Map::new(),
    };
    finish(specification, molecule, Map::new())
}

fn finish(
    specification: QcSpecification,
    molecule: Molecule,
    extras: Map<String, Value>,
) -> Result<Calculation, InputError> {
    if specification.driver == Driver::Deferred {
        return Err(InputError::new(
            "$",
            "driver `deferred` for a single point",
            "energy, gradient, hessian or properties",
        ));
    }
    Ok(Calculation { specification: Specification::Singlepoint(specification), molecule, extras })
}

fn missing_driver(path: &str) -> InputError {
    InputError::new(path, "`driver` is missing", "`energy`, `gradient`, `hessian` or `properties`")
}
