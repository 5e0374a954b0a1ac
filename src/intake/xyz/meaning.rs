//! What an XYZ comment says of the molecule: charge, multiplicity, columns, and whether it is a molecule at all. Pure.
//!
//! A charge is never missed in silence: what may be one, and is not read as one, must agree with what is computed.

use super::comment::{self, Pair};
use super::{Columns, ReadOptions, number, shortened};
use crate::intake::agreed;
use crate::model::molecule::Molecule;

/// A comment, understood.
pub(super) struct Meaning {
    text: String,
    charge: Option<f64>,
    multiplicity: Option<u32>,
    properties: Option<String>,
    hints: Vec<Hint>,
}

/// Words that may be meant as charge or spin, and are not read as such.
enum Hint {
    /// Two integers at the start of a longer comment.
    Numbers { charge: f64, multiplicity: u32 },
    /// `charge -1` without the `=`.
    Charge(f64),
    /// `multiplicity 3` without the `=`.
    Multiplicity(u32),
    /// `spin=`, which is S to some, 2S or 2S + 1 to others.
    Spin(f64),
}

impl Meaning {
    /// Reads a comment line.
    pub(super) fn of(line: &str) -> Result<Meaning, String> {
        let text = line.trim();
        if text.contains('\0') {
            return Err("the comment holds a NUL character".to_owned());
        }
        let mut meaning = Meaning {
            text: text.to_owned(),
            charge: None,
            multiplicity: None,
            properties: None,
            hints: Vec::new(),
        };
        meaning.read_numbers();
        meaning.read_pairs(&comment::pairs(text)?)?;
        Ok(meaning)
    }

    /// `-1 1` alone is charge and multiplicity; in front of other words it may be.
    fn read_numbers(&mut self) {
        let words: Vec<&str> = self.text.split_whitespace().collect();
        let [charge, multiplicity, rest @ ..] = words.as_slice() else { return };
        let (Some(charge), Some(multiplicity)) =
            (charge.parse::<i32>().ok(), multiplicity.parse::<u32>().ok().filter(|number| *number > 0))
        else {
            return;
        };
        let charge = f64::from(charge);
        if rest.is_empty() {
            (self.charge, self.multiplicity) = (Some(charge), Some(multiplicity));
        } else if number(rest[0]).is_none() {
            self.hints.push(Hint::Numbers { charge, multiplicity });
        }
    }

    fn read_pairs(&mut self, pairs: &[Pair]) -> Result<(), String> {
        let (mut cell, mut periodic) = (false, None);
        for (position, Pair { key, value }) in pairs.iter().enumerate() {
            let known = key.to_ascii_lowercase();
            let Some(value) = value else {
                let next = pairs.get(position + 1).filter(|next| next.value.is_none());
                self.hints.extend(next.and_then(|next| hint_of(&known, &next.key)));
                continue;
            };
            match known.as_str() {
                "charge" | "total_charge" => {
                    let charge = one_number(value)
                        .ok_or_else(|| format!("`{key}={}` (a number expected)", shortened(value)))?;
                    self.charge = agreed(self.charge, Some(charge), key, "another word of the comment")?;
                }
                "multiplicity" | "spin_multiplicity" | "mult" => {
                    let wrong = || format!("`{key}={}` (a positive integer expected)", shortened(value));
                    let whole = |number: &f64| number.fract() == 0.0 && (1.0..1e6).contains(number);
                    let multiplicity = one_number(value).filter(whole).ok_or_else(wrong)? as u32;
                    self.multiplicity =
                        agreed(self.multiplicity, Some(multiplicity), key, "another word of the comment")?;
                }
                "spin" => self.hints.extend(one_number(value).map(Hint::Spin)),
                "lattice" => cell = true,
                "pbc" => periodic = Some(is_periodic(value)?),
                "properties" => self.properties = Some(value.clone()),
                _ => {}
            }
        }
        // A cell without `pbc` is periodic in extended XYZ.
        match (periodic, cell) {
            (Some(false), _) | (None, false) => Ok(()),
            (Some(true), false) => Err("`pbc` (a molecule without periodic boundaries expected)".to_owned()),
            (_, true) => Err("a periodic cell (`Lattice=`) is not a molecule".to_owned()),
        }
    }

