//! Files and streams into documents, each with the place it came from. No SQL.
//! Reads lazily and in constant memory: one document at a time, whatever the size of the file.

mod compressed;
mod documents;
mod error;
mod inputs;
mod json;
mod lines;
mod psi4;
mod sdf;
mod text;
mod xyz;

use std::fmt::Display;
use std::sync::Arc;

pub use documents::{Batches, Documents};
pub use error::IntakeError;
pub use inputs::{Inputs, STDIN};

use crate::model::calculation::Calculation;
use crate::model::json_size::DocumentLimits;
use crate::model::molecule::Molecule;
use crate::model::qcschema::{self, InputDefaults};

/// How a stream is cut into documents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// An object, a list of objects, or objects one after the other.
    Json,
    /// One object a line.
    JsonLines,
    /// Frames of Cartesian coordinates in ångström.
    Xyz,
    /// MDL's molfiles (V2000), one or, with `$$$$` between them, many.
    Sdf,
    /// One molecule in Psi4's words, with Cartesian coordinates.
    Psi4,
}

/// What the user says of the files that the files do not say themselves.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct ReadOptions {
    /// The format; else the extension or the first bytes tell.
    pub format: Option<Format>,
    /// Charge in e of what is no JSON. One that says another itself is refused.
    pub charge: Option<f64>,
    /// Multiplicity of what is no JSON. One that says another itself is refused.
    pub multiplicity: Option<u32>,
}

/// One document and where it came from.
#[derive(Clone, PartialEq, Debug)]
pub struct Document {
    /// The file's path as the user wrote it, or `-`.
    pub source: Arc<str>,
    /// The line on which it starts, from 1.
    pub line: u64,
    /// What it holds.
    pub content: Content,
}

/// A document's content.
#[derive(Clone, PartialEq, Debug)]
pub enum Content {
    /// JSON text, not yet read.
    Json(String),
    /// The molecule of an XYZ frame, a molfile or a text for Psi4.
    Molecule(Box<Molecule>),
}

impl Document {
    /// Reads the document as a calculation; the error names file, line and JSON path.
    pub fn calculation(&self, defaults: &InputDefaults) -> Result<Calculation, IntakeError> {
        let calculation = match &self.content {
            Content::Json(text) => qcschema::parse(text, defaults),
            Content::Molecule(molecule) => qcschema::from_molecule(molecule.as_ref().clone(), defaults),
        };
        calculation.map_err(|error| IntakeError::Input {
            name: Arc::clone(&self.source),
            line: self.line + error.line_offset,
            error,
        })
    }

    /// The same for a document that is not larger than `limits` allow.
    pub fn calculation_within(
        &self,
        defaults: &InputDefaults,
        limits: DocumentLimits,
    ) -> Result<Calculation, IntakeError> {
        if let Content::Json(text) = &self.content {
            limits.check(text).map_err(|error| IntakeError::Input {
                name: Arc::clone(&self.source),
                line: self.line,
                error,
            })?;
        }
        self.calculation(defaults)
    }

    /// Bytes that the document takes, roughly.
    fn size(&self) -> usize {
        match &self.content {
            Content::Json(text) => text.len(),
            Content::Molecule(molecule) => molecule.atoms() * 32,
        }
    }
}

/// The one value that two places state; an error where they differ.
fn agreed<T: PartialEq + Display>(
    stated: Option<T>,
    other: Option<T>,
    what: &str,
    place: &str,
) -> Result<Option<T>, String> {
    match (stated, other) {
        (Some(stated), Some(other)) if stated != other => {
            Err(format!("{what} {stated} here and {other} by {place} (one of them expected)"))
        }
        (stated, other) => Ok(stated.or(other)),
    }
}
