//! Reads a QCSchema v1 `AtomicResult` or `OptimizationResult` into what QCArchive keeps of it. No SQL.
//!
//! What is only kept is handed on as the text it came as: no number is read and written again.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::model::calculation::{Driver, QcSpecification, Specification};
use crate::model::molecule::Molecule;
use crate::model::record::RecordType;
use crate::store::molecule::MoleculeRow;
use crate::store::output::{Blob, PackError, pack};
use crate::store::specification::SpecificationKey;
use crate::store::types::{make_storable, storable};

/// What a good result leaves behind. Documents are JSON text without NUL.
pub(super) struct Answer {
    pub(super) record_type: RecordType,
    pub(super) return_energy: Option<f64>,
    pub(super) properties: Option<String>,
    pub(super) extras: Option<String>,
    pub(super) provenance: Provenance,
    pub(super) wavefunction: Option<Blob>,
    pub(super) native_files: Vec<(String, Blob)>,
    /// Of an optimization only.
    pub(super) optimization: Option<OptimizationAnswer>,
}

/// Where a result says it comes from.
#[derive(Default)]
pub(super) struct Provenance {
    /// All of it.
    pub(super) document: Option<String>,
    pub(super) creator: Option<String>,
    pub(super) version: Option<String>,
}

/// What an optimization leaves behind besides.
pub(super) struct OptimizationAnswer {
    pub(super) energies: Vec<f64>,
    pub(super) final_molecule: MoleculeRow,
    pub(super) trajectory: Vec<TrajectoryPoint>,
}

/// One single point of a trajectory; it becomes a record of its own.
pub(super) struct TrajectoryPoint {
    pub(super) specification: Specification,
    pub(super) key: SpecificationKey,
    pub(super) molecule: MoleculeRow,
    pub(super) answer: Answer,
    pub(super) stdout: Option<Blob>,
    pub(super) stderr: Option<Blob>,
}

/// Why a result cannot be read, in words for people.
type Unreadable = String;

/// A member as it came; `null` is as good as none.
type Raw<'a> = Option<&'a RawValue>;

/// The members of an object as they came.
type Members<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// A result, also one inside a trajectory. What is of the wrong type is as good as absent, unless it is needed.
#[derive(Default, Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    success: Raw<'a>,
    #[serde(borrow, default)]
    schema_name: Raw<'a>,
    #[serde(borrow, default)]
    driver: Raw<'a>,
    #[serde(borrow, default)]
    model: Raw<'a>,
    #[serde(borrow, default)]
    keywords: Raw<'a>,
    #[serde(borrow, default)]
    molecule: Raw<'a>,
    #[serde(borrow, default)]
    return_result: Raw<'a>,
    #[serde(borrow, default)]
    properties: Raw<'a>,
    #[serde(borrow, default)]
    extras: Raw<'a>,
    #[serde(borrow, default)]
    provenance: Raw<'a>,
    #[serde(borrow, default)]
    wavefunction: Raw<'a>,
    #[serde(borrow, default)]
    final_molecule: Raw<'a>,
    #[serde(borrow, default)]
    energies: Raw<'a>,
    #[serde(borrow, default)]
    trajectory: Raw<'a>,
    #[serde(borrow, default)]
    stdout: Raw<'a>,
    #[serde(borrow, default)]
    stderr: Raw<'a>,
}

