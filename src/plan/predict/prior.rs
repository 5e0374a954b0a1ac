//! What is believed of a calculation's time and memory ahead of all history, by kind of method. Pure.
//!
//! Exponents are those of the methods' formal scaling, a little less where small molecules do not reach it; levels are of
//! ten atoms, or a hundred basis functions, on one core of today. The spreads are wide: a handful of runs outweighs them.

use crate::model::runtime::line::Belief;
use crate::model::runtime::{Line, Quantity, RuntimeKey, Work};

/// Kinds of methods whose cost grows alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MethodKind {
    /// Force fields and trained potentials: about linear.
    ForceField,
    /// Minimal basis, no integrals to speak of: between the matrices' N² and the diagonalisation's N³.
    Semiempirical,
    /// Hartree-Fock and density functionals: formally N⁴, with screening and density fitting N² to N³.
    MeanField,
    /// Second-order perturbation theory and double hybrids: N⁵ formally.
    SecondOrder,
    /// Iterative correlation methods: N⁶.
    CoupledCluster,
    /// With perturbative triples: N⁷.
    Triples,
}

impl MethodKind {
    /// The kind of a method's name. Where the name says nothing, the basis does: with one it is a mean-field method.
    pub fn of(method: &str, basis: &str) -> MethodKind {
        let begins = |words: &[&str]| words.iter().any(|word| method.starts_with(word));
        let holds = |words: &[&str]| words.iter().any(|word| method.contains(word));
        if holds(&["(t)", "(q)", "ccsdt", "cbs", "qcisd(t)"]) {
            MethodKind::Triples
        } else if holds(&["ccsd", "cc2", "cc3", "qcisd", "cisd", "mp4", "casscf", "adc", "eom", "mrci"]) {
            MethodKind::CoupledCluster
        } else if holds(&["mp2", "mp3", "b2plyp", "dsd-", "omp2"]) {
            MethodKind::SecondOrder
        } else if begins(&[
            "gfnff", "gfn-ff", "uff", "mmff", "gaff", "openff", "smirnoff", "ani", "aimnet", "mace",
        ]) {
            MethodKind::ForceField
        } else if begins(&["pm3", "pm6", "pm7", "am1", "rm1", "mndo", "gfn", "dftb", "om2", "om3", "odm"])
            || (basis.is_empty() && !begins(&["hf", "scf"]) && !method.ends_with("-3c"))
        {
            MethodKind::Semiempirical
        } else {
            MethodKind::MeanField
        }
    }

    /// Seconds of an energy, their exponent; bytes, their exponent.
    const fn energy(self) -> (f64, f64, f64, f64) {
        const MIB: f64 = 1048576.0;
        match self {
            MethodKind::ForceField => (0.1, 1.2, 300.0 * MIB, 0.3),
            MethodKind::Semiempirical => (0.05, 2.0, 100.0 * MIB, 0.5),
            MethodKind::MeanField => (20.0, 2.5, 500.0 * MIB, 1.0),
            MethodKind::SecondOrder => (40.0, 3.5, 800.0 * MIB, 1.5),
            MethodKind::CoupledCluster => (300.0, 5.0, 1500.0 * MIB, 2.5),
            MethodKind::Triples => (600.0, 6.0, 1500.0 * MIB, 2.5),
        }
    }
}

/// How much more than an energy something costs, and by how much its exponent is higher.
const fn beyond_energy(work: Work, quantity: Quantity) -> (f64, f64) {
    match (work, quantity) {
        (Work::Energy | Work::Properties, _) | (Work::Gradient, Quantity::MemoryBytes) => (1.0, 0.0),
        (Work::Gradient, Quantity::WallSeconds) => (2.0, 0.0),
        // As many gradients as coordinates, or equations for each of them.
        (Work::Hessian, Quantity::WallSeconds) => (40.0, 1.0),
        (Work::Hessian, Quantity::MemoryBytes) => (1.5, 0.3),
        // Some twenty gradients; the number of steps grows slowly.
        (Work::Optimization, Quantity::WallSeconds) => (40.0, 0.4),
        (Work::Optimization, Quantity::MemoryBytes) => (1.2, 0.0),
    }
}

/// The prior of a key.
pub fn stated(key: &RuntimeKey, quantity: Quantity) -> Line {
    let (seconds, time_exponent, bytes, memory_exponent) = MethodKind::of(&key.method, &key.basis).energy();
    let (factor, more) = beyond_energy(key.work, quantity);
    Line::stated(match quantity {
        Quantity::WallSeconds => Belief {
            level: (seconds * factor).ln(),
            level_spread: 10.0f64.ln(),
            slope: time_exponent + more,
            slope_spread: 0.8,
            spread: 0.4,
        },
        Quantity::MemoryBytes => Belief {
            level: (bytes * factor).ln(),
            level_spread: 3.0f64.ln(),
            slope: memory_exponent + more,
            slope_spread: 0.5,
            spread: 0.25,
        },
    })
}

#[cfg(test)]
mod tests;
