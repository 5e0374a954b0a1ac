//! QCEngine 0.29 and 0.50 and later, QCElemental, and our worker around them (`jobscripts/qcengine_worker.py`).

use super::Known::{Recorded, Source};
use super::Row;
use crate::model::failure::FailureClass::{Input, Node, Program};

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        words: r"(?:Program|Procedure) (\S+) is registered with QCEngine, but cannot be found\.\nCommand '([^']+)' not found in envvar PATH(?:.*\n)+?QCEngine runs in (.*)$",
        says: "the program `$2` is not in PATH on this node: it is needed for $1 (load its module in the pool's setup)",
        class: Node,
        known: Recorded,
    },
    Row {
        words: r"(?:Program|Procedure) (\S+) is registered with QCEngine, but cannot be found\.\nPython module '([^']+)' not found in envvar PYTHONPATH(?:.*\n)+?QCEngine runs in (.*)$",
        says: "the Python package `$2`, which QCEngine needs for $1, is not installed in $3",
        class: Node,
        known: Recorded,
    },
    Row {
        words: r"(?:Program|Procedure) (\S+) is registered with QCEngine, but cannot be found",
        says: "QCEngine does not find $1 on this node",
        class: Node,
        known: Source("qcengine/programs/base.py, procedures/base.py"),
    },
    Row {
        words: r"(?:Program|Procedure) (\S+) is not registered (?:to|with) QCEngine",
        says: "QCEngine has no program `$1`",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"Inconsistent or unspecified chg/mult: sys chg: (\S+), frag chg: .*, sys mult: (\S+), frag mult",
        says: "charge $1 and multiplicity $2 do not fit the molecule's number of electrons",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"Following atoms are too close: \[\((\d+), (\d+), ([^)]+)\)",
        says: "atoms $1 and $2 (counted from 0) are only $3 bohr apart",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"QCSchema BasisSet for model\.basis not implemented",
        says: "QCEngine takes only the name of a basis set for this program",
        class: Input,
        known: Source("qcengine/programs/psi4.py, nwchem/runner.py"),
    },
    Row {
        words: r"^(\d+) validation errors? for (\w+)\n(.+)\n +(.+)$",
        says: "QCSchema's $2 refuses `$3`: $4",
        class: Input,
        known: Source("pydantic 2.7"),
    },
    Row {
        words: r"^ModuleNotFoundError: No module named '([^']+)'",
        says: "the Python package `$1` is not installed where QCEngine runs",
        class: Node,
        known: Source("CPython 3.11, Lib/importlib/_bootstrap.py"),
    },
    Row {
        words: r"^ImportError: (.*)$",
        says: "a Python package that QCEngine needs cannot be loaded: $1",
        class: Node,
        known: Source("CPython 3.11, Lib/importlib/_bootstrap.py"),
    },
    Row {
        words: r"(?s)TRACEBACK:\n.*?([^\n]*Error: [^\n]+)\n*\z",
        says: "QCEngine could not read what the program printed: $1",
        class: Program,
        known: Source("qcengine/programs/util/pdict.py"),
    },
];
