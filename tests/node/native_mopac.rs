//! MOPAC straight from the runner and through both generations of QCEngine, side by side on the real program.

use qcbatch::model::failure::FailureClass;
use qcbatch::node::native::mopac::Mopac;
use serde_json::{Value, json};

use crate::fixture::Generation;
use crate::native::*;

/// Runs of MOPAC agree to this; its auxiliary file has ten to fourteen digits behind the point.
const PRINTED: f64 = 1e-10;

fn methanol() -> Value {
    molecule(
        &["C", "O", "H", "H", "H", "H"],
        &[
            -0.713, 0.021, 0.0, 1.952, -0.141, 0.0, -1.441, 1.934, 0.0, -1.397, -0.901, 1.688, -1.397,
            -0.901, -1.688, 2.531, 1.563, 0.0,
        ],
        0,
        1,
    )
}

fn ammonium() -> Value {
    let n = 1.12;
    molecule(&["N", "H", "H", "H", "H"], &[0.0, 0.0, 0.0, n, n, n, -n, -n, n, -n, n, -n, n, -n, -n], 1, 1)
}

fn methyl() -> Value {
    molecule(
        &["C", "H", "H", "H"],
        &[0.0, 0.0, 0.05, 2.04, 0.0, 0.0, -1.02, 1.766_691_8, 0.0, -1.02, -1.766_691_8, 0.0],
        0,
        2,
    )
}

fn oxygen() -> Value {
    molecule(&["O", "O"], &[0.0, 0.0, -1.14, 0.0, 0.0, 1.14], 0, 3)
}

fn hydroxide() -> Value {
    molecule(&["O", "H"], &[0.0, 0.0, 0.0, 0.0, 0.3, 1.8], -1, 1)
}

/// A text without the lines that tell the time.
fn timeless(text: &str) -> Vec<&str> {
    let tells_time = |line: &&str| [" 20", "TIME", "SECONDS"].iter().any(|word| line.contains(word));
    text.lines().filter(|line| !tells_time(line)).collect()
}

fn side_by_side(generation: Generation) {
    let mut qcengine = QcEngine::start(generation);
    let cases = [
        ("pm7", "energy", json!({}), water()),
        ("pm7", "gradient", json!({}), water()),
        ("pm7", "gradient", json!({}), methanol()),
        ("pm6", "gradient", json!({"pulay": false}), methanol()),
        ("am1", "energy", json!({"ITER": 40}), methanol()),
        ("pm6-d3h4", "gradient", json!({}), methanol()),
        ("pm7", "gradient", json!({}), ammonium()),
        ("rm1", "energy", json!({}), hydroxide()),
        ("pm7", "gradient", json!({}), methyl()),
        ("pm3", "energy", json!({"iter": 200, "pulay": true}), methyl()),
    ];
    for (method, driver, keywords, molecule) in cases {
        let calculation = calculation("mopac", driver, method, keywords, molecule);
        let what =
            format!("{generation:?} {method} {driver} of {}", calculation.molecule.to_qcschema()["symbols"]);
        let (ours, theirs) = (natively(&Mopac, &calculation), qcengine.ask(&calculation));
        assert_same(&what, &result(&ours), &result(&theirs), PRINTED, &[]);
        assert_eq!((&ours.program, &ours.program_version), (&theirs.program, &theirs.program_version));
        assert_eq!((&ours.stderr, &ours.native_files), (&theirs.stderr, &theirs.native_files));
        let (ours, theirs) = (ours.stdout.unwrap(), theirs.stdout.unwrap());
        assert_eq!(timeless(&ours), timeless(&theirs), "{what}: outputs");
    }
    // Uranium has no parameters, this triplet needs keywords that QCEngine does not know, and
    // MOPAC does not have one of QCEngine's methods.
    let uranium = molecule(&["U", "H"], &[0.0, 0.0, 0.0, 0.0, 0.0, 3.0], 0, 2);
    let failing = [("pm7", "energy", uranium), ("pm3", "energy", oxygen()), ("pm6-3dh4x", "energy", water())];
    for (method, driver, molecule) in failing {
        let calculation = calculation("mopac", driver, method, json!({}), molecule);
        let (ours, theirs) = (natively(&Mopac, &calculation), qcengine.ask(&calculation));
        let (class, error_type, message) = failure(&ours);
        let (their_class, their_type, their_message) = failure(&theirs);
        assert_eq!((class, error_type), (their_class, their_type), "{method} {message}");
        let their_message = their_message.strip_prefix("QCEngine Unknown Error: ").unwrap();
        assert_eq!(timeless(&message), timeless(their_message), "{method}");
        assert_eq!(class, FailureClass::Input, "{method} {message}");
        assert!(ours.stdout.unwrap().contains("MOPAC"), "what it printed is kept");
    }
}

#[test]
fn results_are_those_of_the_older_qcengine() {
    side_by_side(Generation::V1);
}

#[test]
fn results_are_those_of_the_newer_qcengine() {
    side_by_side(Generation::V2);
}
