//! QCSchema documents, of both generations, into calculations and back; specification hashes. Pure.

mod atomic;
mod error;
mod kind;
mod numbers;
mod optimization;
mod place;
mod protocols;
pub mod python_json;
mod specification_hash;
mod write;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use error::{InputError, syntax_error};
pub use specification_hash::{qc_specification_hash, specification_hash};
pub use write::{to_document, to_input_data};

use super::calculation::{Calculation, Driver};
use super::capability;
use super::molecule::{Molecule, MoleculeDocument};
use kind::Kind;

/// Documents larger than this are refused unread.
pub const MAX_DOCUMENT_BYTES: usize = 64 << 20;

/// The optimizer where neither document nor user names one.
const DEFAULT_OPTIMIZER: &str = "geometric";

/// What is taken where a document is silent. A document's own words always win.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InputDefaults {
    /// The program, as QCEngine names it.
    pub program: Option<String>,
    /// The method.
    pub method: Option<String>,
    /// The basis.
    pub basis: Option<String>,
    /// The driver; a bare molecule's is `energy` without it.
    pub driver: Option<Driver>,
    /// The program's keywords.
    pub keywords: Map<String, Value>,
    /// The optimizer. With it a bare molecule becomes a geometry optimization.
    pub optimizer: Option<String>,
}

/// Reads one document: an `AtomicInput` or `OptimizationInput` of either generation, alone or as
/// `{"program": …, "input_data": …}`, or a bare molecule.
pub fn parse(text: &str, defaults: &InputDefaults) -> Result<Calculation, InputError> {
    if text.len() > MAX_DOCUMENT_BYTES {
        let reason = format!("{} bytes", text.len());
        return Err(InputError::new("$", reason, format!("at most {MAX_DOCUMENT_BYTES}")));
    }
    refuse_nul(text)?;
    let text = &*numbers::exact(text)?;
    match kind::of(text)? {
        Kind::Wrapper => {
            let wrapper = kind::Wrapper::read(text)?;
            let line = text[..wrapper.input_data_start].matches('\n').count() as u64;
            let program = wrapper.program.as_deref().map(|program| word(program, "$.program")).transpose()?;
            parse_input_data(wrapper.input_data, program.as_deref(), defaults)
                .map_err(|error| error.found_in(wrapper.input_data).inside("$.input_data").below(line))
        }
        _ => parse_input_data(text, None, defaults).map_err(|error| error.found_in(text)),
    }
}

/// Makes a calculation of a molecule and nothing but defaults.
pub fn from_molecule(molecule: Molecule, defaults: &InputDefaults) -> Result<Calculation, InputError> {
    let calculation = match &defaults.optimizer {
        Some(optimizer) => optimization::from_molecule(molecule, optimizer, defaults)?,
        None => atomic::from_molecule(molecule, defaults)?,
    };
    representable(calculation, "$", "$")
}

/// `calculation`, unless its program would compute something else. Molecule and driver are at these paths.
fn representable(calculation: Calculation, molecule: &str, driver: &str) -> Result<Calculation, InputError> {
    capability::check(&calculation).map_err(|misfit| misfit.at(molecule, driver))?;
    Ok(calculation)
}

/// `program` is the wrapper's: of a single point its program, of an optimization its optimizer.
fn parse_input_data(
    text: &str,
    program: Option<&str>,
    defaults: &InputDefaults,
) -> Result<Calculation, InputError> {
    match kind::of(text)? {
        Kind::Wrapper => Err(InputError::new("$", "`input_data` inside `input_data`", "one level")),
        Kind::AtomicV1 => representable(atomic::parse_v1(text, program, defaults)?, "$.molecule", "$.driver"),
        Kind::AtomicV2 => {
            let calculation = atomic::parse_v2(text, program, defaults)?;
            representable(calculation, "$.molecule", "$.specification.driver")
        }
        Kind::OptimizationV1 => {
            let calculation = optimization::parse_v1(text, program, defaults)?;
            representable(calculation, "$.initial_molecule", "$.keywords.program")
        }
        Kind::OptimizationV2 => {
            let calculation = optimization::parse_v2(text, program, defaults)?;
            representable(calculation, "$.initial_molecule", "$.specification.specification.program")
        }
        Kind::Molecule => {
            let molecule = Molecule::try_from(error::read::<MoleculeDocument>(text)?)?;
            let mut defaults = defaults.clone();
            if let Some(program) = program {
                defaults.program = Some(program.to_owned());
            }
            from_molecule(molecule, &defaults)
        }
    }
}

/// PostgreSQL stores no NUL characters, neither in text nor in JSON.
fn refuse_nul(text: &str) -> Result<(), InputError> {
    for (position, _) in text.match_indices("\\u0000") {
        let backslashes = text[..position].bytes().rev().take_while(|byte| *byte == b'\\').count();
        if backslashes % 2 == 0 {
            let line = text[..position].matches('\n').count() as u64;
            let error = InputError::new("$", "a string holds the NUL character `\\u0000`", "text without it");
            return Err(error.below(line));
        }
    }
    Ok(())
}

/// A program, method or basis in lower case, as QCArchive keeps words.
fn word(text: &str, path: &str) -> Result<String, InputError> {
    let lower = text.trim().to_lowercase();
    if lower.is_empty() { Err(InputError::new(path, "empty", "a name")) } else { Ok(lower) }
}

/// A molecule read at `path`, an absolute path such as `$.molecule`.
fn molecule_at(document: MoleculeDocument, path: &str) -> Result<Molecule, InputError> {
    Molecule::try_from(document).map_err(|error| error.inside(path))
}
