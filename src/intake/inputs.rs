//! Paths as the user gives them (files, directories, `-`) into documents. Opens one file at a time.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};

use super::compressed::Compression;
use super::{Document, Documents, Format, IntakeError, Opening, ReadOptions};

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
    let name = name_of(path);
    if path == Path::new(STDIN) {
        return Ok(Documents::from_reader(name, io::stdin(), options));
    }
    let unreadable = |cause| IntakeError::Read { name: Arc::clone(&name), cause };
    let compression = Compression::of(path);
    if ARCHIVES.iter().any(|archive| has_extension(&uncompressed(path), archive)) {
        return Err(IntakeError::Archive { name });
    }
    let file = open_as(options.opening, path).map_err(unreadable)?;
    let stream: Box<dyn Read + Send> = match compression {
        Some(compression) => compression.open(file).map_err(unreadable)?,
        None => Box::new(file),
    };
    let options = ReadOptions { format: options.format.or(format_of(path)), ..options.clone() };
    Ok(Documents::from_reader(name, stream, &options))
}

fn open_as(opening: Opening, path: &Path) -> io::Result<File> {
    match opening {
        Opening::Anything => File::open(path),
        Opening::RegularFile => {
            let file = File::options().read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path)?;
            match file.metadata()?.is_file() {
                true => Ok(file),
                false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn what_others_wrote_is_opened_only_if_it_is_a_regular_file() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        std::fs::write(at("file.json"), "{}").unwrap();
        symlink(at("file.json"), at("link.json")).unwrap();
        mkfifo(&at("fifo.json"), Mode::S_IRWXU).unwrap();
        let options = ReadOptions { opening: Opening::RegularFile, ..ReadOptions::default() };
        assert!(open_file(&at("file.json"), &options).is_ok());
        for name in ["link.json", "fifo.json"] {
            assert!(matches!(open_file(&at(name), &options), Err(IntakeError::Read { .. })), "{name}");
        }
        assert!(open_file(&at("link.json"), &ReadOptions::default()).is_ok(), "a user may name a link");
    }
}
