//! From a molecule's JSON to a `Molecule`: every check, every default. Pure.
//!
//! The checks are QCElemental's (lengths, overlap, nuclides, charge and multiplicity) and some it leaves out: indices of
//! bonds in range, coordinates of a sane size.

use super::charges::{self, Given, Settled};
use super::{Bond, Fragment, Molecule, MoleculeDocument, hash, nuclei, overlap};
use crate::model::qcschema::InputError;
use serde_json::{Map, Value};
use std::ops::Range;

/// Coordinates beyond this (in bohr, 53 µm) are a unit error, and lose the digits that the hash looks at.
const FARTHEST: f64 = 1e6;
/// Names under which QCSchema files a molecule elsewhere; the first two are made from the molecule itself.
const IDENTIFIERS: [&str; 13] = [
    "molecule_hash",
    "molecular_formula",
    "smiles",
    "inchi",
    "inchikey",
    "canonical_explicit_hydrogen_smiles",
    "canonical_isomeric_explicit_hydrogen_mapped_smiles",
    "canonical_isomeric_explicit_hydrogen_smiles",
    "canonical_isomeric_smiles",
    "canonical_smiles",
    "pubchem_cid",
    "pubchem_sid",
    "pubchem_conformerid",
];

impl TryFrom<MoleculeDocument> for Molecule {
    type Error = InputError;

    /// Checks and completes a molecule. The error's path is seen from the molecule (`$.geometry[5]`).
    fn try_from(document: MoleculeDocument) -> Result<Molecule, InputError> {
        check_schema(&document)?;
        let atoms = document.symbols.len();
        check_lengths(&document, atoms)?;
        check_numbers(&document)?;
        let geometry: Vec<f64> = document.geometry.iter().map(|x| hash::round_coordinate(*x)).collect();
        overlap::check(&geometry)?;
        let nuclei = nuclei::settle(&document)?;
        let ranges = fragment_ranges(document.fragments.as_deref(), atoms)?;
        let settled = settle_charges(&document, &ranges)?;
        let order = if document.validated == Some(true) { BondOrder::AsGiven } else { BondOrder::Sorted };
        let connectivity =
            document.connectivity.as_deref().map(|bonds| bonds_of(bonds, atoms, order)).transpose()?;
        Ok(Molecule {
            elements: document.symbols,
            geometry,
            molecular_charge: settled.charge,
            molecular_multiplicity: settled.multiplicity,
            fragments: fragments_of(ranges, &settled),
            masses: nuclei.masses,
            mass_numbers: nuclei.mass_numbers,
            real: document.real.filter(|real| real.contains(&false)),
            atom_labels: document.atom_labels.filter(|labels| labels.iter().any(|label| !label.is_empty())),
            connectivity: connectivity.filter(|bonds| !bonds.is_empty()),
            fix_symmetry: document.fix_symmetry.map(|symmetry| symmetry.to_lowercase()),
            name: document.name,
            comment: document.comment,
            identifiers: identifiers_of(document.identifiers.unwrap_or_default())?,
            provenance: provenance_of(document.provenance.unwrap_or_default())?,
            extras: document.extras.unwrap_or_default(),
        })
    }
}

impl Molecule {
    /// The same molecule with its atoms elsewhere: one coordinate for each that it has, in bohr. Bonds and names stay.
    pub fn moved(&self, geometry: &[f64]) -> Result<Molecule, InputError> {
        let document = MoleculeDocument::new(self.elements.clone(), geometry.to_vec());
        check_lengths(&document, self.atoms())?;
        check_numbers(&document)?;
        let geometry: Vec<f64> = geometry.iter().map(|x| hash::round_coordinate(*x)).collect();
        overlap::check(&geometry)?;
        Ok(Molecule { geometry, ..self.clone() })
    }
}

fn check_schema(document: &MoleculeDocument) -> Result<(), InputError> {
    match document.schema_name.as_deref() {
        None | Some("qcschema_molecule") => {}
        Some(other) => {
            return Err(InputError::new("$.schema_name", format!("`{other}`"), "`qcschema_molecule`"));
        }
    }
    match document.schema_version {
        None | Some(1.0 | 2.0 | 3.0) => Ok(()),
        Some(other) => Err(InputError::new("$.schema_version", other.to_string(), "2 or 3")),
    }
}

