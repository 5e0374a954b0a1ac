//! One molecule in the words that Psi4 and QCElemental read: charge and multiplicity, atoms, fragments behind `--`, units.
//! Cartesian coordinates only; internal ones need their solver and are refused.

use super::text::TextReader;
use super::xyz::{BOHR_PER_ANGSTROM, number, shortened};
use super::{IntakeError, ReadOptions, agreed};
use crate::model::molecule::{Element, Molecule, MoleculeDocument};

/// Whether a stream that starts with these bytes is such a molecule: charge and multiplicity alone on its first line.
pub(super) fn looks_like_one(start: &[u8]) -> bool {
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    std::str::from_utf8(line).is_ok_and(|line| charge_and_multiplicity(line.trim()).is_some())
}

/// The molecule of the whole stream, and the line on which it starts.
pub(super) fn next(
    reader: &mut TextReader,
    options: &ReadOptions,
) -> Result<Option<(u64, Molecule)>, IntakeError> {
    let mut text = Text::default();
    let mut start = None;
    while let Some((line, words)) = reader.next_latin_line()? {
        let words = words.split('#').next().unwrap_or_default().trim();
        if words.is_empty() {
            continue;
        }
        start.get_or_insert(line);
        text.add(words).map_err(|reason| reader.malformed(line, reason))?;
    }
    let Some(start) = start else { return Ok(None) };
    let molecule = (text.document(options))
        .and_then(|document| Molecule::try_from(document).map_err(|error| error.message()));
    Ok(Some((start, molecule.map_err(|reason| reader.malformed(start, reason))?)))
}

fn charge_and_multiplicity(line: &str) -> Option<(f64, u32)> {
    let mut words = line.split([' ', '\t', ',']).filter(|word| !word.is_empty());
    let charge: f64 = number(words.next()?)?;
    let multiplicity = words.next()?.trim().parse().ok().filter(|number| *number > 0)?;
    words.next().is_none().then_some((charge, multiplicity))
}

/// One fragment, or the whole.
#[derive(Default)]
struct Part {
    stated: Option<(f64, u32)>,
    atoms: u64,
}

/// What has been read.
struct Text {
    /// What stands in front of the first `--` without an atom, where there are fragments.
    whole: Option<(f64, u32)>,
    parts: Vec<Part>,
    elements: Vec<Element>,
    geometry: Vec<f64>,
    mass_numbers: Vec<Option<i64>>,
    real: Vec<bool>,
    unit: f64,
}

impl Default for Text {
    fn default() -> Text {
        Text {
            whole: None,
            parts: vec![Part::default()],
            elements: Vec::new(),
            geometry: Vec::new(),
            mass_numbers: Vec::new(),
            real: Vec::new(),
            unit: BOHR_PER_ANGSTROM,
        }
    }
}

