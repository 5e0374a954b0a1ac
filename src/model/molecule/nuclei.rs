//! Masses of the atoms from `masses` and `mass_numbers`, each checked against the element's known nuclides. Pure.

use super::{Element, MoleculeDocument, hash};
use crate::model::qcschema::InputError;

/// A mass and a mass number agree within this, in u (QCElemental's `mtol`).
const NUCLIDE_TOLERANCE: f64 = 1e-3;
/// A mass may lie this far, in u, outside the range of the element's known nuclides.
const RANGE_TOLERANCE: f64 = 0.5;

/// Masses that differ from the elements' own, and the mass numbers given with them.
#[derive(Debug)]
pub(super) struct Nuclei {
    pub(super) masses: Option<Vec<f64>>,
    pub(super) mass_numbers: Option<Vec<i32>>,
}

/// Settles the masses of `document`, whose lists have one value per atom.
pub(super) fn settle(document: &MoleculeDocument) -> Result<Nuclei, InputError> {
    if document.masses.is_none() && document.mass_numbers.is_none() {
        return Ok(Nuclei { masses: None, mass_numbers: None });
    }
    let mut masses = Vec::with_capacity(document.symbols.len());
    let mut mass_numbers = Vec::with_capacity(document.symbols.len());
    for (atom, element) in document.symbols.iter().enumerate() {
        let mass = document.masses.as_ref().and_then(|masses| masses[atom]);
        let number =
            document.mass_numbers.as_ref().and_then(|numbers| numbers[atom]).filter(|number| *number != -1);
        let nuclide = number.map(|number| nuclide_mass(atom, *element, number)).transpose()?;
        if let Some(mass) = mass {
            check_mass(atom, *element, mass, nuclide)?;
        }
        let default = element.mass();
        let of_nuclide = nuclide
            .map(|nuclide| if (nuclide - default).abs() < NUCLIDE_TOLERANCE { default } else { nuclide });
        masses.push(mass.or(of_nuclide).unwrap_or(default));
        mass_numbers.push(number.and_then(|number| i32::try_from(number).ok()).unwrap_or(-1));
    }
    let seen_by_hash = |mass: f64| hash::round_mass(mass);
    let all_default = (masses.iter().zip(&document.symbols))
        .all(|(mass, element)| seen_by_hash(*mass) == seen_by_hash(element.mass()));
    if all_default {
        return Ok(Nuclei { masses: None, mass_numbers: None });
    }
    Ok(Nuclei { masses: Some(masses), mass_numbers: document.mass_numbers.is_some().then_some(mass_numbers) })
}

fn nuclide_mass(atom: usize, element: Element, number: i64) -> Result<f64, InputError> {
    let known = i32::try_from(number).ok().and_then(|number| element.nuclides().mass(number));
    known.ok_or_else(|| {
        let default = element.nuclides().default_mass_number;
        let reason = format!("no nuclide {}-{number} is known", element.symbol());
        InputError::new(format!("$.mass_numbers[{atom}]"), reason, format!("a mass number such as {default}"))
    })
}

fn check_mass(atom: usize, element: Element, mass: f64, nuclide: Option<f64>) -> Result<(), InputError> {
    let path = || format!("$.masses[{atom}]");
    let found = || format!("{mass} u for `{}`", element.symbol());
    let (low, high) = element.nuclides().mass_range();
    let (low, high) = (low - RANGE_TOLERANCE, high + RANGE_TOLERANCE);
    if !(low..=high).contains(&mass) {
        return Err(InputError::new(path(), found(), format!("{low:.1} to {high:.1} u")));
    }
    match nuclide {
        Some(nuclide) if (mass - nuclide).abs() >= NUCLIDE_TOLERANCE => {
            Err(InputError::new(path(), found(), format!("{nuclide} u, as its mass number says,")))
        }
        _ => Ok(()),
    }
}
