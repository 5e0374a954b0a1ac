//! MOPAC's input file, to the byte the one that QCEngine writes. Pure.

use std::fmt::Write;

use serde_json::Value;

use crate::model::calculation::{Driver, QcSpecification};
use crate::model::molecule::Molecule;
use crate::model::qcschema::python_json::write_float;

/// The methods that QCEngine lets through.
const METHODS: [&str; 14] = [
    "mndo",
    "am1",
    "pm3",
    "rm1",
    "mndod",
    "pm6",
    "pm6-d3",
    "pm6-dh+",
    "pm6-dh2",
    "pm6-dh2x",
    "pm6-d3h4",
    "pm6-3dh4x",
    "pm7",
    "pm7-ts",
];

/// The file; none for what QCEngine would refuse, and for keywords of types that it would write in Python's way.
pub(super) fn write(specification: &QcSpecification, molecule: &Molecule) -> Option<String> {
    if !matches!(specification.driver, Driver::Energy | Driver::Gradient) {
        return None;
    }
    let method = METHODS.iter().find(|method| specification.method.eq_ignore_ascii_case(method))?;
    let Keywords { iter, pulay } = Keywords::of(specification)?;
    let pulay = if pulay { " PULAY" } else { " " };
    let mut text = String::with_capacity(256 + 64 * molecule.atoms());
    let _ = write!(text, "{} CHARGE=", method.to_ascii_uppercase());
    write_float(&mut text, molecule.molecular_charge());
    text.push_str(" MS=");
    write_float(&mut text, (f64::from(molecule.molecular_multiplicity()) - 1.0) / 2.0);
    text.push_str("&\n");
    let _ = writeln!(text, "1SCF GRADIENTS AUX(PRECISION=9, XP, XS, XW) A0{pulay} ITER={iter}&");
    let (points, _) = molecule.geometry().as_chunks::<3>();
    for (element, [x, y, z]) in molecule.elements().iter().zip(points) {
        let _ = write!(text, "\n{}  {x:17.12}  {y:17.12}  {z:17.12}", element.symbol());
    }
    Some(text)
}

/// MOPAC's keywords as far as QCEngine knows them.
struct Keywords {
    iter: i64,
    pulay: bool,
}

impl Keywords {
    fn of(specification: &QcSpecification) -> Option<Keywords> {
        let mut keywords = Keywords { iter: 100, pulay: true };
        let mut seen = [false; 2];
        for (key, value) in &specification.keywords {
            let position = ["ITER", "PULAY"].iter().position(|known| key.eq_ignore_ascii_case(known))?;
            if std::mem::replace(&mut seen[position], true) {
                return None;
            }
            match (position, value) {
                (0, Value::Number(number)) => keywords.iter = number.as_i64()?,
                (1, Value::Bool(pulay)) => keywords.pulay = *pulay,
                _ => return None,
            }
        }
        Some(keywords)
    }
}
