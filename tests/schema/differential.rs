//! Some hundred changed documents, given to us and to both generations of QCElemental. Where the answers differ, the difference
//! is in `differences.rs` with its reason; an entry there that nothing needs is a failure too.
//! Needs the two Pythons that `make test-setup` installs.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use qcbatch::model::molecule::{FormulaOrder, Molecule};
use qcbatch::model::qcschema::{InputDefaults, parse};
use serde_json::{Map, Value, json};

use crate::differences::{DIFFERENCES, Difference, What, Who};

/// What a document is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Molecule,
    AtomicV1,
    OptimizationV1,
    AtomicV2,
    OptimizationV2,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Molecule => "molecule",
            Kind::AtomicV1 => "atomic 1",
            Kind::OptimizationV1 => "optimization 1",
            Kind::AtomicV2 => "atomic 2",
            Kind::OptimizationV2 => "optimization 2",
        }
    }
}

/// A document that was changed in one place.
struct Changed {
    kind: Kind,
    base: &'static str,
    /// Where, with `*` for every index.
    path: String,
    change: &'static str,
    document: Value,
}

fn python(variable: &str, folder: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("bin/python");
    let python = std::env::var_os(variable).map_or(own, PathBuf::from);
    assert!(python.exists(), "no Python at `{}`: run `make test-setup` or set {variable}", python.display());
    python
}

fn water() -> Value {
    json!({ "symbols": ["O", "H", "H"], "geometry": [0.0, 0.0, 0.22, 0.0, 1.43, -0.89, 0.0, -1.43, -0.89] })
}

/// The documents that are changed.
fn bases() -> Vec<(Kind, &'static str, Value)> {
    let benzene: Value = serde_json::from_str(include_str!("../data/benzene.json")).unwrap();
    let full = json!({
        "schema_name": "qcschema_molecule", "schema_version": 2, "validated": false,
        "symbols": ["O", "H", "H", "He"], "geometry": [0, 0, 0.22, 0, 1.43, -0.89, 0, -1.43, -0.89, 0, 0, 8.5],
        "name": "water and helium", "comment": "all members", "molecular_charge": 1.0, "molecular_multiplicity": 2,
        "masses": [15.99491461957, 2.01410177812, 1.00782503223, 4.00260325413], "real": [true, true, true, false],
        "atom_labels": ["", "a", "b", ""], "atomic_numbers": [8, 1, 1, 2], "mass_numbers": [16, 2, 1, 4],
        "connectivity": [[0, 1, 1.0], [0, 2, 1.0]], "fragments": [[0, 1, 2], [3]], "fragment_charges": [1.0, 0.0],
        "fragment_multiplicities": [2, 1], "fix_com": true, "fix_orientation": true, "fix_symmetry": "c1",
        "identifiers": { "smiles": "O" }, "provenance": { "creator": "me", "routine": "hand", "version": "1" }, "extras": { "mine": [1, 1.0, null] },
    });
    vec![
        (Kind::Molecule, "water", water()),
        (Kind::Molecule, "every member", full),
        (Kind::Molecule, "benzene", benzene),
        (
            Kind::AtomicV1,
            "atomic 1",
            json!({ "schema_name": "qcschema_input", "schema_version": 1, "id": "7", "molecule": water(), "driver": "gradient",
                "model": { "method": "hf", "basis": "sto-3g" }, "keywords": { "scf_type": "df", "e": 1e-8, "n": 5 },
                "protocols": { "wavefunction": "none", "stdout": true }, "extras": { "mine": true },
                "provenance": { "creator": "me" } }),
        ),
        (
            Kind::OptimizationV1,
            "optimization 1",
            json!({ "schema_name": "qcschema_optimization_input", "schema_version": 1, "initial_molecule": water(),
                "keywords": { "program": "other", "maxiter": 50 }, "protocols": { "trajectory": "all" },
                "input_specification": { "driver": "gradient", "model": { "method": "hf", "basis": "sto-3g" },
                    "keywords": { "e": 0.1 } }, "extras": {} }),
        ),
        (
            Kind::AtomicV2,
            "atomic 2",
            json!({ "schema_name": "qcschema_atomic_input", "schema_version": 2, "molecule": water(), "specification": {
                "program": "other", "driver": "energy", "model": { "method": "hf", "basis": "sto-3g" },
                "keywords": { "e": 1e-8 }, "protocols": { "stdout": false }, "extras": {} } }),
        ),
        (
            Kind::OptimizationV2,
            "optimization 2",
            json!({ "schema_name": "qcschema_optimization_input", "schema_version": 2, "initial_molecule": water(),
                "specification": { "program": "geometric", "keywords": { "maxiter": 50 }, "protocols": {},
                    "specification": { "program": "other", "driver": "gradient",
                        "model": { "method": "hf", "basis": "sto-3g" } } } }),
        ),
    ]
}

