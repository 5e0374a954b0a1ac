//! What each scheduler's messages mean: its own table of texts, from its sources, with the class that each has here.
//! The tables (`messages/*.tsv`) name the files and versions that they were read from.

use std::time::Duration;

use qcbatch::permit::WithoutLease;
use qcbatch::scheduler::adapter::messages::{MessageClass, Verb};
use qcbatch::scheduler::{Adapter, Refusal, SubmitAnswer};

use crate::support::{Recorded, request};

/// Asserts each row of a table: verb, exit code, class, text. What no message knows is unclear.
fn holds(name: &str, table: &str) {
    let adapter = Adapter::load(name, &[]).unwrap();
    let mut wrong = Vec::new();
    for row in table.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = row.split('\t').collect();
        let [verb, code, class, text] = fields[..] else { panic!("{row}") };
        let text = format!("{}\n", text.replace("\\n", "\n"));
        let verb = Verb::parse(verb).unwrap();
        let found = adapter.messages.class_with(verb, &text, code.parse().unwrap());
        let found = found.unwrap_or(MessageClass::Unclear).as_str();
        if found != class {
            wrong.push(format!("{row} — is {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn slurms_messages_mean_what_its_table_says() {
    holds("slurm", include_str!("messages/slurm.tsv"));
}

#[test]
fn the_messages_of_pbs_mean_what_its_table_says() {
    holds("pbs", include_str!("messages/pbs.tsv"));
}

#[test]
fn torques_messages_mean_what_its_table_says() {
    holds("torque", include_str!("messages/torque.tsv"));
}

#[test]
fn lsfs_messages_mean_what_its_table_says() {
    holds("lsf", include_str!("messages/lsf.tsv"));
}

#[test]
fn the_messages_of_grid_engine_mean_what_its_table_says() {
    holds("sge", include_str!("messages/sge.tsv"));
}

/// bsub of a library that sent its request twice: the second id is no answer, all jobs of the tag are looked for.
#[tokio::test]
async fn an_id_after_a_second_request_is_no_answer() {
    for (name, program, said) in [
        ("lsf", "bsub", "batch system daemon not responding ... still trying"),
        ("torque", "qsub", "Connection to server timed out. Trying again"),
    ] {
        let id = if name == "lsf" { "Job <12> is submitted to queue <normal>." } else { "12" };
        let directory = tempfile::tempdir().unwrap();
        let request = request(directory.path().to_str().unwrap(), 1);
        std::fs::write(&request.script, "#!/bin/bash\n").unwrap();
        let recorded = Recorded::new().program(program, &format!("echo '{said}' >&2; echo '{id}'; exit 0"));
        let answer = recorded.scheduler(name).submit(&request, &WithoutLease).await;
        assert!(matches!(answer, SubmitAnswer::Unclear { .. }), "{name}: {answer:?}");
    }
}

/// A client that printed an id had one of its requests taken, although it says that it was refused.
#[tokio::test]
async fn an_id_of_a_client_that_is_ended_is_no_refusal() {
    for after in ["sleep 600", "exit 0"] {
        let directory = tempfile::tempdir().unwrap();
        let request = request(directory.path().to_str().unwrap(), 1);
        std::fs::write(&request.script, "#!/bin/bash\n").unwrap();
        let said = "sbatch: error: Slurm job queue full, sleeping and retrying";
        let recorded = Recorded::new().program("sbatch", &format!("echo 12; echo '{said}' >&2; {after}"));
        let answer = recorded.scheduler("slurm").submit(&request, &WithoutLease).await;
        assert!(matches!(answer, SubmitAnswer::Unclear { .. }), "{after}: {answer:?}");
    }
}

/// A client that sleeps before it tries again holds everybody up. It is ended; its first refusal counts where the
/// second request surely was not sent.
#[tokio::test]
async fn a_client_that_sleeps_before_it_tries_again_is_ended() {
    let limit = "User <alice>: Pending job threshold reached. Retrying in 60 seconds...";
    for (name, program, said, refused) in [
        (
            "slurm",
            "sbatch",
            "sbatch: error: Slurm job queue full, sleeping and retrying",
            Some(Refusal::Limit),
        ),
        ("lsf", "bsub", limit, Some(Refusal::Limit)),
        ("lsf", "bsub", "batch system daemon not responding ... still trying", None),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let request = request(directory.path().to_str().unwrap(), 1);
        std::fs::write(&request.script, "#!/bin/bash\n").unwrap();
        let recorded = Recorded::new().program(program, &format!("echo '{said}' >&2; sleep 600"));
        let scheduler = recorded.scheduler(name);
        let answer = tokio::time::timeout(Duration::from_secs(60), scheduler.submit(&request, &WithoutLease))
            .await
            .unwrap();
        match refused {
            Some(kind) => assert!(
                matches!(&answer, SubmitAnswer::Refused { kind: found, .. } if *found == kind),
                "{said}: {answer:?}"
            ),
            None => assert!(matches!(answer, SubmitAnswer::Unclear { .. }), "{said}: {answer:?}"),
        }
    }
}
