//! The promises of `daemon::inbox`.

use super::*;

#[test]
fn only_complete_inputs_are_taken() {
    let inbox = tempfile::tempdir().unwrap();
    for name in ["b.json", "a.jsonl", "c.json.tmp", "d.tmp", "b.accepted.json", ".hidden.json", "e.xyz"] {
        std::fs::write(inbox.path().join(name), "{}").unwrap();
    }
    std::fs::create_dir(inbox.path().join("rejected")).unwrap();
    let names: Vec<String> = complete_files(inbox.path())
        .unwrap()
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, ["a.jsonl", "b.json"]);
}

#[test]
fn the_answer_has_the_files_own_name() {
    assert_eq!(beside(Path::new("/in/water.json"), "accepted.json"), Path::new("/in/water.accepted.json"));
}
