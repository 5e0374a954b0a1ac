//! MOPAC 22.0.6. It lists what went wrong in a box at the end of its output (`mopend` in its source), and as `ERROR_MESSAGE` in
//! its auxiliary file; it says "JOB ENDED NORMALLY" and exits with 0 all the same.

use super::Known::{Recorded, Source};
use super::Row;
use crate::model::failure::FailureClass::{Convergence, Input, Memory, Node, Program};

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        words: r"UNABLE TO ACHIEVE SELF-CONSISTENCE",
        says: "MOPAC's SCF did not converge (UNABLE TO ACHIEVE SELF-CONSISTENCE)",
        class: Convergence,
        known: Recorded,
    },
    Row {
        words: r"^ *Value of MS not consistent with number of electrons",
        says: "the multiplicity does not fit the number of electrons (MOPAC: Value of MS not consistent with number of electrons)",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"SPECIFIED SPIN COMPONENT NOT SPANNED BY ACTIVE SPACE",
        says: "MOPAC cannot make this multiplicity without keywords for configuration interaction (SPECIFIED SPIN COMPONENT NOT SPANNED BY ACTIVE SPACE)",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"MISSING VAN DER WAALS RADIUS FOR +(\S+)",
        says: "MOPAC has no parameters for the element $1 (MISSING VAN DER WAALS RADIUS)",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"Parameters for some elements are missing",
        says: "MOPAC has no parameters for some of the elements in this method",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r#"The method requested: "([^"]*)" does not exist"#,
        says: "MOPAC has no method $1",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"UNRECOGNIZED KEY-WORDS: \((.*?)\)",
        says: "MOPAC does not know the keywords $1",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"ATOMS +(\d+) AND +(\d+) ARE SEPARATED BY +(\S+) ANGSTROMS",
        says: "atoms $2 and $1 (counted from 1) are only $3 angstrom apart",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"(?i)TWO ATOMS ARE COINCIDENT\.  A FATAL ERROR",
        says: "two atoms are at the same place (MOPAC: TWO ATOMS ARE COINCIDENT)",
        class: Input,
        known: Source("src/geometry/gmetry.F90"),
    },
    Row {
        words: r"CHARGE SPECIFIED IS INCORRECT",
        says: "MOPAC: CHARGE SPECIFIED IS INCORRECT",
        class: Input,
        known: Source("src/chemistry/geochk.F90"),
    },
    Row {
        words: r"(?i)^.*(?:Failed to allocate|Unable to allocate memory|Insufficient memory to run|not enough memory to create|problem occurred during memory assignment).*$",
        says: "MOPAC could not get the memory that it wanted: $0",
        class: Memory,
        known: Source("src/setup_mopac_arrays.F90, src/MOZYME/fillij.F90, src/reactions/ef.F90"),
    },
    Row {
        words: r"(?i)Maximum number of atoms exceeded",
        says: "the molecule has more atoms than this MOPAC takes",
        class: Input,
        known: Source("src/input/getgeo.F90"),
    },
    Row {
        words: r"(?i)^.*(?:output file being unavailable|is unavailable for use|cannot be opened).*$",
        says: "MOPAC cannot write its files: $0",
        class: Node,
        known: Recorded,
    },
    Row {
        words: r"MOPAC does not have method: (\S+)",
        says: "MOPAC has no method $1, or QCEngine does not pass it on",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"Unknown keywords given to MOPAC: (.*)",
        says: "QCEngine passes only ITER and PULAY on to MOPAC, not $1",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"Driver (?:DriverEnum\.)?(\S+) not implemented for MOPAC",
        says: "QCEngine has no driver $1 for MOPAC, only energy and gradient",
        class: Input,
        known: Recorded,
    },
    // Whatever else stands in the box.
    Row {
        words: r"messages reported in this calculation +\*\n \* +\*\n \* +(.+?) *\*$",
        says: "MOPAC: $1",
        class: Program,
        known: Source("src/mopend.F90"),
    },
];
