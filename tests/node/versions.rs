//! A runner and the files of other versions: what it is given it gives back, and what it cannot know it leaves alone.

use qcbatch::model::identity::{CalculationHash, DatabaseId, Issue, SPOOL_FORMAT};
use qcbatch::model::task::EndReason;
use serde_json::json;

use crate::fixture::*;

#[test]
fn a_report_gives_back_what_its_order_said_of_itself() {
    let issue = Issue { database: DatabaseId([4; 16]), calculation: Some(CalculationHash([5; 16])) };
    let job = Job::new(Generation::V1)
        .task(synthetic("null", json!({})))
        .each(|order| order.issue = Some(issue))
        // As the version before this one wrote it.
        .task(synthetic("null", json!({})))
        .task(synthetic("hf", json!({})))
        .staged();
    assert_eq!(job.run(), 0);
    let issues: Vec<_> = job.reports().iter().map(|report| report.issue).collect();
    assert_eq!(issues, [Some(issue), None, None]);
}

#[test]
fn chunks_and_jobs_of_a_later_version_go_back_unread() {
    let null = synthetic("null", json!({}));
    let job = Job::new(Generation::V1).task(null.clone()).pooled().staged();
    let mut later = order(7, &null);
    later.format = SPOOL_FORMAT + 1;
    let name = job.publish(1, &[later]);
    job.run();
    assert_eq!((job.end().reason, job.end().results), (EndReason::Failed, 1), "its own task is reported");
    assert!(job.end().detail.unwrap().contains("later version of qcbatch"));
    assert!(job.files().contains(&format!("chunk-{name}")), "the daemon sees whose it is: {:?}", job.files());

    let job =
        Job::new(Generation::V1).task(null).manifest(|manifest| manifest.format = SPOOL_FORMAT + 1).staged();
    job.run();
    assert_eq!((job.end().reason, job.end().results), (EndReason::Failed, 0));
}
