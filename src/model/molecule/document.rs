//! The JSON of a molecule in any generation of QCSchema (1, 2, 3), before it is checked. Pure.

use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::element::Element;
use super::numbers;

/// A molecule as a document has it. Unknown keys are refused; whether the values make sense is `Molecule`'s affair.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoleculeDocument {
    pub(super) schema_name: Option<String>,
    pub(super) schema_version: Option<f64>,
    pub(super) validated: Option<bool>,
    pub(super) symbols: Vec<Element>,
    #[serde(deserialize_with = "coordinates")]
    pub(super) geometry: Vec<f64>,
    pub(super) name: Option<String>,
    pub(super) identifiers: Option<Map<String, Value>>,
    pub(super) comment: Option<String>,
    pub(super) molecular_charge: Option<f64>,
    pub(super) molecular_multiplicity: Option<f64>,
    pub(super) masses: Option<Vec<Option<f64>>>,
    #[serde(default, deserialize_with = "numbers::truths")]
    pub(super) real: Option<Vec<bool>>,
    pub(super) atom_labels: Option<Vec<String>>,
    #[serde(default, deserialize_with = "numbers::integers")]
    pub(super) atomic_numbers: Option<Vec<i64>>,
    #[serde(default, deserialize_with = "numbers::integers_and_nulls")]
    pub(super) mass_numbers: Option<Vec<Option<i64>>>,
    pub(super) connectivity: Option<Vec<(f64, f64, f64)>>,
    pub(super) fragments: Option<Vec<Vec<u64>>>,
    pub(super) fragment_charges: Option<Vec<Option<f64>>>,
    pub(super) fragment_multiplicities: Option<Vec<Option<f64>>>,
    #[serde(default, rename = "fix_com")]
    _fix_com: Option<bool>,
    #[serde(default, rename = "fix_orientation")]
    _fix_orientation: Option<bool>,
    pub(super) fix_symmetry: Option<String>,
    pub(super) provenance: Option<Map<String, Value>>,
    #[serde(default, rename = "id")]
    _id: IgnoredAny,
    pub(super) extras: Option<Map<String, Value>>,
}

impl MoleculeDocument {
    /// A document with nothing but atoms at `geometry`, in bohr, flat.
    pub fn new(symbols: Vec<Element>, geometry: Vec<f64>) -> MoleculeDocument {
        MoleculeDocument { symbols, geometry, ..MoleculeDocument::default() }
    }

    /// The same with charge and multiplicity, where they are known.
    pub fn charged(mut self, charge: Option<f64>, multiplicity: Option<u32>) -> MoleculeDocument {
        self.molecular_charge = charge;
        self.molecular_multiplicity = multiplicity.map(f64::from);
        self
    }

    /// The same with a name.
    pub fn named(mut self, name: Option<String>) -> MoleculeDocument {
        self.name = name;
        self
    }

    /// The same with the mass numbers of isotopes, where they are known.
    pub fn of_isotopes(mut self, mass_numbers: Vec<Option<i64>>) -> MoleculeDocument {
        self.mass_numbers = mass_numbers.iter().any(Option::is_some).then_some(mass_numbers);
        self
    }

    /// The same with some of its atoms ghosts.
    pub fn with_ghosts(mut self, real: Vec<bool>) -> MoleculeDocument {
        self.real = Some(real);
        self
    }

    /// The same with bonds: two atoms, counted from 0, and an order.
    pub fn bonded(mut self, bonds: Vec<(f64, f64, f64)>) -> MoleculeDocument {
        self.connectivity = (!bonds.is_empty()).then_some(bonds);
        self
    }

    /// The same in fragments: so many atoms each, and what is known of its charge and multiplicity.
    pub fn in_fragments(mut self, fragments: &[(u64, Option<f64>, Option<u32>)]) -> MoleculeDocument {
        let mut first = 0;
        let mut atoms_of = |atoms: u64| {
            first += atoms;
            (first - atoms..first).collect()
        };
        self.fragments = Some(fragments.iter().map(|(atoms, ..)| atoms_of(*atoms)).collect());
        self.fragment_charges = Some(fragments.iter().map(|(_, charge, _)| *charge).collect());
        self.fragment_multiplicities =
            Some(fragments.iter().map(|(.., multiplicity)| multiplicity.map(f64::from)).collect());
        self
    }

    /// The same with a comment.
    pub fn commented(mut self, comment: Option<String>) -> MoleculeDocument {
        self.comment = comment;
        self
    }
}

/// Reads coordinates flat or as a list of `[x, y, z]`.
fn coordinates<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    struct Coordinates;
    impl<'de> Visitor<'de> for Coordinates {
        type Value = Vec<f64>;

        fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
            formatter.write_str("a list of coordinates in bohr")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<f64>, A::Error> {
            let mut numbers = Vec::with_capacity(24);
            while items.next_element_seed(CoordinateOrPoint(&mut numbers))?.is_some() {}
            Ok(numbers)
        }
    }
    deserializer.deserialize_seq(Coordinates)
}

/// One number, or three in a list, appended to the numbers before.
struct CoordinateOrPoint<'a>(&'a mut Vec<f64>);

impl<'de> DeserializeSeed<'de> for CoordinateOrPoint<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CoordinateOrPoint<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a number or [x, y, z]")
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.0.push(number);
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.0.push(number as f64);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.0.push(number as f64);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let [x, y, z]: [f64; 3] = match (items.next_element()?, items.next_element()?, items.next_element()?)
        {
            (Some(x), Some(y), Some(z)) => [x, y, z],
            _ => return Err(serde::de::Error::custom("too few numbers for a point, expected [x, y, z]")),
        };
        if items.next_element::<IgnoredAny>()?.is_some() {
            return Err(serde::de::Error::custom("too many numbers for a point, expected [x, y, z]"));
        }
        self.0.extend([x, y, z]);
        Ok(())
    }
}
