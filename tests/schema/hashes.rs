//! Hashes against those that QCElemental and a QCFractal server gave.

use qcbatch::model::molecule::{FormulaOrder, Molecule};
use serde::Deserialize;
use serde_json::Value;

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
    let other = std::env::var_os("QCBATCH_MOLECULE_HASHES").map(|path| std::fs::read_to_string(path).unwrap());
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
