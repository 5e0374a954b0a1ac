//! Submissions: whole or not at all, found again, refused with their places.

use std::io::Write;
use std::process::Stdio;

use hyper::body::Bytes;
use qcbatch::api::client::{Client, ClientError};
use qcbatch::api::wire::SubmitReceipt;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::fixture::{Server, errors};
use crate::harness::inputs;
use crate::harness::wait::{Within, wait_until};

fn lines(documents: &[Value]) -> String {
    documents.iter().map(|document| format!("{document}\n")).collect()
}

fn many(count: u32) -> Vec<Value> {
    inputs::many_mopac(count).as_array().unwrap().clone()
}

fn broken() -> Value {
    let mut broken = inputs::water_mopac();
    broken["input_data"]["molecule"]["geometry"] = json!([0.0, 0.0]);
    broken
}

#[test]
fn a_long_submission_is_stored_in_order_and_found_again() {
    let server = Server::start();
    let file = server.file("many.jsonl", &lines(&many(2500)));
    let first = server.ask(["submit".as_ref(), file.as_os_str(), "--parsable".as_ref()]);
    let ids: Vec<i64> = first.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(ids.len(), 2500);
    assert!(ids.is_sorted(), "records in the order of their documents");
    assert_eq!(server.database.count("select count(*) from record"), 2500);

    let second = server.ask(["submit".as_ref(), file.as_os_str(), "-q".as_ref()]);
    assert_eq!(first, second);
    let told: Value =
        serde_json::from_str(&server.ask(["submit".as_ref(), file.as_os_str(), "--json".as_ref()])).unwrap();
    assert_eq!(told["existing"].as_array().unwrap().len(), 2500);
    assert_eq!(server.database.count("select count(*) from record"), 2500);

    let told = server.ask(["submit".as_ref(), file.as_os_str(), "--new".as_ref()]);
    assert!(told.starts_with("2500 records submitted: "), "{told}");
    assert_eq!(server.database.count("select count(*) from record"), 5000);
}

#[test]
fn one_wrong_document_refuses_all_of_them() {
    let server = Server::start();
    let mut documents = many(1500);
    documents[1200] = broken();
    let good = server.file("good.jsonl", &lines(&many(3)));
    let bad = server.file("bad.jsonl", &lines(&documents));
    let output = server.cli(["submit".as_ref(), good.as_os_str(), bad.as_os_str()]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let told = errors(&output);
    assert!(told.contains("a document is refused; nothing was stored"), "{told}");
    assert!(told.contains(&format!("{}:1201: ", bad.display())) && told.contains("geometry"), "{told}");
    assert_eq!(server.database.count("select count(*) from record"), 0);
    assert_eq!(server.database.count("select count(*) from molecule"), 0);
}

#[test]
fn many_wrong_documents_are_told_together_up_to_twenty() {
    let server = Server::start();
    let mut documents = many(10);
    documents[2] = broken();
    documents[7]["input_data"]["driver"] = json!("fly");
    let file = server.file("two.jsonl", &lines(&documents));
    let told = errors(&server.cli(["submit".as_ref(), file.as_os_str()]));
    assert!(told.contains("2 documents are refused"), "{told}");
    assert!(told.contains("two.jsonl:3: ") && told.contains("two.jsonl:8: "), "{told}");

    let file = server.file("all.jsonl", &lines(&vec![broken(); 3000]));
    let told = errors(&server.cli(["submit".as_ref(), file.as_os_str()]));
    assert!(told.contains("at least 20 documents are refused"), "{told}");
    assert_eq!(told.lines().filter(|line| line.contains("all.jsonl:")).count(), 20);
    assert_eq!(server.database.count("select count(*) from record"), 0);
}

#[test]
fn the_line_inside_a_document_of_many_lines_is_named() {
    let server = Server::start();
    let mut document = inputs::water_psi4();
    document["input_data"]["driver"] = json!("fly");
    let text = serde_json::to_string_pretty(&json!([inputs::water_mopac(), document])).unwrap();
    let line = text.lines().position(|line| line.contains("fly")).unwrap() + 1;
    let file = server.file("pretty.json", &text);
    let told = errors(&server.cli(["submit".as_ref(), file.as_os_str()]));
    assert!(told.contains(&format!("pretty.json:{line}: ")), "{line}: {told}");
}

#[test]
fn what_is_no_json_or_not_there_is_refused_before_anything_is_stored() {
    let server = Server::start();
    let good = server.file("good.jsonl", &lines(&many(3)));
    let cut = server.file("cut.json", "{\"schema_name\": ");
    for (bad, words) in [(cut.clone(), "cut.json:1"), (server.directory.join("none.json"), "cannot read")] {
        let output = server.cli(["submit".as_ref(), good.as_os_str(), bad.as_os_str()]);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(errors(&output).contains(words), "{output:?}");
    }
    assert_eq!(server.database.count("select count(*) from record"), 0);
}

#[test]
fn standard_input_directories_and_xyz_are_taken() {
    let server = Server::start();
    let mut child = server
        .command(["submit", "-", "--parsable"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines(&many(2)).as_bytes()).unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"1\n2\n");

    std::fs::create_dir(server.directory.join("inputs")).unwrap();
    server.file("inputs/water.xyz", "3\n\nO 0 0 0.1173\nH 0 0.7572 -0.4692\nH 0 -0.7572 -0.4692\n");
    server.file("inputs/one.json", &inputs::water_psi4().to_string());
    let directory = server.directory.join("inputs");
    let options =
        ["--program", "mopac", "--method", "PM7", "--driver", "gradient", "--tag", "t", "--cores", "3"];
    let mut arguments = vec!["submit".as_ref(), directory.as_os_str()];
    arguments.extend(options.iter().map(std::ffi::OsStr::new));
    let told = server.ask(arguments);
    assert_eq!(told, "2 records submitted: 3-4\n");
    let stored = server.database.sql(
        "select s.program, s.method, s.driver, r.compute_tag, d.cores from record r \
         join specification s on s.id = r.specification_id join task t on t.record_id = r.id join demand d on d.id = t.demand_id \
         where r.id > 2 order by r.id",
    );
    assert_eq!(stored, "psi4|hf|energy|t|3\nmopac|pm7|gradient|t|3");
}

#[test]
fn a_pool_that_is_not_configured_is_refused() {
    let server = Server::start();
    let file = server.file("water.json", &inputs::water_mopac().to_string());
    let output = server.cli(["submit".as_ref(), file.as_os_str(), "--pool".as_ref(), "moon".as_ref()]);
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(errors(&output), "error: there is no pool `moon`; the pools are `local`\n");
}

#[test]
fn nothing_is_stored_when_the_client_goes_away_in_the_middle() {
    let server = Server::start();
    let socket = server.socket();
    let answer: Result<SubmitReceipt, ClientError> = server.block_on(async {
        let (pieces, received) = mpsc::channel(1);
        let client = Client::new(socket);
        let request = tokio::spawn(async move { client.post_lines("/v1/submit", received).await });
        let mut text = "{}\n".to_owned();
        for (number, document) in many(3000).into_iter().enumerate() {
            text.push_str(&format!("{}\n", json!({"source": "x", "line": number, "document": document})));
        }
        pieces.send(Some(Bytes::from(text))).await.unwrap();
        drop(pieces);
        request.await.unwrap()
    });
    assert!(matches!(answer, Err(ClientError::Broken { .. })), "{answer:?}");
    // The server notices by itself; its transaction holds the intake lock until then.
    wait_until(
        "no transaction is open",
        Within::AMoment,
        || server.database.count("select count(*) from pg_locks where locktype = 'advisory'"),
        |open| *open == 0,
    );
    assert_eq!(server.database.count("select count(*) from record"), 0);
}

#[test]
fn an_empty_submission_and_a_strange_one_are_refused() {
    let server = Server::start();
    let socket = server.socket();
    let ask = |text: &'static str| {
        let client = Client::new(&socket);
        server.block_on(async move {
            let (pieces, received) = mpsc::channel(2);
            pieces.send(Some(Bytes::from(text))).await.unwrap();
            pieces.send(None).await.unwrap();
            let answer: Result<SubmitReceipt, ClientError> = client.post_lines("/v1/submit", received).await;
            answer.unwrap_err().to_string()
        })
    };
    assert_eq!(ask("{}\n"), "there is no document in it");
    assert!(ask("").starts_with("the first line must hold the options"));
    assert!(ask("{\"colour\": 1}\n").contains("unknown field `colour`"));
    assert!(ask("{}\n{\"source\": 1}\n").contains("holds no document"));
}

