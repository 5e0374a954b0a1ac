//! What a program prints may be in any encoding: a byte that is not UTF-8 costs no result, on either way to a program.

use qcbatch::node::native::mopac::Mopac;
use serde_json::json;

use crate::fixture::{Generation, Job, pm7, result_of, search_path, stand_in};
use crate::native::*;

/// A folder with a MOPAC that also prints Latin-1, into its output file and to both streams.
fn folder_with_a_swedish_mopac() -> tempfile::TempDir {
    stand_in(
        "mopac",
        "REAL \"$@\"\ncode=$?\n\
         printf '\\305ngstr\\366m\\n'; printf '\\305ngstr\\366m\\n' >&2\n\
         for file in *.out *.aux; do printf ' \\305ngstr\\366m\\n' >>\"$file\"; done\nexit $code",
    )
}

fn through_qcengine(generation: Generation) {
    let folder = folder_with_a_swedish_mopac();
    let path = search_path(&folder);
    let calculation = calculation("mopac", "gradient", "pm7", json!({}), water());
    let mut qcengine = QcEngine::start_with(generation, &[("PATH", &path)]);
    let theirs = qcengine.ask(&calculation);
    let ours = natively(&Mopac, &calculation);
    assert_eq!(result(&theirs)["return_result"], result(&ours)["return_result"]);
    assert!(theirs.stdout.unwrap().ends_with(" \u{fffd}ngstr\u{fffd}m\n"));
}

#[test]
fn a_byte_that_is_not_utf8_costs_no_result_through_the_older_qcengine() {
    through_qcengine(Generation::V1);
}

#[test]
fn a_byte_that_is_not_utf8_costs_no_result_through_the_newer_qcengine() {
    through_qcengine(Generation::V2);
}

#[test]
fn a_byte_that_is_not_utf8_costs_no_result_of_the_runner() {
    let folder = folder_with_a_swedish_mopac();
    let job = Job::new(Generation::V2)
        .manifest(|manifest| manifest.native_programs = vec!["mopac".into()])
        .task(pm7())
        .staged();
    let runner = job.start_with(&[("PATH", &search_path(&folder))]);
    assert_eq!(runner.wait(), 0);
    let reports = job.reports();
    let result = result_of(&reports[0]);
    assert_eq!(result["provenance"]["routine"], "qcbatch.node.native.mopac");
    assert!(reports[0].stdout.as_ref().unwrap().ends_with(" \u{fffd}ngstr\u{fffd}m\n"));
}
