//! The promises of `daemon::inbox`.

use super::*;

#[test]
fn only_inputs_are_looked_at() {
    let inbox = tempfile::tempdir().unwrap();
    for name in ["b.json", "a.jsonl", "c.json.tmp", "d.tmp", "b.accepted.json", ".hidden.json", "e.xyz"] {
        std::fs::write(inbox.path().join(name), "{}").unwrap();
    }
    std::fs::create_dir(inbox.path().join("rejected")).unwrap();
    let names: Vec<String> = input_files(inbox.path())
        .unwrap()
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, ["a.jsonl", "b.json"]);
}

#[test]
fn each_file_has_an_answer_of_its_own() {
    assert_eq!(beside(Path::new("/in/a.json"), "accepted.json"), Path::new("/in/a.json.accepted.json"));
    assert_eq!(beside(Path::new("/in/a.jsonl"), "accepted.json"), Path::new("/in/a.jsonl.accepted.json"));
}

#[test]
fn a_file_that_is_still_written_is_not_taken() {
    let inbox = tempfile::tempdir().unwrap();
    let file = inbox.path().join("a.json");
    let mut seen = Seen::default();
    let begun = Instant::now();
    let mut settled = |text: &str, after: Duration| {
        std::fs::write(&file, text).unwrap();
        // A second write within the granularity of file times must show by its length.
        seen.settled(vec![file.clone()], begun + after).len()
    };
    assert_eq!(settled("[", Duration::ZERO), 0, "seen for the first time");
    assert_eq!(settled("[{", SETTLING), 0, "it has grown");
    let mut settled = |after: Duration| seen.settled(vec![file.clone()], begun + after).len();
    assert_eq!(settled(SETTLING * 3 / 2), 0, "half a second is too short");
    assert_eq!(settled(SETTLING * 2), 1);
}

#[test]
fn links_and_fifos_are_never_opened() {
    let inbox = tempfile::tempdir().unwrap();
    let (link, fifo) = (inbox.path().join("link.json"), inbox.path().join("fifo.json"));
    std::os::unix::fs::symlink("/etc/hostname", &link).unwrap();
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!((Signature::of(&link), Signature::of(&fifo)), (None, None));
}

#[test]
fn what_was_refused_before_stays() {
    let inbox = tempfile::tempdir().unwrap();
    let file = inbox.path().join("a.json");
    for text in ["first", "second", "third"] {
        std::fs::write(&file, text).unwrap();
        let reason = serde_json::json!({"message": text});
        move_away(inbox.path(), &file, &reason, &Permit::without_lease()).unwrap();
    }
    for (name, text) in [("a.json", "first"), ("a.json.2", "second"), ("a.json.3", "third")] {
        let rejected = inbox.path().join("rejected");
        assert_eq!(std::fs::read_to_string(rejected.join(name)).unwrap(), text);
        let reason = std::fs::read_to_string(rejected.join(format!("{name}.reason.json"))).unwrap();
        assert!(reason.contains(text), "{name}: {reason}");
    }
}
