//! geomeTRIC 1.1.1, which runs within QCEngine: its exceptions, and its words for what the program that gives it gradients said.

use super::Known::{Recorded, Source};
use super::Row;
use crate::model::failure::FailureClass::{Convergence, Input, Program};

const ERRORS: &str = "geometric/errors.py";

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        words: r"GeomOptNotConvergedError",
        says: "geomeTRIC's optimization did not converge within its number of steps; the keyword maxiter allows more",
        class: Convergence,
        known: Recorded,
    },
    Row {
        words: r"(?s)make_constraints_string.*?((?:ValueError|KeyError): [^\n]*)",
        says: "geomeTRIC refuses the constraints: $1",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"(?s)geometric/(?:run_json|params)\.py[^\n]*\n[^\n]*\n(?:[ ~^]*\n)?KeyError: '([^']*)'",
        says: "geomeTRIC does not know `$1`, which a keyword names",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"(?:InputError|ParamError|CheckCoordError): (.*)$",
        says: "geomeTRIC refuses the input: $1",
        class: Input,
        known: Source(ERRORS),
    },
    Row {
        words: r"QCEngineAPI computation did not execute correctly\. Message: (?:QCEngine \w+ Error: )?(.*)$",
        says: "the program that gives geomeTRIC its gradients failed: $1",
        class: Program,
        known: Source("geometric/engine.py"),
    },
    Row {
        words: r"(?:GeomOptStructureError|LinearTorsionError):? ?(.*)$",
        says: "geomeTRIC cannot go on from this geometry: $1",
        class: Program,
        known: Source(ERRORS),
    },
];
