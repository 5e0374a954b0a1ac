//! The reason that a person reads: each real program's most frequent failure, the whole way through the runner.

use qcbatch::model::failure::FailureClass::{self, Convergence, Input, Node};
use serde_json::{Value, json};

use crate::fixture::*;

fn with(mut specification: Value, keywords: Value) -> Value {
    specification["keywords"] = keywords;
    specification
}

/// Of one element: QCEngine writes the basis sets of several into NWChem's input in no certain order.
fn hydrogen() -> Value {
    json!({"symbols": ["H", "H"], "geometry": [0.0, 0.0, 0.0, 0.0, 0.0, 1.4]})
}

fn oxygen() -> Value {
    json!({"symbols": ["O", "O"], "geometry": [0.0, 0.0, -1.14, 0.0, 0.0, 1.14], "molecular_multiplicity": 3})
}

/// The classes and the first lines of the failures, in the order of the tasks.
fn reasons(job: &Job) -> Vec<(FailureClass, String)> {
    let first = |message: String| message.lines().next().unwrap_or_default().to_owned();
    job.by_task().values().map(error_of).map(|(class, _, message)| (class, first(message))).collect()
}

fn assert_told(job: &Job, expected: &[(FailureClass, &str)]) {
    let found = reasons(job);
    let found: Vec<(FailureClass, &str)> =
        found.iter().map(|(class, says)| (*class, says.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn programs_failures_are_told_by_their_reason_and_not_by_their_last_line() {
    let mut unfinished = pm7_optimization();
    unfinished["keywords"] = json!({"maxiter": 1});
    let job = Job::new(Generation::V2)
        .manifest(|manifest| manifest.native_programs = vec!["mopac".into(), "xtb".into()])
        .task_on(singlepoint("mopac", "energy", "pm3", ""), oxygen())
        .task(with(singlepoint("xtb", "energy", "gfn2-xtb", ""), json!({"max_iterations": 2})))
        .task_on(singlepoint("nwchem", "energy", "scf", "no-such-basis"), hydrogen())
        .task(unfinished)
        .task(singlepoint("nosuchprogram", "energy", "scf", "sto-3g"))
        .task(with(singlepoint("xtb", "energy", "gfn2-xtb", ""), json!({"solvent": "wine"})))
        .task(singlepoint("xtb", "hessian", "gfn2-xtb", ""))
        .staged();
    assert_eq!(job.run(), 0);
    assert_told(
        &job,
        &[
            // The first and the last are told by the table of what programs represent, before anything is started.
            (Input, "multiplicity 3, which QCEngine's input for mopac cannot ask for (1 expected)"),
            (
                Convergence,
                "xtb's charges did not converge (Self consistent charge iterator did not converge)",
            ),
            (
                Input,
                "NWChem does not find the basis set: `H library no-such-basis` (bas_tag_lib: failed opening basis \
                 file)",
            ),
            (
                Convergence,
                "geomeTRIC's optimization did not converge within its number of steps; the keyword maxiter allows more",
            ),
            (Input, "QCEngine has no program `nosuchprogram`"),
            (Input, "xtb has no solvent `wine` for this method"),
            (
                Input,
                "QCEngine has no driver `hessian` for xtb (`energy` or `gradient` or `properties` expected)",
            ),
        ],
    );
}

#[test]
fn psi4s_missing_basis_is_named() {
    let job = Job::new(Generation::V1).task(singlepoint("psi4", "energy", "scf", "no-such-basis")).staged();
    assert_eq!(job.run(), 0);
    assert_told(&job, &[(Input, "Psi4 has no basis set NO-SUCH-BASIS for O (atom 1, key BASIS)")]);
}

#[test]
fn a_program_that_cannot_start_is_the_nodes_failure_on_either_way() {
    let missing = "echo \"$0: error while loading shared libraries: libodd.so.3: cannot open shared object file: No such \
                   file or directory\" >&2; exit 127";
    for (script, says) in [
        (missing, "the node lacks the library libodd.so.3 that the program needs"),
        ("exit 127", "the program, or a library that it needs, was not found on this node (exit code 127)"),
    ] {
        let folder = stand_in("mopac", script);
        for native in [vec![], vec!["mopac".to_owned()]] {
            let job = Job::new(Generation::V2)
                .manifest(|manifest| manifest.native_programs = native.clone())
                .task(pm7())
                .staged();
            assert_eq!(job.start_with(&[("PATH", &search_path(&folder))]).wait(), 0);
            assert_told(&job, &[(Node, says)]);
        }
    }
}

#[test]
fn a_full_scratch_is_told_as_what_it_is() {
    // A small file system of one's own takes a right that not everybody has.
    let root = tempfile::tempdir().unwrap();
    let mount = |arguments: &[&str]| {
        let command = std::process::Command::new("mount").args(arguments).arg(root.path()).output().unwrap();
        command.status.success()
    };
    if !mount(&["-t", "tmpfs", "-o", "size=8k", "tmpfs"]) {
        eprintln!("skipped: no right to mount a small file system");
        return;
    }
    let job = Job::new(Generation::V2)
        .manifest(|manifest| {
            manifest.native_programs = vec!["xtb".into()];
            manifest.scratch = Some(root.path().to_str().unwrap().into());
        })
        .task(singlepoint("xtb", "gradient", "gfn2-xtb", ""))
        .staged();
    let code = job.run();
    std::process::Command::new("umount").arg("-l").arg(root.path()).status().unwrap();
    assert_eq!(code, 0);
    let found = reasons(&job);
    assert_eq!(found[0].0, Node, "{found:?}");
    assert!(found[0].1.contains("no space left on device"), "{found:?}");
}
