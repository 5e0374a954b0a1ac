//! What each program can represent of a calculation, as it is driven here: by the node runner itself or by QCEngine. Pure.
//!
//! Some programs compute something else, without a word, for what they cannot represent: ghosts become atoms, a fractional
//! charge is rounded, a spin is ignored. Each line below is taken from the program's harness in QCEngine 0.29 and 0.52 and, for
//! MOPAC 22.0, xtb 6.5, Psi4 1.3 and NWChem 7.0, from runs. Of a program, or of a member, that is not known, nothing is refused.
//!
//! Masses of isotopes are in no line: no driver's result depends on them, whether or not the program is told.

use std::ops::RangeInclusive;

use super::calculation::{Calculation, Driver, Specification};
use super::molecule::{Element, Molecule};
use super::qcschema::InputError;

/// What becomes of an atom that has basis functions and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ghosts {
    /// A ghost is computed as one.
    Kept,
    /// A ghost would be computed as an atom.
    TakenForAtoms,
    /// The harness refuses ghosts.
    Refused,
}

/// Which charges reach the program unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Charges {
    /// Any number.
    Any,
    /// Integers; the rest would be rounded.
    Whole,
    /// None: every molecule is computed as neutral.
    Neutral,
}

/// Which multiplicities are computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spins {
    /// Every multiplicity.
    Any,
    /// Every multiplicity of an odd number of electrons, and singlets.
    OddOrSinglet,
    /// The spin is ignored: only the lowest multiplicity is what was asked for.
    Ignored,
}

/// What one program, or one of its methods, can represent.
#[derive(Clone, PartialEq, Debug)]
pub struct Representation {
    /// As specifications call it.
    pub program: &'static str,
    /// The methods that this line is for; every other one where there are none.
    pub methods: &'static [&'static str],
    /// Atoms without nucleus and electrons.
    pub ghosts: Ghosts,
    /// Charges.
    pub charges: Charges,
    /// Multiplicities.
    pub spins: Spins,
    /// Atomic numbers with parameters.
    pub elements: RangeInclusive<u32>,
    /// Drivers that are implemented.
    pub drivers: &'static [Driver],
    /// Whether `connectivity` must be there.
    pub bonds: Bonds,
}

/// What a program makes of the list of bonds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bonds {
    /// Bonds are not needed.
    Unused,
    /// The energy is one of bonds.
    Needed,
}

const ALL_ELEMENTS: RangeInclusive<u32> = 1..=118;
const ALL_DRIVERS: &[Driver] = &[Driver::Energy, Driver::Gradient, Driver::Hessian, Driver::Properties];
const UP_TO_GRADIENTS: &[Driver] = &[Driver::Energy, Driver::Gradient];
const UP_TO_HESSIANS: &[Driver] = &[Driver::Energy, Driver::Gradient, Driver::Hessian];
const NO_HESSIANS: &[Driver] = &[Driver::Energy, Driver::Gradient, Driver::Properties];

/// A program that takes all that QCSchema can say: where the lines below begin.
const EVERYTHING: Representation = Representation {
    program: "",
    methods: &[],
    ghosts: Ghosts::Kept,
    charges: Charges::Any,
    spins: Spins::Any,
    elements: ALL_ELEMENTS,
    drivers: ALL_DRIVERS,
    bonds: Bonds::Unused,
};

/// Ab-initio programs: their charge is an integer.
const AB_INITIO: Representation = Representation { charges: Charges::Whole, ..EVERYTHING };

/// Potentials that see nuclei only.
const POTENTIAL: Representation = Representation {
    ghosts: Ghosts::TakenForAtoms,
    charges: Charges::Neutral,
    spins: Spins::Ignored,
    drivers: UP_TO_GRADIENTS,
    ..EVERYTHING
};

