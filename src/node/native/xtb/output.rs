//! What xtb printed: energy and version from its output, gradient, charges, dipole and bond orders from its files. Pure.

use std::borrow::Cow;

use serde::Deserialize;

use super::{BONDS, FORCE_FIELD_CHARGES, GRADIENT, REPORT};
use crate::model::molecule::Molecule;

/// Bonds: two atoms that count from 0, and the order of their bond.
type Bonds = Vec<(u32, u32, f64)>;

/// What was read, in atomic units. The energy is always there; whether the rest is needed is for the driver to say.
#[derive(PartialEq, Debug)]
pub(super) struct Printed {
    pub(super) version: String,
    pub(super) energy: f64,
    pub(super) gradient: Result<Vec<f64>, Unread>,
    pub(super) dipole: Result<[f64; 3], Unread>,
    /// Mulliken's charges, one per atom, of methods with orbitals.
    pub(super) charges: Option<Result<Vec<f64>, Unread>>,
    /// Mayer's bond orders above 0.1 of such methods, of atoms that count from 0.
    pub(super) bonds: Option<Result<Bonds, Unread>>,
}

/// Why something was not read: the file, and what is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Unread {
    pub(super) file: &'static str,
    pub(super) why: String,
}

/// A file that xtb wrote, or why there is none.
pub(super) type Text<'a> = Result<Cow<'a, str>, Unread>;

/// What is read of `xtbout.json`.
#[derive(Deserialize)]
struct Report {
    dipole: [f64; 3],
    #[serde(rename = "partial charges")]
    partial_charges: Vec<f64>,
}

/// The program's own account of a failure: the lines that it numbers, the deepest last.
pub(super) fn trouble(stdout: &str) -> Option<String> {
    let (_, after) = stdout.split_once("[ERROR] Program stopped due to fatal error")?;
    let numbered = |line: &&str| line.starts_with('-') && line[1..].starts_with(|c: char| c.is_ascii_digit());
    let lines: Vec<&str> = after.lines().skip(1).take_while(numbered).collect();
    Some(if lines.is_empty() { "xtb stopped due to a fatal error".to_owned() } else { lines.join("\n") })
}

/// Reads one file; a mistake in it is told with the file's name.
fn of_file<T>(
    file: &'static str,
    text: &Text<'_>,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, Unread> {
    let text = text.as_ref().map_err(Unread::clone)?;
    read(text).map_err(|why| Unread { file, why })
}

/// The results of a method with orbitals.
pub(super) fn of_tight_binding(
    molecule: &Molecule,
    stdout: &str,
    gradient: &Text<'_>,
    report: &Text<'_>,
    bonds: &Text<'_>,
) -> Result<Printed, String> {
    let atoms = molecule.atoms();
    let report = of_file(REPORT, report, |text| {
        serde_json::from_str::<Report>(text).map_err(|error| error.to_string())
    });
    let charges = report.as_ref().map_err(Unread::clone).and_then(|report| {
        let charges = report.partial_charges.clone();
        let why = format!("it has {} partial charges", charges.len());
        if charges.len() == atoms { Ok(charges) } else { Err(Unread { file: REPORT, why }) }
    });
    Ok(Printed {
        version: version(stdout),
        energy: energy(stdout)?,
        gradient: of_file(GRADIENT, gradient, |text| read_gradient(text, atoms)),
        dipole: report.map(|report| report.dipole),
        charges: Some(charges),
        bonds: Some(of_file(BONDS, bonds, read_bonds)),
    })
}

/// The results of the force field. It prints no dipole: the moment is that of its charges, as the library has it.
pub(super) fn of_force_field(
    molecule: &Molecule,
    stdout: &str,
    gradient: &Text<'_>,
    charges: &Text<'_>,
) -> Result<Printed, String> {
    let atoms = molecule.atoms();
    Ok(Printed {
        version: version(stdout),
        energy: energy(stdout)?,
        gradient: of_file(GRADIENT, gradient, |text| read_gradient(text, atoms)),
        dipole: of_file(FORCE_FIELD_CHARGES, charges, |text| dipole_of_charges(molecule, text)),
        charges: None,
        bonds: None,
    })
}

fn dipole_of_charges(molecule: &Molecule, text: &str) -> Result<[f64; 3], String> {
    let charges = text.split_ascii_whitespace().map(number).collect::<Result<Vec<f64>, String>>()?;
    if charges.len() != molecule.atoms() {
        return Err(format!("it has {} charges", charges.len()));
    }
    let (points, _) = molecule.geometry().as_chunks::<3>();
    let mut dipole = [0.0; 3];
    for (charge, point) in charges.iter().zip(points) {
        for (sum, coordinate) in dipole.iter_mut().zip(point) {
            *sum += charge * coordinate;
        }
    }
    Ok(dipole)
}

/// `   * xtb version 6.5.1 (unknown) compiled by …`
fn version(stdout: &str) -> String {
    let told =
        stdout.split_once("* xtb version ").and_then(|(_, after)| after.split_ascii_whitespace().next());
    told.unwrap_or("unknown").to_owned()
}

/// `          | TOTAL ENERGY               -5.070370651327 Eh   |`, the last one.
fn energy(stdout: &str) -> Result<f64, String> {
    let (_, after) = stdout.rsplit_once("| TOTAL ENERGY").ok_or("xtb printed no total energy")?;
    number(after.split_ascii_whitespace().next().unwrap_or_default())
}

/// The gradient follows the coordinates, of which each line ends with the atom's symbol.
fn read_gradient(text: &str, atoms: usize) -> Result<Vec<f64>, String> {
    let rows = text.lines().skip(2 + atoms).take(atoms);
    let numbers =
        rows.flat_map(str::split_ascii_whitespace).map(number).collect::<Result<Vec<f64>, String>>()?;
    if numbers.len() != 3 * atoms {
        return Err(format!("it has {} numbers", numbers.len()));
    }
    Ok(numbers)
}

/// Lines of two atoms, which count from 1 there, and the order of their bond.
fn read_bonds(text: &str) -> Result<Bonds, String> {
    let unreadable = |line: &str| format!("it has the line `{}`", line.trim());
    let bond = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let mut atom = || words.next()?.parse::<u32>().ok()?.checked_sub(1);
        let (first, second) = (atom()?, atom()?);
        Some((first, second, number(words.next()?).ok()?))
    };
    text.lines().map(|line| bond(line).ok_or_else(|| unreadable(line))).collect()
}

fn number(word: &str) -> Result<f64, String> {
    let parsed = if word.contains('D') { word.replace('D', "E").parse() } else { word.parse() };
    parsed.map_err(|_| format!("`{word}` is no number"))
}