    /// Charge and multiplicity that comment and options state together.
    pub(super) fn stated(&self, options: &ReadOptions) -> Result<(Option<f64>, Option<u32>), String> {
        Ok((
            agreed(self.charge, options.charge, "charge", "--charge")?,
            agreed(self.multiplicity, options.multiplicity, "multiplicity", "--multiplicity")?,
        ))
    }

    /// The columns of the atoms.
    pub(super) fn columns(&self) -> Result<Columns, String> {
        self.properties.as_deref().map_or_else(|| Ok(Columns::plain()), Columns::named)
    }

    /// Whether three lines of QM9 follow the atoms.
    pub(super) fn is_qm9(&self) -> bool {
        self.text.split_whitespace().next() == Some("gdb")
    }

    /// The comment itself, where there is one.
    pub(super) fn text(&self) -> Option<String> {
        (!self.text.is_empty()).then(|| self.text.clone())
    }

    /// Refuses words that may be meant as another charge or spin than the molecule's. `is_open` says that neither comment nor
    /// options state one, so that the molecule's are defaults.
    pub(super) fn agrees_with(&self, molecule: &Molecule, is_open: bool) -> Result<(), String> {
        if !is_open {
            return Ok(());
        }
        let own = (molecule.molecular_charge(), molecule.molecular_multiplicity());
        let electrons =
            (molecule.elements().iter().map(|element| f64::from(element.atomic_number()))).sum::<f64>();
        for hint in &self.hints {
            let words = match hint {
                Hint::Numbers { charge, multiplicity } => {
                    let electrons = electrons - charge;
                    let unpaired = f64::from(*multiplicity) - 1.0;
                    let possible = unpaired <= electrons && (electrons - unpaired) % 2.0 == 0.0;
                    (possible && (*charge, *multiplicity) != own).then(|| format!("{charge} {multiplicity}"))
                }
                Hint::Charge(charge) => (*charge != own.0).then(|| format!("charge {charge}")),
                Hint::Multiplicity(multiplicity) => {
                    (*multiplicity != own.1).then(|| format!("multiplicity {multiplicity}"))
                }
                Hint::Spin(spin) => (!is_spin_of(*spin, own.1)).then(|| format!("spin={spin}")),
            };
            if let Some(words) = words {
                return Err(format!(
                    "`{words}` in the comment may be a charge or spin other than {} and {} \
                     (`charge=` and `multiplicity=`, or --charge and --multiplicity, expected)",
                    own.0, own.1
                ));
            }
        }
        Ok(())
    }
}

/// Whether every reading of `spin` that this number of electrons allows is `multiplicity`.
fn is_spin_of(spin: f64, multiplicity: u32) -> bool {
    let own = f64::from(multiplicity);
    let readings = [spin + 1.0, spin, 2.0 * spin + 1.0];
    let mut possible =
        readings.into_iter().filter(|reading| *reading >= 1.0 && (reading - own) % 2.0 == 0.0).peekable();
    possible.peek().is_some() && possible.all(|reading| reading == own)
}

/// `charge -1`: two words beside each other.
fn hint_of(word: &str, next: &str) -> Option<Hint> {
    let value = number(next.trim_end_matches([',', ';']))?;
    match word.trim_end_matches(':') {
        "charge" => Some(Hint::Charge(value)),
        "multiplicity" | "mult" if value.fract() == 0.0 && (1.0..1e6).contains(&value) => {
            Some(Hint::Multiplicity(value as u32))
        }
        _ => None,
    }
}

/// The one number of a value; commas and semicolons around it do not count.
fn one_number(value: &str) -> Option<f64> {
    let is_space = |character: char| character.is_whitespace() || [',', ';'].contains(&character);
    let mut words = value.split(is_space).filter(|word| !word.is_empty());
    let first = words.next().and_then(number)?;
    words.next().is_none().then_some(first)
}

/// `pbc="T T F"`: whether any direction is periodic.
fn is_periodic(value: &str) -> Result<bool, String> {
    let mut any = false;
    for word in value.split([' ', '\t', ',']).filter(|word| !word.is_empty()) {
        any |= match word {
            "T" | "True" | "true" | "TRUE" | "1" => true,
            "F" | "False" | "false" | "FALSE" | "0" => false,
            _ => return Err(format!("`pbc={}` (T or F for each direction expected)", shortened(value))),
        };
    }
    Ok(any)
}
