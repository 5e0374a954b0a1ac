//! What xtb printed: energy and version from its output, gradient, charges, dipole and bond orders from its files. Pure.

use serde::Deserialize;

use crate::model::molecule::Molecule;

/// What was read, in atomic units.
#[derive(PartialEq, Debug)]
pub(super) struct Printed {
    pub(super) version: String,
    pub(super) energy: f64,
    pub(super) gradient: Vec<f64>,
    pub(super) dipole: [f64; 3],
    /// Of methods with orbitals.
    pub(super) wavefunction: Option<Wavefunction>,
}

/// What is known of the electrons.
#[derive(PartialEq, Debug)]
pub(super) struct Wavefunction {
    /// Mulliken's, one per atom.
    pub(super) charges: Vec<f64>,
    /// Mayer's bond orders above 0.1, of atoms that count from 0.
    pub(super) bonds: Vec<(u32, u32, f64)>,
}

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

/// The results of a method with orbitals.
pub(super) fn of_tight_binding(
    molecule: &Molecule,
    stdout: &str,
    gradient: &str,
    report: &str,
    bonds: &str,
) -> Result<Printed, String> {
    let report: Report = serde_json::from_str(report).map_err(|error| format!("xtbout.json: {error}"))?;
    if report.partial_charges.len() != molecule.atoms() {
        return Err(format!("xtbout.json has {} partial charges", report.partial_charges.len()));
    }
    let wavefunction = Wavefunction { charges: report.partial_charges, bonds: read_bonds(bonds)? };
    Ok(Printed {
        version: version(stdout)?,
        energy: energy(stdout)?,
        gradient: read_gradient(gradient, molecule.atoms())?,
        dipole: report.dipole,
        wavefunction: Some(wavefunction),
    })
}

/// The results of the force field. It prints no dipole: the moment is that of its charges, as the library has it.
pub(super) fn of_force_field(
    molecule: &Molecule,
    stdout: &str,
    gradient: &str,
    charges: &str,
) -> Result<Printed, String> {
    let charges = charges.split_ascii_whitespace().map(number).collect::<Result<Vec<f64>, String>>()?;
    if charges.len() != molecule.atoms() {
        return Err(format!("gfnff_charges has {} charges", charges.len()));
    }
    let (points, _) = molecule.geometry().as_chunks::<3>();
    let mut dipole = [0.0; 3];
    for (charge, point) in charges.iter().zip(points) {
        for (sum, coordinate) in dipole.iter_mut().zip(point) {
            *sum += charge * coordinate;
        }
    }
    Ok(Printed {
        version: version(stdout)?,
        energy: energy(stdout)?,
        gradient: read_gradient(gradient, molecule.atoms())?,
        dipole,
        wavefunction: None,
    })
}

/// `   * xtb version 6.5.1 (unknown) compiled by …`
fn version(stdout: &str) -> Result<String, String> {
    let (_, after) = stdout.split_once("* xtb version ").ok_or("xtb did not tell its version")?;
    Ok(after.split_ascii_whitespace().next().unwrap_or_default().to_owned())
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
        return Err(format!("the gradient has {} numbers", numbers.len()));
    }
    Ok(numbers)
}

/// Lines of two atoms, which count from 1 there, and the order of their bond.
fn read_bonds(text: &str) -> Result<Vec<(u32, u32, f64)>, String> {
    let unreadable = |line: &str| format!("wbo has the line `{}`", line.trim());
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
