//! Every recording gives its sentence and its class; every row that claims a recording decides one; the others are listed.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::model::calculation::Calculation;
use crate::node::budget::Share;
use crate::node::native::{self, Finished};

const SHARE: Share = Share { cores: 1, memory_bytes: 1 << 30, gpus: 0 };

/// One recorded failure, as `tests/node/recorded/record.py` writes it.
#[derive(Deserialize, Debug)]
struct Case {
    case: String,
    programs: Vec<String>,
    says: Option<String>,
    class: Option<FailureClass>,
    way: String,
    error_type: Option<String>,
    ending: Option<Recorded>,
    message: Option<Vec<String>>,
    stdout: Option<Vec<String>>,
    stderr: Option<Vec<String>>,
    #[serde(default)]
    files: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Copy, Deserialize, Debug)]
#[serde(rename_all = "lowercase")]
enum Recorded {
    Code(i32),
    Signal(i32),
}

impl From<Recorded> for Ending {
    fn from(ending: Recorded) -> Ending {
        match ending {
            Recorded::Code(code) => Ending::Code(code),
            Recorded::Signal(signal) => Ending::Signal(signal),
        }
    }
}

const FILES: [&str; 6] = ["geometric", "mopac", "nwchem", "psi4", "qcengine", "xtb"];

fn recorded(program: &str) -> Vec<Case> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../../tests/node/recorded/{program}.json"));
    serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()
}

fn text(lines: &Option<Vec<String>>) -> Option<String> {
    lines.as_ref().map(|lines| lines.join("\n"))
}

/// What is made of a case, the way the runner comes to it.
fn verdict(case: &Case) -> Verdict {
    let programs: Vec<&str> = case.programs.iter().map(String::as_str).collect();
    let (stdout, stderr) = (text(&case.stdout), text(&case.stderr));
    let ending = case.ending.map(Ending::from);
    let failed = Failed { programs: &programs, ending, ..Failed::default() };
    if case.way != "native" {
        return judge(&Failed {
            error_type: case.error_type.as_deref().unwrap_or_default(),
            message: &text(&case.message).unwrap_or_default(),
            stdout: stdout.as_deref(),
            stderr: stderr.as_deref(),
            ..failed
        });
    }
    let wait_status = match ending.unwrap() {
        Ending::Code(code) => code << 8,
        Ending::Signal(signal) => signal,
    };
    let files = case.files.iter().map(|(name, lines)| (name.clone(), lines.join("\n").into_bytes()));
    let finished = Finished {
        status: Some(ExitStatus::from_raw(wait_status)),
        stdout: stdout.unwrap_or_default(),
        stderr: stderr.unwrap_or_default(),
        files: files.collect(),
        ..Finished::default()
    };
    let method = if case.programs[0] == "xtb" { "gfn2-xtb" } else { "pm7" };
    let calculation: Calculation = serde_json::from_value(json!({
        "specification": {"record_type": "singlepoint", "program": case.programs[0], "driver": "gradient",
            "method": method, "basis": "", "keywords": {}, "protocols": {}},
        "molecule": {"symbols": ["O", "H", "H"], "geometry": [0, 0, 0.2, 0, 1.4, -0.9, 0, -1.4, -0.9]},
        "extras": {},
    }))
    .unwrap();
    let reply = native::find(&case.programs[0]).unwrap().read(&calculation, SHARE, &finished);
    let error = reply.error.unwrap_or_else(|| panic!("{}: no failure", case.case));
    judge(&Failed {
        error_type: &error.error_type,
        message: &error.error_message,
        stdout: reply.stdout.as_deref(),
        stderr: reply.stderr.as_deref(),
        ..failed
    })
}