/// Every program that is known; of two lines for one program the first that fits counts.
pub const PROGRAMS: &[Representation] = &[
    Representation {
        program: "mopac",
        ghosts: Ghosts::TakenForAtoms,
        // QCEngine writes MS= without UHF: RHF of an even number of electrons has no active space for it
        spins: Spins::OddOrSinglet,
        // beyond bismuth parameters are left over that give nonsense (radon hydride at -2000 kcal/mol)
        elements: 1..=83,
        drivers: UP_TO_GRADIENTS,
        ..AB_INITIO
    },
    Representation {
        program: "xtb",
        methods: &["gfn-ff", "gfnff"],
        ghosts: Ghosts::TakenForAtoms,
        spins: Spins::Ignored,
        elements: 1..=103,
        drivers: NO_HESSIANS,
        ..AB_INITIO
    },
    Representation {
        program: "xtb",
        ghosts: Ghosts::TakenForAtoms,
        elements: 1..=86,
        drivers: NO_HESSIANS,
        ..AB_INITIO
    },
    Representation { program: "psi4", ..AB_INITIO },
    Representation { program: "nwchem", ..AB_INITIO },
    Representation { program: "cfour", ..AB_INITIO },
    Representation { program: "jaguar", drivers: UP_TO_HESSIANS, ..AB_INITIO },
    Representation { program: "terachem", ..AB_INITIO },
    Representation { program: "gamess", ghosts: Ghosts::Refused, ..AB_INITIO },
    Representation { program: "qchem", ghosts: Ghosts::TakenForAtoms, ..AB_INITIO },
    Representation { program: "turbomole", ghosts: Ghosts::TakenForAtoms, ..AB_INITIO },
    Representation { program: "mrchem", ghosts: Ghosts::TakenForAtoms, drivers: NO_HESSIANS, ..AB_INITIO },
    Representation { program: "molpro", drivers: UP_TO_GRADIENTS, ..EVERYTHING },
    Representation { program: "adcc", drivers: &[Driver::Energy, Driver::Properties], ..AB_INITIO },
    Representation { program: "rdkit", bonds: Bonds::Needed, ..POTENTIAL },
    Representation { program: "torchani", drivers: UP_TO_HESSIANS, ..POTENTIAL },
    Representation { program: "mace", ..POTENTIAL },
    Representation { program: "aimnet2", charges: Charges::Any, ..POTENTIAL },
    Representation { program: "orb", charges: Charges::Any, spins: Spins::Any, ..POTENTIAL },
];

/// What is known of a program and its method.
pub fn of(program: &str, method: &str) -> Option<&'static Representation> {
    PROGRAMS
        .iter()
        .find(|line| line.program == program && (line.methods.is_empty() || line.methods.contains(&method)))
}

/// What of a calculation its program cannot represent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason} ({expected} expected)")]
pub struct Misfit {
    /// The part of the calculation.
    pub part: Part,
    /// What is there, and what the program would make of it.
    pub reason: String,
    /// What would be right.
    pub expected: String,
}

/// A part of a calculation that a program may not know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// An atom that is a ghost.
    Ghost(usize),
    /// An atom's element.
    Symbol(usize),
    /// The molecule's charge.
    Charge,
    /// The molecule's multiplicity.
    Multiplicity,
    /// The molecule's bonds.
    Connectivity,
    /// The driver.
    Driver,
}

impl Misfit {
    /// The same as the fault of a document whose molecule and driver are at these paths.
    pub fn at(self, molecule: &str, driver: &str) -> InputError {
        let path = match self.part {
            Part::Ghost(atom) => format!("{molecule}.real[{atom}]"),
            Part::Symbol(atom) => format!("{molecule}.symbols[{atom}]"),
            Part::Charge => format!("{molecule}.molecular_charge"),
            Part::Multiplicity => format!("{molecule}.molecular_multiplicity"),
            Part::Connectivity => format!("{molecule}.connectivity"),
            Part::Driver => driver.to_owned(),
        };
        InputError::new(path, self.reason, self.expected)
    }
}

