//! xtb's command line and coordinates: QCSchema's request in the program's words. Pure.

use std::fmt::Write;

use serde_json::Value;

use crate::model::calculation::{Driver, QcSpecification};
use crate::model::molecule::Molecule;
use crate::model::qcschema::python_json::write_float;

/// The range in which program and library take an accuracy as it is.
const ACCURACIES: std::ops::RangeInclusive<f64> = 1e-4..=1e3;

/// Solvents by the harness's names, and as the program calls them.
const SOLVENTS: [(&str, &str); 17] = [
    ("acetone", "acetone"),
    ("acetonitrile", "acetonitrile"),
    ("benzene", "benzene"),
    ("ch2cl2", "ch2cl2"),
    ("chcl3", "chcl3"),
    ("chloroform", "chcl3"),
    ("cs2", "cs2"),
    ("dmf", "dmf"),
    ("dmso", "dmso"),
    ("ether", "ether"),
    ("h2o", "h2o"),
    ("water", "h2o"),
    ("methanol", "methanol"),
    ("nhexane", "n-hexane"),
    ("n-hexane", "n-hexane"),
    ("thf", "thf"),
    ("toluene", "toluene"),
];

/// The methods that are run natively.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Method {
    /// GFN*n*-xTB.
    TightBinding(u8),
    /// GFN-FF.
    ForceField,
}

impl Method {
    /// The method of a specification, by the harness's names.
    pub(super) fn of(specification: &QcSpecification) -> Option<Method> {
        Some(match specification.method.to_ascii_lowercase().as_str() {
            "gfn2-xtb" | "gfn2xtb" => Method::TightBinding(2),
            "gfn1-xtb" | "gfn1xtb" => Method::TightBinding(1),
            "gfn0-xtb" | "gfn0xtb" => Method::TightBinding(0),
            "gfn-ff" | "gfnff" => Method::ForceField,
            _ => return None,
        })
    }

    /// Whether charges are iterated, so that keywords of the iteration mean something.
    fn is_self_consistent(self) -> bool {
        matches!(self, Method::TightBinding(1 | 2))
    }
}

/// One run of the program.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    charge: i64,
    unpaired: u32,
    options: Vec<String>,
}

impl Request {
    /// The request; none for what the harness would refuse, ignore or do in another way than the program.
    pub(super) fn of(specification: &QcSpecification, molecule: &Molecule) -> Option<Request> {
        if !matches!(specification.driver, Driver::Energy | Driver::Gradient) {
            return None;
        }
        let method = Method::of(specification)?;
        let charge = molecule.molecular_charge();
        let whole = charge.fract() == 0.0 && charge.abs() < 1e6;
        let all_real = (0..molecule.atoms()).all(|atom| molecule.is_real(atom));
        if !whole || !all_real || (!specification.keywords.is_empty() && !method.is_self_consistent()) {
            return None;
        }
        let mut options = Vec::new();
        for (key, value) in &specification.keywords {
            options.extend(option(key, value)?);
        }
        let unpaired = molecule.molecular_multiplicity().saturating_sub(1);
        Some(Request { method, charge: charge as i64, unpaired, options })
    }

    /// The program's arguments.
    pub(super) fn arguments(&self, coordinates: &str) -> Vec<String> {
        let mut arguments: Vec<String> =
            ["xtb", coordinates, "--grad", "--json", "--norestart"].map(String::from).to_vec();
        match self.method {
            Method::TightBinding(level) => arguments.extend(["--gfn".to_owned(), level.to_string()]),
            Method::ForceField => arguments.push("--gfnff".to_owned()),
        }
        arguments.extend(["--chrg".to_owned(), self.charge.to_string()]);
        arguments.extend(["--uhf".to_owned(), self.unpaired.to_string()]);
        arguments.extend(self.options.iter().cloned());
        arguments
    }
}

/// One keyword as an option; `Some([])` where it says what is so anyway.
fn option(key: &str, value: &Value) -> Option<Vec<String>> {
    let float = |number: f64| {
        let mut text = String::new();
        write_float(&mut text, number);
        text
    };
    Some(match key {
        "accuracy" => {
            let accuracy = value.as_f64().filter(|accuracy| ACCURACIES.contains(accuracy))?;
            vec!["--acc".to_owned(), float(accuracy)]
        }
        "electronic_temperature" => {
            let kelvin = value.as_f64().filter(|kelvin| (1.0..1e6).contains(kelvin))?;
            vec!["--etemp".to_owned(), float(kelvin)]
        }
        "max_iterations" => {
            let iterations = value.as_u64().filter(|iterations| (1..1_000_000).contains(iterations))?;
            vec!["--iterations".to_owned(), iterations.to_string()]
        }
        "solvent" => {
            let asked = value.as_str()?.to_ascii_lowercase();
            if asked == "none" {
                return Some(vec![]);
            }
            let (_, solvent) = SOLVENTS.iter().find(|(name, _)| *name == asked)?;
            vec!["--gbsa".to_owned(), (*solvent).to_owned()]
        }
        _ => return None,
    })
}

/// The molecule in Turbomole's form, lengths in bohr.
pub(super) fn coordinates(molecule: &Molecule) -> String {
    let mut text = String::with_capacity(32 + 72 * molecule.atoms());
    text.push_str("$coord\n");
    let (points, _) = molecule.geometry().as_chunks::<3>();
    for (element, [x, y, z]) in molecule.elements().iter().zip(points) {
        let _ = writeln!(text, "{x:22.14} {y:22.14} {z:22.14} {}", element.symbol().to_ascii_lowercase());
    }
    text.push_str("$end\n");
    text
}
