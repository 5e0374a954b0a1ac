//! Native programs beside QCEngine: the same calculation both ways, compared member by member.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use qcbatch::model::calculation::Calculation;
use qcbatch::model::task::Progress;
use qcbatch::node::budget::Share;
use qcbatch::node::native::{Finished, NativeProgram, Step};
use qcbatch::node::reasons;
use qcbatch::node::worker::Reply;
use serde_json::{Value, json};

use crate::fixture::Generation;

pub const SHARE: Share = Share { cores: 1, memory_bytes: 1 << 30, gpus: 0 };

/// A single point of `program`.
pub fn calculation(
    program: &str,
    driver: &str,
    method: &str,
    keywords: Value,
    molecule: Value,
) -> Calculation {
    serde_json::from_value(json!({
        "specification": {"record_type": "singlepoint", "program": program, "driver": driver, "method": method,
            "basis": "", "keywords": keywords, "protocols": {}},
        "molecule": molecule,
        "extras": {"mine": [1, "é"]},
    }))
    .unwrap()
}

pub fn molecule(symbols: &[&str], geometry: &[f64], charge: i32, multiplicity: u32) -> Value {
    json!({"symbols": symbols, "geometry": geometry, "molecular_charge": charge,
        "molecular_multiplicity": multiplicity})
}

pub fn water() -> Value {
    molecule(&["O", "H", "H"], &[0.0, 0.0, 0.22166, 0.1, 1.4309, -0.8867, 0.0, -1.4309, -0.8867], 0, 1)
}

/// Where Debian keeps xtb's parameter files, of which GFN0 needs one.
fn xtb_parameters() -> std::ffi::OsString {
    std::env::var_os("XTBPATH").unwrap_or_else(|| "/usr/share/xtb".into())
}

/// Runs a native program as the node runner does, in a directory of its own.
pub fn natively(program: &dyn NativeProgram, calculation: &Calculation) -> Reply {
    let invocation = program.prepare(calculation, SHARE).expect("it is not left to QCEngine");
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in &invocation.files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let Step::Process { arguments, environment } = invocation.step else { panic!("nothing is started") };
    let started = Instant::now();
    let output = Command::new(&arguments[0])
        .args(&arguments[1..])
        .envs(environment)
        .env("XTBPATH", xtb_parameters())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let read = |name: &String| Some((name.clone(), fs::read(folder.path().join(name)).ok()?));
    let finished = Finished {
        status: Some(output.status),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        files: invocation.outputs.iter().filter_map(read).collect(),
        wall_seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: 0.0,
        hostname: nix::unistd::gethostname().unwrap().into_string().unwrap(),
    };
    program.read(calculation, SHARE, &finished)
}

/// The Python worker of one generation, spoken to directly.
pub struct QcEngine {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    scratch: tempfile::TempDir,
}

impl QcEngine {
    pub fn start(generation: Generation) -> QcEngine {
        QcEngine::start_with(generation, &[])
    }

    /// With these variables besides.
    pub fn start_with(generation: Generation, environment: &[(&str, &str)]) -> QcEngine {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobscripts/qcengine_worker.py");
        let mut child = Command::new(generation.python())
            .arg(script)
            .env("XTBPATH", xtb_parameters())
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let requests = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let mut greeting = String::new();
        answers.read_line(&mut greeting).unwrap();
        assert!(greeting.contains("ready"), "{greeting}");
        QcEngine { child, requests, answers, scratch: tempfile::tempdir().unwrap() }
    }

    pub fn ask(&mut self, calculation: &Calculation) -> Reply {
        self.ask_hearing(calculation).1
    }

    /// The answer, and what was told before it.
    pub fn ask_hearing(&mut self, calculation: &Calculation) -> (Vec<Progress>, Reply) {
        let order = json!({"calculation": calculation, "cores": SHARE.cores, "memory_bytes": SHARE.memory_bytes,
            "nodes": 1, "mpiexec": null,
            "scratch_directory": self.scratch.path()});
        writeln!(self.requests.as_mut().unwrap(), "{order}").unwrap();
        let mut told = vec![];
        loop {
            let mut line = String::new();
            self.answers.read_line(&mut line).unwrap();
            match serde_json::from_str::<Value>(&line).unwrap().get("progress") {
                Some(progress) => told.push(serde_json::from_value(progress.clone()).unwrap()),
                None => return (told, serde_json::from_str(&line).unwrap()),
            }
        }
    }
}

