//! The inbox: a file that is renamed in is answered beside it, or moved away with the reason.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Daemon, DaemonConfig, Database, Within, inputs, wait_until};

/// Puts a file in as a careful program does: written under another name, then renamed.
fn put(inbox: &Path, name: &str, text: &str) {
    let unfinished = inbox.join(format!("{name}.tmp"));
    fs::write(&unfinished, text).unwrap();
    fs::rename(unfinished, inbox.join(name)).unwrap();
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn complete_files_are_taken_in_and_wrong_ones_moved_away() {
    let database = Database::fresh();
    let daemon = Daemon::start(&DaemonConfig::on(&database).with_local_pool("compute_tags = [\"other\"]"));
    let inbox = daemon.state().join("inbox");
    fs::write(inbox.join("unfinished.json.tmp"), inputs::water_mopac().to_string()).unwrap();
    put(&inbox, "good.json", &inputs::many_mopac(3).to_string());
    put(&inbox, "bad.json", r#"[{"program": "mopac", "input_data": {"schema_name": "nonsense"}}]"#);

    let answer = inbox.join("good.json.accepted.json");
    wait_until("the good file is answered", Within::AMoment, || answer.exists(), |there| *there);
    assert_eq!(json(&answer)["ids"].as_array().unwrap().len(), 3);
    let reason = inbox.join("rejected/bad.json.reason.json");
    wait_until("the bad file is moved away", Within::AMoment, || reason.exists(), |there| *there);
    assert!(!json(&reason)["problems"].as_array().unwrap().is_empty());
    wait_until(
        "both are gone from the inbox",
        Within::AMoment,
        || inbox.join("good.json").exists() || inbox.join("bad.json").exists(),
        |there| !there,
    );
    assert!(inbox.join("rejected/bad.json").exists());
    assert!(inbox.join("unfinished.json.tmp").exists());
    assert_eq!(database.count("select count(*) from record"), 3);
}

#[test]
fn a_file_that_cannot_be_answered_keeps_no_other_waiting() {
    let database = Database::fresh();
    let daemon = Daemon::start(&DaemonConfig::on(&database).with_local_pool("compute_tags = [\"other\"]"));
    let inbox = daemon.state().join("inbox");
    // A directory where the answer would be: the rename onto it fails.
    fs::create_dir(inbox.join("a.json.accepted.json")).unwrap();
    put(&inbox, "a.json", &inputs::many_mopac(1).to_string());
    put(&inbox, "b.json", &inputs::many_mopac(2).to_string());
    let answer = inbox.join("b.json.accepted.json");
    wait_until("the other file is answered", Within::AMoment, || answer.exists(), |there| *there);
    assert!(inbox.join("a.json").exists(), "what was not answered stays");
    fs::remove_dir(inbox.join("a.json.accepted.json")).unwrap();
    put(&inbox, "c.json", &inputs::many_mopac(2).to_string());
    let answer = inbox.join("a.json.accepted.json");
    wait_until("it is answered once it can be", Within::AMoment, || answer.exists(), |there| *there);
}
