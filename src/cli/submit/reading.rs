//! From the inputs named on the command line to the lines of the request, in constant memory.
//! Reads files and standard input; runs on a blocking thread.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use serde_json::value::RawValue;
use tokio::sync::mpsc::Sender;

use super::args::DocumentArgs;
use crate::api::wire::{DocumentLine, Problem, SubmitOptions};
use crate::cli::error::CliError;
use crate::cli::screen::Screen;
use crate::intake::{Content, Document, Documents, Inputs, IntakeError, ReadOptions, STDIN};
use crate::model::qcschema;

/// Bytes of one piece of the request.
const PIECE: usize = 128 << 10;

/// Between two updates of the line of progress.
const PROGRESS_PAUSE: Duration = Duration::from_millis(200);

/// The inputs and the line of options that goes before them. Clones send the same again.
#[derive(Clone)]
pub(super) struct Source {
    paths: Vec<PathBuf>,
    read: ReadOptions,
    options: Vec<u8>,
    /// Standard input, once it was read.
    stdin: Arc<OnceLock<File>>,
}

/// Where the request's lines go: pieces are sent as they fill.
struct Outlet<'a> {
    pieces: &'a Sender<Option<Bytes>>,
    piece: Vec<u8>,
}

/// The daemon has answered before the end: it will say why.
struct Answered;

impl Source {
    pub(super) fn new(args: &DocumentArgs, options: &SubmitOptions) -> Result<Source, CliError> {
        let read = ReadOptions { format: None, charge: args.charge, multiplicity: args.multiplicity };
        let options = serde_json::to_vec(options).map_err(|source| CliError::Render { source })?;
        Ok(Source { paths: args.inputs.clone(), read, options, stdin: Arc::default() })
    }

    /// Sends everything and then the end. Returns early, and well, when the daemon does not listen any more.
    pub(super) fn send_to(self, pieces: &Sender<Option<Bytes>>, screen: &Screen) -> Result<(), CliError> {
        let mut outlet = Outlet { pieces, piece: Vec::with_capacity(PIECE) };
        if outlet.line(&self.options).is_err() {
            return Ok(());
        }
        let (mut sent, mut told) = (0u64, Instant::now());
        for path in &self.paths {
            for document in self.documents(path)? {
                let line = line_of(document?)?;
                if outlet.line(&line).is_err() {
                    return Ok(());
                }
                sent += 1;
                if told.elapsed() >= PROGRESS_PAUSE {
                    screen.progress(&format!("sending documents: {sent}"));
                    told = Instant::now();
                }
            }
        }
        // A daemon that has gone away is reported by the request itself.
        let _ = outlet.end();
        Ok(())
    }

    /// The documents of one path.
    fn documents(
        &self,
        path: &Path,
    ) -> Result<Box<dyn Iterator<Item = Result<Document, CliError>>>, CliError> {
        if path == Path::new(STDIN) {
            let documents = Documents::from_reader(STDIN, self.stdin()?, &self.read);
            return Ok(Box::new(documents.map(|document| document.map_err(refused))));
        }
        let inputs = Inputs::open([path.to_owned()], &self.read).map_err(refused)?;
        Ok(Box::new(inputs.map(|document| document.map_err(refused))))
    }
}

impl Source {
    /// Standard input from its start to its end. A slow pipe is read to its end first, into a file without a name: the
    /// daemon's transaction does not wait for it, and it can be sent again.
    fn stdin(&self) -> Result<File, CliError> {
        let failed = |source| CliError::Read { path: PathBuf::from("standard input"), source };
        if self.stdin.get().is_none() {
            let mut file = tempfile::tempfile().map_err(failed)?;
            io::copy(&mut io::stdin().lock(), &mut file).map_err(failed)?;
            // Nobody else reads it: one request follows the other.
            let _ = self.stdin.set(file);
        }
        let missing = || failed(io::ErrorKind::NotFound.into());
        let mut file = self.stdin.get().ok_or_else(missing)?.try_clone().map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        Ok(file)
    }
}

