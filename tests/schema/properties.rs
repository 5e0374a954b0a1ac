//! Properties that hold for every document: round trips, hashes that do not depend on the writing, no panics.

use proptest::prelude::*;
use qcbatch::intake::{Documents, Format, ReadOptions};
use qcbatch::model::calculation::Calculation;
use qcbatch::model::molecule::{Element, Molecule};
use qcbatch::model::qcschema::{InputDefaults, parse, specification_hash, to_document};
use serde_json::{Map, Value, json};

/// Any JSON that PostgreSQL can keep: no NUL characters.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        proptest::num::f64::NORMAL.prop_map(Value::from),
        "[^\u{0}]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z\u{e9}\"\\\\ ]{0,4}", inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-zA-Z_]{1,6}", any_json(), 0..4)
        .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>()))
}

/// Atoms on a grid, each a little off its place.
fn any_molecule() -> impl Strategy<Value = Value> {
    let atom = (1_u32..=117, [-1.0..1.0_f64, -1.0..1.0_f64, -1.0..1.0_f64], any::<bool>());
    (prop::collection::vec(atom, 1..12), any::<bool>(), -2_i32..=2).prop_map(|(atoms, mark, charge)| {
        let symbol = |number: u32| Element::from_atomic_number(number).unwrap().symbol();
        let symbols: Vec<&str> = atoms.iter().map(|(number, ..)| symbol(*number)).collect();
        let place = |index: usize, offset: [f64; 3]| {
            [0, 1, 2].map(|axis| 2.5 * (index / 3_usize.pow(axis) % 3) as f64 + offset[axis as usize])
        };
        let geometry: Vec<f64> =
            atoms.iter().enumerate().flat_map(|(index, (_, offset, _))| place(index, *offset)).collect();
        let mut molecule = json!({ "symbols": symbols, "geometry": geometry });
        if mark {
            molecule["real"] = atoms.iter().map(|(_, _, real)| *real).collect();
            molecule["name"] = json!("a \"name\"");
        } else {
            let protons = atoms.iter().map(|(number, ..)| *number as i32).sum::<i32>();
            molecule["molecular_charge"] = json!(charge.min(protons));
        }
        molecule
    })
}

fn any_document() -> impl Strategy<Value = Value> {
    let words = ("[a-z0-9]{1,6}", "[a-z0-9-]{1,6}", prop::option::of("[a-z0-9-]{0,6}"));
    let protocols = prop::sample::select(vec![json!({}), json!({ "stdout": false, "native_files": "all" })]);
    let trajectory = prop::sample::select(vec!["all", "initial_and_final", "final", "none"]);
    let parts = (words, any_molecule(), any_object(), any_object(), protocols, trajectory, any::<bool>());
    parts.prop_map(|((program, method, basis), molecule, keywords, extras, protocols, trajectory, optimize)| {
        let model = json!({ "method": method, "basis": basis });
        if optimize {
            let mut own = keywords.clone();
            own["program"] = json!(program);
            json!({ "procedure": "geometric", "input_data": {
                "keywords": own, "extras": extras, "protocols": { "trajectory": trajectory },
                "input_specification": { "model": model, "keywords": keywords }, "initial_molecule": molecule } })
        } else {
            json!({ "program": program, "input_data": {
                "driver": "properties", "model": model, "molecule": molecule, "keywords": keywords,
                "protocols": protocols, "extras": extras } })
        }
    })
}

