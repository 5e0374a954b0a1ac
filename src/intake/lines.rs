//! JSON lines: one document a line, blank lines ignored, a broken line an error of its own.

use super::IntakeError;
use super::json::Scan;
use super::text::TextReader;

/// The next line that is not blank, and its number.
pub(super) fn next(reader: &mut TextReader) -> Result<Option<(u64, String)>, IntakeError> {
    while let Some((line, text)) = reader.next_line()? {
        if !text.trim().is_empty() {
            return Ok(Some((line, text)));
        }
    }
    Ok(None)
}

/// Whether a stream that starts with these bytes, the first a `{`, has a whole object on its first line and more lines.
pub(super) fn looks_like_lines(start: &[u8]) -> bool {
    let Some(end) = start.iter().position(|byte| *byte == b'\n') else {
        return false;
    };
    let object_end = Scan::default().end_of_value(&start[..end]);
    object_end.is_some_and(|object_end| start[object_end..end].iter().all(u8::is_ascii_whitespace))
}
