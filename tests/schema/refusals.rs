//! What is refused, and in which words.

use std::fmt::Write;

use qcbatch::model::qcschema::{InputDefaults, parse};
use serde_json::{Value, json};

fn document() -> Value {
    json!({ "program": "psi4", "input_data": {
        "schema_name": "qcschema_input", "schema_version": 1, "driver": "energy",
        "model": { "method": "hf", "basis": "sto-3g" },
        "molecule": { "symbols": ["O", "H", "H"], "geometry": [0.0, 0.0, 0.2, 0.0, 1.4, -0.9, 0.0, -1.4, -0.9] },
    }})
}

fn optimization() -> Value {
    json!({ "schema_name": "qcschema_optimization_input", "schema_version": 2,
        "initial_molecule": { "symbols": ["He"], "geometry": [0, 0, 0] },
        "specification": { "program": "geometric",
            "specification": { "program": "mopac", "driver": "gradient", "model": { "method": "pm7" } } } })
}

/// `base` with the value at a JSON pointer replaced, or removed where there is none.
fn changed(base: Value, pointer: &str, value: Option<Value>) -> String {
    let mut document = base;
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap();
    match (value, parent) {
        (None, Value::Object(members)) => drop(members.remove(key)),
        (Some(value), Value::Object(members)) => drop(members.insert(key.to_owned(), value)),
        (Some(value), Value::Array(items)) => items[key.parse::<usize>().unwrap()] = value,
        (_, other) => panic!("{other}"),
    }
    document.to_string()
}

