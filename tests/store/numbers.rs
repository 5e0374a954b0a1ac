//! Keywords and extras come out of the database, and reach a worker, as they went in.

use qcbatch::model::calculation::Specification;
use qcbatch::model::view::RecordFilter;
use serde_json::{Map, Value, json};

use crate::world::{World, atomic_result, good_with, singlepoint, water_record};

/// Numbers of which a database or a parser may make other ones.
fn numbers() -> Map<String, Value> {
    let text = r#"{"big float": 1e18, "integer": 1000000000000000000, "negative zero": -0.0, "one": 1, "one point": 1.0,
        "largest": 18446744073709551615, "least": -9223372036854775808, "tiny": 5e-324, "huge": 1.7976931348623157e308,
        "digits": 0.1234567890123456, "nested": [{"deep": [1e18, -0.0, 2.0]}]}"#;
    serde_json::from_str(text).unwrap()
}

/// Equal as JSON text: `1 == 1.0` and `0.0 == -0.0` are not.
fn text(members: &Map<String, Value>) -> String {
    serde_json::to_string(members).unwrap()
}

#[tokio::test]
async fn keywords_and_extras_come_out_as_they_went_in() {
    let world = World::new().await;
    let mut record = water_record(0);
    record.calculation.extras = numbers();
    let Specification::Singlepoint(qc) = &mut record.calculation.specification else {
        panic!("a single point")
    };
    qc.keywords = numbers();
    let id = world.add(vec![record]).await[0].record_id;
    let jobs = world.run_all(1).await;
    let (job, task) = (jobs[0].0, &jobs[0].1[0]);
    assert_eq!(text(&task.calculation.specification.qc().keywords), text(&numbers()));
    assert_eq!(text(&task.calculation.extras), text(&numbers()));

    let mut result = atomic_result(-0.1);
    result["extras"] = json!({});
    world.ingest(job, vec![good_with(job, task, &result)]).await;
    let page = world.store.export(&RecordFilter::default(), None, 10).await.unwrap();
    let (found, document) = &page.results[0];
    assert_eq!(*found, id);
    assert_eq!(text(document["keywords"].as_object().unwrap()), text(&numbers()));
    let mut extras = document["extras"].as_object().unwrap().clone();
    extras.retain(|key, _| numbers().contains_key(key));
    assert_eq!(text(&extras), text(&numbers()));
}

/// QCArchive hashes 1 and 1.0 to different specifications, and so do we.
#[tokio::test]
async fn one_and_one_point_zero_are_different_specifications() {
    let world = World::new().await;
    let with = |value: Value| {
        let mut record = water_record(0);
        let Specification::Singlepoint(qc) = &mut record.calculation.specification else {
            panic!("a single point")
        };
        qc.keywords.insert("n".to_owned(), value);
        record
    };
    let added = world.add(vec![with(json!(1)), with(json!(1.0)), with(json!(1))]).await;
    assert_eq!(added.iter().map(|one| one.existed()).collect::<Vec<_>>(), [false, false, true]);
}

/// What an older version stored as jsonb has the hash of the keywords that were asked for, and gets them back.
#[tokio::test]
async fn keywords_that_jsonb_had_changed_are_restored_when_asked_for_again() {
    let world = World::new().await;
    let mut record = water_record(0);
    record.calculation.specification = singlepoint("pm7");
    let Specification::Singlepoint(qc) = &mut record.calculation.specification else {
        panic!("a single point")
    };
    qc.keywords = serde_json::from_str(r#"{"a": 1e18, "b": -0.0}"#).unwrap();
    let first = world.add(vec![record.clone()]).await[0].record_id;
    world.execute("UPDATE specification SET keywords = keywords::jsonb::json").await;
    assert_eq!(
        world.text("SELECT keywords::text AS value FROM specification").await,
        r#"{"a": 1000000000000000000, "b": 0.0}"#
    );
    assert_eq!(world.add(vec![record]).await[0].record_id, first);
    assert_eq!(
        world.text("SELECT keywords::text AS value FROM specification").await,
        r#"{"a":1e+18,"b":-0.0}"#
    );
}
