//! Texts with `{placeholders}` and the lists made of them (commands, directive lines). Pure.
//! Compiled and checked when the adapter is loaded, so that expanding one can fail only for want of a value.

use std::fmt;

use regex::Regex;

use super::values::{Format, ValueKind, Values};
use crate::scheduler::capabilities::Capabilities;
use crate::scheduler::version::VersionRange;

/// A placeholder that some part of an adapter may use.
#[derive(Clone, Copy, Debug)]
pub struct Placeholder {
    /// Its name between the braces.
    pub name: &'static str,
    /// What it stands for.
    pub kind: ValueKind,
    /// Whether it always has a value; one that has not may stand only in a piece that can vanish.
    pub always: bool,
}

/// A text with placeholders.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Literal(String),
    Value { name: &'static str, format: Format },
}

impl Template {
    /// Compiles `text`; `known` lists what may be used. Braces are doubled to stand for themselves.
    pub fn parse(text: &str, known: &[Placeholder]) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            if from.starts_with("{{") || from.starts_with("}}") {
                literal.push_str(&from[..1]);
                rest = &from[2..];
            } else if let Some(inner) = from.strip_prefix('{') {
                let end = inner.find('}').ok_or("`{` is never closed; write `{{` for a brace")?;
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(placeholder(&inner[..end], known)?);
                rest = &inner[end + 1..];
            } else {
                return Err("`}` without `{`; write `}}` for a brace".to_owned());
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        let template = Template { parts };
        template.check_lists(known)?;
        Ok(template)
    }

    /// A list that is not joined has to be the whole text: it becomes several words.
    fn check_lists(&self, known: &[Placeholder]) -> Result<(), String> {
        for part in &self.parts {
            if let Part::Value { name, format: Format::Plain } = part
                && known.iter().any(|one| one.name == *name && one.kind == ValueKind::List)
                && self.parts.len() > 1
            {
                return Err(format!(
                    "`{{{name}}}` is a list: let it stand alone, or join it as `{{{name}:,}}`"
                ));
            }
        }
        Ok(())
    }

    /// Names of the placeholders in it.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Value { name, .. } => Some(*name),
            Part::Literal(_) => None,
        })
    }

    /// Whether it is a value and nothing else.
    pub fn is_value_alone(&self) -> bool {
        matches!(self.parts.as_slice(), [Part::Value { .. }])
    }

    /// How many characters of it are always the same.
    pub fn literal_length(&self) -> usize {
        let length = |part: &Part| match part {
            Part::Literal(text) => text.len(),
            Part::Value { .. } => 0,
        };
        self.parts.iter().map(length).sum()
    }

    /// The text of each value in `word`, when it could have come of this template.
    pub fn unfill(&self, word: &str) -> Option<Vec<(&'static str, String)>> {
        unfill(&self.parts, word)
    }

    /// The words it stands for; `None` when a value is absent. More than one word only for a list standing alone.
    pub fn expand(&self, values: &Values) -> Option<Vec<String>> {
        if let [Part::Value { name, format }] = self.parts.as_slice() {
            return values.get(name).map(|value| value.write(format));
        }
        let mut word = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => word.push_str(text),
                Part::Value { name, format } => word.extend(values.get(name)?.write(format)),
            }
        }
        Some(vec![word])
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Literal(text) => f.write_str(text),
            Part::Value { name, .. } => write!(f, "{{{name}}}"),
        })
    }
}

/// A value takes as much as it can, as in a regex, so that what follows it is found at its last place.
fn unfill(parts: &[Part], word: &str) -> Option<Vec<(&'static str, String)>> {
    match parts {
        [] => word.is_empty().then(Vec::new),
        [Part::Literal(text), rest @ ..] => unfill(rest, word.strip_prefix(text.as_str())?),
        [Part::Value { name, .. }] => Some(vec![(*name, word.to_owned())]),
        [Part::Value { name, .. }, rest @ ..] => {
            let ends = word.char_indices().map(|(at, _)| at).chain([word.len()]).collect::<Vec<_>>();
            ends.into_iter().rev().find_map(|end| {
                let mut values = unfill(rest, &word[end..])?;
                values.insert(0, (*name, word[..end].to_owned()));
                Some(values)
            })
        }
    }
}

fn placeholder(inner: &str, known: &[Placeholder]) -> Result<Part, String> {
    let (name, format) = match inner.split_once(':') {
        Some((name, format)) => (name, Some(format)),
        None => (inner, None),
    };
    let Some(found) = known.iter().find(|one| one.name == name) else {
        let names: Vec<&str> = known.iter().map(|one| one.name).collect();
        return Err(format!("unknown placeholder `{{{name}}}`; here there are {}", names.join(", ")));
    };
    let format = Format::parse(found.kind, format)
        .map_err(|allowed| format!("`{{{inner}}}`: `{name}` needs {allowed}"))?;
    Ok(Part::Value { name: found.name, format })
}

