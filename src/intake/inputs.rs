//! Paths as the user gives them (files, directories, `-`) into documents. Opens one file at a time.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Document, Documents, Format, IntakeError, ReadOptions};

/// The path that means standard input.
pub const STDIN: &str = "-";

const COMPRESSED: &str = "zst";

/// The documents of several files, in the order given; a directory's files in the order of their names.
pub struct Inputs {
    files: std::vec::IntoIter<PathBuf>,
    options: ReadOptions,
    current: Option<Documents>,
}

impl Inputs {
    /// Looks into directories, not into their subdirectories; opens no file yet.
    pub fn open(
        paths: impl IntoIterator<Item = PathBuf>,
        options: &ReadOptions,
    ) -> Result<Inputs, IntakeError> {
        let mut files = Vec::new();
        for path in paths {
            if path != Path::new(STDIN) && path.is_dir() {
                files.extend(directory(&path)?);
            } else {
                files.push(path);
            }
        }
        Ok(Inputs { files: files.into_iter(), options: options.clone(), current: None })
    }
}

impl Iterator for Inputs {
    type Item = Result<Document, IntakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(document) = self.current.as_mut().and_then(Documents::next) {
                return Some(document);
            }
            match open_file(&self.files.next()?, &self.options) {
                Ok(documents) => self.current = Some(documents),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The inputs in a directory, by name. Hidden files and everything with another extension are left alone.
fn directory(path: &Path) -> Result<Vec<PathBuf>, IntakeError> {
    let unreadable = |cause| IntakeError::Read { name: name_of(path), cause };
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let file = entry.path();
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !is_hidden && format_of(&file).is_some() && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(IntakeError::EmptyDirectory { path: path.to_owned() });
    }
    files.sort();
    Ok(files)
}

fn open_file(path: &Path, options: &ReadOptions) -> Result<Documents, IntakeError> {
    let name = name_of(path);
    if path == Path::new(STDIN) {
        return Ok(Documents::from_reader(name, io::stdin(), options));
    }
    let unreadable = |cause| IntakeError::Read { name: Arc::clone(&name), cause };
    let file = File::open(path).map_err(unreadable)?;
    let stream: Box<dyn Read + Send> = if has_extension(path, COMPRESSED) {
        Box::new(zstd::stream::read::Decoder::new(file).map_err(unreadable)?)
    } else {
        Box::new(file)
    };
    let options = ReadOptions { format: options.format.or(format_of(path)), ..options.clone() };
    Ok(Documents::from_reader(name, stream, &options))
}

/// The format that the extension tells, `.zst` apart.
fn format_of(path: &Path) -> Option<Format> {
    let stem = path.with_extension("");
    let path = if has_extension(path, COMPRESSED) { &stem } else { path };
    let known = [
        ("json", Format::Json),
        ("jsonl", Format::JsonLines),
        ("ndjson", Format::JsonLines),
        ("xyz", Format::Xyz),
    ];
    known.into_iter().find(|(extension, _)| has_extension(path, extension)).map(|(_, format)| format)
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|own| own.eq_ignore_ascii_case(extension))
}

fn name_of(path: &Path) -> Arc<str> {
    path.to_string_lossy().into()
}
