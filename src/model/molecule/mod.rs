//! A molecule as QCSchema has it, checked and completed as QCElemental does it, with QCArchive's hash. Pure.
//!
//! Two molecules with the same hash hold the same numbers: geometries are kept as rounded as the hash sees them.

mod charges;
mod check;
mod document;
mod element;
mod formula;
mod hash;
mod json;
mod nuclei;
mod numbers;
mod overlap;

use serde_json::{Map, Value};

pub use document::MoleculeDocument;
pub use element::Element;
pub use formula::{FormulaOrder, reorder_formula};

/// A molecule that passed every check. Lengths in bohr, masses in u, charges in e; atoms count from 0.
#[derive(Clone, PartialEq, Debug)]
pub struct Molecule {
    elements: Vec<Element>,
    geometry: Vec<f64>,
    molecular_charge: f64,
    molecular_multiplicity: u32,
    /// Absent where every atom has its element's default mass.
    masses: Option<Vec<f64>>,
    /// Kept only beside `masses`.
    mass_numbers: Option<Vec<i32>>,
    /// Absent where no atom is a ghost.
    real: Option<Vec<bool>>,
    atom_labels: Option<Vec<String>>,
    /// Smaller atom first, sorted by it; as they came where the document says that it was validated before.
    connectivity: Option<Vec<Bond>>,
    /// Absent where the molecule is one fragment with the molecule's own charge and multiplicity.
    fragments: Option<Vec<Fragment>>,
    fix_symmetry: Option<String>,
    name: Option<String>,
    comment: Option<String>,
    identifiers: Map<String, Value>,
    provenance: Map<String, Value>,
    extras: Map<String, Value>,
}

/// Two bonded atoms and the order of their bond, 0 to 5.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bond {
    /// The atom that comes first.
    pub first: u32,
    /// The other.
    pub second: u32,
    /// Bond order.
    pub order: f64,
}

/// Consecutive atoms that belong together.
#[derive(Clone, PartialEq, Debug)]
pub struct Fragment {
    /// Its atoms.
    pub atoms: std::ops::Range<u32>,
    /// Its charge in e.
    pub charge: f64,
    /// Its multiplicity.
    pub multiplicity: u32,
}

impl Molecule {
    /// One element per atom.
    pub fn elements(&self) -> &[Element] {
        &self.elements
    }

    /// Cartesian coordinates in bohr, `x y z` of one atom after the other.
    pub fn geometry(&self) -> &[f64] {
        &self.geometry
    }

    /// Number of atoms, ghosts included.
    pub fn atoms(&self) -> usize {
        self.elements.len()
    }

    /// Total charge in e.
    pub fn molecular_charge(&self) -> f64 {
        self.molecular_charge
    }

    /// Total multiplicity, 2S + 1.
    pub fn molecular_multiplicity(&self) -> u32 {
        self.molecular_multiplicity
    }

    /// Whether this atom has nucleus and electrons; a ghost brings only its basis functions.
    pub fn is_real(&self, atom: usize) -> bool {
        self.real.as_ref().is_none_or(|real| real[atom])
    }

    /// Whether a list of bonds came with it.
    pub fn has_bonds(&self) -> bool {
        self.connectivity.is_some()
    }

    /// What the user calls it.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The user's words about it.
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }
}
