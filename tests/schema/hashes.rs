//! Hashes against those that QCElemental and a QCFractal server gave.

use qcbatch::model::calculation::{Driver, QcSpecification, Specification};
use qcbatch::model::molecule::{FormulaOrder, Molecule};
use qcbatch::model::qcschema::{qc_specification_hash, specification_hash};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Recorded {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    molecule: Value,
    #[serde(default)]
    refused: bool,
    hash: Option<String>,
    formula: Option<String>,
    charge: Option<f64>,
    multiplicity: Option<u32>,
}

/// Written by `tests/data/make_molecule_hashes.py`.
fn recorded() -> Recorded {
    let other =
        std::env::var_os("QCBATCH_MOLECULE_HASHES").map(|path| std::fs::read_to_string(path).unwrap());
    let text = other.unwrap_or_else(|| include_str!("../data/molecule_hashes.json").to_owned());
    serde_json::from_str(&text).unwrap()
}

/// What QCElemental takes, we take with its hash; what it refuses, we refuse.
#[test]
fn molecules_hash_as_in_qcelemental() {
    let cases = recorded().cases;
    assert!(cases.len() >= 500);
    let mut differences = Vec::new();
    for case in &cases {
        let ours = serde_json::from_value::<Molecule>(case.molecule.clone());
        let agree = match &ours {
            Err(_) => case.refused,
            Ok(molecule) => {
                Some(molecule.hash()) == case.hash
                    && Some(molecule.formula_in(FormulaOrder::Alphabetical)) == case.formula
                    && Some(molecule.molecular_charge()) == case.charge
                    && Some(molecule.molecular_multiplicity()) == case.multiplicity
            }
        };
        if !agree {
            differences.push(format!("{}\n  recorded {:?}\n  ours {ours:?}", case.molecule, case.hash));
        }
    }
    let shown = differences.iter().take(10).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{} of {} differ\n{shown}", differences.len(), cases.len());
}

#[derive(Deserialize)]
struct RecordedSpecification {
    specification: Specification,
    hash: String,
}

/// Written by `tests/data/make_specification_hashes.py`.
#[test]
fn specifications_hash_as_in_qcarchive() {
    let recorded: Vec<RecordedSpecification> =
        serde_json::from_str(include_str!("../data/specification_hashes.json")).unwrap();
    assert!(recorded.len() > 100);
    for case in recorded {
        assert_eq!(specification_hash(&case.specification), case.hash, "{:?}", case.specification);
    }
}

/// As a QCFractal 0.71 server stored and served them.
#[test]
fn hashes_of_a_qcfractal_server() {
    let specification = QcSpecification {
        program: "mopac".to_owned(),
        driver: Driver::Energy,
        method: "pm7".to_owned(),
        basis: String::new(),
        keywords: Map::new(),
        protocols: Map::new(),
    };
    let hash = "ab1a1880f66c25dd521ed387a9a4d36af5368172d7c68ce9844cb8924dfb4426";
    assert_eq!(qc_specification_hash(&specification), hash);

    let served: Vec<Value> = serde_json::from_str(include_str!("../data/qcfractal_molecules.json")).unwrap();
    for document in served {
        let molecule = Molecule::deserialize(&document).unwrap();
        assert_eq!(document["identifiers"]["molecule_hash"], molecule.hash());
        let formula = molecule.formula_in(FormulaOrder::Alphabetical);
        assert_eq!(document["identifiers"]["molecular_formula"], formula);
    }
}
