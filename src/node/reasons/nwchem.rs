//! NWChem 7.0.2. It ends by `errquit`, which prints what failed, where in the input it was, and one of ten kinds of error.

use super::Known::{Recorded, Source};
use super::Row;
use crate::model::failure::FailureClass::{Convergence, Input, Memory, Node, Program};

const ERRQUIT: &str = "src/util/errquit.F";

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        words: r"^ (bas_tag_lib: (?:failed opening basis file|no such basis available)) +-?\d+\n(?:.*\n){1,6}?  current input line : *\n +\d+: +(.*?) *$",
        says: "NWChem does not find the basis set: `$2` ($1)",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"^\[0\] ARMCI Error: 0:(input_parse: unknown directive) (.*?):?$",
        says: "NWChem does not know the directive `$2`; keywords of its modules are written `module__keyword`",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"at least two atoms are only +(\S+) +angstrom apart",
        says: "two atoms are only $1 angstrom apart",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"PMIX ERROR: OUT-OF-RESOURCE",
        says: "MPI could not start NWChem: the node's temporary directory has no room (PMIX ERROR: OUT-OF-RESOURCE)",
        class: Node,
        known: Recorded,
    },
    Row {
        words: r"^ ((?:Memory_Defaults|ma_init|ga_initialize).*?) +-?\d+$",
        says: "NWChem was given too little memory ($1)",
        class: Memory,
        known: Recorded,
    },
    Row {
        words: r"(?i)^ (\S.*\b(?:memory|ma_push\w*|ma_alloc\w*|push_get|alloc_get|ga_create|nga_create|stack|heap)\b.*?) +-?\d+\n -{72}$",
        says: "NWChem was given too little memory ($1)",
        class: Memory,
        known: Recorded,
    },
    Row {
        words: r"^ (\S.*?) +-?\d+\n -{72}\n(?:.*\n){0,12}? -{72}\n This type of error is most commonly +associated with calculations not reaching +convergence criteria",
        says: "NWChem did not converge ($1)",
        class: Convergence,
        known: Recorded,
    },
    Row {
        words: r"QCEngine Known Error: The computation failed to converge\.",
        says: "NWChem did not converge, and QCEngine's further tries neither",
        class: Convergence,
        known: Source("QCEngine 0.50, programs/nwchem/errors.py"),
    },
    Row {
        words: r"^ (\S.*?) +-?\d+\n -{72}\n(?:.*\n){0,12}?  current input line : *\n +\d+: +(.*?) *\n(?:.*\n){0,4}? There is an error in the (?:input file|specified basis set)",
        says: "NWChem refuses the input at `$2`: $1",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"^ (\S.*?) +-?\d+\n -{72}\n(?:.*\n){0,16}? There is an error (?:in the input file|in the specified basis set|related to the specified +geometry)",
        says: "NWChem refuses the input: $1",
        class: Input,
        known: Source(ERRQUIT),
    },
    Row {
        words: r"^ (\S.*?) +-?\d+\n -{72}\n(?:.*\n){0,16}? A feature requested has not yet been +implemented",
        says: "NWChem has not this feature: $1",
        class: Input,
        known: Source(ERRQUIT),
    },
    Row {
        words: r"^ (\S.*?) +-?\d+\n -{72}\n(?:.*\n){0,16}? An error occured while trying to read or +write to disk space",
        says: "NWChem cannot use its scratch directory: $1",
        class: Node,
        known: Source(ERRQUIT),
    },
    Row {
        words: r"Method not recognized: (\S+)",
        says: "QCEngine knows no method $1 of NWChem",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r#"Method "([^"]*)" not yet supported by QCEngine"#,
        says: "QCEngine has no method $1 of NWChem",
        class: Input,
        known: Source("QCEngine 0.50, programs/nwchem/germinate.py"),
    },
    Row {
        words: r"Error when generating redundant atomic coordinates",
        says: "NWChem cannot make internal coordinates of this geometry; the keyword geometry__noautoz helps",
        class: Input,
        known: Source("QCEngine 0.50, programs/nwchem/errors.py"),
    },
    Row {
        words: r"^.*(?:not able to find or launch|There are not enough slots available|could not be found|ORTE was unable to reliably start|It looks like \S+ failed for some reason).*$",
        says: "MPI could not start NWChem: $0",
        class: Node,
        known: Source("Open MPI 4.1, orte/tools/orterun/help-orterun.txt"),
    },
    Row {
        words: r"^ (\S.*?) +-?\d+\n -{72}\n(?:.*\n){0,16}? (?:This error has not yet been assigned to a|An error occured in the Runtime Database|An error occured while computing integrals)",
        says: "NWChem: $1",
        class: Program,
        known: Source(ERRQUIT),
    },
    Row { words: r"^\[0\] ARMCI Error: 0: *(.*?) *:?$", says: "NWChem: $1", class: Program, known: Recorded },
];
