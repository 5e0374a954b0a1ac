//! How large a JSON text is before it is parsed: a value costs many times the bytes that it is written with. Pure.

use super::qcschema::InputError;

/// An upper bound of the number of values in a JSON text: one more than its commas and colons, and its opening brackets.
/// Passes over the text once; what is in strings does not count.
pub fn elements(json: &[u8]) -> usize {
    let (mut count, mut position) = (1, 0);
    while let Some(byte) = json.get(position) {
        match byte {
            b'"' => position = end_of_string(json, position),
            b',' | b':' | b'[' | b'{' => count += 1,
            _ => {}
        }
        position += 1;
    }
    count
}

/// The position of the quotation mark that ends the string which begins at `start`.
fn end_of_string(json: &[u8], start: usize) -> usize {
    let mut position = start + 1;
    while let Some(byte) = json.get(position) {
        match byte {
            b'"' => return position,
            b'\\' => position += 2,
            _ => position += 1,
        }
    }
    position
}

/// How large a document may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DocumentLimits {
    /// Maximum number of bytes.
    pub bytes: u64,
    /// Maximum number of values.
    pub elements: u32,
}

impl DocumentLimits {
    /// Refuses a document that is too large, and names the member that makes it so.
    pub fn check(&self, text: &str) -> Result<(), InputError> {
        let (reason, most) = if text.len() as u64 > self.bytes {
            (format!("the document has {} bytes", text.len()), format!("at most {} bytes", self.bytes))
        } else if text.len() / 2 > self.elements as usize
            && elements(text.as_bytes()) > self.elements as usize
        {
            let values = elements(text.as_bytes());
            (format!("the document has {values} values"), format!("at most {} values", self.elements))
        } else {
            return Ok(());
        };
        let share = largest_member(text);
        let here = share.as_ref().map_or_else(String::new, |share| {
            format!(", of which {} bytes and {} values are here", share.bytes, share.elements)
        });
        let path = share.map_or_else(|| "$".to_owned(), |share| format!("$.{}", share.path));
        let allowed = format!("{most}; `[intake]` says how many are taken");
        Err(InputError::new(path, format!("{reason}{here}"), allowed))
    }
}

/// A member of a JSON document, and how much of the text it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Share {
    /// Where it is, as in `molecule.geometry`.
    pub path: String,
    /// Bytes of its text.
    pub bytes: usize,
    /// Its values, as [`elements`] counts them.
    pub elements: usize,
}

/// Names of a path, beyond which nobody looks for the culprit.
const DEEPEST: usize = 4;

/// The member that makes the document large: in each object the largest one, as long as it is most of it. None where the
/// text is no JSON object.
pub fn largest_member(json: &str) -> Option<Share> {
    let mut found: Option<Share> = None;
    let mut text = json;
    for _ in 0..DEEPEST {
        let Ok(members) = serde_json::from_str::<Members<'_>>(text) else { break };
        let Some((name, value)) = members.0.into_iter().max_by_key(|(_, value)| value.len()) else { break };
        if value.len() * 2 < text.len() {
            break;
        }
        let path = found.map_or_else(String::new, |share| share.path + ".") + &name;
        found = Some(Share { path, bytes: value.len(), elements: elements(value.as_bytes()) });
        text = value;
    }
    found
}

/// The members of an object with the texts of their values.
struct Members<'a>(Vec<(String, &'a str)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> serde::de::Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some((name, value)) = members.next_entry::<String, &serde_json::value::RawValue>()? {
            all.push((name, value.get()));
        }
        Ok(Members(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_without_parsing_and_strings_do_not_count() {
        assert_eq!(elements(b"1"), 1);
        assert_eq!(elements(b"[1,2,3]"), 4);
        assert_eq!(elements(br#"{"a": [1, 2], "b": "x,y:[{\\\","}"#), 7);
        let long = format!("[{}0]", "0,".repeat(1000));
        assert_eq!(elements(long.as_bytes()), 1002);
        assert_eq!(elements(b"\"unfinished, \\"), 1);
    }

    #[test]
    fn a_document_beyond_the_limits_is_refused_with_the_member_that_is_large() {
        let limits = DocumentLimits { bytes: 10_000, elements: 1_000 };
        let text = |values: usize| format!(r#"{{"keywords": {{"points": [{}0]}}}}"#, "0,".repeat(values));
        limits.check(&text(900)).unwrap();
        let error = limits.check(&text(2_000)).unwrap_err();
        assert_eq!(error.path, "$.keywords.points");
        assert_eq!(
            error.reason,
            "the document has 2006 values, of which 4003 bytes and 2002 values are here"
        );
        assert!(error.expected.starts_with("at most 1000 values"), "{}", error.expected);
        let error = limits.check(&text(6_000)).unwrap_err();
        assert!(error.reason.starts_with("the document has 12029 bytes"), "{}", error.reason);
    }

    #[test]
    fn the_member_that_makes_a_document_large_is_named() {
        let many = format!("[{}0]", "0,".repeat(1000));
        let text =
            format!(r#"{{"molecule": {{}}, "input": {{"keywords": {{"small": 1, "points": {many}}}}}}}"#);
        let share = largest_member(&text).unwrap();
        assert_eq!((share.path.as_str(), share.elements), ("input.keywords.points", 1002));
        assert_eq!(largest_member("[1, 2]"), None);
        assert_eq!(largest_member("{"), None);
    }
}
