//! Reports that fit no task, as people see and settle them.

use qcbatch::model::identity::{CalculationHash, DatabaseId};
use serde_json::Value;

use crate::fixture::Server;
use crate::harness::inputs;

fn listed(server: &Server) -> Vec<Value> {
    serde_json::from_str(&server.ask(["spool", "aside", "list", "--json"])).unwrap()
}

#[test]
fn strays_are_counted_listed_adopted_and_removed() {
    let server = Server::start();
    let file = server.file("two.json", &inputs::many_mopac(2).to_string());
    server.ask(["submit".as_ref(), file.as_os_str()]);
    assert_eq!(server.ask(["spool", "aside", "list"]), "no reports are kept aside\n");
    let mut ran = server.run_waiting();
    for (ran, what) in ran.iter_mut().zip(["database", "calculation"]) {
        let issue = ran.task.issue.as_mut().unwrap();
        match what {
            "database" => issue.database = DatabaseId([9; 16]),
            _ => issue.calculation = Some(CalculationHash([9; 16])),
        }
    }
    ran.iter().for_each(|ran| server.store_good(ran));

    let status = server.ask(["status"]);
    assert!(status.contains("kept aside: 2 reports that fit no task"), "{status}");
    let lines = listed(&server);
    let reasons: Vec<&Value> = lines.iter().map(|line| &line["reason"]).collect();
    assert_eq!(reasons, ["other_calculation", "foreign_database"], "newest first");
    let table = server.ask(["spool", "aside", "list"]);
    assert!(table.contains("another database handed its task out"), "{table}");

    let (mismatched, stray) = (lines[0]["id"].to_string(), lines[1]["id"].to_string());
    assert_eq!(server.ask(["spool", "aside", "adopt", &stray]), "1 report adopted\n");
    let refused = server.command(["spool", "aside", "adopt", &mismatched]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(told.contains("it answers another calculation than the record's"), "{told}");
    assert_eq!(server.ask(["list", "-q", "--status", "complete"]), "1\n");
    assert_eq!(server.ask(["spool", "aside", "remove", "--all"]), "1 report removed\n");
    assert!(listed(&server).is_empty());
    assert_eq!(server.ask(["spool", "aside", "remove", "--all"]), "no report removed\n");
}
