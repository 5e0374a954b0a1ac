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
use self::output::Printed;
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
            Ok(found) => answer::reply(calculation, specification, finished, Found { output, ..found }),
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
    let text = |name: &str| {
        let bytes = finished.files.get(name);
        bytes.map(|bytes| String::from_utf8_lossy(bytes)).ok_or_else(|| format!("xtb wrote no file `{name}`"))
    };
    let printed = || -> Result<Printed, String> {
        match Method::of(specification) {
            Some(Method::ForceField) => output::of_force_field(
                &calculation.molecule,
                &finished.stdout,
                &text(GRADIENT)?,
                &text(FORCE_FIELD_CHARGES)?,
            ),
            _ => output::of_tight_binding(
                &calculation.molecule,
                &finished.stdout,
                &text(GRADIENT)?,
                &text(REPORT)?,
                &text(BONDS)?,
            ),
        }
    };
    let printed = printed().map_err(Failed::unknown)?;
    let mut properties = Map::new();
    properties.insert("return_energy".to_owned(), Value::from(printed.energy));
    properties.insert("scf_dipole_moment".to_owned(), Value::from(printed.dipole.to_vec()));
    let return_result = match specification.driver {
        Driver::Energy => Value::from(printed.energy),
        _ => Value::from(printed.gradient.clone()),
    };
    let mut of_program = Map::new();
    of_program.insert("return_gradient".to_owned(), Value::from(printed.gradient));
    if let Some(states) = printed.wavefunction {
        of_program.insert("mulliken_charges".to_owned(), Value::from(states.charges));
        let bonds: Vec<Value> =
            states.bonds.iter().map(|(first, second, order)| json!([first, second, order])).collect();
        of_program.insert("mayer_bonds".to_owned(), Value::from(bonds));
    }
    let extras = Map::from_iter([("xtb".to_owned(), Value::Object(of_program))]);
    Ok(Found {
        creator: "xtb",
        version: printed.version,
        properties,
        return_result,
        extras,
        output: String::new(),
    })
}

#[cfg(test)]
mod tests;
