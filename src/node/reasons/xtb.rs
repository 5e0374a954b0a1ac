//! xtb 6.5.1, its program and its library (xtb-python 22.1), which numbers its errors, the deepest with `-1-`.

use super::Known::{Recorded, Source};
use super::Row;
use crate::model::failure::FailureClass::{Convergence, Input, Node, Program};

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        words: r"^-1- scf: Self consistent charge iterator did not converge",
        says: "xtb's charges did not converge (Self consistent charge iterator did not converge)",
        class: Convergence,
        known: Recorded,
    },
    Row {
        words: r"no basis found for atom +(\d+) +Z= +(\d+)",
        says: "xtb has no parameters for atom $1 (element number $2)",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"^-1- Found \*very\* short distance of +(\S+) for (\S+)",
        says: "two atoms are too close for xtb: $2, $1 bohr",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"solvent: '([^']*)' is not parametrized",
        says: "xtb has no solvent `$1` for this method",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"Parameter file (\S+) not found!",
        says: "xtb does not find its parameter file $1: set XTBPATH in the pool's environment",
        class: Node,
        known: Recorded,
    },
    Row {
        words: r"Invalid method (\S+) provided in model",
        says: "xtb has no method $1",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"Calculation succeeded but invalid driver request provided|^xtb has no driver under QCEngine that",
        says: "xtb under QCEngine has the drivers energy, gradient and properties, and not the one that was asked for",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"TypeError: must be real number, not (\S+)",
        says: "a keyword of xtb must be a number, and is a $1",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"^-1- .*((?:direct|adjoint) ddCOSMO did not converge)",
        says: "xtb's solvent model did not converge: $1",
        class: Convergence,
        known: Source("src/solv/cosmo.f90"),
    },
    Row {
        words: r"(Assigned number of unpaired electrons .* is not consistent with the total number of electrons)",
        says: "the multiplicity does not fit the number of electrons (xtb: $1)",
        class: Input,
        known: Source("src/prog/main.F90 of xtb 6.7.1 and later"),
    },
    Row {
        words: r"^-1- (.*(?:too many atoms with extreme high CN|Not enough basis functions for filling orbitals).*)$",
        says: "xtb cannot treat this molecule: $1",
        class: Input,
        known: Source("src/gfnff/gfnff_ini2.f90, src/scf_module.F90"),
    },
    Row {
        words: r"(?s)\[ERROR\] Program stopped due to fatal error.*?\n-1- (?:\w+: )?([^\n]*)",
        says: "xtb: $1",
        class: Program,
        known: Source("src/type/environment.f90"),
    },
    Row {
        words: r"^-1- (?:\w+: )?(.*)$",
        says: "xtb: $1",
        class: Program,
        known: Source("src/type/environment.f90"),
    },
];
