//! The promises of `daemon::logging`.

use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex};

use super::*;
use crate::config::Secret;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logged(filter: &str, format: LogFormat) -> String {
    let memory = Memory::default();
    let written = memory.clone();
    let options = LogOptions { filter: filter.into(), format, file: None };
    let subscriber = subscriber(&options, Colours::Never, move || memory.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        let url = Secret::new("postgres://me:hunter2@db/qc");
        tracing::debug!("not asked for");
        tracing::info!(job.id = 7, database.url = %url, "job submitted");
        tracing::warn!(error = ?url, "database away");
    });
    String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn text_has_the_message_the_fields_and_no_secret() {
    let text = logged("info", LogFormat::Text);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("job submitted job.id=7 database.url=[redacted]"), "{text}");
    assert!(!text.contains("hunter2") && !text.contains('\x1b'), "{text}");
}

#[test]
fn json_is_one_object_per_line_with_fields_at_the_top() {
    let text = logged("warn,qcbatch=info", LogFormat::Json);
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["job.id"], 7);
    assert_eq!(lines[0]["message"], "job submitted");
    assert_eq!(lines[1]["level"], "WARN");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_filter_is_followed() {
    assert_eq!(logged("warn", LogFormat::Text).lines().count(), 1);
    assert_eq!(logged("off", LogFormat::Text), "");
    let options = LogOptions { filter: "info,=x=y".into(), format: LogFormat::Text, file: None };
    assert!(matches!(subscriber(&options, Colours::Never, std::io::sink), Err(LogError::Filter { .. })));
}

#[test]
fn a_log_file_is_private_and_appended_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("qcbatch.log");
    for line in ["one\n", "two\n"] {
        std::io::Write::write_all(&mut open(&path).unwrap(), line.as_bytes()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let missing = directory.path().join("no/such/log");
    assert!(matches!(open(&missing), Err(LogError::File { .. })));
}
