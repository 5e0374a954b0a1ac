//! Reads a QCSchema v1 `AtomicResult` or `OptimizationResult` into what QCArchive keeps of it. No SQL.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::prepare::members;
use crate::model::calculation::{Driver, QcSpecification, Specification};
use crate::model::molecule::Molecule;
use crate::model::record::RecordType;
use crate::store::molecule::MoleculeRow;
use crate::store::output::{Blob, OutputType, PackError, pack};
use crate::store::specification::SpecificationKey;
use crate::store::types::{make_storable, storable};

/// What a good result leaves behind.
pub(super) struct Answer {
    pub(super) record_type: RecordType,
    pub(super) return_energy: Option<f64>,
    pub(super) properties: Value,
    pub(super) extras: Value,
    pub(super) provenance: Value,
    pub(super) wavefunction: Option<Blob>,
    pub(super) native_files: Vec<(String, Blob)>,
    /// Of an optimization only.
    pub(super) optimization: Option<OptimizationAnswer>,
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
    pub(super) outputs: Vec<(OutputType, Blob)>,
}

/// Why a result cannot be read, in words for people.
type Unreadable = String;

/// Reads a result. The outer error is a failure of our own.
pub(super) fn read_answer(
    text: &str,
    native_files: &BTreeMap<String, String>,
) -> Result<Result<Answer, Unreadable>, PackError> {
    let result = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(result)) => result,
        Ok(_) => return Ok(Err("it is not an object".to_owned())),
        Err(error) => return Ok(Err(error.to_string())),
    };
    if result.get("success") == Some(&Value::Bool(false)) {
        return Ok(Err("it says `success`: false, yet came as a success".to_owned()));
    }
    let schema_name = result.get("schema_name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut answer = match schema_name.as_str() {
        "qcschema_output" | "qc_schema_output" => read_atomic(result)?,
        "qcschema_optimization_output" => read_optimization(result)?,
        other => Err(format!("its schema name is `{other}`, not that of a version 1 result")),
    };
    if let Ok(answer) = &mut answer {
        for (name, content) in native_files {
            answer.native_files.push((storable(name), pack(content)?));
        }
    }
    Ok(answer)
}

fn read_atomic(mut result: Map<String, Value>) -> Result<Result<Answer, Unreadable>, PackError> {
    let return_result = match result.remove("return_result") {
        None | Some(Value::Null) => return Ok(Err("it has no `return_result`".to_owned())),
        Some(value) => value,
    };
    let mut extras = members(result.remove("extras"));
    let energy_asked = result.get("driver").and_then(Value::as_str) == Some(Driver::Energy.as_str());
    let mut properties = Map::new();
    for (key, value) in members(extras.remove("qcvars")) {
        properties.insert(key.to_lowercase(), value);
    }
    properties.extend(members(result.remove("properties")).into_iter().filter(|(_, value)| !value.is_null()));
    let return_energy = properties
        .get("return_energy")
        .and_then(Value::as_f64)
        .or_else(|| return_result.as_f64().filter(|_| energy_asked));
    properties.entry("return_result").or_insert(return_result);
    let wavefunction = match result.remove("wavefunction") {
        None | Some(Value::Null) => None,
        Some(wavefunction) => Some(pack(&wavefunction)?),
    };
    Ok(Ok(Answer {
        record_type: RecordType::Singlepoint,
        return_energy,
        properties: sanitised(properties),
        extras: kept_extras(extras),
        provenance: sanitised(members(result.remove("provenance"))),
        wavefunction,
        native_files: Vec::new(),
        optimization: None,
    }))
}

fn read_optimization(mut result: Map<String, Value>) -> Result<Result<Answer, Unreadable>, PackError> {
    let final_molecule = match read_molecule(result.remove("final_molecule")) {
        Ok(molecule) => molecule,
        Err(why) => return Ok(Err(format!("`final_molecule`: {why}"))),
    };
    let energies: Vec<f64> = match serde_json::from_value(result.remove("energies").unwrap_or_default()) {
        Ok(energies) => energies,
        Err(error) => return Ok(Err(format!("`energies`: {error}"))),
    };
    let mut trajectory = Vec::new();
    let points = match result.remove("trajectory") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(points)) => points,
        Some(_) => return Ok(Err("`trajectory` is not a list".to_owned())),
    };
    for (position, point) in points.into_iter().enumerate() {
        match read_point(point)? {
            Ok(point) => trajectory.push(point),
            Err(why) => return Ok(Err(format!("`trajectory[{position}]`: {why}"))),
        }
    }
    Ok(Ok(Answer {
        record_type: RecordType::Optimization,
        return_energy: energies.last().copied(),
        properties: Value::Object(Map::new()),
        extras: kept_extras(members(result.remove("extras"))),
        provenance: sanitised(members(result.remove("provenance"))),
        wavefunction: None,
        native_files: Vec::new(),
        optimization: Some(OptimizationAnswer { energies, final_molecule, trajectory }),
    }))
}

fn read_molecule(document: Option<Value>) -> Result<MoleculeRow, Unreadable> {
    let molecule: Molecule =
        serde_json::from_value(document.unwrap_or_default()).map_err(|error| error.to_string())?;
    Ok(MoleculeRow::new(&molecule))
}

/// One element of a trajectory. Its program is its provenance's creator, as QCArchive has it.
fn read_point(point: Value) -> Result<Result<TrajectoryPoint, Unreadable>, PackError> {
    let Value::Object(mut point) = point else { return Ok(Err("it is not an object".to_owned())) };
    let molecule = match read_molecule(point.remove("molecule")) {
        Ok(molecule) => molecule,
        Err(why) => return Ok(Err(format!("`molecule`: {why}"))),
    };
    let model = members(point.remove("model"));
    let word = |key: &str| model.get(key).and_then(Value::as_str).unwrap_or_default().to_lowercase();
    let (method, basis) = (word("method"), word("basis"));
    let mut keywords = Value::Object(members(point.remove("keywords")));
    make_storable(&mut keywords);
    let driver = point.get("driver").and_then(Value::as_str).and_then(Driver::parse);
    let Some(driver) = driver else { return Ok(Err("`driver` is not known".to_owned())) };
    let mut outputs = Vec::new();
    for output in [OutputType::Stdout, OutputType::Stderr] {
        if let Some(text) = point.get(output.as_str()).and_then(Value::as_str).filter(|text| !text.is_empty())
        {
            outputs.push((output, pack(text)?));
        }
    }
    let answer = match read_atomic(point)? {
        Ok(answer) => answer,
        Err(why) => return Ok(Err(why)),
    };
    let creator = answer.provenance.get("creator").and_then(Value::as_str).unwrap_or("unknown");
    let specification = Specification::Singlepoint(QcSpecification {
        program: creator.to_lowercase(),
        driver,
        method,
        basis,
        keywords: members(Some(keywords)),
        protocols: Map::new(),
    });
    let key = SpecificationKey::of(&specification);
    Ok(Ok(TrajectoryPoint { specification, key, molecule, answer, outputs }))
}

/// The extras that stay: not those by which programs and servers hand outputs on.
fn kept_extras(mut extras: Map<String, Value>) -> Value {
    extras.retain(|key, _| !key.starts_with("_qcfractal_compressed"));
    sanitised(extras)
}

fn sanitised(members: Map<String, Value>) -> Value {
    let mut value = Value::Object(members);
    make_storable(&mut value);
    value
}
