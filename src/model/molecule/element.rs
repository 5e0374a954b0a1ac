//! The elements: symbols, atomic numbers, and the masses of their nuclides. Pure.
//!
//! `nuclides.tsv` holds NIST's relative atomic masses (Atomic Weights and Isotopic Compositions, 2011), one element a line:
//! atomic number, symbol, mass number of the default nuclide (most abundant, else longest-lived), then every
//! `mass number:mass in u`. QCArchive's molecule hashes rest on these very digits.

use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A chemical element, hydrogen to tennessine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Element(u8);

/// What is known of one element's nuclei.
pub(super) struct Nuclides {
    symbol: &'static str,
    /// Mass number of the default nuclide.
    pub(super) default_mass_number: i32,
    /// Its mass in u.
    pub(super) default_mass: f64,
    /// Mass number and mass in u, by mass number.
    known: Vec<(i32, f64)>,
}

static ELEMENTS: LazyLock<Vec<Nuclides>> =
    LazyLock::new(|| include_str!("nuclides.tsv").lines().map(nuclides_of_line).collect());

/// Atomic number by the symbol's two letters (`a` = 1 … `z` = 26, none = 0); 0 where there is no such element.
static BY_LETTERS: LazyLock<[u8; 27 * 27]> = LazyLock::new(|| {
    let mut table = [0; 27 * 27];
    for (index, element) in ELEMENTS.iter().enumerate() {
        if let (Some(slot), Ok(number)) = (letters(element.symbol), u8::try_from(index + 1)) {
            table[slot] = number;
        }
    }
    table
});

fn nuclides_of_line(line: &'static str) -> Nuclides {
    const READABLE: &str = "nuclides.tsv is part of the program and read whole by this file's test";
    let mut columns = line.split('\t').skip(1);
    let symbol = columns.next().expect(READABLE);
    let default_mass_number = columns.next().and_then(|text| text.parse().ok()).expect(READABLE);
    let known: Vec<(i32, f64)> = (columns.next().expect(READABLE).split(' '))
        .filter_map(|pair| pair.split_once(':'))
        .filter_map(|(number, mass)| Some((number.parse().ok()?, mass.parse().ok()?)))
        .collect();
    let default_mass = known.iter().find(|(number, _)| *number == default_mass_number).expect(READABLE).1;
    Nuclides { symbol, default_mass_number, default_mass, known }
}

/// Where a symbol of one or two letters stands in `BY_LETTERS`, whatever its case.
fn letters(symbol: &str) -> Option<usize> {
    let position =
        |byte: u8| byte.is_ascii_alphabetic().then(|| usize::from(byte.to_ascii_lowercase() - b'a') + 1);
    match symbol.as_bytes() {
        [only] => Some(position(*only)? * 27),
        [first, second] => Some(position(*first)? * 27 + position(*second)?),
        _ => None,
    }
}

impl Element {
    /// The element of this symbol, in any case.
    pub fn from_symbol(symbol: &str) -> Option<Element> {
        Element::from_atomic_number(u32::from(BY_LETTERS[letters(symbol)?]))
    }

    /// The element of this atomic number, 1 to 117.
    pub fn from_atomic_number(number: u32) -> Option<Element> {
        let index = u8::try_from(number).ok().filter(|number| *number >= 1)?;
        (usize::from(index) <= ELEMENTS.len()).then_some(Element(index))
    }

    /// The symbol in title case.
    pub fn symbol(self) -> &'static str {
        self.nuclides().symbol
    }

    /// Number of protons.
    pub fn atomic_number(self) -> u32 {
        u32::from(self.0)
    }

    /// Mass in u of the most abundant nuclide, else of the longest-lived one.
    pub fn mass(self) -> f64 {
        self.nuclides().default_mass
    }

    pub(super) fn nuclides(self) -> &'static Nuclides {
        &ELEMENTS[usize::from(self.0) - 1]
    }
}

impl Nuclides {
    /// Mass in u of the nuclide of this mass number.
    pub(super) fn mass(&self, mass_number: i32) -> Option<f64> {
        self.known.iter().find(|(known, _)| *known == mass_number).map(|(_, mass)| *mass)
    }

    /// The smallest and the largest known mass in u.
    pub(super) fn mass_range(&self) -> (f64, f64) {
        let masses = self.known.iter().map(|(_, mass)| *mass);
        masses.fold((f64::INFINITY, 0.0), |(low, high), mass| (low.min(mass), high.max(mass)))
    }
}

impl Serialize for Element {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.symbol())
    }
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Element, D::Error> {
        struct Symbol;
        impl de::Visitor<'_> for Symbol {
            type Value = Element;

            fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
                formatter.write_str("an element symbol")
            }

            fn visit_str<E: de::Error>(self, symbol: &str) -> Result<Element, E> {
                Element::from_symbol(symbol).ok_or_else(|| {
                    let advice = match symbol.to_ascii_lowercase().as_str() {
                        "d" | "t" => "`H` and the isotope's mass in `masses`",
                        "x" | "gh" | "bq" => "the element of the ghost atom, and false in `real`",
                        _ => "an element symbol",
                    };
                    E::custom(format_args!(
                        "`{}` is not an element, expected {advice}",
                        symbol.escape_default()
                    ))
                })
            }
        }
        deserializer.deserialize_str(Symbol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_an_element() {
        assert_eq!(ELEMENTS.len(), 117);
        for number in 1..=117 {
            let element = Element::from_atomic_number(number).unwrap();
            assert_eq!(element.atomic_number(), number);
            assert_eq!(Element::from_symbol(&element.symbol().to_uppercase()), Some(element));
            let (low, high) = element.nuclides().mass_range();
            assert!(low <= element.mass() && element.mass() <= high, "{}", element.symbol());
        }
    }

    #[test]
    fn masses_are_those_of_the_most_abundant_nuclide() {
        for (symbol, number, mass) in
            [("h", 1, 1.00782503223), ("C", 6, 12.0), ("cL", 17, 34.968852682), ("Ts", 117, 294.21046)]
        {
            let element = Element::from_symbol(symbol).unwrap();
            assert_eq!((element.atomic_number(), element.mass()), (number, mass));
        }
    }

    #[test]
    fn what_is_no_symbol_is_no_element() {
        for word in ["", "X", "D", "T", "Gh", "Hydrogen", "H1", "1", "é", "H ", "\0"] {
            assert_eq!(Element::from_symbol(word), None, "{word}");
        }
        assert_eq!(Element::from_atomic_number(0), None);
        assert_eq!(Element::from_atomic_number(118), None);
    }
}
