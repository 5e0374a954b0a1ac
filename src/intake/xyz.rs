//! XYZ files: frames of a count, a comment and that many lines of `symbol x y z` in ångström. The comment may be that of
//! extended XYZ (as ASE and `extxyz` read it), two integers for charge and multiplicity, or QM9's.

mod columns;
mod comment;
mod meaning;

use self::columns::Columns;
use self::meaning::Meaning;
use super::text::TextReader;
use super::{IntakeError, ReadOptions};
use crate::model::molecule::{Molecule, MoleculeDocument};

/// One ångström in bohr with CODATA 2014's bohr radius, the constant of QCElemental, so that hashes agree.
pub(super) const BOHR_PER_ANGSTROM: f64 = 1.0 / 0.52917721067;

/// Lines of a QM9 frame behind its atoms: frequencies, SMILES, InChI.
const LINES_BEHIND_QM9: usize = 3;

/// The next frame's first line and its molecule.
pub(super) fn next(
    reader: &mut TextReader,
    options: &ReadOptions,
) -> Result<Option<(u64, Molecule)>, IntakeError> {
    let Some((line, start)) = next_filled_line(reader)? else {
        return Ok(None);
    };
    let (atoms, unit) = count_and_unit(&start).ok_or_else(|| {
        let reason = format!("`{}` (the number of atoms of a frame expected)", shortened(&start));
        reader.malformed(line, reason)
    })?;
    let Some((comment_line, comment)) = reader.next_latin_line()? else {
        return Err(reader.malformed(line, format!("the frame ends before its {atoms} atoms")));
    };
    let meaning = Meaning::of(&comment).map_err(|reason| reader.malformed(comment_line, reason))?;
    let columns = meaning.columns().map_err(|reason| reader.malformed(comment_line, reason))?;
    let mut symbols = Vec::new();
    let mut geometry = Vec::new();
    for read in 0..atoms {
        let Some((atom_line, text)) = reader.next_latin_line()? else {
            return Err(reader.malformed(line, format!("the frame has {read} of its {atoms} atoms")));
        };
        let atom = columns.read(&text).map_err(|reason| reader.malformed(atom_line, reason))?;
        symbols.push(atom.element);
        geometry.extend(atom.position.map(|length| length * unit));
    }
    if meaning.is_qm9() {
        skip_behind_qm9(reader)?;
    }
    let (charge, multiplicity) =
        meaning.stated(options).map_err(|reason| reader.malformed(comment_line, reason))?;
    let document =
        MoleculeDocument::new(symbols, geometry).charged(charge, multiplicity).commented(meaning.text());
    let molecule = Molecule::try_from(document).map_err(|error| reader.malformed(line, error.message()))?;
    let is_open = charge.is_none() && multiplicity.is_none();
    meaning.agrees_with(&molecule, is_open).map_err(|reason| reader.malformed(comment_line, reason))?;
    Ok(Some((line, molecule)))
}

fn next_filled_line(reader: &mut TextReader) -> Result<Option<(u64, String)>, IntakeError> {
    while let Some((line, text)) = reader.next_latin_line()? {
        if !text.trim().is_empty() {
            return Ok(Some((line, text)));
        }
    }
    Ok(None)
}

/// A frame's first line: the number of its atoms, and bohr for one of its lengths. QCElemental writes a unit behind the number.
fn count_and_unit(text: &str) -> Option<(usize, f64)> {
    let mut words = text.split_whitespace();
    let atoms: usize = words.next()?.parse().ok().filter(|atoms| *atoms > 0)?;
    let unit = match words.next().map(str::to_ascii_lowercase).as_deref() {
        None | Some("ang" | "angstrom") => BOHR_PER_ANGSTROM,
        Some("au" | "bohr") => 1.0,
        Some(_) => return None,
    };
    words.next().is_none().then_some((atoms, unit))
}

/// Passes over what QM9 has behind the atoms, unless another frame begins there.
fn skip_behind_qm9(reader: &mut TextReader) -> Result<(), IntakeError> {
    for _ in 0..LINES_BEHIND_QM9 {
        let next = reader.peek()?;
        let line = next.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if std::str::from_utf8(line).is_ok_and(|line| count_and_unit(line).is_some()) {
            break;
        }
        reader.next_latin_line()?;
    }
    Ok(())
}

/// A number as programs write it: also Fortran's `1.0D-5` and the `1.0*^-5` of QM9.
pub(super) fn number(word: &str) -> Option<f64> {
    let plain = || word.replace("*^", "e").replace(['d', 'D'], "e").parse::<f64>().ok();
    // `inf` and `nan` are numbers to Rust; their letters are none of an exponent's
    let is_number = word.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eEdD*^".contains(&byte));
    word.parse::<f64>().ok().or_else(plain).filter(|number| is_number && number.is_finite())
}

/// The start of a text that may be long or hold control characters.
pub(super) fn shortened(text: &str) -> String {
    let start: String = text.trim().chars().take(40).collect();
    start.escape_debug().to_string()
}
