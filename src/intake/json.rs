//! Cuts a stream of JSON into its objects: a single one, a list's, or several one after the other.
//!
//! Only brackets and strings are looked at; whether an object is valid JSON shows when it is read.

use super::IntakeError;
use super::text::TextReader;

/// Where in the stream we are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first value, or between values that follow each other.
    Outside,
    /// Behind a list's `[`.
    ListStart,
    /// Behind an element of a list.
    Element,
    /// Behind a list's `]`.
    ListEnd,
}

/// The state of cutting.
pub(super) struct JsonValues {
    place: Place,
}

impl JsonValues {
    pub(super) fn new() -> JsonValues {
        JsonValues { place: Place::Outside }
    }

    /// The next value's first line and text.
    pub(super) fn next(&mut self, reader: &mut TextReader) -> Result<Option<(u64, String)>, IntakeError> {
        let Some(mut byte) = reader.skip_space()? else {
            return match self.place {
                Place::Outside | Place::ListEnd => Ok(None),
                _ => Err(reader.malformed(reader.line, "the list does not end (`]` expected)".to_owned())),
            };
        };
        if self.place == Place::Outside && byte == b'[' {
            reader.take(1);
            self.place = Place::ListStart;
            return self.next(reader);
        }
        match (self.place, byte) {
            (Place::ListEnd, _) => {
                return Err(
                    reader.malformed(reader.line, "text behind the list (nothing expected)".to_owned())
                );
            }
            (Place::ListStart | Place::Element, b']') => {
                reader.take(1);
                self.place = Place::ListEnd;
                return self.next(reader);
            }
            (Place::Element, b',') => {
                reader.take(1);
                byte = reader.skip_space()?.unwrap_or(b',');
            }
            (Place::Element, _) => {
                return Err(
                    reader.malformed(reader.line, "no comma between two elements of the list".to_owned())
                );
            }
            (Place::Outside | Place::ListStart, _) => {}
        }
        if self.place != Place::Outside {
            self.place = Place::Element;
        }
        if byte != b'{' {
            return Err(reader.malformed(reader.line, format!("`{}` (`{{` expected)", byte.escape_ascii())));
        }
        object(reader).map(Some)
    }
}

/// Reads one object from its `{` to the bracket that closes it.
fn object(reader: &mut TextReader) -> Result<(u64, String), IntakeError> {
    let line = reader.line;
    let mut text = Vec::new();
    let mut scan = Scan::default();
    loop {
        let waiting = reader.peek()?;
        if waiting.is_empty() {
            return Err(reader.malformed(line, "the object that starts here does not end".to_owned()));
        }
        match scan.end_of_value(waiting) {
            Some(end) => {
                reader.take_into(&mut text, end, line)?;
                return Ok((line, reader.utf8(text, line)?));
            }
            None => {
                let all = waiting.len();
                reader.take_into(&mut text, all, line)?;
            }
        }
    }
}

/// How deep in brackets, and whether in a string.
#[derive(Default)]
pub(super) struct Scan {
    depth: u64,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    /// Goes through `bytes`; the number of them that end the value, if it ends here.
    pub(super) fn end_of_value(&mut self, bytes: &[u8]) -> Option<usize> {
        for (position, byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(position + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}