/// Reads a result. The outer error is a failure of our own.
pub(super) fn read_answer(
    text: &str,
    native_files: &BTreeMap<String, String>,
) -> Result<Result<Answer, Unreadable>, PackError> {
    let text = match without_nul(text) {
        Ok(text) => text,
        Err(error) => return Ok(Err(error.to_string())),
    };
    if !text.trim_start().starts_with('{') {
        return Ok(Err("it is not an object".to_owned()));
    }
    let document: Document<'_> = match serde_json::from_str(&text) {
        Ok(document) => document,
        Err(error) => return Ok(Err(error.to_string())),
    };
    if document.success.is_some_and(|success| success.get() == "false") {
        return Ok(Err("it says `success`: false, yet came as a success".to_owned()));
    }
    let schema_name: Cow<'_, str> = text_of(document.schema_name).unwrap_or_default();
    let mut answer = match schema_name.as_ref() {
        "qcschema_output" | "qc_schema_output" => read_atomic(&document)?,
        "qcschema_optimization_output" => read_optimization(&document)?,
        other => Err(format!("its schema name is `{other}`, not that of a version 1 result")),
    };
    if let Ok(answer) = &mut answer {
        for (name, content) in native_files {
            answer.native_files.push((storable(name), pack(content)?));
        }
    }
    Ok(answer)
}

/// The text itself where no string in it holds a NUL, which PostgreSQL's documents cannot; else with replacements.
fn without_nul(text: &str) -> serde_json::Result<Cow<'_, str>> {
    if !text.contains("\\u0000") {
        return Ok(text.into());
    }
    let mut value: Value = serde_json::from_str(text)?;
    make_storable(&mut value);
    Ok(value.to_string().into())
}

fn read_atomic(document: &Document<'_>) -> Result<Result<Answer, Unreadable>, PackError> {
    let Some(return_result) = document.return_result else {
        return Ok(Err("it has no `return_result`".to_owned()));
    };
    let mut extras = members(document.extras);
    let mut properties = Members::new();
    for (key, value) in members(extras.remove("qcvars")) {
        properties.insert(key.to_lowercase().into(), value);
    }
    properties.extend(members(document.properties).into_iter().filter(|(_, value)| value.get() != "null"));
    let energy_asked = text_of(document.driver).as_deref() == Some(Driver::Energy.as_str());
    let return_energy = properties
        .get("return_energy")
        .and_then(|energy| number(energy))
        .or_else(|| number(return_result).filter(|_| energy_asked));
    properties.entry("return_result".into()).or_insert(return_result);
    let wavefunction = match document.wavefunction {
        None => None,
        Some(wavefunction) => match serde_json::from_str::<Value>(wavefunction.get()) {
            Ok(wavefunction) => Some(pack(&wavefunction)?),
            Err(error) => return Ok(Err(format!("`wavefunction`: {error}"))),
        },
    };
    Ok(Ok(Answer {
        record_type: RecordType::Singlepoint,
        return_energy,
        properties: Some(object(&properties)),
        extras: kept_extras(extras),
        provenance: provenance(document.provenance),
        wavefunction,
        native_files: Vec::new(),
        optimization: None,
    }))
}

fn read_optimization(document: &Document<'_>) -> Result<Result<Answer, Unreadable>, PackError> {
    let final_molecule = match read_molecule(document.final_molecule) {
        Ok(molecule) => molecule,
        Err(why) => return Ok(Err(format!("`final_molecule`: {why}"))),
    };
    let energies: Vec<f64> = match serde_json::from_str(document.energies.map_or("null", RawValue::get)) {
        Ok(energies) => energies,
        Err(error) => return Ok(Err(format!("`energies`: {error}"))),
    };
    let points = match document.trajectory.map(|points| serde_json::from_str::<Vec<&RawValue>>(points.get()))
    {
        None => Vec::new(),
        Some(Ok(points)) => points,
        Some(Err(_)) => return Ok(Err("`trajectory` is not a list".to_owned())),
    };
    let mut trajectory = Vec::new();
    for (position, point) in points.into_iter().enumerate() {
        match read_point(point)? {
            Ok(point) => trajectory.push(point),
            Err(why) => return Ok(Err(format!("`trajectory[{position}]`: {why}"))),
        }
    }
    Ok(Ok(Answer {
        record_type: RecordType::Optimization,
        return_energy: energies.last().copied(),
        properties: Some("{}".to_owned()),
        extras: kept_extras(members(document.extras)),
        provenance: provenance(document.provenance),
        wavefunction: None,
        native_files: Vec::new(),
        optimization: Some(OptimizationAnswer { energies, final_molecule, trajectory }),
    }))
}

