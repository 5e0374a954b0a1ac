//! Exported documents, checked by QCElemental's own models of both generations' packages. Needs `make test-setup`.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use qcbatch::model::record::RecordStatus;
use qcbatch::model::view::RecordFilter;
use serde_json::{Value, json};

use crate::world::{
    World, atomic_result, good, good_with, optimization, optimization_result, record_of, water, water_record,
};

/// Reads JSON lines and has each validated; prints what the models made of them.
const VALIDATE: &str = r#"
import json, sys
try:
    from qcelemental.models.v1 import AtomicResult, OptimizationResult
except ImportError:
    from qcelemental.models import AtomicResult, OptimizationResult
for line in sys.stdin:
    document = json.loads(line)
    model = {"qcschema_output": AtomicResult, "qcschema_optimization_output": OptimizationResult}[document["schema_name"]]
    result = model(**document)
    energies = getattr(result, "energies", None)
    print(type(result).__name__, result.id, energies if energies else result.return_result, result.stdout, sep="|")
"#;

fn python(variable: &str, environment: &str) -> PathBuf {
    let python = std::env::var_os(variable)
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(environment).join("bin/python"));
    assert!(python.exists(), "{} is missing: run make test-setup", python.display());
    python
}

fn validate(python: PathBuf, documents: &[Value]) -> String {
    let mut child = Command::new(python)
        .args(["-W", "ignore", "-c", VALIDATE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for document in documents {
        writeln!(stdin, "{document}").unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the models refuse a document");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn exported_documents_are_what_qcelemental_reads() {
    let world = World::new().await;
    let mut first = water_record(0);
    first.calculation.extras.insert("mine".to_owned(), json!({"deep": [1, "two"]}));
    let records = vec![first, record_of(optimization(), water(1)), water_record(2)];
    let ids: Vec<_> = world.add(records).await.iter().map(|added| added.record_id).collect();
    let jobs = world.run_all(3).await;
    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    let of = |index: usize| tasks.iter().find(|task| task.record_id == ids[index]).unwrap();
    let mut result = atomic_result(-0.1);
    result["wavefunction"] = json!(null);
    let mut single = good_with(job, of(0), &result);
    single.native_files.insert("input".to_owned(), "PM7\n".to_owned());
    let optimized = good_with(job, of(1), &optimization_result(&[-1.25, -1.5]));
    world.ingest(job, vec![single, optimized]).await;

    let page = world.store.export(&RecordFilter::default(), None, 10).await.unwrap();
    assert_eq!(page.next, None);
    assert_eq!(page.results.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [ids[0], ids[1]]);
    let documents: Vec<Value> = page.results.into_iter().map(|(_, document)| document).collect();
    let words = "a program's words\n";
    let expected = format!(
        "AtomicResult|{}|-0.1|{words}\nOptimizationResult|{}|[-1.25, -1.5]|{words}\n",
        ids[0], ids[1]
    );
    assert_eq!(validate(python("QCBATCH_TEST_PYTHON_V1", ".venv-v1"), &documents), expected);
    assert_eq!(validate(python("QCBATCH_TEST_PYTHON_V2", ".venv-v2"), &documents), expected);

    let single = &documents[0];
    assert_eq!(single["extras"]["mine"], json!({"deep": [1, "two"]}));
    assert_eq!(single["extras"]["qcbatch"], json!({"record_id": ids[0]}));
    assert_eq!(single["extras"]["qcvars"], json!({"pm7 hof": -54.3}));
    assert_eq!(single["properties"], json!({"return_energy": -0.1, "calcinfo_natom": 3}));
    assert_eq!(single["native_files"], json!({"input": "PM7\n"}));
    assert_eq!(single["provenance"]["creator"], "MOPAC");
    let points = documents[1]["trajectory"].as_array().unwrap();
    assert_eq!(points.len(), 2);
    assert_eq!(points[1]["properties"]["return_energy"], json!(-1.5));
    assert_eq!(points[1]["extras"]["qcbatch"]["optimization_id"], json!(ids[1]));
    assert_eq!(points[1]["stdout"], "point");
    assert_eq!(documents[1]["final_molecule"]["geometry"], points[1]["molecule"]["geometry"]);
}

#[tokio::test]
async fn an_export_goes_page_by_page() {
    let world = World::new().await;
    let ids = world.add_waters(5).await;
    let jobs = world.run_all(5).await;
    let job = jobs[0].0;
    world.ingest(job, jobs[0].1[..4].iter().map(|task| good(job, task)).collect()).await;
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = world.store.export(&RecordFilter::default(), after, 2).await.unwrap();
        seen.extend(page.results.iter().map(|(id, _)| *id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ids[..4]);
    let open = RecordFilter { status: vec![RecordStatus::Running], ..RecordFilter::default() };
    assert!(world.store.export(&open, None, 9).await.unwrap().results.is_empty());
}

#[tokio::test]
async fn long_trajectories_make_short_pages() {
    let world = World::new().await;
    world.add(vec![record_of(optimization(), water(0)), record_of(optimization(), water(1))]).await;
    let jobs = world.run_all(2).await;
    let energies: Vec<f64> = (0..200).map(|point| -1.0 - f64::from(point) * 1e-3).collect();
    let result = optimization_result(&energies);
    let reports = jobs[0].1.iter().map(|task| good_with(jobs[0].0, task, &result)).collect();
    world.ingest(jobs[0].0, reports).await;

    let first = world.store.export(&RecordFilter::default(), None, 50).await.unwrap();
    assert_eq!(first.results.len(), 1);
    assert_eq!(first.results[0].1["trajectory"].as_array().unwrap().len(), 200);
    let second = world.store.export(&RecordFilter::default(), first.next, 50).await.unwrap();
    assert_eq!(second.results.len(), 1);
    assert_ne!(second.results[0].0, first.results[0].0);
    assert_eq!(second.next, None);
}
