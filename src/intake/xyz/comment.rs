//! The comment line of extended XYZ cut into its words and `key=value` pairs, as ASE cuts it. Pure.

/// One word of a comment, or one `key=value`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pair {
    /// The word, or the key.
    pub(super) key: String,
    /// The value without its quotes or brackets; none of a word that stands alone.
    pub(super) value: Option<String>,
}

/// Cuts a comment. Quotes (`"`, `'`) and brackets (`{}`, `[]`) hold what is inside them together, a backslash takes the next
/// character as it is, and white space around `=` does not matter.
///
/// Two things differ. A quote that is not closed goes to the line's end in ASE; here that is an error where it would swallow
/// a `=`, for what looks like a key would be none. And an empty value in quotes ends where it ends.
pub(super) fn pairs(text: &str) -> Result<Vec<Pair>, String> {
    let mut pairs: Vec<Vec<String>> = vec![vec![String::new()]];
    let mut closing = None;
    let mut swallowed = String::new();
    let (mut escaped, mut quoted) = (false, false);
    for character in text.trim().chars() {
        let is_empty = !quoted && pairs.last().and_then(|pair| pair.last()).is_none_or(String::is_empty);
        if escaped {
            append(&mut pairs, character);
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if let Some(end) = closing {
            if character == end {
                (closing, quoted) = (None, true);
            } else {
                append(&mut pairs, character);
                swallowed.push(character);
            }
        } else if let Some(end) = closing_of(character) {
            closing = Some(end);
            swallowed.clear();
        } else if character.is_whitespace() {
            if !is_empty {
                pairs.push(vec![String::new()]);
                quoted = false;
            }
        } else if character == '=' {
            if pairs.len() > 1 && pairs.last().is_some_and(|pair| *pair == [""]) {
                pairs.pop();
            }
            pairs.last_mut().expect("there is always a pair").push(String::new());
            quoted = false;
        } else {
            append(&mut pairs, character);
        }
    }
    if closing.is_some() && swallowed.contains('=') {
        return Err("the comment opens a quote or bracket before a `=` and does not close it".to_owned());
    }
    let pair_of = |parts: Vec<String>| {
        let value = (parts.len() > 1).then(|| parts[1..].join("="));
        Pair { key: parts.into_iter().next().unwrap_or_default(), value }
    };
    Ok(pairs.into_iter().map(pair_of).filter(|pair| !pair.key.is_empty() || pair.value.is_some()).collect())
}

fn append(pairs: &mut [Vec<String>], character: char) {
    if let Some(text) = pairs.last_mut().and_then(|pair| pair.last_mut()) {
        text.push(character);
    }
}

fn closing_of(opening: char) -> Option<char> {
    Some(match opening {
        '"' | '\'' => opening,
        '{' => '}',
        '[' => ']',
        _ => return None,
    })
}