fn read(text: &str) -> Calculation {
    parse(text, &InputDefaults::default()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The text of `value` with the keys of every object in reverse order.
fn reversed(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .rev()
                .map(|(key, value)| format!("{}: {}", json!(key), reversed(value)))
                .collect();
            format!("{{{}}}", members.join(" ,\n"))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(reversed).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// A document that one change away from a right one.
fn any_broken_document() -> impl Strategy<Value = String> {
    (any_document(), any_json(), any::<prop::sample::Index>()).prop_map(|(mut document, junk, place)| {
        let mut pointers = vec![String::new()];
        let mut next = 0;
        while next < pointers.len() {
            let pointer = pointers[next].clone();
            match document.pointer(&pointer) {
                Some(Value::Object(members)) => {
                    let escaped = |key: &String| key.replace('~', "~0").replace('/', "~1");
                    pointers.extend(members.keys().map(|key| format!("{pointer}/{}", escaped(key))));
                }
                Some(Value::Array(items)) => {
                    pointers.extend((0..items.len()).map(|index| format!("{pointer}/{index}")));
                }
                _ => {}
            }
            next += 1;
        }
        let chosen: &String = place.get(&pointers);
        *document.pointer_mut(chosen).unwrap() = junk;
        document.to_string()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn what_is_written_is_read_back(document in any_document()) {
        let calculation = read(&document.to_string());
        let written = to_document(&calculation).to_string();
        prop_assert_eq!(&read(&written), &calculation);
        let kept: Calculation = serde_json::from_str(&serde_json::to_string(&calculation).unwrap()).unwrap();
        prop_assert_eq!(&kept, &calculation);
        prop_assert_eq!(kept.molecule.hash(), calculation.molecule.hash());
    }

    #[test]
    fn the_order_of_keys_does_not_matter(document in any_document()) {
        let (one, other) = (read(&document.to_string()), read(&reversed(&document)));
        prop_assert_eq!(specification_hash(&one.specification), specification_hash(&other.specification));
        prop_assert_eq!(&one, &other);
    }

    #[test]
    fn flat_and_nested_geometries_are_the_same(molecule in any_molecule()) {
        let mut nested = molecule.clone();
        nested["geometry"] = molecule["geometry"].as_array().unwrap().chunks(3).map(Value::from).collect();
        let (one, other): (Molecule, Molecule) =
            (serde_json::from_value(molecule).unwrap(), serde_json::from_value(nested).unwrap());
        prop_assert_eq!(one.hash(), other.hash());
        prop_assert_eq!(one, other);
    }

    #[test]
    fn hashed_molecules_are_what_their_json_says(molecule in any_molecule()) {
        let molecule: Molecule = serde_json::from_value(molecule).unwrap();
        let again: Molecule = serde_json::from_value(molecule.to_qcschema()).unwrap();
        prop_assert_eq!(again, molecule);
    }

    #[test]
    fn any_json_is_read_or_refused(value in any_json()) {
        let _ = parse(&value.to_string(), &InputDefaults::default());
    }

    #[test]
    fn any_broken_document_is_read_or_refused_with_a_path(text in any_broken_document()) {
        if let Err(error) = parse(&text, &InputDefaults::default()) {
            prop_assert!(error.path.starts_with('$'), "{}", error);
            prop_assert!(!error.reason.is_empty());
        }
    }

    #[test]
    fn any_bytes_are_cut_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), start in "[\\[{0-9]?") {
        for format in [None, Some(Format::Json), Some(Format::JsonLines), Some(Format::Xyz)] {
            let stream: Vec<u8> = start.bytes().chain(bytes.iter().copied()).collect();
            let options = ReadOptions { format, ..ReadOptions::default() };
            for document in Documents::from_reader("in", std::io::Cursor::new(stream), &options).take(500).flatten() {
                let _ = document.calculation(&InputDefaults::default());
            }
        }
    }

    #[test]
    fn documents_of_a_list_are_those_of_its_lines(values in prop::collection::vec(any_object(), 0..6)) {
        let text = |separator: &str| values.iter().map(Value::to_string).collect::<Vec<_>>().join(separator);
        let cut = |text: String| -> Vec<_> {
            let documents = Documents::from_reader("in", std::io::Cursor::new(text), &ReadOptions::default());
            documents.map(|document| document.unwrap().content).collect()
        };
        let lines = cut(text("\n"));
        prop_assert_eq!(&cut(format!("[{}]", text(" ,\n"))), &lines);
        prop_assert_eq!(lines.len(), values.len());
    }
}