/// Every place of a document: pointer, and the same with `*` for indices. Of long lists the first two and the last.
fn places(value: &Value, pointer: &str, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (key, inner) in members {
                let (pointer, path) = (format!("{pointer}/{key}"), format!("{path}/{key}"));
                found.push((pointer.clone(), path.clone()));
                places(inner, &pointer, &path, found);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                if index < 2 || index + 1 == items.len() {
                    let (pointer, path) = (format!("{pointer}/{index}"), format!("{path}/*"));
                    found.push((pointer.clone(), path.clone()));
                    places(inner, &pointer, &path, found);
                }
            }
        }
        _ => {}
    }
}

/// What is put in the place of a value. A number is also changed a little.
fn replacements(value: &Value) -> Vec<(&'static str, Option<Value>)> {
    let mut all = vec![
        ("removed", None),
        ("null", Some(Value::Null)),
        ("true", Some(json!(true))),
        ("text", Some(json!("word"))),
        ("list", Some(json!([]))),
        ("object", Some(json!({}))),
        ("-1", Some(json!(-1))),
        ("3", Some(json!(3))),
        ("half", Some(json!(0.5))),
    ];
    if let Some(number) = value.as_f64() {
        all.push(("as float", Some(json!(number))));
        all.push(("as text", Some(json!(number.to_string()))));
        all.push(("next", Some(json!(number + 1.0))));
    }
    if let Value::Array(items) = value {
        let mut longer = items.clone();
        longer.extend(items.last().cloned());
        all.push(("longer", Some(Value::Array(longer))));
        all.push(("reversed", Some(items.iter().rev().cloned().collect())));
    }
    if let Value::Object(members) = value {
        let mut more = members.clone();
        more.insert("unheard_of".to_owned(), json!(1));
        all.push(("unknown key", Some(Value::Object(more))));
    }
    if let Value::String(text) = value {
        all.push(("upper case", Some(json!(text.to_uppercase()))));
        all.push(("padded", Some(json!(format!(" {text}")))));
    }
    all.retain(|(_, new)| new.as_ref() != Some(value));
    all
}

fn changed(base: &Value, pointer: &str, new: Option<Value>) -> Value {
    let mut document = base.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match (document.pointer_mut(parent).unwrap(), new) {
        (Value::Object(members), None) => drop(members.remove(key)),
        (Value::Object(members), Some(new)) => drop(members.insert(key.to_owned(), new)),
        (Value::Array(items), None) => drop(items.remove(key.parse().unwrap())),
        (Value::Array(items), Some(new)) => items[key.parse::<usize>().unwrap()] = new,
        (other, _) => panic!("{other}"),
    }
    document
}

fn all() -> Vec<Changed> {
    let mut all = Vec::new();
    for (kind, base, document) in bases() {
        all.push(Changed { kind, base, path: String::new(), change: "nothing", document: document.clone() });
        let mut found = vec![];
        places(&document, "", "", &mut found);
        for (pointer, path) in found {
            // molecules inside inputs are looked at by themselves, what is free inside is free everywhere
            let inner = ["/molecule/", "/initial_molecule/", "/extras/", "/keywords/", "/provenance/"];
            if kind != Kind::Molecule && inner.iter().any(|inner| path.contains(inner)) {
                continue;
            }
            for (change, new) in replacements(document.pointer(&pointer).unwrap()) {
                let document = changed(&document, &pointer, new);
                all.push(Changed { kind, base, path: path.clone(), change, document });
            }
        }
        let validated = changed(&document, "/validated", Some(json!(true)));
        if kind == Kind::Molecule {
            all.push(Changed { kind, base, path: "/validated".into(), change: "added", document: validated });
        }
    }
    all
}

/// What was understood; nothing where the document was refused.
type Answer = Result<BTreeMap<&'static str, Value>, String>;

