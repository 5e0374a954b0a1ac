//! Looking at records and jobs, waiting for them, changing them: what every command says of the same few records.

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use qcbatch::model::failure::FailureClass;
use serde_json::{Value, json};

use crate::fixture::{Server, errors};
use crate::harness::inputs;
use crate::harness::wait::{Within, wait_until};
use crate::work::{Ran, scheduler_id};

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Record 1 complete, 2 failed for good, 3 waiting.
fn three_records() -> (Server, Vec<Ran>) {
    let server = Server::start();
    let file = server.file("two.json", &inputs::many_mopac(2).to_string());
    server.ask(["submit".as_ref(), file.as_os_str(), "--tag".as_ref(), "weekly".as_ref()]);
    let ran = server.run_waiting();
    server.store_good(&ran[0]);
    server.store_failure(&ran[1], FailureClass::Convergence);
    let file = server.file("water.json", &inputs::water_mopac().to_string());
    server.ask(["submit".as_ref(), file.as_os_str()]);
    (server, ran)
}

fn ids(server: &Server, filters: &[&str]) -> Vec<i64> {
    let listed = server.ask([&["list", "-q"], filters].concat());
    listed.lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn lists_are_filtered_and_cut_into_pages() {
    let (server, _) = three_records();
    assert_eq!(ids(&server, &[]), [3, 2, 1]);
    assert_eq!(ids(&server, &["--limit", "2"]), [3, 2]);
    assert_eq!(ids(&server, &["--before", "2"]), [1]);
    assert_eq!(ids(&server, &["--all"]), [3, 2, 1]);
    assert_eq!(ids(&server, &["1-2"]), [2, 1]);
    assert_eq!(ids(&server, &["--status", "complete,error"]), [2, 1]);
    assert_eq!(ids(&server, &["--tag", "weekly", "--status", "error"]), [2]);
    assert_eq!(ids(&server, &["--formula", "H2O"]), [3]);
    assert_eq!(ids(&server, &["--program", "MOPAC", "--method", "PM7"]), [3, 2, 1]);
    assert_eq!(ids(&server, &["--pool", "local"]), [2, 1]);
    assert_eq!(ids(&server, &["--since", "1h"]), [3, 2, 1]);
    assert_eq!(ids(&server, &["--since", "2100-01-01"]), [0_i64; 0]);

    let page: Value = serde_json::from_str(&server.ask(["list", "--json", "1"])).unwrap();
    let record = &page["records"][0];
    assert_eq!(record["status"], "complete");
    assert_eq!(record["return_energy"], -0.09);
    assert_eq!(record["formula"], "H2");
    assert_eq!(page["next"], Value::Null);

    let output = server.command(["list"]).env("COLUMNS", "60").output().unwrap();
    assert!(text(&output).lines().all(|line| line.chars().count() <= 60), "{}", text(&output));
    assert!(text(&output).contains("-0.09000000"), "{}", text(&output));
}

#[test]
fn a_record_is_shown_with_its_history_and_outputs() {
    let (server, _) = three_records();
    let shown = server.ask(["show", "1"]);
    for words in
        ["record 1 complete", "mopac", "weekly", "-0.0900000000 Eh", "attempts", "node1", "mopac.out"]
    {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let detail: Value = serde_json::from_str(&server.ask(["show", "2", "--json"])).unwrap();
    assert_eq!(detail["line"]["status"], "error");
    assert_eq!(detail["history"][0]["failure"], "convergence");
    assert_eq!(detail["molecule"]["symbols"], json!(["H", "H"]));
    assert!(server.ask(["show", "3"]).contains("asks for"));

    assert_eq!(server.ask(["logs", "1"]), "a program's words\n");
    assert_eq!(server.ask(["logs", "1", "--file", "mopac.out"]), "native");
    let failed = server.cli(["logs", "2"]);
    assert!(errors(&failed).contains("random_error: boom"), "{failed:?}");
    assert!(server.ask(["logs", "2", "--stream", "error"]).contains("random_error: boom"));
    let outputs: Value = serde_json::from_str(&server.ask(["logs", "1", "--json"])).unwrap();
    assert_eq!(outputs["stdout"], "a program's words\n");

    for missing in [&["show", "99"][..], &["logs", "99"], &["logs", "3"], &["logs", "1", "--file", "moon"]] {
        let output = server.cli(missing);
        assert_eq!(output.status.code(), Some(5), "{missing:?}: {output:?}");
    }
}

#[test]
fn jobs_status_and_export() {
    let (server, ran) = three_records();
    let jobs: Value = serde_json::from_str(&server.ask(["jobs", "--json"])).unwrap();
    assert_eq!(jobs.as_array().unwrap().len(), 2);
    assert_eq!(jobs[0]["scheduler_job_id"], scheduler_id(ran[1].array_index).0);
    assert!(server.ask(["jobs", "--pool", "local", "--state", "running"]).contains("running"));
    assert_eq!(server.ask(["jobs", "--pool", "moon"]), "no jobs\n");

    let status = server.ask(["status"]);
    assert!(status.contains("records: 1 waiting, 1 complete, 1 error"), "{status}");
    let status: Value = serde_json::from_str(&server.ask(["status", "--json"])).unwrap();
    assert_eq!(status["pools"][0]["jobs"], json!({"running": 2}));

    let output = server.cli(["export"]);
    let lines: Vec<Value> = text(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1, "{output:?}");
    assert_eq!(lines[0]["return_result"], -0.09);
    assert_eq!(errors(&output), "exported 1 result\n");
}

#[test]
fn waiting_ends_with_the_records_and_says_how() {
    let (server, _) = three_records();
    assert_eq!(server.ask(["wait", "1"]), "1 record: 1 complete\n");
    let output = server.cli(["wait", "1", "2"]);
    assert_eq!((output.status.code(), text(&output).as_str()), (Some(1), "2 records: 1 complete, 1 error\n"));
    let output = server.cli(["wait", "--all", "--timeout", "1s"]);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(server.cli(["wait", "99"]).status.code(), Some(5));
    assert_eq!(server.cli(["wait"]).status.code(), Some(2));

    let waiting = server.command(["wait", "3"]).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(server.ask(["cancel", "3"]), "1 record now cancelled\n");
    server.stored.send_modify(|count| *count += 1);
    let output = waiting.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output).as_str()), (Some(1), "1 record: 1 cancelled\n"));
}