fn check_lengths(document: &MoleculeDocument, atoms: usize) -> Result<(), InputError> {
    if atoms == 0 {
        return Err(InputError::new("$.symbols", "no atoms", "at least one"));
    }
    let numbers = document.geometry.len();
    if numbers != 3 * atoms {
        let reason = format!("{} for {}", counted(numbers, "number"), counted(atoms, "atom"));
        return Err(InputError::new("$.geometry", reason, (3 * atoms).to_string()));
    }
    let lengths = [
        ("masses", document.masses.as_ref().map(Vec::len)),
        ("real", document.real.as_ref().map(Vec::len)),
        ("atom_labels", document.atom_labels.as_ref().map(Vec::len)),
        ("atomic_numbers", document.atomic_numbers.as_ref().map(Vec::len)),
        ("mass_numbers", document.mass_numbers.as_ref().map(Vec::len)),
    ];
    for (key, length) in lengths {
        if let Some(length) = length.filter(|length| *length != atoms) {
            let reason = format!("{} for {}", counted(length, "value"), counted(atoms, "atom"));
            return Err(InputError::new(format!("$.{key}"), reason, atoms.to_string()));
        }
    }
    Ok(())
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn check_numbers(document: &MoleculeDocument) -> Result<(), InputError> {
    if let Some(index) = document.geometry.iter().position(|x| x.is_nan() || x.abs() > FARTHEST) {
        let reason = format!("{} bohr", document.geometry[index]);
        return Err(InputError::new(format!("$.geometry[{index}]"), reason, "at most 1000000 bohr from 0"));
    }
    if let Some(numbers) = &document.atomic_numbers {
        for (index, (number, element)) in numbers.iter().zip(&document.symbols).enumerate() {
            if *number != i64::from(element.atomic_number()) {
                let reason = format!("{number} for `{}`", element.symbol());
                let path = format!("$.atomic_numbers[{index}]");
                return Err(InputError::new(path, reason, element.atomic_number().to_string()));
            }
        }
    }
    Ok(())
}

/// The atoms of each fragment; QCElemental too refuses what would need its atoms reordered.
fn fragment_ranges(fragments: Option<&[Vec<u64>]>, atoms: usize) -> Result<Vec<Range<u32>>, InputError> {
    let atoms = u32::try_from(atoms).map_err(|_| InputError::new("$.symbols", "too many atoms", ""))?;
    let Some(fragments) = fragments else {
        return Ok(std::iter::once(0..atoms).collect());
    };
    let mut next = 0;
    let mut ranges = Vec::with_capacity(fragments.len());
    for (index, fragment) in fragments.iter().enumerate() {
        let start = next;
        for (position, atom) in fragment.iter().enumerate() {
            if *atom != u64::from(next) || next == atoms {
                let expected = if next < atoms {
                    format!("atom {next}, for fragments hold every atom once, in order")
                } else {
                    format!("no more than {atoms} atoms")
                };
                let path = format!("$.fragments[{index}][{position}]");
                return Err(InputError::new(path, format!("atom {atom}"), expected));
            }
            next += 1;
        }
        if start == next {
            return Err(InputError::new(format!("$.fragments[{index}]"), "no atoms", "at least one"));
        }
        ranges.push(start..next);
    }
    if next != atoms {
        return Err(InputError::new("$.fragments", format!("{next} of {atoms} atoms"), "every atom once"));
    }
    Ok(ranges)
}

fn settle_charges(document: &MoleculeDocument, ranges: &[Range<u32>]) -> Result<Settled, InputError> {
    let multiplicity = document
        .molecular_multiplicity
        .map(|multiplicity| whole_multiplicity(multiplicity, "$.molecular_multiplicity".to_owned()))
        .transpose()?;
    let fragment_multiplicities =
        per_fragment(&document.fragment_multiplicities, ranges, "fragment_multiplicities")?
            .into_iter()
            .enumerate()
            .map(|(index, multiplicity)| {
                let path = || format!("$.fragment_multiplicities[{index}]");
                multiplicity.map(|multiplicity| whole_multiplicity(multiplicity, path())).transpose()
            })
            .collect::<Result<_, _>>()?;
    let fragment_charges = per_fragment(&document.fragment_charges, ranges, "fragment_charges")?;
    let given =
        Given { charge: document.molecular_charge, multiplicity, fragment_charges, fragment_multiplicities };
    let protons_of = |atom: u32| {
        let atom = atom as usize;
        let is_real = document.real.as_ref().is_none_or(|real| real[atom]);
        if is_real { document.symbols[atom].atomic_number() } else { 0 }
    };
    let protons: Vec<u32> = ranges.iter().map(|range| range.clone().map(protons_of).sum()).collect();
    charges::settle(&protons, &given).ok_or_else(|| why_unsettled(&protons, &given))
}

fn per_fragment(
    given: &Option<Vec<Option<f64>>>,
    ranges: &[Range<u32>],
    key: &str,
) -> Result<Vec<Option<f64>>, InputError> {
    match given {
        None => Ok(vec![None; ranges.len()]),
        Some(values) if values.len() == ranges.len() => Ok(values.clone()),
        Some(values) => {
            let (values, fragments) = (counted(values.len(), "value"), counted(ranges.len(), "fragment"));
            let reason = format!("{values} for {fragments}");
            Err(InputError::new(format!("$.{key}"), reason, ranges.len().to_string()))
        }
    }
}

fn whole_multiplicity(multiplicity: f64, path: String) -> Result<u32, InputError> {
    if multiplicity.fract() == 0.0 && (1.0..=1e6).contains(&multiplicity) {
        Ok(multiplicity as u32)
    } else {
        Err(InputError::new(path, multiplicity.to_string(), "a positive integer"))
    }
}

/// The most useful thing to say about charges and multiplicities that do not fit.
fn why_unsettled(protons: &[u32], given: &Given) -> InputError {
    let charge = given.charge.unwrap_or(0.0);
    let electrons = protons.iter().map(|protons| f64::from(*protons)).sum::<f64>() - charge;
    if electrons < 0.0 {
        let reason = format!("charge {charge} with only {} protons", electrons + charge);
        return InputError::new("$.molecular_charge", reason, "no more than the protons of real atoms");
    }
    if given.fragment_charges.len() > 1 || given.fragment_charges[0].is_some_and(|own| own != charge) {
        let reason =
            "charges and multiplicities of fragments do not fit each other, the molecule's or the electrons";
        return InputError::new("$.fragment_charges", reason, "charges that sum to the molecule's");
    }
    let stated = given.multiplicity.or(given.fragment_multiplicities[0]);
    match stated {
        Some(multiplicity) if !charges::is_possible(electrons, multiplicity) => {
            let parity = if electrons.rem_euclid(2.0) == 0.0 { "an odd" } else { "an even" };
            InputError::new(
                "$.molecular_multiplicity",
                format!("multiplicity {multiplicity} with {electrons} electrons"),
                format!("{parity} multiplicity of at most {}", electrons + 1.0),
            )
        }
        _ => InputError::new(
            "$.molecular_multiplicity",
            "does not fit the charge and the fragment's multiplicity",
            "",
        ),
    }
}

fn fragments_of(ranges: Vec<Range<u32>>, settled: &Settled) -> Option<Vec<Fragment>> {
    let is_the_molecule = settled.fragment_charges == [settled.charge]
        && settled.fragment_multiplicities == [settled.multiplicity];
    if is_the_molecule {
        return None;
    }
    let values = settled.fragment_charges.iter().zip(&settled.fragment_multiplicities);
    let fragments = ranges.into_iter().zip(values);
    Some(
        fragments
            .map(|(atoms, (charge, multiplicity))| Fragment {
                atoms,
                charge: *charge,
                multiplicity: *multiplicity,
            })
            .collect(),
    )
}

/// In which order bonds are kept; it enters the molecule's hash.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BondOrder {
    /// As QCElemental keeps those of a document that says `validated`.
    AsGiven,
    /// The smaller atom first, in the order of that atom, as QCElemental keeps the others.
    Sorted,
}

