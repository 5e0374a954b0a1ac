//! Which kind of document a text is, from its schema's name and version, or from its keys where it does not say. Pure.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::InputError;
use super::error::read;

/// The kinds of documents that are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// `{"program" or "procedure": …, "input_data": …}`, the arguments of QCEngine's `compute`.
    Wrapper,
    AtomicV1,
    AtomicV2,
    OptimizationV1,
    OptimizationV2,
    Molecule,
}

#[derive(Deserialize)]
struct Keys {
    schema_name: Option<String>,
    schema_version: Option<f64>,
    input_data: Option<IgnoredAny>,
    specification: Option<IgnoredAny>,
    input_specification: Option<IgnoredAny>,
    initial_molecule: Option<IgnoredAny>,
    molecule: Option<IgnoredAny>,
    symbols: Option<IgnoredAny>,
}

const TAKEN: &str =
    "`qcschema_input`, `qcschema_atomic_input`, `qcschema_optimization_input` or `qcschema_molecule`";

/// The kind of `text`.
pub(super) fn of(text: &str) -> Result<Kind, InputError> {
    let start = text.trim_start().bytes().next();
    if start.is_some_and(|byte| byte != b'{' && b"[\"-0123456789tfn".contains(&byte)) {
        return Err(InputError::new("$", "not an object", "a QCSchema input or molecule"));
    }
    let keys: Keys = read(text)?;
    match (keys.schema_name.as_deref(), keys.schema_version) {
        (None, _) => by_keys(&keys),
        (Some("qcschema_input" | "qc_schema_input"), None | Some(1.0)) => Ok(Kind::AtomicV1),
        (Some("qcschema_input" | "qc_schema_input"), Some(other)) => Err(wrong_version(other, "1")),
        (Some("qcschema_atomic_input"), None | Some(2.0)) => Ok(Kind::AtomicV2),
        (Some("qcschema_atomic_input"), Some(other)) => Err(wrong_version(other, "2")),
        (Some("qcschema_optimization_input"), Some(1.0)) => Ok(Kind::OptimizationV1),
        (Some("qcschema_optimization_input"), Some(2.0)) => Ok(Kind::OptimizationV2),
        (Some("qcschema_optimization_input"), Some(other)) => Err(wrong_version(other, "1 or 2")),
        (Some("qcschema_optimization_input"), None) => {
            let is_v2 = keys.specification.is_some() && keys.input_specification.is_none();
            Ok(if is_v2 { Kind::OptimizationV2 } else { Kind::OptimizationV1 })
        }
        (Some("qcschema_molecule"), _) => Ok(Kind::Molecule),
        (Some(other), _) => Err(wrong_name(other)),
    }
}

fn by_keys(keys: &Keys) -> Result<Kind, InputError> {
    if keys.input_data.is_some() {
        Ok(Kind::Wrapper)
    } else if keys.initial_molecule.is_some() {
        Ok(if keys.specification.is_some() { Kind::OptimizationV2 } else { Kind::OptimizationV1 })
    } else if keys.molecule.is_some() {
        Ok(if keys.specification.is_some() { Kind::AtomicV2 } else { Kind::AtomicV1 })
    } else if keys.symbols.is_some() {
        Ok(Kind::Molecule)
    } else {
        Err(InputError::new("$", "not a QCSchema input: no `schema_name`, no molecule", TAKEN))
    }
}

fn wrong_version(found: f64, expected: &str) -> InputError {
    InputError::new("$.schema_version", found.to_string(), expected)
}

fn wrong_name(name: &str) -> InputError {
    let is_result = name.ends_with("_output") || name.ends_with("_result");
    let what = if is_result { "is a result, not an input" } else { "is not an input" };
    InputError::new("$.schema_name", format!("`{}` {what}", name.escape_default()), TAKEN)
}

/// A wrapper's parts.
pub(super) struct Wrapper<'a> {
    pub(super) program: Option<String>,
    pub(super) input_data: &'a str,
    /// Where `input_data` starts in the wrapper's text.
    pub(super) input_data_start: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrapperDocument<'a> {
    #[serde(borrow)]
    program: Option<Cow<'a, str>>,
    #[serde(borrow)]
    procedure: Option<Cow<'a, str>>,
    #[serde(borrow)]
    input_data: &'a RawValue,
}

impl<'a> Wrapper<'a> {
    pub(super) fn read(text: &'a str) -> Result<Wrapper<'a>, InputError> {
        let document: WrapperDocument<'a> = read(text)?;
        if document.program.is_some() && document.procedure.is_some() {
            return Err(InputError::new("$", "both `program` and `procedure`", "one of them"));
        }
        let input_data = document.input_data.get();
        // the raw value is a part of `text`, so the difference of their addresses is its place there
        let input_data_start = (input_data.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        let program = document.program.or(document.procedure).map(Cow::into_owned);
        Ok(Wrapper { program, input_data, input_data_start: input_data_start.min(text.len()) })
    }
}
