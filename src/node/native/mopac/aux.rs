//! MOPAC's auxiliary file, read by the rules of QCEngine's harness: the same members, the same units, the same digits. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Units as QCEngine takes them from MOPAC, so that numbers agree to the last digit.
const BOHR_IN_ANGSTROM: f64 = 0.5291772083;
const HARTREE_IN_EV: f64 = 27.2113834;
const EV_IN_KCAL_PER_MOL: f64 = 23.060529;
const HARTREE_IN_KCAL_PER_MOL: f64 = HARTREE_IN_EV * EV_IN_KCAL_PER_MOL;
const ATOMIC_UNIT_IN_DEBYE: f64 = 2.99792458e10 * 1.602176462e0 * 1e-10 * BOHR_IN_ANGSTROM;

/// What is kept, lower case as it comes out.
const KEPT: [&str; 13] = [
    "heat_of_formation",
    "energy_electronic",
    "energy_nuclear",
    "gradient_norm",
    "dip_vec",
    "spin_component",
    "total_spin",
    "molecular_weight",
    "total_energy",
    "gradients",
    "mopac_version",
    "atom_charges",
    "point_group",
];

/// What the file says, in atomic units. What a driver does not need may be missing: it costs no result.
#[derive(PartialEq, Debug)]
pub(super) struct Aux {
    pub(super) version: String,
    pub(super) heat_of_formation: f64,
    /// None where MOPAC printed none, as for a single atom.
    pub(super) gradient: Option<Vec<f64>>,
    /// Everything kept but version and gradient.
    pub(super) extras: Map<String, Value>,
    /// Members that cannot be read and are left out, and why.
    pub(super) left_out: BTreeMap<&'static str, String>,
    /// What MOPAC says went wrong.
    pub(super) errors: Vec<String>,
}

/// Members without which there is no result of any driver.
const NEEDED: &str = "heat_of_formation";

/// One kept member while the file is read.
enum Member {
    Text(String),
    Number(f64),
    List { factor: f64, numbers: Vec<f64> },
}