#[test]
fn every_recording_gives_its_sentence_and_its_class() {
    let mut wrong = vec![];
    for program in FILES {
        for case in recorded(program) {
            let found = verdict(&case);
            if case.says.as_deref() != Some(found.says.as_str()) || case.class != Some(found.class) {
                wrong.push(format!(
                    "{program}: {}\n  found    {:?}: {}\n  expected {:?}: {:?}",
                    case.case, found.class, found.says, case.class, case.says
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each table by the name that `docs/programs.md` gives it.
fn tables() -> Vec<(&'static str, &'static [Row])> {
    let programs = PROGRAMS.iter().map(|table| (table.program, table.rows));
    programs
        .chain([
            ("qcengine", QCENGINE.rows),
            ("every program", SYSTEM.rows),
            ("every program", ON_THE_WAY.rows),
            ("other programs", ANY.rows),
        ])
        .collect()
}

#[test]
fn every_row_that_claims_a_recording_decides_one() {
    let cases = FILES.iter().flat_map(|program| recorded(program));
    let decided: BTreeSet<&str> = cases.filter_map(|case| verdict(&case).row).collect();
    for (program, rows) in tables() {
        for row in rows {
            let claims = row.known == Known::Recorded;
            assert_eq!(claims, decided.contains(row.words), "{program}: {}", row.words);
        }
    }
}

#[test]
fn every_row_reads_and_none_is_there_twice() {
    let mut seen = BTreeSet::new();
    for (program, rows) in tables() {
        for row in rows {
            let words = Regex::new(&format!("(?m){}", row.words)).unwrap_or_else(|error| panic!("{error}"));
            let groups = words.captures_len();
            for group in 1..10 {
                assert!(
                    group < groups || !row.says.contains(&format!("${group}")),
                    "{program}: {}",
                    row.says
                );
            }
            assert!(!words.is_match(""), "{program}: {} matches everything", row.words);
            assert!(seen.insert((program, row.words)), "{program}: {} twice", row.words);
        }
    }
}

#[test]
fn rows_without_a_recording_are_listed_with_their_source() {
    let page = include_str!("../../../docs/programs.md");
    let listed: BTreeSet<&str> = page.lines().filter(|line| line.starts_with("| ")).collect();
    for (program, rows) in tables() {
        for row in rows {
            if let Known::Source(source) = row.known {
                let words = row.says.replace("$0", "its own words");
                let line = format!("| {program} | {words} | {} | {source} |", row.class.as_str());
                assert!(listed.contains(line.as_str()), "docs/programs.md lacks\n{line}");
            }
        }
    }
}

#[test]
fn an_end_says_what_it_can_where_the_program_said_nothing() {
    use FailureClass::{Infrastructure, Memory, Node, Program};
    let cases = [
        (
            Ending::Code(127),
            "",
            Node,
            "the program, or a library that it needs, was not found on this node (exit code 127)",
        ),
        (Ending::Code(126), "", Node, "the program cannot be executed on this node (exit code 126)"),
        (Ending::Code(3), "", Program, "the program ended with exit code 3"),
        (Ending::Code(3), "oh dear\n\n", Program, "the program ended with exit code 3: oh dear"),
        (
            Ending::Code(137),
            "",
            Memory,
            "the program was killed by SIGKILL, which on a node is usually the memory limit",
        ),
        (
            Ending::Signal(9),
            "",
            Memory,
            "the program was killed by SIGKILL, which on a node is usually the memory limit",
        ),
        (Ending::Signal(15), "permission denied", Infrastructure, "the program was killed by SIGTERM"),
        (Ending::Signal(11), "", Program, "the program was killed by SIGSEGV"),
        (
            Ending::Signal(4),
            "",
            Node,
            "the program was killed by SIGILL: it was built for another processor than this node's",
        ),
        (Ending::Code(0), "", Program, "the program failed and did not say why"),
    ];
    for (ending, stderr, class, says) in cases {
        let failed = Failed { ending: Some(ending), stderr: Some(stderr), ..Failed::default() };
        let found = judge(&failed);
        assert_eq!((found.says.as_str(), found.class), (says, class), "{ending:?}");
    }
}

#[test]
fn messages_of_no_table_have_the_class_that_helps_on_retry_and_their_last_words() {
    use FailureClass::*;
    let table = [
        (
            "input_error",
            "QCEngine Input Error: Turbomole does not have method: ZZ",
            Input,
            "Turbomole does not have method: ZZ",
        ),
        (
            "input_error",
            "1 validation error: permission denied",
            Input,
            "1 validation error: permission denied",
        ),
        (
            "unknown_error",
            "x\n/opt/psi4: Permission denied\ny",
            Node,
            "the node refuses access: /opt/psi4: Permission denied",
        ),
        (
            "random_error",
            "QCEngine Random Error: PSIO trouble",
            Program,
            "QCEngine Random Error: PSIO trouble",
        ),
        ("unknown_error", "QCEngine Execution Error:\nTraceback", Program, "Traceback"),
        ("resource_error", "Orca version '1.1' not understood.", Node, "Orca version '1.1' not understood."),
        (
            "unknown_error",
            "abc\n ORCA: SCF NOT CONVERGED AFTER 5 CYCLES \n--\n",
            Convergence,
            "ORCA: SCF NOT CONVERGED AFTER 5 CYCLES",
        ),
        ("convergence_error", "", Convergence, "the program failed and did not say why"),
        (
            "unknown_error",
            "what():  std::bad_alloc",
            Memory,
            "the program could not get the memory that it wanted (std::bad_alloc)",
        ),
        (
            "memory_error",
            "MemoryError()",
            Memory,
            "Python could not get the memory that it wanted: MemoryError()",
        ),
        (
            "unknown_error",
            "MemoryError: Unable to allocate 3.4 GiB; SCF did not converge",
            Memory,
            "Python could not get the memory that it wanted: MemoryError: Unable to allocate 3.4 GiB; SCF did not converge",
        ),
        (
            "unknown_error",
            "OSError: [Errno 28] No space left on device: '/scratch/x'",
            Node,
            "the node's disk is full: OSError: [Errno 28] No space left on device: '/scratch/x'",
        ),
        ("", "", Program, "the program failed and did not say why"),
        ("unknown_error", "a\nTRACEBACK:\nNoneType: None\n", Program, "a"),
    ];
    for (error_type, message, class, says) in table {
        let found = judge(&Failed { programs: &["orca"], error_type, message, ..Failed::default() });
        assert_eq!((found.class, found.says.as_str()), (class, says), "{error_type}: {message}");
    }
}

#[test]
fn a_message_begins_with_the_sentence_and_is_short_where_that_is_all() {
    assert_eq!(told("all of it", " all  of it\n"), "all of it");
    assert_eq!(
        told("the reason", "line\nthe reason is among these\n"),
        "the reason\n\nline\nthe reason is among these\n"
    );
    let long = format!("{} end", "word ".repeat(400));
    let verdict = judge(&Failed { message: &long, ..Failed::default() });
    assert!(verdict.says.chars().count() == LONGEST_SENTENCE + 1 && verdict.says.ends_with('…'));
}

#[test]
fn what_launchers_say_on_the_way_is_no_reason_where_the_program_gives_one() {
    let found = judge(&Failed {
        programs: &["nwchem"],
        error_type: "known_error",
        message: "QCEngine Known Error: The computation failed to converge.",
        stderr: Some("[node1] open /dev/infiniband/rdma_cm: Permission denied"),
        ending: Some(Ending::Code(255)),
        ..Failed::default()
    });
    assert_eq!(found.class, FailureClass::Convergence, "{}", found.says);
}
