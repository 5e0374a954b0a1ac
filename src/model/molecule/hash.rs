//! QCArchive's molecule hash: SHA-1 over the Python JSON of the fields that make a molecule. Pure.
//!
//! Exactly QCElemental's `Molecule.get_hash()`; `tests/schema.rs` holds it to hundreds of recorded hashes.

use sha1::{Digest, Sha1};

use super::{Element, Fragment, Molecule};
use crate::model::qcschema::python_json::{append, write_float, write_list};

/// Rounds as `numpy.around(x, digits)` does and makes what lies below `5**-(digits + 1)` a positive zero.
fn round(x: f64, scale: f64, zero_below: f64) -> f64 {
    let rounded = (x * scale).round_ties_even() / scale;
    if rounded.abs() < zero_below { 0.0 } else { rounded }
}

/// A coordinate as the hash sees it: 8 decimals.
pub(super) fn round_coordinate(bohr: f64) -> f64 {
    round(bohr, 1e8, 1.0 / 1_953_125.0)
}

/// A mass as the hash sees it: 6 decimals.
pub(super) fn round_mass(mass: f64) -> f64 {
    round(mass, 1e6, 1.0 / 78_125.0)
}

/// A fragment's charge as the hash sees it: 4 decimals.
fn round_fragment_charge(charge: f64) -> f64 {
    round(charge, 1e4, 1.0 / 3_125.0)
}

/// The molecule's charge as the hash sees it: Python's own `round(x, 4)`, which rounds the exact decimal value.
fn round_charge(charge: f64) -> f64 {
    if charge.fract() == 0.0 {
        return charge + 0.0;
    }
    format!("{charge:.4}").parse::<f64>().map_or(charge, |rounded| rounded + 0.0)
}

impl Molecule {
    /// The hash by which QCArchive stores a molecule once: 40 hexadecimal digits.
    ///
    /// Symbols, masses (also default ones), charge, multiplicity, ghosts, geometry, fragments and bonds enter it; names,
    /// labels, comments and frame do not.
    pub fn hash(&self) -> String {
        let mut text = String::with_capacity(128 + 64 * self.atoms());
        self.write_hashed_text(&mut text);
        let digest = Sha1::digest(text.as_bytes());
        let mut hexadecimal = String::with_capacity(40);
        for byte in digest {
            append(&mut hexadecimal, format_args!("{byte:02x}"));
        }
        hexadecimal
    }

    fn write_hashed_text(&self, text: &mut String) {
        write_list(text, &self.elements, |text, element| {
            text.push('"');
            text.push_str(element.symbol());
            text.push('"');
        });
        match &self.masses {
            Some(masses) => write_list(text, masses, |text, mass| write_float(text, round_mass(*mass))),
            None => write_list(text, &self.elements, |text, element| write_default_mass(text, *element)),
        }
        write_float(text, round_charge(self.molecular_charge));
        append(text, self.molecular_multiplicity);
        let atoms: Vec<usize> = (0..self.atoms()).collect();
        write_list(text, &atoms, |text, atom| {
            text.push_str(if self.is_real(*atom) { "true" } else { "false" })
        });
        write_list(text, &self.geometry, |text, x| write_float(text, *x));
        self.write_fragments(text);
        match &self.connectivity {
            None => text.push_str("null"),
            Some(bonds) => write_list(text, bonds, |text, bond| {
                append(text, format_args!("[{}, {}, ", bond.first, bond.second));
                write_float(text, bond.order);
                text.push(']');
            }),
        }
    }

    fn write_fragments(&self, text: &mut String) {
        let whole = [Fragment {
            atoms: 0..u32::try_from(self.atoms()).unwrap_or(u32::MAX),
            charge: self.molecular_charge,
            multiplicity: self.molecular_multiplicity,
        }];
        let fragments = self.fragments.as_deref().unwrap_or(&whole);
        write_list(text, fragments, |text, fragment| {
            let atoms: Vec<u32> = fragment.atoms.clone().collect();
            write_list(text, &atoms, |text, atom| append(text, *atom));
        });
        write_list(text, fragments, |text, fragment| {
            write_float(text, round_fragment_charge(fragment.charge))
        });
        write_list(text, fragments, |text, fragment| append(text, fragment.multiplicity));
    }
}

fn write_default_mass(text: &mut String, element: Element) {
    write_float(text, round_mass(element.mass()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_makes_no_negative_zeros_and_drops_noise() {
        assert_eq!(round_coordinate(-0.0).to_bits(), 0);
        assert_eq!(round_coordinate(-5.1e-7).to_bits(), 0);
        assert_eq!(round_coordinate(5.13e-7).to_bits(), 0);
        assert_eq!(round_coordinate(5.17e-7), 5.2e-7);
        assert_eq!(round_coordinate(1.000000005), 1.0);
        assert_eq!(round_charge(-0.0).to_bits(), 0);
        assert_eq!(round_charge(-0.00001).to_bits(), 0);
        assert_eq!(round_charge(0.33333), 0.3333);
    }
}
