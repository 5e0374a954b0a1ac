//! xtb without QCEngine, whose harness loads the library into Python: here the program itself runs, and what it prints
//! becomes the same result as far as the program prints it. Pure.
//!
//! Energies come with 12 digits behind the point, gradients with 14 significant ones, charges and dipoles with 8 digits behind
//! the point. Of Mayer's bond orders the program prints those above 0.1 only: they are told as what they are, a list of
//! pairs, and not as QCEngine's whole matrix.

mod input;
mod output;

use serde_json::{Map, Value, json};

use self::input::{Method, Request};
use self::output::{Printed, Unread};
use super::answer::{self, Failed, Found};
use super::{Finished, Invocation, NativeProgram, Step};
use crate::model::calculation::{Calculation, Driver, QcSpecification};
use crate::node::budget::Share;
use crate::node::worker::Reply;

const COORDINATES: &str = "coord";
const GRADIENT: &str = "gradient";
const REPORT: &str = "xtbout.json";
const BONDS: &str = "wbo";
const FORCE_FIELD_CHARGES: &str = "gfnff_charges";

/// The program.
#[derive(Clone, Copy, Debug)]
pub struct Xtb;

impl NativeProgram for Xtb {
    fn name(&self) -> &'static str {
        "xtb"
    }

    fn executable(&self) -> Option<&'static str> {
        Some("xtb")
    }

    fn prepare(&self, calculation: &Calculation, share: Share) -> Option<Invocation> {
        let request = Request::of(answer::singlepoint(calculation)?, &calculation.molecule)?;
        let outputs = match request.method {
            Method::ForceField => [GRADIENT, FORCE_FIELD_CHARGES].as_slice(),
            Method::TightBinding(_) => &[GRADIENT, REPORT, BONDS],
        };
        Some(Invocation {
            files: vec![(COORDINATES.to_owned(), input::coordinates(&calculation.molecule).into_bytes())],
            step: Step::Process {
                arguments: request.arguments(COORDINATES),
                environment: answer::threads(share.cores),
            },
            outputs: outputs.iter().map(|name| (*name).to_owned()).collect(),
        })
    }

    fn read(&self, calculation: &Calculation, _share: Share, finished: &Finished) -> Reply {
        let output = finished.stdout.clone();
        let Some(specification) = answer::singlepoint(calculation) else {
            let failed = Failed { error_type: "input_error", message: "xtb runs single points only".into() };
            return answer::failure(finished, self.name(), failed, output);
        };
        match found(specification, calculation, finished) {
            Ok(found) => answer::reply(calculation, specification, finished, found),
            Err(failed) => answer::failure(finished, self.name(), failed, output),
        }
    }
}

fn found(
    specification: &QcSpecification,
    calculation: &Calculation,
    finished: &Finished,
) -> Result<Found, Failed> {
    if let Some(trouble) = output::trouble(&finished.stdout) {
        return Err(Failed { error_type: "runtime_error", message: trouble });
    }
    answer::unless_killed("xtb", finished)?;
    answer::unless_failed("xtb", finished)?;
    let text = |file: &'static str| {
        let bytes = finished.files.get(file);
        let missing = || Unread { file, why: "xtb did not write it".to_owned() };
        bytes.map(|bytes| String::from_utf8_lossy(bytes)).ok_or_else(missing)
    };
    let molecule = &calculation.molecule;
    let printed = match Method::of(specification) {
        Some(Method::ForceField) => {
            output::of_force_field(molecule, &finished.stdout, &text(GRADIENT), &text(FORCE_FIELD_CHARGES))
        }
        _ => {
            output::of_tight_binding(molecule, &finished.stdout, &text(GRADIENT), &text(REPORT), &text(BONDS))
        }
    };
    told(specification.driver, printed.map_err(Failed::unknown)?, &finished.stdout)
}

/// The answer to what `driver` asks. What it does not need and cannot be read is left out, and the output says so.
fn told(driver: Driver, printed: Printed, stdout: &str) -> Result<Found, Failed> {
    let mut left_out: Vec<(&'static str, String)> = vec![];
    let mut properties = Map::new();
    let mut of_program = Map::new();
    let mut keep = |map: &mut Map<String, Value>, name: &str, value: Result<Value, Unread>| match value {
        Ok(value) => drop(map.insert(name.to_owned(), value)),
        Err(Unread { file, why }) => left_out.push((file, why)),
    };
    let return_result = match (driver, &printed.gradient) {
        (Driver::Energy, _) => Value::from(printed.energy),
        (_, Ok(gradient)) => Value::from(gradient.clone()),
        (_, Err(Unread { file, why })) => return Err(Failed::unknown(format!("`{file}`: {why}"))),
    };
    keep(&mut properties, "return_energy", Ok(Value::from(printed.energy)));
    keep(&mut properties, "scf_dipole_moment", printed.dipole.map(|dipole| Value::from(dipole.to_vec())));
    keep(&mut of_program, "return_gradient", printed.gradient.map(Value::from));
    if let Some(charges) = printed.charges {
        keep(&mut of_program, "mulliken_charges", charges.map(Value::from));
    }
    if let Some(bonds) = printed.bonds {
        let listed = |bonds: Vec<_>| {
            bonds.iter().map(|(first, second, order)| json!([first, second, order])).collect::<Vec<Value>>()
        };
        keep(&mut of_program, "mayer_bonds", bonds.map(|bonds| Value::from(listed(bonds))));
    }
    left_out.dedup();
    Ok(Found {
        creator: "xtb",
        version: printed.version,
        properties,
        return_result,
        extras: Map::from_iter([("xtb".to_owned(), Value::Object(of_program))]),
        output: answer::with_notes(stdout, left_out.into_iter()),
    })
}

#[cfg(test)]
mod tests;
