//! MDL molfiles, version V2000, and SDF files of them: atoms, bonds, formal charges, radicals and isotopes. Coordinates in ångström.
//!
//! Atoms are those of the file: hydrogens that it leaves out are not added.

use std::str::FromStr;

use super::text::TextReader;
use super::xyz::{BOHR_PER_ANGSTROM, shortened};
use super::{IntakeError, ReadOptions, agreed};
use crate::model::molecule::{Element, Molecule, MoleculeDocument};

/// Lines in front of the counts: a name, a program, a comment.
const HEADER_LINES: usize = 3;

/// Whether a stream that starts with these bytes is such a file: its fourth line ends with a version.
pub(super) fn looks_like_one(start: &[u8]) -> bool {
    let counts = start.split(|byte| *byte == b'\n').nth(HEADER_LINES).unwrap_or_default().trim_ascii_end();
    counts.ends_with(b" V2000") || counts.ends_with(b" V3000")
}

/// The next molecule's first line and the molecule.
pub(super) fn next(
    reader: &mut TextReader,
    options: &ReadOptions,
) -> Result<Option<(u64, Molecule)>, IntakeError> {
    let Some((line, header)) = header(reader)? else {
        return Ok(None);
    };
    if header[1].get(20..22) == Some("2D") {
        let reason = "a drawing in two dimensions (a geometry in three expected)".to_owned();
        return Err(reader.malformed(line + 1, reason));
    }
    let (counts_line, counts) = next_line(reader, line)?;
    let version = counts.get(33..).unwrap_or_default().trim();
    if version == "V3000" {
        return Err(reader.malformed(counts_line, "a molfile of version V3000 (V2000 expected)".to_owned()));
    }
    let (Some(atoms), Some(bonds)) = (field(&counts, 0, 3).filter(|atoms| *atoms > 0), field(&counts, 3, 3))
    else {
        let reason = format!("`{}` (the numbers of atoms and bonds expected)", shortened(&counts));
        return Err(reader.malformed(counts_line, reason));
    };
    let mut molfile = Molfile::default();
    for _ in 0..atoms {
        let (atom_line, text) = next_line(reader, line)?;
        molfile.add_atom(&text).map_err(|reason| reader.malformed(atom_line, reason))?;
    }
    for _ in 0..bonds {
        let (bond_line, text) = next_line(reader, line)?;
        molfile.add_bond(&text).map_err(|reason| reader.malformed(bond_line, reason))?;
    }
    read_properties(reader, &mut molfile)?;
    let molecule = molfile
        .document(options)
        .map(|document| document.named(said(&header[0])).commented(said(&header[2])))
        .and_then(|document| Molecule::try_from(document).map_err(|error| error.message()));
    Ok(Some((line, molecule.map_err(|reason| reader.malformed(line, reason))?)))
}

/// The three lines of a header, the first of which may be empty; none where only blank lines are left.
fn header(reader: &mut TextReader) -> Result<Option<(u64, [String; HEADER_LINES])>, IntakeError> {
    let Some((line, first)) = reader.next_latin_line()? else { return Ok(None) };
    if first.trim().is_empty() && reader.is_blank_to_its_end()? {
        return Ok(None);
    }
    let second = next_line(reader, line)?.1;
    let third = next_line(reader, line)?.1;
    Ok(Some((line, [first, second, third])))
}

fn next_line(reader: &mut TextReader, start: u64) -> Result<(u64, String), IntakeError> {
    let next = reader.next_latin_line()?;
    next.ok_or_else(|| reader.malformed(start, "the molfile that starts here does not end".to_owned()))
}

/// Reads from behind the bonds to the `$$$$` or the stream's end; data items are passed over.
fn read_properties(reader: &mut TextReader, molfile: &mut Molfile) -> Result<(), IntakeError> {
    let mut is_ended = false;
    while let Some((line, text)) = reader.next_latin_line()? {
        if text.trim_end() == "$$$$" {
            break;
        }
        if text.starts_with("M  END") {
            is_ended = true;
        } else if !is_ended {
            molfile.add_property(&text).map_err(|reason| reader.malformed(line, reason))?;
        }
    }
    Ok(())
}

fn said(text: &str) -> Option<String> {
    let text = text.trim().replace('\0', "");
    (!text.is_empty()).then_some(text)
}

/// A number in fixed columns; blank columns are 0.
fn field<T: FromStr + Default>(text: &str, start: usize, width: usize) -> Option<T> {
    let end = (start + width).min(text.len());
    match text.get(start.min(end)..end)?.trim() {
        "" => Some(T::default()),
        word => word.parse().ok(),
    }
}

/// What has been read of one molfile.
#[derive(Default)]
struct Molfile {
    elements: Vec<Element>,
    geometry: Vec<f64>,
    /// By atom, from the atoms' own lines; they count where no `M  CHG` and no `M  RAD` follows.
    charge_codes: Vec<u32>,
    mass_numbers: Vec<Option<i64>>,
    /// Atoms whose lines tell an isotope by its distance from a mass that is not told.
    shifted: Vec<usize>,
    bonds: Vec<(f64, f64, f64)>,
    has_odd_bonds: bool,
    charges: Vec<(usize, i32)>,
    radicals: Vec<(usize, i32)>,
    has_properties: bool,
}

