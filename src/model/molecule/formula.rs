//! Molecular formulas, in the order that chemists read and in the one that QCArchive stores. Pure.

use std::collections::BTreeMap;

use super::{Element, Molecule};
use crate::model::qcschema::python_json::append;

/// In which order a formula names its elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FormulaOrder {
    /// Carbon, hydrogen, then the alphabet; the alphabet alone where there is no carbon.
    Hill,
    /// The alphabet: what QCArchive keeps as `molecular_formula`.
    Alphabetical,
}

impl Molecule {
    /// The formula in Hill order, ghost atoms included: `CH3Cl`, `H2O`.
    pub fn formula(&self) -> String {
        self.formula_in(FormulaOrder::Hill)
    }

    /// The formula in the order asked for.
    pub fn formula_in(&self, order: FormulaOrder) -> String {
        let mut counts = BTreeMap::new();
        for element in &self.elements {
            *counts.entry(element.symbol()).or_insert(0_u64) += 1;
        }
        write_formula(counts, order)
    }
}

/// The formula that `text` is, in another order; `None` where it is none. `CClH3` and `CH3Cl` become the same.
pub fn reorder_formula(text: &str, order: FormulaOrder) -> Option<String> {
    let mut counts = BTreeMap::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if !first.is_ascii_uppercase() {
            return None;
        }
        let symbol_end = rest[1..].find(|c: char| !c.is_ascii_lowercase()).map_or(rest.len(), |end| end + 1);
        let element = Element::from_symbol(&rest[..symbol_end])?;
        rest = &rest[symbol_end..];
        let count_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let count: u64 = if count_end == 0 { 1 } else { rest[..count_end].parse().ok()? };
        rest = &rest[count_end..];
        let total = counts.entry(element.symbol()).or_insert(0_u64);
        *total = total.checked_add(count)?;
    }
    (!counts.is_empty()).then(|| write_formula(counts, order))
}

fn write_formula(mut counts: BTreeMap<&'static str, u64>, order: FormulaOrder) -> String {
    let mut text = String::new();
    let mut write = |symbol: &str, count: u64| {
        text.push_str(symbol);
        if count > 1 {
            append(&mut text, count);
        }
    };
    if order == FormulaOrder::Hill
        && let Some(carbons) = counts.remove("C")
    {
        write("C", carbons);
        if let Some(hydrogens) = counts.remove("H") {
            write("H", hydrogens);
        }
    }
    for (symbol, count) in counts {
        write(symbol, count);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_put_in_order() {
        use FormulaOrder::{Alphabetical, Hill};
        for (text, order, expected) in [
            ("CClH3", Hill, Some("CH3Cl")),
            ("CH3Cl", Alphabetical, Some("CClH3")),
            ("H2O", Hill, Some("H2O")),
            ("ClH", Hill, Some("ClH")),
            ("HCl", Hill, Some("ClH")),
            ("CBr4", Hill, Some("CBr4")),
            ("CBr4", Alphabetical, Some("Br4C")),
            ("CH3CH2OH", Hill, Some("C2H6O")),
            ("", Hill, None),
            ("h2o", Hill, None),
            ("2H", Hill, None),
            ("Xx", Hill, None),
            ("H99999999999999999999", Hill, None),
            ("Hé", Hill, None),
        ] {
            assert_eq!(reorder_formula(text, order).as_deref(), expected, "{text}");
        }
    }
}
