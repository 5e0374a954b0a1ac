//! `adapter replay` on everything that was recorded: what cannot be read is named here, and why.

use std::path::Path;

use qcbatch::scheduler::replay::{Heard, recordings};

use crate::support::scheduler;

/// The recordings of `folder` that `adapter` has a command for and that are not read to the last line.
fn unread(adapter: &str, folder: &str) -> (usize, Vec<String>) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scheduler/captures").join(folder);
    let scheduler = scheduler(adapter);
    let all = recordings(&directory).unwrap();
    let replayed: Vec<_> = all.iter().map(|one| scheduler.replay(one, Some("qcuser"))).collect();
    let known: Vec<_> = replayed.into_iter().filter(|one| one.verb.is_some()).collect();
    let unread =
        known.iter().filter(|one| !one.is_read()).map(|one| format!("{}: {}", one.name, one.command));
    (known.len(), unread.collect())
}

#[test]
fn recordings_of_grid_engine_are_read() {
    let (known, unread) = unread("sge", "sge");
    assert!(known > 40, "{known}");
    assert_eq!(unread, [""; 0]);
}

#[test]
fn recordings_of_pbs_are_read() {
    let (known, unread) = unread("pbs", "openpbs");
    assert!(known > 150, "{known}");
    insta::assert_snapshot!("replay_unread_openpbs", unread.join("\n"));
}

#[test]
fn recordings_of_lsf_and_its_relatives_are_read() {
    let mut all = Vec::new();
    for folder in ["volclava", "lsf"] {
        let (known, unread) = unread("lsf", folder);
        assert!(known > 0, "{folder}");
        all.extend(unread.into_iter().map(|one| format!("{folder}/{one}")));
    }
    insta::assert_snapshot!("replay_unread_lsf", all.join("\n"));
}

/// A message held to an exit code (a site's hook) is known in a replay as in life; without that exit code it is not.
#[test]
fn messages_held_to_exit_codes_count_in_replays() {
    let directory = tempfile::tempdir().unwrap();
    let hook = "qsub: our site wants -A";
    for (name, code) in [("hook", "32"), ("other", "1")] {
        let file = |kind: &str| directory.path().join(format!("{name}.{kind}"));
        std::fs::write(file("cmd"), "qsub -A x job.sh\n").unwrap();
        std::fs::write(file("err"), format!("{hook}\n")).unwrap();
        std::fs::write(file("rc"), code).unwrap();
    }
    let scheduler = scheduler("pbs");
    let replayed: Vec<_> =
        recordings(directory.path()).unwrap().iter().map(|one| scheduler.replay(one, None)).collect();
    assert_eq!(replayed[0].answer, format!("refused, for good: exit code 32: {hook}"));
    assert_eq!(replayed[0].lines[0].meaning, ["message: permanent"]);
    assert_eq!(replayed[1].answer, format!("unclear: exit code 1: {hook}"));
    assert_eq!((replayed[1].lines[0].heard, replayed[1].is_read()), (Heard::NotRead, false));
}

/// Jobs of others in a listing of everybody's are passed over, whoever replays it.
#[test]
fn a_listing_of_everybodys_jobs_is_read_for_the_user_it_is_of() {
    let directory = tempfile::tempdir().unwrap();
    let job = |id: u32, owner: &str| {
        format!("Job Id: {id}.s\n    Job_Name = n\n    Job_Owner = {owner}@h\n    job_state = Q\n\n")
    };
    std::fs::write(directory.path().join("poll.cmd"), "qstat -f -1 -t\n").unwrap();
    std::fs::write(directory.path().join("poll.out"), job(1, "bob") + &job(2, "carol")).unwrap();
    let recording = &recordings(directory.path()).unwrap()[0];
    let heard = |user| {
        let replayed = scheduler("torque").replay(recording, user);
        (replayed.lines.iter().map(|line| line.heard).collect::<Vec<_>>(), replayed.answer)
    };
    let valid = |jobs: u32| format!("valid: {jobs} jobs, {jobs} of them not over");
    assert_eq!(heard(Some("bob")), (vec![Heard::Read, Heard::Ignored], valid(1)));
    assert_eq!(heard(None), (vec![Heard::Ignored, Heard::Ignored], valid(0)));
}
