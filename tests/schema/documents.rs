//! Documents of both generations into one normal form, and back.

use qcbatch::model::calculation::{Calculation, Driver, Specification};
use qcbatch::model::molecule::Molecule;
use qcbatch::model::qcschema::{InputDefaults, from_molecule, parse, to_document, to_input_data};
use serde_json::{Value, json};

fn water() -> Value {
    json!({ "symbols": ["o", "H", "h"], "geometry": [0, 0, 0.221, 0.0, 1.431, -0.886, 0.0, -1.431, -0.886] })
}

fn read(document: &Value) -> Calculation {
    parse(&document.to_string(), &InputDefaults::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn psi4() -> InputDefaults {
    InputDefaults { program: Some("Psi4".to_owned()), ..InputDefaults::default() }
}

#[test]
fn both_generations_of_a_single_point_are_the_same_calculation() {
    let v1 = json!({ "program": "PSI4", "input_data": {
        "schema_name": "qcschema_input", "schema_version": 1, "id": "7",
        "driver": "gradient", "model": { "method": "HF", "basis": "STO-3G" }, "molecule": water(),
        "keywords": { "SCF_Type": "DF" }, "extras": { "mine": [1] },
        "protocols": { "wavefunction": "none", "stdout": false, "error_correction": { "default_policy": true, "policies": null } },
        "provenance": { "creator": "me" },
    }});
    let v2 = json!({
        "schema_name": "qcschema_atomic_input", "schema_version": 2, "molecule": water(),
        "specification": {
            "schema_name": "qcschema_atomic_specification", "program": "psi4", "driver": "gradient",
            "model": { "method": "hf", "basis": "sto-3g" }, "keywords": { "SCF_Type": "DF" },
            "protocols": { "schema_name": "qcschema_atomic_protocols", "stdout": false }, "extras": { "mine": [1] },
        },
    });
    let calculation = read(&v1);
    assert_eq!(calculation, read(&v2));
    let Specification::Singlepoint(specification) = &calculation.specification else {
        panic!("{calculation:?}");
    };
    assert_eq!(specification.program, "psi4");
    assert_eq!(specification.driver, Driver::Gradient);
    assert_eq!((specification.method.as_str(), specification.basis.as_str()), ("hf", "sto-3g"));
    assert_eq!(Value::from(specification.protocols.clone()), json!({ "stdout": false }));
    assert_eq!(Value::from(specification.keywords.clone()), json!({ "SCF_Type": "DF" }));
    assert_eq!(Value::from(calculation.extras.clone()), json!({ "mine": [1] }));
}

#[test]
fn both_generations_of_an_optimization_are_the_same_calculation() {
    let v1 = json!({ "procedure": "geomeTRIC", "input_data": {
        "schema_name": "qcschema_optimization_input", "schema_version": 1,
        "keywords": { "program": "MOPAC", "maxiter": 50 }, "protocols": { "trajectory": "initial_and_final" },
        "input_specification": { "driver": "gradient", "model": { "method": "PM7", "basis": null }, "keywords": { "x": 1.5 } },
        "initial_molecule": water(), "extras": { "mine": true },
    }});
    let v2 = json!({
        "schema_name": "qcschema_optimization_input", "schema_version": 2, "initial_molecule": water(),
        "specification": {
            "program": "geometric", "keywords": { "maxiter": 50 }, "extras": { "mine": true },
            "protocols": { "trajectory_results": "initial_and_final" },
            "specification": { "program": "mopac", "driver": "gradient", "model": { "method": "pm7" }, "keywords": { "x": 1.5 } },
        },
    });
    let calculation = read(&v1);
    assert_eq!(calculation, read(&v2));
    assert_eq!(calculation.specification.required_programs(), ["geometric", "mopac"]);
    let Specification::Optimization(specification) = &calculation.specification else {
        panic!("{calculation:?}");
    };
    assert_eq!(Value::from(specification.keywords.clone()), json!({ "maxiter": 50 }));
    assert_eq!(specification.qc_specification.driver, Driver::Deferred);
    assert_eq!(specification.qc_specification.basis, "");
}

/// The two generations keep the trajectory by different defaults; the normal form is version 1's.
#[test]
fn what_an_optimization_keeps_by_default_depends_on_its_generation() {
    let specification = json!({ "program": "mopac", "driver": "gradient", "model": { "method": "pm7" } });
    let v2 = json!({ "schema_name": "qcschema_optimization_input", "schema_version": 2, "initial_molecule": water(),
                     "specification": { "program": "geometric", "specification": specification } });
    let v1 = json!({ "schema_name": "qcschema_optimization_input", "schema_version": 1, "initial_molecule": water(),
                     "keywords": { "program": "mopac" }, "input_specification": { "model": { "method": "pm7" } } });
    let protocols = |document| match read(document).specification {
        Specification::Optimization(specification) => Value::from(specification.protocols),
        other => panic!("{other:?}"),
    };
    assert_eq!(protocols(&v1), json!({}));
    assert_eq!(protocols(&v2), json!({ "trajectory": "none" }));
}

#[test]
fn defaults_fill_in_only_what_a_document_does_not_say() {
    let defaults = InputDefaults {
        program: Some("psi4".to_owned()),
        method: Some("HF".to_owned()),
        basis: Some("STO-3G".to_owned()),
        driver: Some(Driver::Hessian),
        keywords: json!({ "a": 1 }).as_object().unwrap().clone(),
        optimizer: None,
    };
    let bare = parse(&water().to_string(), &defaults).unwrap();
    let molecule: Molecule = serde_json::from_value(water()).unwrap();
    assert_eq!(bare, from_molecule(molecule, &defaults).unwrap());
    assert_eq!(to_input_data(&bare)["driver"], "hessian");
    assert_eq!(to_input_data(&bare)["model"], json!({ "method": "hf", "basis": "sto-3g" }));

    let document = json!({ "program": "mopac", "input_data": {
        "molecule": water(), "driver": "energy", "model": { "method": "pm7" }, "keywords": {} } });
    let said = parse(&document.to_string(), &defaults).unwrap();
    assert_eq!(said, read(&document));

    let optimizing = InputDefaults { optimizer: Some("geometric".to_owned()), ..defaults };
    let optimization = parse(&water().to_string(), &optimizing).unwrap();
    assert_eq!(optimization.specification.required_programs(), ["geometric", "psi4"]);
}

#[test]
fn a_molecule_is_the_same_however_it_is_written() {
    let reference: Molecule = serde_json::from_value(water()).unwrap();
    assert_eq!(reference.hash(), "6e167763b7de86cf50a19f73ccc0f8ca73843c59");
    assert_eq!(reference.formula(), "H2O");
    for (key, value) in [
        ("geometry", json!([[0, 0, 0.221], [0, 1.431, -0.886], [0, -1.431, -0.886]])),
        ("geometry", json!([0, 0, 0.221000001, 1e-9, 1.431, -0.886, -0.0, -1.431, -0.886])),
        ("masses", json!([null, 1.00782503223, null])),
        ("mass_numbers", json!([16, -1, 1])),
        ("real", json!([true, true, true])),
        ("atomic_numbers", json!([8, 1, 1])),
        ("fragments", json!([[0, 1, 2]])),
        ("fragment_charges", json!([0])),
        ("connectivity", json!(null)),
        ("identifiers", json!({ "molecule_hash": "stale", "smiles": null })),
        ("fix_com", json!(false)),
        ("schema_version", json!(3)),
        ("molecular_multiplicity", json!(1.0)),
        ("molecular_charge", json!(-0.0)),
        ("id", json!({ "any": "thing" })),
    ] {
        let mut document = water();
        document[key] = value;
        let molecule: Molecule = serde_json::from_value(document).unwrap();
        assert_eq!(molecule, reference, "{key}");
    }
}

#[test]
fn written_documents_are_version_1() {
    let document = json!({ "driver": "energy", "model": { "method": "pm7" }, "molecule": water() });
    let calculation = parse(&document.to_string(), &psi4()).unwrap();
    insta::assert_json_snapshot!(to_document(&calculation));
}

#[test]
fn the_demo_is_read_without_any_option() {
    let files = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo");
    let inputs = qcbatch::intake::Inputs::open([files], &Default::default()).unwrap();
    let calculations: Vec<Calculation> = inputs
        .map(|document| {
            document.unwrap().calculation(&InputDefaults::default()).unwrap_or_else(|error| panic!("{error}"))
        })
        .collect();
    assert!(calculations.len() >= 12);
    let optimizations =
        calculations.iter().filter(|one| matches!(one.specification, Specification::Optimization(_)));
    assert!(optimizations.count() >= 1);
    assert!(calculations.iter().any(|one| one.specification.qc().driver == Driver::Hessian));
}