/// A piece of a command or of the directives: one or more templates that appear or vanish together.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Appears only when this value is there.
    pub only_if: Option<&'static str>,
    /// Appears only when this value is not there.
    pub unless: Option<&'static str>,
    /// Appears only for these versions.
    pub versions: VersionRange,
    /// Appears only when these probed texts match; a text that was not told is empty.
    pub probed: Vec<(String, Regex)>,
    /// What appears; nothing of it when one of its values is absent.
    pub templates: Vec<Template>,
    /// Pieces whose words appear as one.
    pub joined: Option<Joined>,
}

/// Pieces of one word, such as `select=1:ncpus=4:mem=8192mb`: each may vanish by itself.
#[derive(Clone, Debug)]
pub struct Joined {
    /// What stands between them.
    pub by: String,
    /// The pieces.
    pub pieces: Vec<Piece>,
}

impl Piece {
    /// Names of the values that it may use.
    pub fn names(&self) -> Vec<&'static str> {
        let inner = self.joined.iter().flat_map(|joined| &joined.pieces).flat_map(Piece::names);
        self.templates.iter().flat_map(Template::names).chain(inner).collect()
    }

    fn words(&self, values: &Values, capabilities: &Capabilities) -> Option<Vec<String>> {
        if let Some(joined) = &self.joined {
            let words = expand(&joined.pieces, values, capabilities);
            return (!words.is_empty()).then(|| vec![words.join(&joined.by)]);
        }
        let words: Option<Vec<Vec<String>>> =
            self.templates.iter().map(|template| template.expand(values)).collect();
        words.map(|words| words.concat())
    }
}

/// Expands `pieces` into words.
pub fn expand(pieces: &[Piece], values: &Values, capabilities: &Capabilities) -> Vec<String> {
    pieces
        .iter()
        .filter(|piece| {
            piece.versions.contains(capabilities.version.as_ref())
                && piece.probed.iter().all(|(name, pattern)| pattern.is_match(capabilities.text(name)))
                && piece.only_if.is_none_or(|name| values.get(name).is_some())
                && piece.unless.is_none_or(|name| values.get(name).is_none())
        })
        .filter_map(|piece| piece.words(values, capabilities))
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::values::Value;
    use super::*;

    const KNOWN: [Placeholder; 3] = [
        Placeholder { name: "tag", kind: ValueKind::Plain, always: true },
        Placeholder { name: "queue", kind: ValueKind::Plain, always: false },
        Placeholder { name: "ids", kind: ValueKind::List, always: true },
    ];

    fn values() -> Values {
        let mut values = Values::default();
        values.set("tag", Value::Text("qcb-1".into()));
        values.set("ids", Value::List(vec!["1".into(), "2".into()]));
        values
    }

    #[test]
    fn values_take_their_places() {
        let expand = |text| Template::parse(text, &KNOWN).unwrap().expand(&values());
        assert_eq!(expand("--name={tag}"), Some(vec!["--name=qcb-1".into()]));
        assert_eq!(expand("{ids}"), Some(vec!["1".into(), "2".into()]));
        assert_eq!(expand("-j{ids:,}"), Some(vec!["-j1,2".into()]));
        assert_eq!(expand("{{tag}}"), Some(vec!["{tag}".into()]));
        assert_eq!(expand("-p{queue}"), None);
        assert_eq!(expand(""), Some(vec![String::new()]));
    }

    #[test]
    fn a_word_gives_its_values_back() {
        let unfill = |text, word| Template::parse(text, &KNOWN).unwrap().unfill(word);
        assert_eq!(unfill("--name={tag}", "--name=qcb-1"), Some(vec![("tag", "qcb-1".to_owned())]));
        assert_eq!(
            unfill("{tag}-{queue}", "a-b-c"),
            Some(vec![("tag", "a-b".into()), ("queue", "c".into())])
        );
        assert_eq!(unfill("-l", "-l"), Some(Vec::new()));
        assert_eq!(unfill("-l", "-lx"), None);
        assert_eq!(unfill("--name={tag}", "--tag=1"), None);
    }

    #[test]
    fn joined_pieces_are_one_word_without_those_that_vanish() {
        let simple = |text: &str| Piece {
            only_if: None,
            unless: None,
            probed: Vec::new(),
            versions: VersionRange::default(),
            templates: vec![Template::parse(text, &KNOWN).unwrap()],
            joined: None,
        };
        let pieces = vec![simple("select=1"), simple("queue={queue}"), simple("tag={tag}")];
        let joined = Piece { joined: Some(Joined { by: ":".into(), pieces }), ..simple("") };
        assert_eq!(expand(&[joined], &values(), &Capabilities::default()), ["select=1:tag=qcb-1"]);
    }

    #[test]
    fn mistakes_are_told_with_what_is_allowed() {
        let error = |text| Template::parse(text, &KNOWN).unwrap_err();
        assert_eq!(error("{tagg}"), "unknown placeholder `{tagg}`; here there are tag, queue, ids");
        assert!(error("{tag:iso}").contains("no format"));
        assert!(error("x{ids}").contains("stand alone"));
        assert!(error("{tag").contains("never closed"));
        assert!(error("tag}").contains("without"));
    }
}
