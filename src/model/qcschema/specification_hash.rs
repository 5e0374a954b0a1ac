//! QCArchive's hashes of specifications: SHA-256 over Python's JSON of their members. Pure.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::python_json::{append, write_object};
use crate::model::calculation::{OptimizationSpecification, QcSpecification, Specification};

/// The hash by which a specification is stored once: 64 hexadecimal digits.
///
/// An optimization's covers its own members only; `qc_specification_hash` of the inner one belongs beside it.
pub fn specification_hash(specification: &Specification) -> String {
    match specification {
        Specification::Singlepoint(specification) => qc_specification_hash(specification),
        Specification::Optimization(specification) => optimization_hash(specification),
    }
}

/// The hash of a single point's specification, also of the one inside an optimization.
pub fn qc_specification_hash(specification: &QcSpecification) -> String {
    let members = [
        ("basis", Value::from(specification.basis.as_str())),
        ("driver", Value::from(specification.driver.as_str())),
        ("keywords", Value::Object(specification.keywords.clone())),
        ("method", Value::from(specification.method.as_str())),
        ("program", Value::from(specification.program.as_str())),
        ("protocols", Value::Object(specification.protocols.clone())),
    ];
    sha256(members)
}

fn optimization_hash(specification: &OptimizationSpecification) -> String {
    let members = [
        ("keywords", Value::Object(specification.keywords.clone())),
        ("program", Value::from(specification.program.as_str())),
        ("protocols", Value::Object(specification.protocols.clone())),
    ];
    sha256(members)
}

fn sha256<const N: usize>(members: [(&str, Value); N]) -> String {
    let members: Map<String, Value> =
        members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let mut text = String::with_capacity(256);
    write_object(&mut text, &members);
    let mut hexadecimal = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        append(&mut hexadecimal, format_args!("{byte:02x}"));
    }
    hexadecimal
}