/// Reads the file, or says why it cannot be read.
pub(super) fn read(text: &str) -> Result<Aux, String> {
    let mut members: Vec<(&'static str, Result<Member, String>)> = Vec::with_capacity(KEPT.len());
    let mut open: Option<usize> = None;
    let mut errors = vec![];
    for line in text.lines() {
        if let Some(error) = line.trim().strip_prefix("ERROR_MESSAGE=") {
            errors.push(error.trim_matches('"').to_owned());
            continue;
        }
        if line.contains("START") || line.contains("END") || line.contains('#') {
            continue;
        }
        match (line.split_once('='), open) {
            (Some((key, value)), _) => {
                let (name, units) = name_and_units(key);
                let Some(kept) = KEPT.iter().find(|kept| name.eq_ignore_ascii_case(kept)) else {
                    open = None;
                    continue;
                };
                let member = factor(units).and_then(|factor| member(factor, value));
                let at = members.iter().position(|(name, _)| name == kept).unwrap_or_else(|| {
                    members.push((kept, Ok(Member::Number(0.0))));
                    members.len() - 1
                });
                members[at].1 = member;
                open = Some(at);
            }
            (None, None) => {}
            (None, Some(at)) => {
                let (name, member) = &mut members[at];
                if let Err(trouble) = go_on(name, member, line) {
                    *member = Err(trouble);
                }
            }
        }
    }
    sort_out(members, errors)
}

/// Reads a line that belongs to the member before it.
fn go_on(name: &str, member: &mut Result<Member, String>, line: &str) -> Result<(), String> {
    match member {
        Ok(Member::List { factor, numbers }) => numbers.append(&mut list(line, *factor)?),
        Err(_) => {}
        Ok(_) if line.trim().is_empty() => {}
        Ok(_) => return Err(format!("`{name}` goes on in `{}`", line.trim())),
    }
    Ok(())
}

fn sort_out(
    members: Vec<(&'static str, Result<Member, String>)>,
    errors: Vec<String>,
) -> Result<Aux, String> {
    let (mut version, mut gradient, mut heat_of_formation) = (None, None, None);
    let mut extras = Map::new();
    let mut left_out = BTreeMap::new();
    for (name, member) in members {
        match (name, member) {
            (name, Err(trouble)) if name == NEEDED => return Err(trouble),
            (name, Err(trouble)) => {
                left_out.insert(name, trouble);
            }
            ("mopac_version", Ok(Member::Text(text))) => version = Some(text),
            ("gradients", Ok(Member::List { numbers, .. })) => gradient = Some(numbers),
            (name, Ok(member)) => {
                if let (NEEDED, Member::Number(number)) = (name, &member) {
                    heat_of_formation = Some(*number);
                }
                extras.insert(name.to_owned(), member.into());
            }
        }
    }
    let none = || match errors.is_empty() {
        true => "the MOPAC output has no heat of formation".to_owned(),
        false => errors.join("\n"),
    };
    let heat_of_formation = heat_of_formation.ok_or_else(none)?;
    let version = version.unwrap_or_else(|| "unknown".to_owned());
    Ok(Aux { version, heat_of_formation, gradient, extras, left_out, errors })
}

/// `GRADIENTS:KCAL/MOL/ANGSTROM[09]` is a name with units and a length, `ATOM_CHARGES[03]` has no units.
fn name_and_units(key: &str) -> (&str, Option<&str>) {
    let before = |text: &'_ str, length: usize| -> usize { text.find('[').unwrap_or(length) };
    let (name, units) = match key.split_once(':') {
        Some((name, units)) => (name, Some(&units[..before(units, units.len())])),
        None => (key, None),
    };
    (name[..before(name, name.len())].trim(), units)
}

/// What a number in these units is multiplied with.
fn factor(units: Option<&str>) -> Result<f64, String> {
    Ok(match units {
        None | Some("AMU") => 1.0,
        Some("KCAL/MOL") => 1.0 / HARTREE_IN_KCAL_PER_MOL,
        Some("KCAL/MOL/ANGSTROM") => BOHR_IN_ANGSTROM / HARTREE_IN_KCAL_PER_MOL,
        Some("EV") => 1.0 / HARTREE_IN_EV,
        Some("DEBYE") => 1.0 / ATOMIC_UNIT_IN_DEBYE,
        Some(other) => return Err(format!("MOPAC's unit `{other}` is not known")),
    })
}

/// A value is a number, or numbers, where it has an exponent; a list that begins on the next line where it is empty; text
/// otherwise.
fn member(factor: f64, value: &str) -> Result<Member, String> {
    let value = value.trim();
    let has_exponent = ["D+", "D-", "E+", "E-"].iter().any(|exponent| value.contains(exponent));
    if value.is_empty() {
        return Ok(Member::List { factor, numbers: Vec::new() });
    }
    if !has_exponent {
        return Ok(Member::Text(value.to_owned()));
    }
    if value.split_ascii_whitespace().nth(1).is_some() {
        return Ok(Member::List { factor, numbers: list(value, factor)? });
    }
    Ok(Member::Number(number(value)? * factor))
}

fn list(line: &str, factor: f64) -> Result<Vec<f64>, String> {
    line.split_ascii_whitespace().map(|word| Ok(number(word)? * factor)).collect()
}

/// A number with Fortran's exponent, if any.
fn number(word: &str) -> Result<f64, String> {
    let parsed = if word.contains('D') { word.replace('D', "E").parse() } else { word.parse() };
    parsed.map_err(|_| format!("could not convert string to float: '{word}'"))
}

impl From<Member> for Value {
    fn from(member: Member) -> Value {
        match member {
            Member::Text(text) => Value::from(text),
            Member::Number(number) => Value::from(number),
            Member::List { numbers, .. } => Value::from(numbers),
        }
    }
}
