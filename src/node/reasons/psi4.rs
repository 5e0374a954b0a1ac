//! Psi4 1.3.2. It runs below QCEngine, which passes on the traceback of its last exception.

use super::Known::{Recorded, Source};
use super::Row;
use crate::model::failure::FailureClass::{Convergence, Input, Memory, Node, Program};

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        words: r"BasisSetNotFound: BasisSet::construct: Unable to find a basis set for atom (\d+) for key (\w+) among:\n +Shell Entries: \['([^']+)'.*\n +Basis Sets: \[\('([^']+)'",
        says: "Psi4 has no basis set $4 for $3 (atom $1, key $2)",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"BasisSet(?:File)?Not(?:Found|Defined): (.*)$",
        says: "Psi4 does not find the basis set: $1",
        class: Input,
        known: Source("psi4/driver/qcdb/exceptions.py"),
    },
    Row {
        words: r#"ValidationError: (\w+) method "([^"]*)" is not available\.(.*)$"#,
        says: "Psi4 has no method $2 ($1)$3",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"Error setting options: \{'([^']+)': .*is not a valid option",
        says: "Psi4 does not know the keyword `$1`",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"Error setting options: \{'([^']+)': \((.+?), RuntimeError\('\\nFatal Error: .* is not a valid choice",
        says: "Psi4 does not take $2 for the keyword `$1`",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"Error setting options: (.*)$",
        says: "Psi4 refuses keywords: $1",
        class: Input,
        known: Source("psi4/driver/p4util/python_helpers.py"),
    },
    Row {
        words: r"RHF: RHF reference is only for singlets",
        says: "Psi4's RHF reference is only for singlets; ask for the reference uhf or rohf",
        class: Input,
        known: Recorded,
    },
    Row {
        words: r"SCFConvergenceError: Could not converge (.+) in (\d+) iterations",
        says: "Psi4's SCF did not converge in $2 iterations",
        class: Convergence,
        known: Recorded,
    },
    Row {
        words: r"OptimizationConvergenceError: Could not converge (.+) in (\d+) iterations",
        says: "Psi4's optimization did not converge in $2 steps",
        class: Convergence,
        known: Source("psi4/driver/p4util/exceptions.py"),
    },
    Row {
        words: r"ConvergenceError: (Could not converge .*)$",
        says: "Psi4: $1",
        class: Convergence,
        known: Source("psi4/driver/p4util/exceptions.py"),
    },
    Row {
        words: r"(?i)^.*\b((?:\S+ )?(?:iterations|equations|calculation|diagonalization|CPHF|CPKS|CHF|Roots|Solver)(?: iterations)? (?:did )?not converged?\b.*)$",
        says: "Psi4: $1",
        class: Convergence,
        known: Source("psi4/src/psi4 (libmoinfo, fnocc, dfocc, detci, libscf_solver)"),
    },
    Row {
        words: r"(?i)^.*\b(?:not enough memory|Memory constraints exceeded|Memory Error\. Requires at least|More memory required|minimum memory).*$",
        says: "Psi4 was given too little memory: $0",
        class: Memory,
        known: Source("psi4/src/psi4 (lib3index, dfmp2, fnocc, dfocc, libmints)"),
    },
    Row {
        words: r"ValidationError: set_memory\(\): Requested (\S+ \S+) .*; minimum (\S+ [^ .(]+)",
        says: "Psi4 needs at least $2 of memory and was given $1",
        class: Memory,
        known: Recorded,
    },
    Row { words: r"ManagedMethodError: .*?: (Method .*)$", says: "Psi4: $1", class: Input, known: Recorded },
    Row {
        words: r"MissingMethodError: (.*)$",
        says: "Psi4: $1",
        class: Input,
        known: Source("psi4/driver/p4util/exceptions.py of Psi4 1.4"),
    },
    Row {
        words: r"(?i)^.*PSIO.?Error:? *(\d* *\(?.*(?:write|writing|wlseek|rlseek|read|reading|open).*)$",
        says: "Psi4 cannot use its scratch directory: $0",
        class: Node,
        known: Source("psi4/src/psi4/libpsio/error.cc"),
    },
    Row {
        words: r"this Psi4 is older than 1\.4 and needs QCEngine 0\.29: set the pool's worker_python",
        says: "$0",
        class: Node,
        known: Recorded,
    },
    Row {
        words: r"ValidationError: (.*)$",
        says: "Psi4: $1",
        class: Input,
        known: Source("psi4/driver/p4util/exceptions.py"),
    },
    Row {
        words: r"^Fatal Error: (.*)$",
        says: "Psi4: $1",
        class: Program,
        known: Source("psi4/src/psi4/libpsi4util/exception.cc"),
    },
    Row {
        words: r"^(?:psi4\.\S+\.)(\w+): (.+)$",
        says: "Psi4: $2 ($1)",
        class: Program,
        known: Source("psi4/driver/p4util/exceptions.py"),
    },
];
