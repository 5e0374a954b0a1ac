//! One stream as an iterator over its documents, and documents in batches.

use std::io::Read;
use std::sync::Arc;

use super::json::JsonValues;
use super::text::TextReader;
use super::{Content, Document, Format, IntakeError, ReadOptions, lines, psi4, sdf, xyz};
use crate::model::molecule::Molecule;

/// The documents of one stream.
///
/// An error ends the iteration. It means that the stream cannot be cut any further; what is wrong inside a document shows
/// in `Document::calculation` and leaves the others readable.
pub struct Documents {
    reader: TextReader,
    options: ReadOptions,
    cutting: Option<Cutting>,
    ended: bool,
}

enum Cutting {
    Json(JsonValues),
    JsonLines,
    Xyz,
    Sdf,
    /// One molecule, and then nothing.
    Psi4,
}

impl Documents {
    /// Documents of `stream`, which errors call `name`. Without a format the first bytes tell.
    pub fn from_reader(
        name: impl Into<Arc<str>>,
        stream: impl Read + Send + 'static,
        options: &ReadOptions,
    ) -> Documents {
        let reader = TextReader::new(name.into(), Box::new(stream));
        Documents { reader, options: options.clone(), cutting: None, ended: false }
    }

    fn begin(&mut self) -> Result<Cutting, IntakeError> {
        self.reader.skip_byte_order_mark()?;
        match self.options.format {
            Some(Format::JsonLines) => return Ok(Cutting::JsonLines),
            Some(Format::Xyz) => return Ok(Cutting::Xyz),
            Some(Format::Sdf) => return Ok(Cutting::Sdf),
            Some(Format::Psi4) => return Ok(Cutting::Psi4),
            None if sdf::looks_like_one(self.reader.peek()?) => return Ok(Cutting::Sdf),
            Some(Format::Json) | None => {}
        }
        match self.reader.skip_space()? {
            None | Some(b'[') => Ok(Cutting::Json(JsonValues::new())),
            Some(b'{') if lines::looks_like_lines(self.reader.peek()?) => Ok(Cutting::JsonLines),
            Some(b'{') => Ok(Cutting::Json(JsonValues::new())),
            Some(_) if self.options.format == Some(Format::Json) => Ok(Cutting::Json(JsonValues::new())),
            Some(b'0'..=b'9' | b'-' | b'+') if psi4::looks_like_one(self.reader.peek()?) => Ok(Cutting::Psi4),
            Some(byte) if byte.is_ascii_digit() => Ok(Cutting::Xyz),
            Some(byte) => {
                let reason = format!("starts with `{}` (JSON, XYZ or SDF expected)", byte.escape_ascii());
                Err(self.reader.malformed(self.reader.line, reason))
            }
        }
    }

    fn read_next(&mut self) -> Result<Option<Document>, IntakeError> {
        if self.cutting.is_none() {
            self.cutting = Some(self.begin()?);
        }
        let next = match &mut self.cutting {
            Some(Cutting::Json(values)) => values.next(&mut self.reader)?.map(json_content),
            Some(Cutting::JsonLines) => lines::next(&mut self.reader)?.map(json_content),
            Some(Cutting::Xyz) => xyz::next(&mut self.reader, &self.options)?.map(molecule_content),
            Some(Cutting::Sdf) => sdf::next(&mut self.reader, &self.options)?.map(molecule_content),
            Some(Cutting::Psi4) => psi4::next(&mut self.reader, &self.options)?.map(molecule_content),
            None => None,
        };
        let source = || Arc::clone(&self.reader.name);
        Ok(next.map(|(line, content)| Document { source: source(), line, content }))
    }
}

fn json_content((line, text): (u64, String)) -> (u64, Content) {
    (line, Content::Json(text))
}

fn molecule_content((line, molecule): (u64, Molecule)) -> (u64, Content) {
    (line, Content::Molecule(Box::new(molecule)))
}

impl Iterator for Documents {
    type Item = Result<Document, IntakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.read_next().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Documents in batches of at most so many documents and about so many bytes, at least one document each.
pub struct Batches<I> {
    documents: I,
    most_documents: usize,
    most_bytes: usize,
}

impl<I: Iterator<Item = Result<Document, IntakeError>>> Batches<I> {
    /// Cuts `documents` into batches.
    pub fn new(documents: I, most_documents: usize, most_bytes: usize) -> Batches<I> {
        Batches { documents, most_documents: most_documents.max(1), most_bytes }
    }
}

impl<I: Iterator<Item = Result<Document, IntakeError>>> Iterator for Batches<I> {
    type Item = Result<Vec<Document>, IntakeError>;

    /// The next batch; an error comes instead of the batch that it would have been in.
    fn next(&mut self) -> Option<Self::Item> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < self.most_documents && (batch.is_empty() || bytes < self.most_bytes) {
            match self.documents.next() {
                Some(Ok(document)) => {
                    bytes += document.size();
                    batch.push(document);
                }
                Some(Err(error)) => return Some(Err(error)),
                None => break,
            }
        }
        (!batch.is_empty()).then_some(Ok(batch))
    }
}