#[test]
fn a_dry_run_stores_nothing() {
    let server = Server::start();
    let file = server.file("water.json", &json!([inputs::water_mopac(), inputs::water_psi4()]).to_string());
    let told = server.ask(["submit".as_ref(), file.as_os_str(), "--dry-run".as_ref()]);
    assert_eq!(told, "# 1 job in pool local, 2 tasks\n# $ submit 'a b'\n#!/bin/sh\n");
    assert_eq!(server.database.count("select count(*) from record"), 0);
}

#[test]
fn a_tag_that_is_none_is_refused_and_nothing_is_stored() {
    let server = Server::start();
    let file = server.file("water.json", &inputs::water_mopac().to_string());
    for tag in ["a\u{1b}[31mZ", "Weekly", "", &"x".repeat(65)] {
        let output = server.cli(["submit".as_ref(), file.as_os_str(), "--tag".as_ref(), tag.as_ref()]);
        assert_eq!(output.status.code(), Some(3), "{tag:?}: {output:?}");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(message.contains("at most 64 lower-case letters"), "{message}");
        assert!(!message.contains('\u{1b}'), "{message:?}");
    }
    assert_eq!(server.database.count("select count(*) from record"), 0);
}

#[test]
fn a_document_that_is_too_large_is_refused_with_the_member_that_makes_it_so() {
    let server = Server::start();
    let mut many = inputs::water_mopac();
    many["input_data"]["keywords"] = json!({"small": 1, "points": vec![0; 1_200_000]});
    let mut long = inputs::water_mopac();
    long["input_data"]["extras"] = json!({"note": "x".repeat(9 << 20)});
    for (document, words) in
        [(many, "keywords.points: the document has"), (long, "extras.note: the document has")]
    {
        let file = server.file("large.json", &document.to_string());
        let output = server.cli(["submit".as_ref(), file.as_os_str()]);
        assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
        let told = errors(&output);
        assert!(told.contains(words) && told.contains("`[intake]`"), "{told}");
        assert!(told.len() < 2000, "the document itself is not told");
    }
    assert_eq!(server.database.count("select count(*) from record"), 0);
}

#[test]
fn more_memory_than_any_pool_has_is_refused_at_intake() {
    let server = Server::start();
    let file = server.file("water.json", &inputs::water_mopac().to_string());
    let output = server.cli(["submit".as_ref(), file.as_os_str(), "--memory".as_ref(), "400GiB".as_ref()]);
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    assert!(
        errors(&output).contains("no pool has more than 8.0 GiB; nothing was stored"),
        "{}",
        errors(&output)
    );
    assert_eq!(server.database.count("select count(*) from record"), 0);
}