fn read_molecule(document: Raw<'_>) -> Result<MoleculeRow, Unreadable> {
    let molecule: Molecule =
        serde_json::from_str(document.map_or("null", RawValue::get)).map_err(|error| {
            let message = error.to_string();
            message.rsplit_once(" at line ").map_or(message.clone(), |(message, _)| message.to_owned())
        })?;
    Ok(MoleculeRow::new(&molecule))
}

/// One element of a trajectory. Its program is its provenance's creator, as QCArchive has it.
fn read_point(point: &RawValue) -> Result<Result<TrajectoryPoint, Unreadable>, PackError> {
    if !point.get().starts_with('{') {
        return Ok(Err("it is not an object".to_owned()));
    }
    let point: Document<'_> = match serde_json::from_str(point.get()) {
        Ok(point) => point,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let molecule = match read_molecule(point.molecule) {
        Ok(molecule) => molecule,
        Err(why) => return Ok(Err(format!("`molecule`: {why}"))),
    };
    let model = members(point.model);
    let word = |key: &str| text_of(model.get(key).copied()).unwrap_or_default().to_lowercase();
    let (method, basis) = (word("method"), word("basis"));
    let driver = text_of(point.driver).and_then(|driver| Driver::parse(&driver));
    let Some(driver) = driver else { return Ok(Err("`driver` is not known".to_owned())) };
    let output = |text: Raw<'_>| match text_of(text).filter(|text| !text.is_empty()) {
        Some(text) => pack(text.as_ref()).map(Some),
        None => Ok(None),
    };
    let (stdout, stderr) = (output(point.stdout)?, output(point.stderr)?);
    let answer = match read_atomic(&point)? {
        Ok(answer) => answer,
        Err(why) => return Ok(Err(why)),
    };
    let keywords: Map<String, Value> =
        point.keywords.and_then(|keywords| serde_json::from_str(keywords.get()).ok()).unwrap_or_default();
    let specification = Specification::Singlepoint(QcSpecification {
        program: answer.provenance.creator.as_deref().unwrap_or("unknown").to_lowercase(),
        driver,
        method,
        basis,
        keywords,
        protocols: Map::new(),
    });
    let key = SpecificationKey::of(&specification);
    Ok(Ok(TrajectoryPoint { specification, key, molecule, answer, stdout, stderr }))
}

/// The extras that stay: not those by which programs and servers hand outputs on.
fn kept_extras(mut extras: Members<'_>) -> Option<String> {
    extras.retain(|key, _| !key.starts_with("_qcfractal_compressed"));
    (!extras.is_empty()).then(|| object(&extras))
}

fn provenance(document: Raw<'_>) -> Provenance {
    let Some(document) = document.filter(|document| document.get().starts_with('{')) else {
        return Provenance::default();
    };
    let members = members(Some(document));
    let word = |key: &str| text_of(members.get(key).copied()).map(Cow::into_owned);
    Provenance {
        creator: word("creator"),
        version: word("version"),
        document: Some(document.get().to_owned()),
    }
}

/// The members of an object; of anything else none.
fn members(object: Raw<'_>) -> Members<'_> {
    object.and_then(|object| serde_json::from_str(object.get()).ok()).unwrap_or_default()
}

fn text_of(text: Raw<'_>) -> Option<Cow<'_, str>> {
    /// A string, borrowed where it has no escapes.
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(text?.get()).ok().map(|text| text.0)
}

fn number(number: &RawValue) -> Option<f64> {
    serde_json::from_str(number.get()).ok()
}

fn object(members: &Members<'_>) -> String {
    serde_json::to_string(members).unwrap_or_else(|_| "{}".to_owned())
}