fn bonds_of(bonds: &[(f64, f64, f64)], atoms: usize, kept: BondOrder) -> Result<Vec<Bond>, InputError> {
    let mut checked = Vec::with_capacity(bonds.len());
    for (index, (first, second, order)) in bonds.iter().enumerate() {
        for (position, atom) in [first, second].into_iter().enumerate() {
            if atom.fract() != 0.0 || *atom < 0.0 || *atom >= atoms as f64 {
                let path = format!("$.connectivity[{index}][{position}]");
                return Err(InputError::new(path, format!("atom {atom}"), format!("0 to {}", atoms - 1)));
            }
        }
        if first == second {
            let path = format!("$.connectivity[{index}]");
            return Err(InputError::new(path, format!("atom {first} twice"), "two different atoms"));
        }
        if !(0.0..=5.0).contains(order) {
            let path = format!("$.connectivity[{index}][2]");
            return Err(InputError::new(path, format!("bond order {order}"), "0 to 5"));
        }
        let (first, second) = match kept {
            BondOrder::AsGiven => (*first, *second),
            BondOrder::Sorted => (first.min(*second), first.max(*second)),
        };
        checked.push(Bond { first: first as u32, second: second as u32, order: *order });
    }
    if kept == BondOrder::Sorted {
        checked.sort_by_key(|bond| bond.first);
    }
    Ok(checked)
}

/// Known identifiers only; hash and formula are left out because they are made anew.
fn identifiers_of(given: Map<String, Value>) -> Result<Map<String, Value>, InputError> {
    if let Some(unknown) = given.keys().find(|key| !IDENTIFIERS.contains(&key.as_str())) {
        let expected = format!("one of `{}`", IDENTIFIERS.join("`, `"));
        return Err(InputError::new("$.identifiers", format!("unknown key `{unknown}`"), expected));
    }
    let mut kept = Map::new();
    for (key, value) in given {
        let made = key == IDENTIFIERS[0] || key == IDENTIFIERS[1];
        match value {
            Value::String(_) if !made => drop(kept.insert(key, value)),
            Value::Number(number) if !made => drop(kept.insert(key, Value::String(number.to_string()))),
            Value::String(_) | Value::Number(_) | Value::Null => {}
            other => {
                let path = format!("$.identifiers.{key}");
                return Err(InputError::new(path, format!("found `{other}`"), "a string"));
            }
        }
    }
    Ok(kept)
}

/// A provenance without a creator would be refused by every program that reads QCSchema.
fn provenance_of(given: Map<String, Value>) -> Result<Map<String, Value>, InputError> {
    if given.is_empty() || given.get("creator").is_some_and(Value::is_string) {
        return Ok(given);
    }
    Err(InputError::new("$.provenance", "`creator` is missing", "the name of the program or person"))
}