/// Whether the program of `calculation` computes what is asked for, as far as is known.
pub fn check(calculation: &Calculation) -> Result<(), Misfit> {
    let qc = calculation.specification.qc();
    let Some(line) = of(&qc.program, &qc.method) else { return Ok(()) };
    let driver = match calculation.specification {
        Specification::Singlepoint(_) => qc.driver,
        Specification::Optimization(_) => Driver::Gradient,
    };
    check_driver(line, driver)?;
    check_atoms(line, &calculation.molecule)?;
    check_electrons(line, &calculation.molecule)
}

fn check_driver(line: &Representation, driver: Driver) -> Result<(), Misfit> {
    if line.drivers.contains(&driver) {
        return Ok(());
    }
    let known: Vec<String> = line.drivers.iter().map(|driver| format!("`{}`", driver.as_str())).collect();
    Err(Misfit {
        part: Part::Driver,
        reason: format!("QCEngine has no driver `{}` for {}", driver.as_str(), line.program),
        expected: known.join(" or "),
    })
}

fn check_atoms(line: &Representation, molecule: &Molecule) -> Result<(), Misfit> {
    let ghost = || (0..molecule.atoms()).find(|atom| !molecule.is_real(*atom));
    if line.ghosts != Ghosts::Kept
        && let Some(atom) = ghost()
    {
        let reason = match line.ghosts {
            Ghosts::Refused => format!("a ghost atom, which {} under QCEngine does not take", line.program),
            _ => format!("a ghost atom, which {} would compute as a real one", line.program),
        };
        let expected = "real atoms only, or a program with ghosts such as psi4 or nwchem,".to_owned();
        return Err(Misfit { part: Part::Ghost(atom), reason, expected });
    }
    let unknown = |element: &Element| !line.elements.contains(&element.atomic_number());
    if let Some(atom) = molecule.elements().iter().position(unknown) {
        let heaviest = Element::from_atomic_number(*line.elements.end()).map_or("", Element::symbol);
        return Err(Misfit {
            part: Part::Symbol(atom),
            reason: format!("{} has no parameters for {}", line.program, molecule.elements()[atom].symbol()),
            expected: format!("elements up to {heaviest}"),
        });
    }
    if line.bonds == Bonds::Needed && !molecule.has_bonds() {
        return Err(Misfit {
            part: Part::Connectivity,
            reason: format!("no bonds, which {} cannot do without", line.program),
            expected: "a list of [atom, atom, order]".to_owned(),
        });
    }
    Ok(())
}

fn check_electrons(line: &Representation, molecule: &Molecule) -> Result<(), Misfit> {
    let (program, charge) = (line.program, molecule.molecular_charge());
    let (misfit, expected) = match line.charges {
        Charges::Whole if charge.fract() != 0.0 => ("would round", "an integer"),
        Charges::Neutral if charge != 0.0 => ("would ignore", "0"),
        _ => ("", ""),
    };
    if !misfit.is_empty() {
        return Err(Misfit {
            part: Part::Charge,
            reason: format!("charge {charge}, which {program} {misfit}"),
            expected: expected.to_owned(),
        });
    }
    let multiplicity = molecule.molecular_multiplicity();
    // 1 of an even number of electrons has no unpaired ones, 2 of an odd number has one
    let lowest = if multiplicity % 2 == 1 { 1 } else { 2 };
    let reason = match line.spins {
        Spins::OddOrSinglet if multiplicity % 2 == 1 && multiplicity != 1 => {
            format!("multiplicity {multiplicity}, which QCEngine's input for {program} cannot ask for")
        }
        Spins::Ignored if multiplicity != lowest => {
            format!("multiplicity {multiplicity}, which {program} would ignore")
        }
        _ => return Ok(()),
    };
    Err(Misfit { part: Part::Multiplicity, reason, expected: lowest.to_string() })
}

#[cfg(test)]
mod tests;
