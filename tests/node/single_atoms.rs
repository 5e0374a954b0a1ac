//! Single atoms: MOPAC and xtb give their energies, and a gradient of zero, natively and through QCEngine.

use qcbatch::node::native::NativeProgram;
use qcbatch::node::native::mopac::Mopac;
use qcbatch::node::native::xtb::Xtb;
use serde_json::{Value, json};

use crate::fixture::Generation;
use crate::native::*;

fn atom(symbol: &str, charge: i32, multiplicity: u32) -> Value {
    molecule(&[symbol], &[0.3, -0.1, 2.0], charge, multiplicity)
}

fn both_drivers(program: &dyn NativeProgram, method: &str, qcengine: &mut QcEngine) {
    for (symbol, charge, multiplicity) in
        [("He", 0, 1), ("H", 0, 2), ("Cl", -1, 1), ("Li", 1, 1), ("Na", 0, 2)]
    {
        let mut energies = vec![];
        for driver in ["energy", "gradient"] {
            let molecule = atom(symbol, charge, multiplicity);
            let calculation = calculation(program.name(), driver, method, json!({}), molecule);
            let (ours, theirs) = (natively(program, &calculation), qcengine.ask(&calculation));
            for reply in [ours, theirs] {
                let result = result(&reply);
                if driver == "gradient" {
                    let numbers = result["return_result"].as_array().unwrap();
                    assert!(
                        numbers.len() == 3 && numbers.iter().all(|number| *number == 0.0),
                        "{symbol} {numbers:?}"
                    );
                }
                energies.push(result["properties"]["return_energy"].as_f64().unwrap());
            }
        }
        let same = energies.iter().all(|energy| (energy - energies[0]).abs() < 1e-9);
        assert!(energies.len() == 4 && same, "{method} {symbol}: {energies:?}");
    }
}

fn atoms(generation: Generation) {
    let mut qcengine = QcEngine::start(generation);
    both_drivers(&Mopac, "pm7", &mut qcengine);
    both_drivers(&Xtb, "gfn2-xtb", &mut qcengine);
}

#[test]
fn single_atoms_have_energies_and_gradients_of_zero_with_the_older_qcengine() {
    atoms(Generation::V1);
}

#[test]
fn single_atoms_have_energies_and_gradients_of_zero_with_the_newer_qcengine() {
    atoms(Generation::V2);
}