impl Molfile {
    fn add_atom(&mut self, text: &str) -> Result<(), String> {
        let wrong = |expected: &str| format!("`{}` ({expected} expected)", shortened(text));
        for start in [0, 10, 20] {
            let angstrom: f64 = field(text, start, 10)
                .filter(|number: &f64| number.is_finite())
                .ok_or_else(|| wrong("three coordinates of ten columns"))?;
            self.geometry.push(angstrom * BOHR_PER_ANGSTROM);
        }
        let symbol = text.get(31..34.min(text.len())).unwrap_or_default().trim();
        // deuterium and tritium have symbols of their own here
        let (symbol, isotope) = match symbol {
            "D" => ("H", Some(2)),
            "T" => ("H", Some(3)),
            other => (other, None),
        };
        let element = Element::from_symbol(symbol)
            .ok_or_else(|| format!("`{}` (an element symbol expected)", shortened(symbol)))?;
        if field::<i32>(text, 34, 2).unwrap_or(0) != 0 {
            self.shifted.push(self.elements.len());
        }
        self.charge_codes.push(field(text, 36, 3).unwrap_or(0));
        self.mass_numbers.push(isotope);
        self.elements.push(element);
        Ok(())
    }

    fn add_bond(&mut self, text: &str) -> Result<(), String> {
        let numbers = (field::<u32>(text, 0, 3), field::<u32>(text, 3, 3), field::<u32>(text, 6, 3));
        let (Some(first @ 1..), Some(second @ 1..), Some(kind)) = numbers else {
            return Err(format!("`{}` (two atoms and a kind of bond expected)", shortened(text)));
        };
        let order = match kind {
            1..=3 => f64::from(kind),
            4 => 1.5,
            _ => {
                self.has_odd_bonds = true;
                0.0
            }
        };
        self.bonds.push((f64::from(first) - 1.0, f64::from(second) - 1.0, order));
        Ok(())
    }

    /// `M  CHG`, `M  RAD` and `M  ISO`: a count, and so many pairs of an atom and a value.
    fn add_property(&mut self, text: &str) -> Result<(), String> {
        let kind = text.get(..6).unwrap_or_default();
        if !["M  CHG", "M  RAD", "M  ISO"].contains(&kind) {
            return Ok(());
        }
        let wrong = || format!("`{}` (pairs of an atom and a number expected)", shortened(text));
        let count: usize = field(text, 6, 3).ok_or_else(wrong)?;
        for pair in 0..count {
            let start = 9 + 8 * pair;
            let atom = field::<usize>(text, start, 4)
                .filter(|atom| (1..=self.elements.len()).contains(atom))
                .ok_or_else(wrong)?;
            let value: i32 = field(text, start + 4, 4).ok_or_else(wrong)?;
            match kind {
                "M  CHG" => self.charges.push((atom - 1, value)),
                "M  RAD" => self.radicals.push((atom - 1, value)),
                _ => self.mass_numbers[atom - 1] = Some(i64::from(value)),
            }
        }
        self.has_properties |= kind != "M  ISO";
        Ok(())
    }

    fn document(self, options: &ReadOptions) -> Result<MoleculeDocument, String> {
        if let Some(atom) = self.shifted.iter().find(|atom| self.mass_numbers[**atom].is_none()) {
            return Err(format!(
                "atom {} is an isotope by a difference of masses (a mass number in `M  ISO` expected)",
                atom + 1
            ));
        }
        let charge = Some(f64::from(self.charge()?));
        let charge = agreed(charge, options.charge, "charge", "--charge")?;
        let multiplicity = self.multiplicity(options.multiplicity)?;
        let bonds = if self.has_odd_bonds { Vec::new() } else { self.bonds };
        Ok(MoleculeDocument::new(self.elements, self.geometry)
            .charged(charge, multiplicity)
            .of_isotopes(self.mass_numbers)
            .bonded(bonds))
    }

    /// The sum of the formal charges.
    fn charge(&self) -> Result<i32, String> {
        if self.has_properties {
            return Ok(self.charges.iter().map(|(_, charge)| charge).sum());
        }
        let charge_of = |code: &u32| match code {
            0 | 4 => Ok(0),
            1..=3 | 5..=7 => Ok(4 - *code as i32),
            other => Err(format!("charge code {other} of an atom (0 to 7 expected)")),
        };
        self.charge_codes.iter().map(charge_of).sum()
    }

    /// That of the one radical; several couple in a way that the file does not say.
    fn multiplicity(&self, option: Option<u32>) -> Result<Option<u32>, String> {
        let by_code = self.charge_codes.iter().filter(|code| **code == 4).map(|_| 2);
        let radicals: Vec<i32> = if self.has_properties {
            self.radicals.iter().map(|(_, multiplicity)| *multiplicity).collect()
        } else {
            by_code.collect()
        };
        match radicals.as_slice() {
            [] => Ok(option),
            [one] => {
                let multiplicity = u32::try_from(*one).ok().filter(|one| (1..=3).contains(one));
                let multiplicity =
                    multiplicity.ok_or_else(|| format!("radical {one} (1, 2 or 3 expected)"))?;
                agreed(Some(multiplicity), option, "multiplicity", "--multiplicity")
            }
            several => option.map(Some).ok_or_else(|| {
                format!(
                    "{} radical centres couple in an unknown way (--multiplicity expected)",
                    several.len()
                )
            }),
        }
    }
}
