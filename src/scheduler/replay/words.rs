//! One word of an adapter's command, and what a recorded word says it stood for. Pure.

use std::fmt;

use crate::scheduler::adapter::template::{Joined, Piece, Template};

/// One word of an adapter's command.
pub(super) enum Word<'a> {
    Plain(&'a Template),
    Joined(&'a Joined),
}

impl Word<'_> {
    /// What each placeholder stood for, when `word` could have come of this.
    pub fn unfill(&self, word: &str) -> Option<Vec<(&'static str, String)>> {
        match self {
            Word::Plain(template) => template.unfill(word),
            Word::Joined(joined) => unjoin(joined, word),
        }
    }

    pub fn names(&self) -> Vec<&'static str> {
        match self {
            Word::Plain(template) => template.names().collect(),
            Word::Joined(joined) => joined.pieces.iter().flat_map(Piece::names).collect(),
        }
    }

    pub fn is_value_alone(&self) -> bool {
        matches!(self, Word::Plain(template) if template.is_value_alone())
    }

    pub fn literal_length(&self) -> usize {
        match self {
            Word::Plain(template) => template.literal_length(),
            Word::Joined(joined) => {
                let templates = joined.pieces.iter().flat_map(|piece| &piece.templates);
                templates.map(Template::literal_length).sum()
            }
        }
    }
}

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Word::Plain(template) => template.fmt(f),
            Word::Joined(joined) => {
                let templates = joined.pieces.iter().flat_map(|piece| &piece.templates);
                f.write_str(&templates.map(ToString::to_string).collect::<Vec<_>>().join(&joined.by))
            }
        }
    }
}

/// The parts of `word`, each of which has to come of one of the pieces, in their order; any of those may be absent.
fn unjoin(joined: &Joined, word: &str) -> Option<Vec<(&'static str, String)>> {
    let mut templates = joined.pieces.iter().flat_map(|piece| &piece.templates);
    let mut values = Vec::new();
    for part in word.split(joined.by.as_str()) {
        values.extend(templates.find_map(|template| template.unfill(part))?);
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::adapter::messages::Verb;
    use crate::scheduler::adapter::placeholders::of_verb;
    use crate::scheduler::version::VersionRange;

    #[test]
    fn a_joined_word_is_known_by_its_parts_in_order() {
        let piece = |text: &str| Piece {
            only_if: None,
            unless: None,
            versions: VersionRange::default(),
            probed: Vec::new(),
            templates: vec![Template::parse(text, &of_verb(Verb::Submit)).unwrap()],
            joined: None,
        };
        let pieces =
            vec![piece("select={nodes}"), piece("ncpus={cores_per_node}"), piece("mem={memory:MiB}mb")];
        let joined = Joined { by: ":".to_owned(), pieces };
        let values = unjoin(&joined, "select=2:mem=100mb").unwrap();
        assert_eq!(values, [("nodes", "2".to_owned()), ("memory", "100".to_owned())]);
        assert_eq!(unjoin(&joined, "select=2:ngpus=1"), None);
        assert_eq!(unjoin(&joined, "mem=100mb:select=2"), None);
    }
}
