//! Paths as the user gives them (files, directories, `-`) into documents. Opens one file at a time.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compressed::Compression;
use super::{Document, Documents, Format, IntakeError, ReadOptions};

/// The path that means standard input.
pub const STDIN: &str = "-";

/// Files of files, which are not looked into.
const ARCHIVES: [&str; 6] = ["tar", "tgz", "tbz2", "txz", "zip", "7z"];

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

    /// The documents of one file that is open already, read as its `path` tells.
    pub fn of_file(path: &Path, file: File, options: &ReadOptions) -> Result<Inputs, IntakeError> {
        let current = Some(documents(path, || Ok(file), options)?);
        Ok(Inputs { files: Vec::new().into_iter(), options: options.clone(), current })
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

/// The inputs in a directory, by name. Hidden files, directories and everything with another extension are left alone.
/// What has the name of an input and cannot be looked at is an error: nobody would miss it in what was taken.
fn directory(path: &Path) -> Result<Vec<PathBuf>, IntakeError> {
    let unreadable = |cause| IntakeError::Read { name: name_of(path), cause };
    let (mut files, mut unseen) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let file = entry.path();
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if is_hidden || format_of(&file).is_none() {
            continue;
        }
        match fs::metadata(&file) {
            Ok(metadata) if metadata.is_file() => files.push(file),
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => unseen.push((file, io::Error::other("not a regular file"))),
            Err(cause) => unseen.push((file, cause)),
        }
    }
    if !unseen.is_empty() {
        unseen.sort_by(|(a, _), (b, _)| a.cmp(b));
        return Err(IntakeError::Unseen { entries: unseen });
    }
    if files.is_empty() {
        return Err(IntakeError::EmptyDirectory { path: path.to_owned() });
    }
    files.sort();
    Ok(files)
}

fn open_file(path: &Path, options: &ReadOptions) -> Result<Documents, IntakeError> {
    if path == Path::new(STDIN) {
        return Ok(Documents::from_reader(name_of(path), io::stdin(), options));
    }
    documents(path, || File::open(path), options)
}

/// The documents of the file that `open` opens, read as its `path` tells.
fn documents(
    path: &Path,
    open: impl FnOnce() -> io::Result<File>,
    options: &ReadOptions,
) -> Result<Documents, IntakeError> {
    let name = name_of(path);
    let unreadable = |cause| IntakeError::Read { name: Arc::clone(&name), cause };
    let compression = Compression::of(path);
    if ARCHIVES.iter().any(|archive| has_extension(&uncompressed(path), archive)) {
        return Err(IntakeError::Archive { name });
    }
    let file = open().map_err(unreadable)?;
    let stream: Box<dyn Read + Send> = match compression {
        Some(compression) => compression.open(file).map_err(unreadable)?,
        None => Box::new(file),
    };
    let options = ReadOptions { format: options.format.or(format_of(path)), ..options.clone() };
    Ok(Documents::from_reader(name, stream, &options))
}

/// The path without the extension that tells how it is compressed.
fn uncompressed(path: &Path) -> PathBuf {
    if Compression::of(path).is_some() { path.with_extension("") } else { path.to_owned() }
}

/// The format that the extension tells, that of compression apart.
fn format_of(path: &Path) -> Option<Format> {
    let path = uncompressed(path);
    let known = [
        ("json", Format::Json),
        ("jsonl", Format::JsonLines),
        ("ndjson", Format::JsonLines),
        ("xyz", Format::Xyz),
        ("extxyz", Format::Xyz),
        ("sdf", Format::Sdf),
        ("sd", Format::Sdf),
        ("mol", Format::Sdf),
        ("psi4", Format::Psi4),
    ];
    known.into_iter().find(|(extension, _)| has_extension(&path, extension)).map(|(_, format)| format)
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|own| own.eq_ignore_ascii_case(extension))
}

fn name_of(path: &Path) -> Arc<str> {
    path.to_string_lossy().into()
}
