//! One stored result as a QCSchema v1 document. Pure.

use serde_json::{Map, Value, json};

use crate::model::calculation::{Calculation, Specification};
use crate::model::ids::RecordId;
use crate::model::qcschema::to_input_data;

/// Everything that is stored of one result.
pub(super) struct Parts {
    pub(super) id: RecordId,
    pub(super) calculation: Calculation,
    pub(super) final_molecule: Option<Value>,
    pub(super) properties: Value,
    pub(super) energies: Option<Vec<f64>>,
    pub(super) provenance: Option<Value>,
    pub(super) wavefunction: Option<Value>,
    pub(super) stdout: Option<Value>,
    pub(super) stderr: Option<Value>,
    pub(super) native_files: Vec<(String, Value)>,
}

/// Of which optimization a single point is a part.
pub(super) struct PointOf {
    pub(super) optimization: RecordId,
    pub(super) position: i32,
}

/// The members of QCSchema v1's `AtomicResultProperties`, which refuses any other. QCArchive's properties hold the
/// program's own variables beside them; those go back to `extras.qcvars`.
const PROPERTIES: [&str; 46] = [
    "calcinfo_nbasis",
    "calcinfo_nmo",
    "calcinfo_nalpha",
    "calcinfo_nbeta",
    "calcinfo_natom",
    "nuclear_repulsion_energy",
    "return_energy",
    "return_gradient",
    "return_hessian",
    "scf_one_electron_energy",
    "scf_two_electron_energy",
    "scf_vv10_energy",
    "scf_xc_energy",
    "scf_dispersion_correction_energy",
    "scf_dipole_moment",
    "scf_quadrupole_moment",
    "scf_total_energy",
    "scf_total_gradient",
    "scf_total_hessian",
    "scf_iterations",
    "mp2_same_spin_correlation_energy",
    "mp2_opposite_spin_correlation_energy",
    "mp2_singles_energy",
    "mp2_doubles_energy",
    "mp2_correlation_energy",
    "mp2_total_energy",
    "mp2_dipole_moment",
    "ccsd_same_spin_correlation_energy",
    "ccsd_opposite_spin_correlation_energy",
    "ccsd_singles_energy",
    "ccsd_doubles_energy",
    "ccsd_correlation_energy",
    "ccsd_total_energy",
    "ccsd_dipole_moment",
    "ccsd_iterations",
    "ccsd_prt_pr_correlation_energy",
    "ccsd_prt_pr_total_energy",
    "ccsd_prt_pr_dipole_moment",
    "ccsdt_correlation_energy",
    "ccsdt_total_energy",
    "ccsdt_dipole_moment",
    "ccsdt_iterations",
    "ccsdtq_correlation_energy",
    "ccsdtq_total_energy",
    "ccsdtq_dipole_moment",
    "ccsdtq_iterations",
];

/// The document of `parts`; `trajectory` holds an optimization's points.
pub(super) fn document(parts: &Parts, trajectory: Vec<Value>, point_of: Option<PointOf>) -> Value {
    let mut document = match to_input_data(&parts.calculation) {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    let mut extras = parts.calculation.extras.clone();
    match &parts.calculation.specification {
        Specification::Singlepoint(_) => fill_atomic(&mut document, &mut extras, parts),
        Specification::Optimization(_) => fill_optimization(&mut document, parts, trajectory),
    }
    extras.insert("qcbatch".to_owned(), origin(parts.id, point_of));
    let common = json!({
        "id": parts.id.to_string(),
        "schema_version": 1,
        "extras": extras,
        "provenance": provenance(parts),
        "stdout": parts.stdout,
        "stderr": parts.stderr,
        "success": true,
        "error": null,
    });
    if let Value::Object(common) = common {
        document.extend(common);
    }
    Value::Object(document)
}

fn fill_atomic(document: &mut Map<String, Value>, extras: &mut Map<String, Value>, parts: &Parts) {
    let mut properties = Map::new();
    let mut variables = Map::new();
    let mut return_result = Value::Null;
    for (key, value) in parts.properties.as_object().into_iter().flatten() {
        if key == "return_result" {
            return_result = value.clone();
        } else if PROPERTIES.contains(&key.as_str()) {
            properties.insert(key.clone(), value.clone());
        } else {
            variables.insert(key.clone(), value.clone());
        }
    }
    if !variables.is_empty() {
        extras.insert("qcvars".to_owned(), Value::Object(variables));
    }
    let files: Map<String, Value> = parts.native_files.iter().cloned().collect();
    document.insert("schema_name".to_owned(), json!("qcschema_output"));
    document.insert("properties".to_owned(), Value::Object(properties));
    document.insert("return_result".to_owned(), return_result);
    document.insert("wavefunction".to_owned(), parts.wavefunction.clone().unwrap_or_default());
    document.insert("native_files".to_owned(), Value::Object(files));
}

fn fill_optimization(document: &mut Map<String, Value>, parts: &Parts, trajectory: Vec<Value>) {
    document.insert("schema_name".to_owned(), json!("qcschema_optimization_output"));
    document.insert("final_molecule".to_owned(), parts.final_molecule.clone().unwrap_or_default());
    document.insert("energies".to_owned(), json!(parts.energies));
    document.insert("trajectory".to_owned(), Value::Array(trajectory));
}

/// QCSchema wants a creator.
fn provenance(parts: &Parts) -> Value {
    match &parts.provenance {
        Some(provenance) if provenance.get("creator").is_some() => provenance.clone(),
        _ => {
            let creator = match &parts.calculation.specification {
                Specification::Singlepoint(qc) => &qc.program,
                Specification::Optimization(optimization) => &optimization.program,
            };
            json!({ "creator": creator })
        }
    }
}

fn origin(id: RecordId, point_of: Option<PointOf>) -> Value {
    match point_of {
        None => json!({ "record_id": id }),
        Some(of) => json!({ "record_id": id, "optimization_id": of.optimization, "position": of.position }),
    }
}
