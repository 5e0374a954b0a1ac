//! The columns of an XYZ file's atoms: `symbol x y z`, or what `Properties` of extended XYZ says. Pure.

use super::{number, shortened};
use crate::model::molecule::Element;

/// Where in a line of an atom its element and its place stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Columns {
    symbol: Option<usize>,
    atomic_number: Option<usize>,
    position: usize,
    /// The columns that each line must have.
    least: usize,
    /// Whether they were given by `Properties`.
    named: bool,
}

/// One atom's line.
pub(super) struct Atom {
    pub(super) element: Element,
    pub(super) position: [f64; 3],
}

impl Columns {
    /// Those of plain XYZ; what follows (charges, velocities) is ignored.
    pub(super) fn plain() -> Columns {
        Columns { symbol: Some(0), atomic_number: None, position: 1, least: 4, named: false }
    }

    /// Those that `Properties` names: `name:type:columns`, again and again.
    pub(super) fn named(properties: &str) -> Result<Columns, String> {
        let wrong = |expected: &str| format!("`Properties={}` ({expected} expected)", shortened(properties));
        let words: Vec<&str> = properties.split(':').collect();
        let (triples, rest) = words.as_chunks::<3>();
        if triples.is_empty() || !rest.is_empty() {
            return Err(wrong("`name:type:columns`, such as `species:S:1:pos:R:3`,"));
        }
        let (mut symbol, mut atomic_number, mut position, mut next) = (None, None, None, 0);
        for [name, kind, columns] in triples {
            let columns: usize = columns
                .parse()
                .ok()
                .filter(|columns| (1..1000).contains(columns))
                .ok_or_else(|| wrong("a number of columns"))?;
            match (*name, *kind, columns) {
                ("species" | "symbols", "S", 1) => symbol = Some(next),
                ("Z" | "numbers", "I", 1) => atomic_number = Some(next),
                ("pos" | "positions", "R", 3) => position = Some(next),
                (_, "R" | "I" | "S" | "L", _) => {}
                _ => return Err(wrong("types R, I, S and L")),
            }
            next += columns;
        }
        match position {
            Some(position) if symbol.is_some() || atomic_number.is_some() => {
                Ok(Columns { symbol, atomic_number, position, least: next, named: true })
            }
            _ => Err(wrong("columns `species:S:1` or `Z:I:1`, and `pos:R:3`,")),
        }
    }

    /// Reads one line.
    pub(super) fn read(&self, text: &str) -> Result<Atom, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.len() < self.least {
            return Err(if self.named {
                format!("`{}` ({} columns, as in `Properties`, expected)", shortened(text), self.least)
            } else {
                format!("`{}` (`symbol x y z` in ångström expected)", shortened(text))
            });
        }
        let coordinate = |column: usize| {
            let word = words[self.position + column];
            number(word).ok_or_else(|| format!("`{}` (a coordinate in ångström expected)", shortened(word)))
        };
        Ok(Atom {
            element: self.element(&words)?,
            position: [coordinate(0)?, coordinate(1)?, coordinate(2)?],
        })
    }

    /// The element by number and by symbol, which must agree; in plain files a number stands for a symbol.
    fn element(&self, words: &[&str]) -> Result<Element, String> {
        let by_number = |word: &str| word.parse().ok().and_then(Element::from_atomic_number);
        let numbered = match self.atomic_number.map(|column| words[column]) {
            None => None,
            Some(word) => Some(
                by_number(word)
                    .ok_or_else(|| format!("`{}` (an atomic number expected)", shortened(word)))?,
            ),
        };
        let named = match self.symbol.map(|column| words[column]) {
            None => None,
            Some(word) => {
                let element = Element::from_symbol(word).or_else(|| by_number(word).filter(|_| !self.named));
                Some(element.ok_or_else(|| format!("`{}` (an element symbol expected)", shortened(word)))?)
            }
        };
        match (numbered, named) {
            (Some(numbered), Some(named)) if numbered != named => Err(format!(
                "atomic number {} beside `{}` (one element expected)",
                numbered.atomic_number(),
                named.symbol()
            )),
            (Some(element), _) | (None, Some(element)) => Ok(element),
            (None, None) => Err("no element".to_owned()),
        }
    }
}