impl Drop for QcEngine {
    fn drop(&mut self) {
        self.requests.take();
        let _ = self.child.wait();
    }
}

pub fn result(reply: &Reply) -> Value {
    let text = reply.result.as_ref().unwrap_or_else(|| panic!("failed: {:?}", reply.error));
    serde_json::from_str(text.get()).unwrap()
}

/// Class, type and message of a failure.
pub fn failure(reply: &Reply) -> (qcbatch::model::failure::FailureClass, String, String) {
    assert!(reply.result.is_none());
    let error = reply.error.as_ref().unwrap();
    let program = reply.program.as_deref().unwrap_or_default();
    let verdict = reasons::judge(&reasons::Failed {
        programs: &[program],
        error_type: &error.error_type,
        message: &error.error_message,
        stdout: reply.stdout.as_deref(),
        stderr: reply.stderr.as_deref(),
        ending: reply.exit_code.map(reasons::Ending::of_python),
    });
    (verdict.class, error.error_type.clone(), error.error_message.clone())
}

/// Where two documents differ: path, and what is there on each side. Numbers are equal within `tolerance`, relative where
/// they are large.
pub fn differences(ours: &Value, theirs: &Value, tolerance: f64) -> BTreeMap<String, (Value, Value)> {
    let mut found = BTreeMap::new();
    compare("", ours, theirs, tolerance, &mut found);
    found
}

fn compare(
    path: &str,
    ours: &Value,
    theirs: &Value,
    tolerance: f64,
    found: &mut BTreeMap<String, (Value, Value)>,
) {
    match (ours, theirs) {
        (Value::Object(left), Value::Object(right)) => {
            let keys: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for key in keys {
                let member =
                    |side: &serde_json::Map<String, Value>| side.get(key).cloned().unwrap_or(json!("absent"));
                compare(&format!("{path}/{key}"), &member(left), &member(right), tolerance, found);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                compare(&format!("{path}/{index}"), left, right, tolerance, found);
            }
        }
        (Value::Number(left), Value::Number(right)) => {
            let (left, right) = (left.as_f64().unwrap(), right.as_f64().unwrap());
            let near = (left - right).abs() <= tolerance * left.abs().max(1.0);
            if !near {
                found.insert(path.to_owned(), (ours.clone(), theirs.clone()));
            }
        }
        _ if ours == theirs => {}
        _ => drop(found.insert(path.to_owned(), (ours.clone(), theirs.clone()))),
    }
}

/// What may differ between the two ways whatever the program is: how long it took, which way it went, what each generation
/// of QCElemental writes beside the molecule that it was given, and protocols that are the defaults.
pub const MAY_DIFFER: &[&str] = &[
    "/provenance/qcengine_version",
    "/provenance/routine",
    "/provenance/wall_time",
    "/molecule/extras",
    "/molecule/name",
    "/molecule/provenance",
    "/protocols/error_correction",
    "/protocols/native_files",
    "/protocols/stdout",
    "/protocols/wavefunction",
];

/// Fails on any difference that is not told in `MAY_DIFFER` or `besides`.
pub fn assert_same(what: &str, ours: &Value, theirs: &Value, tolerance: f64, besides: &[&str]) {
    let mut found = differences(ours, theirs, tolerance);
    found.retain(|path, _| !MAY_DIFFER.iter().chain(besides).any(|known| path.starts_with(known)));
    assert!(found.is_empty(), "{what}: ours and QCEngine's differ: {found:#?}");
    for path in ["/provenance/wall_time", "/provenance/cpu", "/provenance/hostname", "/provenance/username"] {
        assert!(ours.pointer(path).is_some() && theirs.pointer(path).is_some(), "{what}: no {path}");
    }
}