fn told(text: &str) -> String {
    match parse(text, &InputDefaults::default()) {
        Ok(_) => "TAKEN".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn wrong_molecules() {
    let cases = [
        ("symbols", json!(["O", "H"])),
        ("symbols", json!(["O", "Hx", "H"])),
        ("symbols", json!(["O", "D", "H"])),
        ("symbols", json!(["O", "X", "H"])),
        ("symbols", json!(["O", 1, "H"])),
        ("symbols", json!([])),
        ("symbols", json!("OHH")),
        ("geometry", json!([0, 0, 0.2, 0, 1.4, -0.9, 0, -1.4])),
        ("geometry", json!([0, 0, 0.2, 0, 1.4, "x", 0, -1.4, -0.9])),
        ("geometry", json!([[0, 0, 0.2], [0, 1.4], [0, -1.4, -0.9]])),
        ("geometry", json!([[0, 0, 0.2], [0, 1.4, 1, 1], [0, -1.4, -0.9]])),
        ("geometry", json!([0, 0, 0.2, 0, 1.4, -0.9, 0, 1.4, -0.85])),
        ("geometry", json!([0, 0, 0.2, 0, 1.4, -0.9, 0, 1e7, -0.85])),
        ("geometry", json!(null)),
        ("molecular_charge", json!("0")),
        ("molecular_charge", json!(11)),
        ("molecular_multiplicity", json!(2)),
        ("molecular_multiplicity", json!(13)),
        ("molecular_multiplicity", json!(1.5)),
        ("molecular_multiplicity", json!(0)),
        ("masses", json!([16, 1])),
        ("masses", json!([16, 1, 200])),
        ("mass_numbers", json!([16, 1, 99])),
        ("atomic_numbers", json!([8, 1, 2])),
        ("real", json!([true, false])),
        ("real", json!([1, 1, 0])),
        ("connectivity", json!([[0, 3, 1]])),
        ("connectivity", json!([[0, 1, 6]])),
        ("connectivity", json!([[1, 1, 1]])),
        ("connectivity", json!([[0, 1]])),
        ("fragments", json!([[0, 1]])),
        ("fragments", json!([[0, 2], [1]])),
        ("fragments", json!([[0], [], [1, 2]])),
        ("fragments", json!([[0, 1, 2, 3]])),
        ("fragment_charges", json!([0, 0])),
        ("fragment_multiplicities", json!([1, 1.5])),
        ("identifiers", json!({ "cas": "7732-18-5" })),
        ("identifiers", json!({ "smiles": ["O"] })),
        ("provenance", json!({ "version": "1" })),
        ("schema_name", json!("molecule")),
        ("schema_version", json!(4)),
        ("charge", json!(0)),
    ];
    let mut table = String::new();
    for (key, value) in cases {
        let text = changed(document(), &format!("/input_data/molecule/{key}"), Some(value.clone()));
        writeln!(table, "{key} = {value}\n    {}", told(&text)).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn wrong_single_points() {
    let cases = [
        ("/program", None),
        ("/program", Some(json!(" "))),
        ("/procedure", Some(json!("geometric"))),
        ("/input_data", Some(json!([1]))),
        ("/input_data", Some(document())),
        ("/task_config", Some(json!({ "ncores": 2 }))),
        ("/input_data/driver", None),
        ("/input_data/driver", Some(json!("energies"))),
        ("/input_data/driver", Some(json!("deferred"))),
        ("/input_data/model", None),
        ("/input_data/model/method", Some(json!(null))),
        ("/input_data/model/method", Some(json!(""))),
        ("/input_data/model/basis", Some(json!({ "name": "sto-3g" }))),
        ("/input_data/model/scf", Some(json!("rhf"))),
        ("/input_data/keywords", Some(json!([1]))),
        ("/input_data/keywords", Some(json!("long".repeat(1000)))),
        ("/input_data/keyword", Some(json!({}))),
        ("/input_data/molecule", None),
        ("/input_data/schema_name", Some(json!("qcschema_output"))),
        ("/input_data/schema_name", Some(json!("qcschema_basis"))),
        ("/input_data/schema_name", Some(json!(1))),
        ("/input_data/schema_version", Some(json!(2))),
        ("/input_data/protocols", Some(json!({ "wavefunction": "some" }))),
        ("/input_data/protocols", Some(json!({ "stdout": 1 }))),
        ("/input_data/protocols", Some(json!({ "logs": true }))),
        ("/input_data/extras", Some(json!({ "note": "a\u{0}b" }))),
    ];
    let mut table = String::new();
    for (pointer, value) in cases {
        let shown = value.as_ref().map_or("(removed)".to_owned(), Value::to_string);
        writeln!(table, "{pointer} = {shown:.80}\n    {}", told(&changed(document(), pointer, value)))
            .unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn wrong_optimizations() {
    let cases = [
        ("/specification/specification/program", None),
        ("/specification/specification/driver", Some(json!("energy"))),
        ("/specification/specification/extras", Some(json!({ "a": 1 }))),
        ("/specification/specification/protocols", Some(json!({ "stdout": false }))),
        ("/specification/specification/specification", Some(json!({}))),
        ("/specification/specification", None),
        ("/specification/protocols", Some(json!({ "trajectory": "all" }))),
        ("/specification/optimizer", Some(json!("x"))),
        ("/initial_molecule", None),
        ("/initial_molecule/geometry/1", Some(json!("0"))),
        ("/schema_version", Some(json!(3))),
        ("/input_specification", Some(json!({}))),
    ];
    let mut table = String::new();
    for (pointer, value) in cases {
        let shown = value.as_ref().map_or("(removed)".to_owned(), Value::to_string);
        writeln!(table, "{pointer} = {shown}\n    {}", told(&changed(optimization(), pointer, value)))
            .unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn what_is_no_document() {
    let deep = format!("{{\"molecule\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_keywords = changed(document(), "/input_data/keywords", Some(json!({ "a": 0 })))
        .replace("{\"a\":0}", &format!("{{\"a\":{}0{}}}", "[".repeat(100_000), "]".repeat(100_000)));
    let cases = [
        ("", "nothing"),
        ("{", "half"),
        ("[]", "list"),
        ("12", "number"),
        ("nonsense", "word"),
        ("{}", "empty"),
        ("{\"molecule\": 1}", "number for molecule"),
        ("{\"molecule\": {}} {}", "two"),
        ("{\"molecule\": {},\n \"molecule\": {}}", "key twice"),
        ("{\"symbols\": [\"H\"], \"geometry\": [1e999, 0, 0]}", "infinity"),
        ("{\"symbols\": [\"H\"], \"geometry\": [NaN, 0, 0]}", "not a number"),
        (&deep, "deep molecule"),
        (&deep_keywords, "deep keywords"),
        ("{\"molecule\": {\"symbols\": [\"H\"],\n\n \"geometry\": [0, 0, true]}}", "third line"),
    ];
    let mut table = String::new();
    for (text, name) in cases {
        let line = parse(text, &InputDefaults::default()).map_or_else(|error| error.line_offset, |_| 0);
        writeln!(table, "{name}\n    line +{line}: {}", told(text)).unwrap();
    }
    insta::assert_snapshot!(table);
}
