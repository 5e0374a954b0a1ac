//! A byte stream with line numbers and a limit on how much of it is held at once.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use super::IntakeError;
use crate::model::qcschema::MAX_DOCUMENT_BYTES;

const BUFFER_BYTES: usize = 64 << 10;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A stream being cut into documents.
pub(super) struct TextReader {
    pub(super) name: Arc<str>,
    /// The line of the next byte, from 1.
    pub(super) line: u64,
    stream: BufReader<Box<dyn Read + Send>>,
}

impl TextReader {
    pub(super) fn new(name: Arc<str>, stream: Box<dyn Read + Send>) -> TextReader {
        TextReader { name, line: 1, stream: BufReader::with_capacity(BUFFER_BYTES, stream) }
    }

    /// Bytes that wait to be read; empty only at the end.
    pub(super) fn peek(&mut self) -> Result<&[u8], IntakeError> {
        loop {
            match self.stream.fill_buf() {
                Ok(_) => break,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(IntakeError::Read { name: Arc::clone(&self.name), cause }),
            }
        }
        Ok(self.stream.buffer())
    }

    /// Takes `count` of the bytes that `peek` showed.
    pub(super) fn take(&mut self, count: usize) {
        let taken = &self.stream.buffer()[..count];
        self.line += taken.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.stream.consume(count);
    }

    /// Moves the first `count` bytes that `peek` showed to the end of `text`, which started on `line`.
    pub(super) fn take_into(
        &mut self,
        text: &mut Vec<u8>,
        count: usize,
        line: u64,
    ) -> Result<(), IntakeError> {
        if text.len() + count > MAX_DOCUMENT_BYTES {
            return Err(self.malformed(line, format!("a document of more than {MAX_DOCUMENT_BYTES} bytes")));
        }
        text.extend_from_slice(&self.stream.buffer()[..count]);
        self.take(count);
        Ok(())
    }

    /// Skips a byte-order mark; call it once, at the start.
    pub(super) fn skip_byte_order_mark(&mut self) -> Result<(), IntakeError> {
        if self.peek()?.starts_with(BYTE_ORDER_MARK) {
            self.take(BYTE_ORDER_MARK.len());
        }
        Ok(())
    }

    /// Skips white space and gives the byte behind it.
    pub(super) fn skip_space(&mut self) -> Result<Option<u8>, IntakeError> {
        loop {
            let waiting = self.peek()?;
            if waiting.is_empty() {
                return Ok(None);
            }
            match waiting.iter().position(|byte| !byte.is_ascii_whitespace()) {
                Some(spaces) => {
                    let next = waiting[spaces];
                    self.take(spaces);
                    return Ok(Some(next));
                }
                None => {
                    let spaces = waiting.len();
                    self.take(spaces);
                }
            }
        }
    }

    /// The next line without its end, and its number; nothing at the end of the stream.
    pub(super) fn next_line(&mut self) -> Result<Option<(u64, String)>, IntakeError> {
        match self.next_bytes()? {
            Some((line, text)) => Ok(Some((line, self.utf8(text, line)?))),
            None => Ok(None),
        }
    }

    /// The same of a format that does not say how its text is encoded: what is not UTF-8 is taken as Latin-1.
    pub(super) fn next_latin_line(&mut self) -> Result<Option<(u64, String)>, IntakeError> {
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes)
                .unwrap_or_else(|error| error.as_bytes().iter().copied().map(char::from).collect())
        };
        Ok(self.next_bytes()?.map(|(line, bytes)| (line, text(bytes))))
    }

    fn next_bytes(&mut self) -> Result<Option<(u64, Vec<u8>)>, IntakeError> {
        let line = self.line;
        let mut text = Vec::new();
        loop {
            let waiting = self.peek()?;
            if waiting.is_empty() {
                if text.is_empty() {
                    return Ok(None);
                }
                break;
            }
            match waiting.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.take_into(&mut text, end, line)?;
                    self.take(1);
                    break;
                }
                None => {
                    let all = waiting.len();
                    self.take_into(&mut text, all, line)?;
                }
            }
        }
        if text.last() == Some(&b'\r') {
            text.pop();
        }
        Ok(Some((line, text)))
    }

    /// Whether nothing but white space waits, as far as a buffer reaches. Takes nothing.
    pub(super) fn is_blank_to_its_end(&mut self) -> Result<bool, IntakeError> {
        Ok(self.peek()?.iter().all(u8::is_ascii_whitespace))
    }

    pub(super) fn utf8(&self, text: Vec<u8>, line: u64) -> Result<String, IntakeError> {
        String::from_utf8(text).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = line + before.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.malformed(line, "not UTF-8 text".to_owned())
        })
    }

    pub(super) fn malformed(&self, line: u64, reason: String) -> IntakeError {
        IntakeError::Malformed { name: Arc::clone(&self.name), line, reason }
    }
}
