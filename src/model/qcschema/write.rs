//! Calculations back into QCSchema version 1, the generation that every QCEngine reads. Pure.

use serde_json::{Map, Value, json};

use crate::model::calculation::{Calculation, OptimizationSpecification, QcSpecification, Specification};

/// The whole document, with the program that version 1 leaves outside: `{"program", "input_data"}`, or
/// `{"procedure", "input_data"}` for an optimization. `parse` reads it back to an equal calculation.
pub fn to_document(calculation: &Calculation) -> Value {
    let input_data = to_input_data(calculation);
    match &calculation.specification {
        Specification::Singlepoint(specification) => {
            json!({ "program": specification.program, "input_data": input_data })
        }
        Specification::Optimization(specification) => {
            json!({ "procedure": specification.program, "input_data": input_data })
        }
    }
}

/// The `AtomicInput` or `OptimizationInput`, version 1.
pub fn to_input_data(calculation: &Calculation) -> Value {
    match &calculation.specification {
        Specification::Singlepoint(specification) => atomic_input(calculation, specification),
        Specification::Optimization(specification) => optimization_input(calculation, specification),
    }
}

fn atomic_input(calculation: &Calculation, specification: &QcSpecification) -> Value {
    json!({
        "schema_name": "qcschema_input",
        "schema_version": 1,
        "driver": specification.driver,
        "model": model(specification),
        "molecule": calculation.molecule,
        "keywords": specification.keywords,
        "protocols": specification.protocols,
        "extras": calculation.extras,
    })
}

fn optimization_input(calculation: &Calculation, specification: &OptimizationSpecification) -> Value {
    let mut keywords: Map<String, Value> = specification.keywords.clone();
    let single_point = &specification.qc_specification;
    keywords.insert("program".to_owned(), Value::from(single_point.program.as_str()));
    json!({
        "schema_name": "qcschema_optimization_input",
        "schema_version": 1,
        "keywords": keywords,
        "protocols": specification.protocols,
        "input_specification": {
            "schema_name": "qcschema_input",
            "schema_version": 1,
            "driver": "gradient",
            "model": model(single_point),
            "keywords": single_point.keywords,
        },
        "initial_molecule": calculation.molecule,
        "extras": calculation.extras,
    })
}

fn model(specification: &QcSpecification) -> Value {
    let basis = (!specification.basis.is_empty()).then_some(specification.basis.as_str());
    json!({ "method": specification.method, "basis": basis })
}
