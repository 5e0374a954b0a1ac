//! What the operating system, the loader and shells say through any program, and what most programs say alike.

use super::Known::{Recorded, Source};
use super::Row;
use crate::model::failure::FailureClass::{Convergence, Input, Memory, Node};

const GLIBC: &str = "glibc 2.36, string/_strerror.c";
const PYTHON: &str = "CPython 3.11, PEP 3151";

/// Before all other rows.
pub const ROWS: &[Row] = &[
    // Memory, before anything that a failed allocation makes a program say afterwards.
    Row {
        words: r"(?i)^.*\b(?:std::bad_alloc|bad_alloc)\b.*$",
        says: "the program could not get the memory that it wanted (std::bad_alloc)",
        class: Memory,
        known: Recorded,
    },
    Row {
        words: r"^.*\bMemoryError\b:? ?(.*)$",
        says: "Python could not get the memory that it wanted: $0",
        class: Memory,
        known: Source(PYTHON),
    },
    Row {
        words: r"(?i)^.*\b(?:out of memory|out-of-memory|cannot allocate memory|could not allocate|unable to allocate|not enough memory|insufficient memory|memory is not sufficient)\b.*$",
        says: "$0",
        class: Memory,
        known: Source(GLIBC),
    },
    Row {
        words: r"(?i)^.*\b(?:oom-kill|oom_kill|returncode: -9)\b.*$",
        says: "the program was killed for its memory: $0",
        class: Memory,
        known: Source("Linux 6.1, mm/oom_kill.c"),
    },
    // The node: disk, libraries, processor, rights.
    Row {
        words: r"^.*error while loading shared libraries: ([^:]+): (.+)$",
        says: "the node lacks the library $1 that the program needs",
        class: Node,
        known: Recorded,
    },
    Row {
        words: r"(?i)^.*(?:no space left on device|disk quota exceeded).*$",
        says: "the node's disk is full: $0",
        class: Node,
        known: Recorded,
    },
    Row {
        words: r"(?i)^.*(?:read-only file system|stale file handle|transport endpoint is not connected|input/output error).*$",
        says: "a file system of the node is in trouble: $0",
        class: Node,
        known: Source(GLIBC),
    },
    Row {
        words: r"(?i)^.*illegal instruction.*$",
        says: "the program was built for another processor than this node's: $0",
        class: Node,
        known: Source(GLIBC),
    },
    Row {
        words: r"(?i)^.*(?:exec format error|bad interpreter).*$",
        says: "the program cannot be executed on this node: $0",
        class: Node,
        known: Source(GLIBC),
    },
    Row {
        words: r"(?i)^.*permission denied.*$",
        says: "the node refuses access: $0",
        class: Node,
        known: Source(GLIBC),
    },
    Row {
        words: r"^.*(?:version `GLIBC\S*' not found|undefined symbol: \S+|cannot open shared object file).*$",
        says: "the node lacks a library that the program needs: $0",
        class: Node,
        known: Source("glibc 2.36, elf/dl-load.c"),
    },
    Row {
        words: r"(?m)^.*(?:command not found|not found in environment variable PATH).*$",
        says: "$0",
        class: Node,
        known: Source("bash 5.2, execute_cmd.c"),
    },
];

/// After all other rows, for programs that have no table.
pub const OF_ANY_PROGRAM: &[Row] = &[
    Row {
        words: r"(?i)^.*(?:could not converge|convergenceerror|notconvergederror|failed to converge|did not converge|not converged|convergence failure|failed to achieve scf|unable to achieve self-consistence|maximum iterations reached|excess number of optimization cycles).*$",
        says: "$0",
        class: Convergence,
        known: Source("manuals of ORCA 5, Turbomole 7.7, Q-Chem 6, CFOUR 2.1"),
    },
    Row {
        words: r"(?i)^.*(?:missingmethoderror|managedmethoderror|validationerror|basissetnotfound)\b.*$",
        says: "$0",
        class: Input,
        known: Source("QCEngine 0.29 and 0.50, programs/"),
    },
];
