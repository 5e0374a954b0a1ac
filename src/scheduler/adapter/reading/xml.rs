//! Rows from XML. Pure. Knows elements, attributes, character references and CDATA, which is all that schedulers write;
//! a document that does not close was cut short and counts as none.

use super::{Row, Unreadable};

/// Where rows are in an XML document.
#[derive(Clone, Debug)]
pub struct XmlReading {
    /// The name of the outermost element: another one is another answer.
    pub root: String,
    /// The elements that are rows; the elements without elements inside them are its fields, the first of a name counts.
    pub rows: String,
}

enum Token<'t> {
    Open { name: &'t str, closes_itself: bool },
    Close { name: &'t str },
    Text { text: &'t str, literal: bool },
}

impl XmlReading {
    pub(super) fn rows(&self, text: &str) -> Result<Vec<Row>, Unreadable> {
        let broken = |what| Unreadable::new(what, text);
        let start = text.find('<').ok_or_else(|| broken("an answer without XML"))?;
        let mut rest = &text[start..];
        let mut rows = Vec::new();
        let mut row: Option<(usize, Row)> = None;
        // Names of the open elements.
        let mut open: Vec<&str> = Vec::new();
        let mut content = String::new();
        while let Some(token) = next(&mut rest).ok_or_else(|| broken("XML that is cut short"))? {
            match token {
                Token::Open { name, closes_itself } => {
                    if open.is_empty() && name != self.root {
                        return Err(broken("another XML document than expected"));
                    }
                    content.clear();
                    if closes_itself {
                        continue;
                    }
                    open.push(name);
                    if name == self.rows && row.is_none() {
                        row = Some((open.len(), Row::default()));
                    }
                }
                Token::Close { name } => {
                    if open.last() != Some(&name) {
                        return Err(broken("XML whose elements do not match"));
                    }
                    if let Some((_, done)) = row.take_if(|(depth, _)| *depth == open.len()) {
                        rows.push(done);
                    } else if let Some((_, row)) = row.as_mut().filter(|(_, row)| row.get(name).is_none()) {
                        row.set(name, &content);
                    }
                    content.clear();
                    open.pop();
                    if open.is_empty() {
                        return Ok(rows);
                    }
                }
                Token::Text { text, literal: true } => content.push_str(text),
                Token::Text { text, literal: false } => unescape(text, &mut content),
            }
        }
        Err(broken("XML that is cut short"))
    }
}

/// Takes the next token off `rest`: `Some(None)` at its end, `None` where a tag does not end.
fn next<'t>(rest: &mut &'t str) -> Option<Option<Token<'t>>> {
    loop {
        let text = *rest;
        if text.is_empty() {
            return Some(None);
        }
        let mut until = |begin: &str, end: &str| -> Option<&'t str> {
            let inner = text.strip_prefix(begin)?;
            let at = inner.find(end)?;
            *rest = &inner[at + end.len()..];
            Some(&inner[..at])
        };
        if !text.starts_with('<') {
            let end = text.find('<').unwrap_or(text.len());
            *rest = &text[end..];
            return Some(Some(Token::Text { text: &text[..end], literal: false }));
        }
        if text.starts_with("<!--") {
            until("<!--", "-->")?;
        } else if text.starts_with("<![CDATA[") {
            return Some(Some(Token::Text { text: until("<![CDATA[", "]]>")?, literal: true }));
        } else if text.starts_with("<?") {
            until("<?", "?>")?;
        } else if text.starts_with("<!") {
            until("<!", ">")?;
        } else if text.starts_with("</") {
            return Some(Some(Token::Close { name: until("</", ">")?.trim_end() }));
        } else {
            return tag(rest).map(Some);
        }
    }
}

/// A start tag; a `>` inside quotes does not end it.
fn tag<'t>(rest: &mut &'t str) -> Option<Token<'t>> {
    let mut quote = None;
    let end = rest.char_indices().find_map(|(at, c)| {
        match (quote, c) {
            (None, '>') => return Some(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(begun), c) if begun == c => quote = None,
            _ => {}
        }
        None
    })?;
    let inner = &rest[1..end];
    *rest = &rest[end + 1..];
    let closes_itself = inner.ends_with('/');
    let name = inner.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or(inner);
    Some(Token::Open { name, closes_itself })
}

/// Appends `text` with its character references resolved; an unknown one stays as it is.
fn unescape(text: &str, into: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        into.push_str(&rest[..at]);
        rest = &rest[at..];
        let reference = rest.find(';').map(|end| (&rest[1..end], end));
        match reference.and_then(|(name, end)| Some((character(name)?, end))) {
            Some((c, end)) => {
                into.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                into.push('&');
                rest = &rest[1..];
            }
        }
    }
    into.push_str(rest);
}

fn character(name: &str) -> Option<char> {
    let number = |text: &str, radix| char::from_u32(u32::from_str_radix(text, radix).ok()?);
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => match name.strip_prefix('#')? {
            hexadecimal if hexadecimal.starts_with(['x', 'X']) => number(&hexadecimal[1..], 16),
            decimal => number(decimal, 10),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<Row>, Unreadable> {
        XmlReading { root: "jobs".into(), rows: "job".into() }.rows(text)
    }

    const TWO: &str = "<?xml version='1.0'?>\n<!-- two -->\n<jobs a=\"x>y\"><list><job state='r'><id>1</id>\
        <name>a&lt;b&amp;&#65;&#x42;&odd;</name><more><host/><id>9</id><text><![CDATA[<raw>&amp;]]></text></more></job>\
        <job><id>2</id></job></list></jobs>\n";

    #[test]
    fn elements_become_rows_and_fields() {
        let rows = read(TWO).unwrap();
        assert_eq!(rows.len(), 2);
        let fields = ["id", "name", "text", "host"].map(|field| rows[0].get(field));
        assert_eq!(fields, [Some("1"), Some("a<b&AB&odd;"), Some("<raw>&amp;"), None]);
        assert_eq!(rows[1].get("id"), Some("2"));
        assert_eq!(read("<jobs></jobs>").unwrap(), []);
    }

    #[test]
    fn what_is_cut_short_is_no_answer() {
        let end = TWO.find("</jobs>").unwrap() + "</jobs>".len();
        for cut in 0..end {
            assert!(read(&TWO[..cut]).is_err(), "{}", &TWO[..cut]);
        }
    }

    #[test]
    fn what_does_not_fit_is_no_answer() {
        for text in
            ["", "busy, try again", "<unknown_jobs ><id>1</id></unknown_jobs>", "<jobs><job></jobs></job>"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in r#"(<|>|/|jobs?|&|#|;|"|!--|\[CDATA\[|\PC){0,60}"#) {
            let _ = read(&text);
            let _ = read(&format!("<jobs>{text}"));
        }
    }
}