impl Outlet<'_> {
    fn line(&mut self, line: &[u8]) -> Result<(), Answered> {
        self.piece.extend_from_slice(line);
        self.piece.push(b'\n');
        if self.piece.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Answered> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.pieces.blocking_send(Some(Bytes::from(piece))).map_err(|_| Answered)
    }

    fn end(mut self) -> Result<(), Answered> {
        self.flush()?;
        self.pieces.blocking_send(None).map_err(|_| Answered)
    }
}

/// The line of one document. Line ends inside it become carriage returns, which its JSON takes for white space too.
fn line_of(document: Document) -> Result<Vec<u8>, CliError> {
    let (source, line) = (document.source.to_string(), document.line);
    let document = match document.content {
        Content::Json(text) => RawValue::from_string(text.replace("\r\n", "\n").replace('\n', "\r"))
            .map_err(|error| not_json(&source, line, &text, &error))?,
        Content::Molecule(molecule) => RawValue::from_string(molecule.to_qcschema().to_string())
            .map_err(|source| CliError::Render { source })?,
    };
    serde_json::to_vec(&DocumentLine { source, line, document }).map_err(|source| CliError::Render { source })
}

/// The fault in `text`, which starts on `line` of its source.
fn not_json(source: &str, line: u64, text: &str, error: &serde_json::Error) -> CliError {
    let problem = match qcschema::syntax_error(text) {
        Some(fault) => Problem {
            source: source.to_owned(),
            line: Some(line + fault.line_offset),
            path: String::new(),
            reason: fault.message(),
        },
        None => Problem {
            source: source.to_owned(),
            line: Some(line),
            path: String::new(),
            reason: format!("not valid JSON: {error}"),
        },
    };
    input_error(problem)
}

fn refused(error: IntakeError) -> CliError {
    match (Problem::of_intake(&error), error) {
        (Some(problem), _) => input_error(problem),
        (None, IntakeError::Read { name, cause }) => {
            CliError::Read { path: PathBuf::from(&*name), source: cause }
        }
        (None, other) => CliError::Input { message: other.to_string(), problems: Vec::new() },
    }
}

fn input_error(problem: Problem) -> CliError {
    CliError::Input {
        message: "a document is refused; nothing was stored".to_owned(),
        problems: vec![problem],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<String, CliError> {
        let document = Document { source: "a.json".into(), line: 7, content: Content::Json(text.to_owned()) };
        line_of(document).map(|line| String::from_utf8(line).unwrap())
    }

    #[test]
    fn a_document_of_several_lines_travels_on_one() {
        let sent = line("{\r\n  \"a\": \"x\\ny\",\n  \"b\": 1\n}").unwrap();
        assert_eq!(
            sent,
            "{\"source\":\"a.json\",\"line\":7,\"document\":{\r  \"a\": \"x\\ny\",\r  \"b\": 1\r}}"
        );
        let read: DocumentLine = serde_json::from_str(&sent).unwrap();
        assert_eq!(read.document.get().replace('\r', "\n"), "{\n  \"a\": \"x\\ny\",\n  \"b\": 1\n}");
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for (text, expected) in [
            ("{\"a\": }", "a.json:7: not valid JSON at column 7: expected value"),
            ("{\r\n \"a\": 1,\n \"b\" 2}", "a.json:9: not valid JSON at column 6: expected `:`"),
            (
                "{\n \"a\": [1,\n NaN]}",
                "a.json:9: not valid JSON at column 2: NaN is no number of JSON (a finite number, or text expected)",
            ),
            (
                "{\"a\": -Infinity}",
                "a.json:7: not valid JSON at column 8: -Infinity is no number of JSON (a finite number, or text expected)",
            ),
        ] {
            let error = line(text).unwrap_err();
            let CliError::Input { problems, .. } = error else { panic!("{error}") };
            assert_eq!(problems[0].to_string(), expected);
        }
    }
}
