use super::*;
use crate::model::qcschema::{InputDefaults, parse};
use serde_json::{Value, json};

/// A single point; `changes` are merged into the molecule.
fn document(program: &str, method: &str, driver: &str, changes: Value) -> String {
    let mut molecule =
        json!({ "symbols": ["C", "H", "H"], "geometry": [0, 0, 0, 0, 1.6, 1.2, 0, -1.6, 1.2] });
    for (key, value) in changes.as_object().unwrap() {
        molecule[key] = value.clone();
    }
    json!({ "program": program, "input_data": {
        "molecule": molecule, "driver": driver, "model": { "method": method, "basis": null } } })
    .to_string()
}

fn told(program: &str, method: &str, driver: &str, changes: Value) -> String {
    match parse(&document(program, method, driver, changes), &InputDefaults::default()) {
        Ok(_) => "taken".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// What a program would compute wrongly is refused at intake, with its place and with what would be right.
#[test]
fn what_a_program_would_misread_is_refused() {
    let ghosts = json!({ "real": [true, false, false] });
    let cases = [
        ("mopac", "pm7", "energy", ghosts.clone()),
        ("xtb", "gfn2-xtb", "energy", ghosts.clone()),
        ("gamess", "hf", "energy", ghosts.clone()),
        ("qchem", "hf", "energy", ghosts),
        ("mopac", "pm7", "energy", json!({ "molecular_charge": 0.4 })),
        ("xtb", "gfn1-xtb", "energy", json!({ "molecular_charge": -0.5 })),
        ("psi4", "hf", "energy", json!({ "molecular_charge": 0.4 })),
        ("nwchem", "hf", "energy", json!({ "molecular_charge": 0.999_999_9 })),
        ("torchani", "ani2x", "energy", json!({ "molecular_charge": 2 })),
        ("mopac", "pm7", "energy", json!({ "molecular_multiplicity": 3 })),
        ("xtb", "gfn-ff", "energy", json!({ "molecular_multiplicity": 3 })),
        ("mace", "off23", "energy", json!({ "molecular_charge": 0, "molecular_multiplicity": 5 })),
        ("mopac", "pm7", "energy", json!({ "symbols": ["Rn", "H", "H"] })),
        ("xtb", "gfn2-xtb", "energy", json!({ "symbols": ["Th", "H", "H"] })),
        ("xtb", "gfnff", "energy", json!({ "symbols": ["Bh", "H", "H"], "molecular_charge": 1 })),
        ("mopac", "pm7", "hessian", json!({})),
        ("xtb", "gfn2-xtb", "hessian", json!({})),
        ("rdkit", "uff", "energy", json!({})),
    ];
    let mut table = String::new();
    for (program, method, driver, changes) in cases {
        let answer = told(program, method, driver, changes.clone());
        table.push_str(&format!("{program}/{method} {driver} {changes}\n    {answer}\n"));
    }
    insta::assert_snapshot!(table);
}

#[test]
fn what_a_program_represents_is_taken() {
    let ghosts = json!({ "real": [true, false, false] });
    for (program, method, driver, changes) in [
        ("psi4", "hf", "hessian", ghosts.clone()),
        ("nwchem", "hf", "properties", ghosts.clone()),
        ("cfour", "scf", "energy", ghosts.clone()),
        ("somebody-elses", "hf", "hessian", ghosts),
        ("somebody-elses", "hf", "energy", json!({ "molecular_charge": 0.4 })),
        ("aimnet2", "b973c", "gradient", json!({ "molecular_charge": 0.5 })),
        ("mopac", "pm7", "gradient", json!({ "molecular_charge": -1, "molecular_multiplicity": 4 })),
        ("mopac", "pm7", "energy", json!({ "symbols": ["Bi", "H", "H"] , "molecular_charge": 0 })),
        ("xtb", "gfn2-xtb", "properties", json!({ "molecular_multiplicity": 3 })),
        ("xtb", "gfn-ff", "energy", json!({ "symbols": ["U", "H", "H"] })),
        ("psi4", "hf", "energy", json!({ "mass_numbers": [13, 2, 2] })),
        ("mopac", "pm7", "energy", json!({ "mass_numbers": [13, 2, 2] })),
        ("rdkit", "uff", "gradient", json!({ "connectivity": [[0, 1, 1], [0, 2, 1]] })),
    ] {
        assert_eq!(told(program, method, driver, changes.clone()), "taken", "{program} {method} {changes}");
    }
}

#[test]
fn an_optimization_is_judged_by_the_program_of_its_gradients() {
    let optimization = |program: &str, real: Value| {
        json!({ "schema_name": "qcschema_optimization_input", "schema_version": 1,
            "initial_molecule": { "symbols": ["He", "He"], "geometry": [0, 0, 0, 0, 0, 5], "real": real },
            "keywords": { "program": program },
            "input_specification": { "model": { "method": "hf", "basis": "sto-3g" } } })
        .to_string()
    };
    let told = |program: &str, real| {
        parse(&optimization(program, real), &InputDefaults::default()).err().map(|error| error.to_string())
    };
    assert_eq!(told("psi4", json!([true, false])), None);
    let refused = told("mopac", json!([true, false])).unwrap();
    assert!(refused.starts_with("$.initial_molecule.real[1]: a ghost atom"), "{refused}");
    let refused = told("adcc", json!([true, true])).unwrap();
    assert!(refused.starts_with("$.keywords.program: QCEngine has no driver `gradient`"), "{refused}");
}

#[test]
fn the_manual_has_a_row_for_every_program() {
    let manual = include_str!("../../../docs/programs.md");
    for line in PROGRAMS {
        assert!(manual.contains(&format!("| `{}`", line.program)), "{}", line.program);
    }
}
