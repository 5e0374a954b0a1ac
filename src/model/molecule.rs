//! A molecule as QCSchema v1 has it, its hash and its formula. Pure.

use serde::{Deserialize, Serialize};

/// A molecule. Lengths in bohr.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Molecule {
    /// Element symbols, one per atom.
    pub symbols: Vec<String>,
    /// Cartesian coordinates in bohr, flat, `3 * symbols.len()`.
    pub geometry: Vec<f64>,
}
