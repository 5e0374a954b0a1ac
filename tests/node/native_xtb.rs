//! xtb straight from the runner and through both generations of QCEngine (which drive xtb's library), side by side. The
//! library is version 6.5.1, and so is Debian's program.

use qcbatch::model::failure::FailureClass;
use qcbatch::node::native::xtb::Xtb;
use serde_json::{Value, json};

use crate::fixture::Generation;
use crate::native::*;

/// The program prints charges and dipoles with 8 digits behind the point, the rest with more.
const PRINTED: f64 = 1.1e-8;
/// The force field's dipole is made of charges with 8 digits, several bohr from the origin.
const PRINTED_FORCE_FIELD: f64 = 1e-7;
/// Energies with 12, gradients with 14 significant ones.
const PRINTED_ENERGY: f64 = 1e-12;

/// What the program does not print as the library has it: its version is that of the program, not of the C interface;
/// of the bond orders it prints those above 0.1, which are compared below.
const OTHERWISE: &[&str] = &["/provenance/version", "/extras/xtb/mayer_indices", "/extras/xtb/mayer_bonds"];

fn formamide() -> Value {
    molecule(
        &["C", "O", "N", "H", "H", "H"],
        &[
            0.0, 0.79, 0.0, 2.26, 1.21, 0.0, -1.77, 2.67, 0.05, -0.84, -1.12, 0.0, -1.23, 4.49, -0.11, -3.63,
            2.26, 0.02,
        ],
        0,
        1,
    )
}

fn water_upright() -> Value {
    molecule(&["O", "H", "H"], &[0.0, 0.0, 0.22166, 0.0, 1.4309, -0.8867, 0.0, -1.4309, -0.8867], 0, 1)
}

fn hydroxide() -> Value {
    molecule(&["O", "H"], &[0.0, 0.0, 0.0, 0.0, 0.3, 1.8], -1, 1)
}

fn oxygen() -> Value {
    molecule(&["O", "O"], &[0.0, 0.0, -1.14, 0.0, 0.0, 1.14], 0, 3)
}

fn methyl() -> Value {
    molecule(
        &["C", "H", "H", "H"],
        &[0.0, 0.0, 0.05, 2.04, 0.0, 0.0, -1.02, 1.766_691_8, 0.0, -1.02, -1.766_691_8, 0.0],
        0,
        2,
    )
}

/// Every bond order above 0.1 of the library's matrix, and no other, is among those of the program.
fn assert_same_bonds(what: &str, ours: &Value, theirs: &Value, atoms: usize) {
    let Some(matrix) = theirs.pointer("/extras/xtb/mayer_indices") else {
        assert!(ours.pointer("/extras/xtb/mayer_bonds").is_none(), "{what}");
        return;
    };
    let order = |first: usize, second: usize| matrix[first * atoms + second].as_f64().unwrap();
    let mut expected: Vec<(usize, usize)> =
        (0..atoms).flat_map(|first| (first + 1..atoms).map(move |second| (first, second))).collect();
    expected.retain(|(first, second)| order(*first, *second) > 0.1);
    let mut found = vec![];
    for bond in ours["extras"]["xtb"]["mayer_bonds"].as_array().unwrap() {
        let (first, second) = (bond[0].as_u64().unwrap() as usize, bond[1].as_u64().unwrap() as usize);
        assert!((bond[2].as_f64().unwrap() - order(first, second)).abs() < 1e-9, "{what}: {bond}");
        found.push((first.min(second), first.max(second)));
    }
    found.sort_unstable();
    assert_eq!(found, expected, "{what}");
}

/// QCEngine's harness needs `xtb` for Python, of which there are packages up to Python 3.11.
fn has_library(generation: Generation) -> bool {
    let import = std::process::Command::new(generation.python()).args(["-c", "import xtb"]).output().unwrap();
    if !import.status.success() {
        eprintln!("no `xtb` in the Python of {generation:?}: only the recorded numbers are compared");
    }
    import.status.success()
}