fn ours(changed: &Changed) -> Answer {
    let text = changed.document.to_string();
    let of = |molecule: &Molecule| {
        BTreeMap::from([
            ("hash", Value::from(molecule.hash())),
            ("formula", Value::from(molecule.formula_in(FormulaOrder::Alphabetical))),
        ])
    };
    if changed.kind == Kind::Molecule {
        let molecule: Molecule = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        return Ok(of(&molecule));
    }
    let defaults = InputDefaults { program: Some("other".into()), ..InputDefaults::default() };
    let calculation = parse(&text, &defaults).map_err(|error| error.to_string())?;
    let mut answer = of(&calculation.molecule);
    let qc = calculation.specification.qc();
    let driver = if qc.driver.as_str() == "deferred" { "gradient" } else { qc.driver.as_str() };
    answer.insert("driver", Value::from(driver));
    answer.insert("method", Value::from(qc.method.as_str()));
    answer.insert("basis", Value::from(qc.basis.as_str()));
    answer.insert("keywords", Value::from(qc.keywords.clone()));
    Ok(answer)
}

/// The answers of one QCElemental, in the words of `ours`; nothing where it does not know the kind.
fn theirs(python: &Path, documents: &[Changed]) -> Vec<Option<Answer>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema/qcelemental_answers.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut asks = child.stdin.take().unwrap();
    let lines: String = (documents.iter())
        .map(|one| json!({ "kind": one.kind.name(), "document": one.document }).to_string() + "\n")
        .collect();
    let writer = std::thread::spawn(move || asks.write_all(lines.as_bytes()).unwrap());
    let answers: Vec<Option<Answer>> = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(|line| read(serde_json::from_str(&line.unwrap()).unwrap()))
        .collect();
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(answers.len(), documents.len());
    answers
}

fn read(mut answer: Map<String, Value>) -> Option<Answer> {
    if answer.contains_key("unknown") {
        return None;
    }
    if let Some(reason) = answer.get("refused") {
        return Some(Err(reason.to_string()));
    }
    let mut known = BTreeMap::new();
    for key in ["hash", "formula", "driver", "method", "basis", "keywords"] {
        if let Some(value) = answer.remove(key) {
            let value = match (key, value) {
                ("basis", Value::Null) => Value::from(""),
                ("method" | "basis", Value::String(word)) => Value::from(word.trim().to_lowercase()),
                (_, value) => value,
            };
            known.insert(key, value);
        }
    }
    Some(Ok(known))
}

/// How two answers differ, if they do.
fn difference(ours: &Answer, theirs: &Answer) -> Option<What> {
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => (ours != theirs).then_some(What::Understood),
        (Ok(_), Err(_)) => Some(What::OnlyWeTake),
        (Err(_), Ok(_)) => Some(What::OnlyWeRefuse),
        (Err(_), Err(_)) => None,
    }
}

#[test]
fn documents_are_taken_and_refused_as_by_qcelemental() {
    let documents = all();
    assert!(documents.len() > 600, "{}", documents.len());
    let answers: Vec<Answer> = documents.iter().map(ours).collect();
    let pythons = [
        (Who::Older, python("QCBATCH_TEST_PYTHON_V1", ".venv-v1")),
        (Who::Newer, python("QCBATCH_TEST_PYTHON_V2", ".venv-v2")),
    ];
    let told: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = (pythons.iter())
            .map(|(who, python)| (*who, scope.spawn(|| theirs(python, &documents))))
            .collect();
        asked.into_iter().map(|(who, answers)| (who, answers.join().unwrap())).collect()
    });
    let mut needed = vec![false; DIFFERENCES.len()];
    let (mut unexplained, mut compared) = (Vec::new(), 0);
    for (who, told) in &told {
        for ((one, ours), theirs) in documents.iter().zip(&answers).zip(told) {
            let Some(theirs) = theirs else { continue };
            compared += 1;
            let Some(what) = difference(ours, theirs) else { continue };
            let explains = |entry: &Difference| entry.explains(*who, what, &one.path, one.change);
            match DIFFERENCES.iter().position(explains) {
                Some(index) => needed[index] = true,
                None => unexplained.push(format!(
                    "{who:?} {what:?}: {} {} {}\n    ours   {ours:?}\n    theirs {theirs:?}",
                    one.base, one.path, one.change
                )),
            }
        }
    }
    assert!(compared > 1500, "{compared}");
    assert!(unexplained.is_empty(), "{} differences\n{}", unexplained.len(), unexplained.join("\n"));
    let idle: Vec<&str> = (DIFFERENCES.iter().zip(&needed))
        .filter(|(_, needed)| !**needed)
        .map(|(entry, _)| entry.reason)
        .collect();
    assert!(idle.is_empty(), "entries that nothing needs: {idle:#?}");
}