impl Text {
    fn add(&mut self, line: &str) -> Result<(), String> {
        if line.len() >= 2 && line.bytes().all(|byte| byte == b'-') {
            return self.begin_part();
        }
        if let Some(stated) = charge_and_multiplicity(line) {
            let part = self.parts.last_mut().ok_or("no fragment")?;
            if part.stated.replace(stated).is_some() || part.atoms > 0 {
                return Err("charge and multiplicity behind others or behind atoms".to_owned());
            }
            return Ok(());
        }
        let words: Vec<&str> = line.split([' ', '\t', ',', '=']).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [key, unit] if ["units", "unit"].contains(&key.to_ascii_lowercase().as_str()) => {
                self.unit = match unit.to_ascii_lowercase().as_str() {
                    "ang" | "angstrom" => BOHR_PER_ANGSTROM,
                    "au" | "a.u." | "bohr" => 1.0,
                    _ => return Err(format!("units `{}` (angstrom or bohr expected)", shortened(unit))),
                };
                Ok(())
            }
            // The frame is always fixed, and no program is told a symmetry that it does not look for itself.
            [word]
                if ["no_com", "nocom", "no_reorient", "noreorient"]
                    .contains(&word.to_ascii_lowercase().as_str()) =>
            {
                Ok(())
            }
            [key, group] if key.eq_ignore_ascii_case("symmetry") && group.eq_ignore_ascii_case("c1") => {
                Ok(())
            }
            [label, x, y, z] => self.add_atom(label, [x, y, z]),
            _ => Err(format!(
                "`{}` (charge and multiplicity, `symbol x y z`, `--`, `units`, `no_com` or `no_reorient` expected)",
                shortened(line)
            )),
        }
    }

    fn begin_part(&mut self) -> Result<(), String> {
        match self.parts.last_mut() {
            // Charge and multiplicity in front of the first fragment are the whole molecule's.
            Some(part) if part.atoms == 0 && self.elements.is_empty() && part.stated.is_some() => {
                self.whole = part.stated.take();
                Ok(())
            }
            Some(part) if part.atoms == 0 && part.stated.is_some() => {
                Err("a fragment without atoms".to_owned())
            }
            Some(part) if part.atoms == 0 => Ok(()),
            _ => {
                self.parts.push(Part::default());
                Ok(())
            }
        }
    }

    /// An atom: `He`, `Gh(He)` or `@He` for a ghost, with a label behind (`H_a`, `H1`) or a mass number in front (`2H`).
    fn add_atom(&mut self, label: &str, point: [&str; 3]) -> Result<(), String> {
        let wrong = || format!("`{}` (an element, `Gh(element)` or `@element` expected)", shortened(label));
        let inside = label.strip_suffix(')').and_then(|label| {
            let start = label.get(..3).filter(|start| start.eq_ignore_ascii_case("gh("))?;
            label.get(start.len()..)
        });
        let ghost = inside.or_else(|| label.strip_prefix('@'));
        let own = ghost.unwrap_or(label);
        if own.contains('@') {
            return Err(format!(
                "`{}` (a mass number in front, such as `2H`, instead of a mass expected)",
                own
            ));
        }
        let symbol = own.trim_start_matches(|character: char| character.is_ascii_digit());
        let mass_number = own[..own.len() - symbol.len()].parse().ok();
        let end = symbol.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(symbol.len());
        let element = Element::from_symbol(&symbol[..end]).ok_or_else(wrong)?;
        for word in point {
            let coordinate = number(word).ok_or_else(|| {
                format!("`{}` (a Cartesian coordinate expected; internal ones are not read)", shortened(word))
            })?;
            self.geometry.push(coordinate);
        }
        self.elements.push(element);
        self.mass_numbers.push(mass_number);
        self.real.push(ghost.is_none());
        if let Some(part) = self.parts.last_mut() {
            part.atoms += 1;
        }
        Ok(())
    }

    fn document(mut self, options: &ReadOptions) -> Result<MoleculeDocument, String> {
        if self.parts.len() > 1 && self.parts.last().is_some_and(|part| part.atoms == 0) {
            self.parts.pop();
        }
        let geometry = self.geometry.iter().map(|length| length * self.unit).collect();
        let whole = if self.parts.len() == 1 { self.whole.or(self.parts[0].stated) } else { self.whole };
        let charge = agreed(whole.map(|(charge, _)| charge), options.charge, "charge", "--charge")?;
        let multiplicity = whole.map(|(_, multiplicity)| multiplicity);
        let multiplicity = agreed(multiplicity, options.multiplicity, "multiplicity", "--multiplicity")?;
        let mut document = MoleculeDocument::new(self.elements, geometry)
            .charged(charge, multiplicity)
            .of_isotopes(self.mass_numbers)
            .with_ghosts(self.real);
        if self.parts.len() > 1 {
            let fragments: Vec<_> = self
                .parts
                .iter()
                .map(|part| {
                    (part.atoms, part.stated.map(|stated| stated.0), part.stated.map(|stated| stated.1))
                })
                .collect();
            document = document.in_fragments(&fragments);
        }
        Ok(document)
    }
}