#[test]
fn records_are_cancelled_and_tried_again() {
    let (server, _) = three_records();
    assert_eq!(server.ask(["retry", "--status", "error"]), "1 record now waiting\n");
    assert_eq!(ids(&server, &["--status", "waiting"]), [3, 2]);
    let output = server.cli(["retry", "2"]);
    assert_eq!(text(&output), "nothing to do\nrecord 2 is left as it is: it is waiting\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(server.ask(["retry", "--status", "error"]), "nothing to do\n");
    assert_eq!(
        server.ask(["cancel", "--tag", "weekly", "--json"]).split_whitespace().collect::<String>(),
        "{\"status\":\"cancelled\",\"changed\":1,\"refused\":[]}"
    );
    assert_eq!(ids(&server, &["--status", "cancelled"]), [2]);
    assert_eq!(
        text(&server.cli(["cancel", "1"])),
        "nothing to do\nrecord 1 is left as it is: it is complete\n"
    );
    assert_eq!(server.ask(["retry", "2"]), "1 record now waiting\n");
    for changing in ["cancel", "retry"] {
        let output = server.cli([changing]);
        assert_eq!(output.status.code(), Some(2), "nothing named is not everything: {output:?}");
    }
    assert_eq!(server.ask(["cancel", "--all"]), "2 records now cancelled\n");
}

#[test]
fn a_running_job_is_followed_and_then_its_output_printed() {
    let server = Server::start();
    let file = server.file("water.json", &inputs::water_mopac().to_string());
    server.ask(["submit".as_ref(), file.as_os_str()]);
    let ran = server.run_waiting();
    let directory = server.job_directory(&ran[0]);
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("runner.log"), "task 1 begins\n").unwrap();

    let mut following =
        server.command(["logs", "-f", "1"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut live = BufReader::new(following.stderr.take().unwrap()).lines();
    assert_eq!(live.next().unwrap().unwrap(), "==> runner.log <==");
    assert_eq!(live.next().unwrap().unwrap(), "task 1 begins");
    std::fs::write(directory.join("worker.stderr"), "a warning\n").unwrap();
    assert_eq!(live.next().unwrap().unwrap(), "==> worker.stderr <==");
    assert_eq!(live.next().unwrap().unwrap(), "a warning");
    server.store_good(&ran[0]);
    let output = following.wait_with_output().unwrap();
    assert_eq!(text(&output), "a program's words\n");
}

#[test]
fn the_scheduler_s_job_id_is_printed_once_known() {
    let server = Server::start();
    let file = server.file("water.json", &inputs::water_mopac().to_string());
    let submit = ["submit".as_ref(), file.as_os_str(), "--now".as_ref(), "--parsable".as_ref()];
    let waiting = server.command(submit).stdout(Stdio::piped()).spawn().unwrap();
    wait_until(
        "the record is there",
        Within::AMoment,
        || server.database.count("select count(*) from record"),
        |records| *records == 1,
    );
    let placement = server.database.sql("select placement from task");
    assert_eq!(placement, "dedicated");
    let ran = server.run_waiting();
    let output = waiting.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output), format!("{}\n", scheduler_id(ran[0].array_index)));

    server.store_good(&ran[0]);
    let output = server.cli(submit);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("record 1 is complete already"), "{output:?}");

    let again = server.file("psi4.json", &inputs::water_psi4().to_string());
    let output = server.cli([submit[0], again.as_os_str(), submit[2], submit[3], "--timeout=1s".as_ref()]);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert!(errors(&output).contains("the scheduler gave no job id for 1 record within 1.00s"), "{output:?}");
}
