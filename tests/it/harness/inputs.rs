//! QCSchema inputs of the tests. Geometries are in ångström here and in bohr in the documents, as QCSchema wants.

use serde_json::{Value, json};

/// Bohr radius in ångström (CODATA 2014, the value QCElemental uses).
const ANGSTROM_PER_BOHR: f64 = 0.529_177_210_67;

/// Water HF/STO-3G at the geometry below, in hartree; computed with Psi4 1.3.2 and conventional integrals.
pub const WATER_HF_STO3G: f64 = -74.963_110;
/// Water PM7 at the same geometry, in hartree: MOPAC's heat of formation.
pub const WATER_PM7: f64 = -0.092_094_4;
/// How far a result may be from the two numbers above, in hartree.
pub const TOLERANCE: f64 = 1e-5;

/// The water molecule of the references.
pub fn water() -> Value {
    molecule(&[("O", [0.0, 0.0, 0.1173]), ("H", [0.0, 0.7572, -0.4692]), ("H", [0.0, -0.7572, -0.4692])])
}

/// Hydrogen at a bond length in ångström: a different molecule, thus a different record, for every length.
pub fn hydrogen(bond_length: f64) -> Value {
    molecule(&[("H", [0.0, 0.0, 0.0]), ("H", [0.0, 0.0, bond_length])])
}

/// A stretched alkane of so many carbon atoms.
pub fn alkane(carbons: u32) -> Value {
    let mut atoms = Vec::new();
    for carbon in 0..carbons {
        let side = if carbon % 2 == 0 { 1.0 } else { -1.0 };
        let (x, y) = (1.26 * f64::from(carbon), 0.43 * side);
        atoms.push(("C", [x, y, 0.0]));
        for z in [0.89, -0.89] {
            atoms.push(("H", [x, y + 0.63 * side, z]));
        }
        let outwards = [(0, -1.0), (carbons - 1, 1.0)];
        let ends = outwards.into_iter().filter(|(end, _)| *end == carbon);
        atoms.extend(ends.map(|(_, way)| ("H", [x + 0.89 * way, y - 0.63 * side, 0.0])));
    }
    molecule(&atoms)
}

fn molecule(atoms: &[(&str, [f64; 3])]) -> Value {
    let symbols: Vec<&str> = atoms.iter().map(|(symbol, _)| *symbol).collect();
    let geometry: Vec<f64> =
        atoms.iter().flat_map(|(_, place)| place.map(|x| x / ANGSTROM_PER_BOHR)).collect();
    json!({
        "schema_name": "qcschema_molecule", "schema_version": 2,
        "symbols": symbols, "geometry": geometry, "molecular_charge": 0, "molecular_multiplicity": 1,
        "fix_com": true, "fix_orientation": true,
    })
}

/// An `AtomicInput` of QCSchema v1. It cannot name its program, so that stands beside it, as in the arguments of QCEngine.
pub fn energy(program: &str, method: &str, basis: Option<&str>, molecule: Value) -> Value {
    let model = json!({"method": method, "basis": basis});
    json!({"program": program, "input_data": {
        "schema_name": "qcschema_input", "schema_version": 1, "molecule": molecule, "driver": "energy", "model": model,
    }})
}

/// The same as an `AtomicInput` of version 2, which names its program itself.
pub fn energy_version_2(program: &str, method: &str, basis: Option<&str>, mut molecule: Value) -> Value {
    molecule["schema_version"] = json!(3);
    let model = json!({"method": method, "basis": basis});
    json!({
        "schema_name": "qcschema_atomic_input", "schema_version": 2, "molecule": molecule,
        "specification": {"program": program, "driver": "energy", "model": model},
    })
}

/// Water with Psi4, HF/STO-3G.
pub fn water_psi4() -> Value {
    energy("psi4", "hf", Some("sto-3g"), water())
}

/// Water with MOPAC, PM7.
pub fn water_mopac() -> Value {
    energy("mopac", "pm7", None, water())
}

/// `count` different small MOPAC energies.
pub fn many_mopac(count: u32) -> Value {
    (0..count).map(|n| energy("mopac", "pm7", None, hydrogen(0.7 + 0.001 * f64::from(n)))).collect()
}

/// A geometry optimization as QCSchema v1 has it: the program is one of the optimizer's keywords.
pub fn optimization(program: &str, method: &str, molecule: Value) -> Value {
    json!({
        "schema_name": "qcschema_optimization_input", "schema_version": 1,
        "initial_molecule": molecule,
        "input_specification": {"driver": "gradient", "model": {"method": method, "basis": null}},
        "keywords": {"program": program},
    })
}