fn side_by_side(generation: Generation) {
    if !has_library(generation) {
        return;
    }
    let mut qcengine = QcEngine::start(generation);
    // The library's GFN2 is another one in a process that has run GFN0 (its dispersion model stays): that comes last.
    let cases = [
        ("gfn2-xtb", "energy", json!({}), water()),
        ("gfn2-xtb", "gradient", json!({}), formamide()),
        ("gfn2-xtb", "gradient", json!({}), hydroxide()),
        ("gfn2-xtb", "gradient", json!({}), methyl()),
        ("gfn2-xtb", "energy", json!({"accuracy": 0.01, "max_iterations": 60}), formamide()),
        ("gfn2-xtb", "energy", json!({"electronic_temperature": 5000.0}), oxygen()),
        ("gfn2-xtb", "gradient", json!({"solvent": "water"}), formamide()),
        ("gfn2-xtb", "energy", json!({"solvent": "nhexane"}), formamide()),
        ("gfn2-xtb", "energy", json!({"solvent": "none"}), water()),
        ("gfn1-xtb", "gradient", json!({}), formamide()),
        ("gfn1-xtb", "energy", json!({"solvent": "Toluene"}), formamide()),
        ("gfn1-xtb", "energy", json!({}), oxygen()),
        ("gfn-ff", "gradient", json!({}), formamide()),
        ("gfn-ff", "energy", json!({}), hydroxide()),
        ("gfn0-xtb", "gradient", json!({}), formamide()),
        ("gfn0-xtb", "energy", json!({}), hydroxide()),
    ];
    for (method, driver, keywords, molecule) in cases {
        let calculation = calculation("xtb", driver, method, keywords, molecule);
        let what =
            format!("{generation:?} {method} {driver} of {}", calculation.molecule.to_qcschema()["symbols"]);
        let (ours, theirs) = (natively(&Xtb, &calculation), qcengine.ask(&calculation));
        assert_eq!(ours.program, theirs.program);
        assert_eq!(ours.program_version.as_deref(), Some("6.5.1"), "the version that Debian packages");
        let (ours, theirs) = (result(&ours), result(&theirs));
        let printed = if method == "gfn-ff" { PRINTED_FORCE_FIELD } else { PRINTED };
        assert_same(&what, &ours, &theirs, printed, OTHERWISE);
        for path in ["/return_result", "/properties/return_energy", "/extras/xtb/return_gradient"] {
            let (ours, theirs) = (ours.pointer(path).unwrap(), theirs.pointer(path).unwrap());
            let found = differences(ours, theirs, PRINTED_ENERGY);
            assert!(found.is_empty(), "{what} {path}: {found:?}");
        }
        assert_same_bonds(&what, &ours, &theirs, calculation.molecule.atoms());
    }
    let impatient = calculation("xtb", "energy", "gfn2-xtb", json!({"max_iterations": 2}), formamide());
    let (ours, theirs) = (failure(&natively(&Xtb, &impatient)), failure(&qcengine.ask(&impatient)));
    assert_eq!((ours.0, &ours.1), (theirs.0, &theirs.1), "{ours:?} {theirs:?}");
    assert_eq!(ours.0, FailureClass::Convergence);
    let last = |text: &str| text.lines().last().unwrap().to_owned();
    assert_eq!(last(&ours.2), last(&theirs.2));
}

#[test]
fn energies_are_those_that_the_library_gave() {
    // xtb-python 22.1 (library 6.5.1) through QCEngine 0.29, each in a process of its own.
    let table = [
        ("gfn2-xtb", methyl(), -3.562_642_975_654_406),
        ("gfn1-xtb", water_upright(), -5.768_640_450_501_364),
        ("gfn0-xtb", water_upright(), -4.366_773_900_666_625),
        ("gfn-ff", water_upright(), -0.327_282_544_419_560_4),
        ("gfn2-xtb", water_upright(), -5.070_370_651_327_288),
    ];
    for (method, molecule, energy) in table {
        let result = result(&natively(&Xtb, &calculation("xtb", "energy", method, json!({}), molecule)));
        let found = result["return_result"].as_f64().unwrap();
        assert!((found - energy).abs() < PRINTED_ENERGY, "{method}: {found} is not {energy}");
    }
}

#[test]
fn results_are_those_of_the_older_qcengine() {
    side_by_side(Generation::V1);
}

#[test]
fn results_are_those_of_the_newer_qcengine() {
    side_by_side(Generation::V2);
}

#[test]
fn an_element_without_parameters_fails_alone() {
    // Through QCEngine the library ends the Python process.
    let uranium = calculation(
        "xtb",
        "energy",
        "gfn2-xtb",
        json!({}),
        molecule(&["U", "H"], &[0.0, 0.0, 0.0, 0.0, 0.0, 4.0], 0, 2),
    );
    let reply = natively(&Xtb, &uranium);
    let (class, error_type, message) = failure(&reply);
    assert_eq!((class, error_type.as_str()), (FailureClass::Input, "unknown_error"), "{message}");
    assert!(reply.stdout.unwrap().contains("no basis found"));
}
