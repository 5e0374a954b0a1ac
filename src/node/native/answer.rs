//! The QCSchema v1 `AtomicResult` of a native program, as QCEngine writes it, and the reply around it. Pure.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::{Finished, machine};
use crate::model::calculation::{Calculation, Driver, QcSpecification, Specification};
use crate::model::molecule::Molecule;
use crate::model::task::NATIVE_ROUTINE;
use crate::node::worker::{Reply, ReplyError};

/// What a program found.
#[derive(Debug)]
pub struct Found {
    /// The program, as QCEngine's harness names it.
    pub creator: &'static str,
    /// Its version, as it says it.
    pub version: String,
    /// QCSchema's properties.
    pub properties: Map<String, Value>,
    /// The number or the flat list that the driver asked for.
    pub return_result: Value,
    /// What the harness adds to the user's extras.
    pub extras: Map<String, Value>,
    /// The program's output.
    pub output: String,
}

/// Why a program found nothing, in QCEngine's words for it.
#[derive(Clone, PartialEq, Debug)]
pub struct Failed {
    /// QCEngine's `error_type`.
    pub error_type: &'static str,
    /// For a person.
    pub message: String,
}

impl Failed {
    /// What QCEngine calls `unknown_error`.
    pub fn unknown(message: impl Into<String>) -> Failed {
        Failed { error_type: "unknown_error", message: message.into() }
    }
}

#[derive(Serialize)]
struct AtomicResult<'a> {
    id: Option<()>,
    schema_name: &'static str,
    schema_version: u8,
    molecule: &'a Molecule,
    driver: Driver,
    model: Model<'a>,
    keywords: &'a Map<String, Value>,
    protocols: &'a Map<String, Value>,
    extras: Extras<'a>,
    provenance: Provenance<'a>,
    properties: &'a Map<String, Value>,
    wavefunction: Option<()>,
    return_result: &'a Value,
    success: bool,
}

#[derive(Serialize)]
struct Model<'a> {
    method: &'a str,
    basis: Option<&'a str>,
}

/// The user's extras, then the program's own.
#[derive(Serialize)]
struct Extras<'a> {
    #[serde(flatten)]
    given: BTreeMap<&'a str, &'a Value>,
}

/// What QCEngine writes, except its own version.
#[derive(Serialize)]
struct Provenance<'a> {
    creator: &'a str,
    version: &'a str,
    routine: String,
    cpu: &'a str,
    hostname: &'a str,
    username: &'a str,
    wall_time: f64,
}

/// The reply for what a program found.
pub fn reply(
    calculation: &Calculation,
    specification: &QcSpecification,
    finished: &Finished,
    found: Found,
) -> Reply {
    let of_user = calculation.extras.iter();
    let extras = of_user.chain(&found.extras).map(|(key, value)| (key.as_str(), value)).collect();
    let machine = machine::this();
    let result = AtomicResult {
        id: None,
        schema_name: "qcschema_output",
        schema_version: 1,
        molecule: &calculation.molecule,
        driver: specification.driver,
        model: Model {
            method: &specification.method,
            basis: Some(specification.basis.as_str()).filter(|basis| !basis.is_empty()),
        },
        keywords: &specification.keywords,
        protocols: &specification.protocols,
        extras: Extras { given: extras },
        provenance: Provenance {
            creator: found.creator,
            version: &found.version,
            routine: format!("{NATIVE_ROUTINE}{}", found.creator),
            cpu: &machine.cpu,
            hostname: &finished.hostname,
            username: &machine.username,
            wall_time: finished.wall_seconds,
        },
        properties: &found.properties,
        wavefunction: None,
        return_result: &found.return_result,
        success: true,
    };
    let stdout = specification.protocols.get("stdout") != Some(&Value::Bool(false));
    match to_raw_value(&result) {
        Ok(result) => Reply {
            result: Some(result),
            error: None,
            stdout: stdout.then_some(found.output),
            ..bare(finished, found.creator, Some(found.version))
        },
        Err(error) => failure(finished, found.creator, Failed::unknown(error.to_string()), found.output),
    }
}

/// The reply for a program that found nothing; what it printed is kept.
pub fn failure(finished: &Finished, creator: &str, failed: Failed, output: String) -> Reply {
    Reply {
        result: None,
        error: Some(ReplyError { error_type: failed.error_type.into(), error_message: failed.message }),
        stdout: Some(output).filter(|text| !text.is_empty()),
        stderr: Some(finished.stderr.clone()).filter(|text| !text.is_empty()),
        exit_code: finished.status.and_then(|status| status.code().or(status.signal().map(|number| -number))),
        ..bare(finished, creator, None)
    }
}

fn bare(finished: &Finished, creator: &str, version: Option<String>) -> Reply {
    Reply {
        result: None::<Box<RawValue>>,
        error: None,
        stdout: None,
        stderr: None,
        native_files: BTreeMap::new(),
        cpu_seconds: finished.cpu_seconds,
        program: Some(creator.to_owned()),
        program_version: version,
        exit_code: None,
    }
}

/// A program that a signal killed found nothing, whatever it wrote before.
pub fn unless_killed(program: &str, finished: &Finished) -> Result<(), Failed> {
    let Some(number) = finished.status.and_then(|status| status.signal()) else { return Ok(()) };
    let signal =
        Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.to_string());
    Err(Failed::unknown(format!("{program} was killed by {signal}")))
}

/// A program that says by its exit code that it failed found nothing either.
pub fn unless_failed(program: &str, finished: &Finished) -> Result<(), Failed> {
    match finished.status.and_then(|status| status.code()) {
        None | Some(0) => Ok(()),
        Some(code) => {
            Err(Failed::unknown(format!("{program} ended with exit code {code}\n{}", finished.stderr)))
        }
    }
}

/// The output, and behind it what was left out of the result because it could not be read, each with its file.
pub fn with_notes<'a>(output: &str, left_out: impl Iterator<Item = (&'a str, String)>) -> String {
    left_out.fold(output.to_owned(), |mut text, (file, why)| {
        text.push_str(&format!("\n[qcbatch: of {file} this could not be read and is left out: {why}]\n"));
        text
    })
}

/// Variables by which programs learn how many threads they may start.
pub fn threads(cores: u32) -> Vec<(String, String)> {
    ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"]
        .map(|name| (name.to_owned(), cores.to_string()))
        .to_vec()
}

/// The single point that a calculation is. None where it is something else, or where the user's extras ask QCEngine for
/// something: both are QCEngine's.
pub fn singlepoint(calculation: &Calculation) -> Option<&QcSpecification> {
    match &calculation.specification {
        Specification::Singlepoint(specification)
            if !calculation.extras.contains_key("_qcengine_local_config") =>
        {
            Some(specification)
        }
        _ => None,
    }
}
