//! MOPAC without QCEngine: the same input, one process of some milliseconds, the same result. Pure.
//!
//! What QCEngine would refuse (an unknown method or keyword, another driver) is left to QCEngine, which says why.

mod aux;
mod input;

use serde_json::{Map, Value};

use self::aux::Aux;
use super::answer::{self, Failed, Found};
use super::{Finished, Invocation, NativeProgram, Step};
use crate::model::calculation::{Calculation, Driver, QcSpecification};
use crate::node::budget::Share;
use crate::node::worker::Reply;

const INPUT: &str = "dispatch.mop";
const OUTPUT: &str = "dispatch.out";
const AUX: &str = "dispatch.aux";

/// The program.
#[derive(Clone, Copy, Debug)]
pub struct Mopac;

impl NativeProgram for Mopac {
    fn name(&self) -> &'static str {
        "mopac"
    }

    fn executable(&self) -> Option<&'static str> {
        Some("mopac")
    }

    fn prepare(&self, calculation: &Calculation, share: Share) -> Option<Invocation> {
        let specification = answer::singlepoint(calculation)?;
        let text = input::write(specification, &calculation.molecule)?;
        Some(Invocation {
            files: vec![(INPUT.to_owned(), text.into_bytes())],
            step: Step::Process {
                arguments: vec!["mopac".to_owned(), INPUT.to_owned()],
                environment: answer::threads(share.cores),
            },
            outputs: vec![OUTPUT.to_owned(), AUX.to_owned()],
        })
    }

    fn read(&self, calculation: &Calculation, _share: Share, finished: &Finished) -> Reply {
        let text = |name: &str| finished.files.get(name).map(|bytes| String::from_utf8_lossy(bytes));
        let output = text(OUTPUT).map(|text| text.into_owned()).unwrap_or_default();
        let Some(specification) = answer::singlepoint(calculation) else {
            let failed =
                Failed { error_type: "input_error", message: "MOPAC runs single points only".into() };
            return answer::failure(finished, self.name(), failed, output);
        };
        match found(calculation, specification, text(AUX).as_deref(), finished, &output) {
            Ok(found) => answer::reply(calculation, specification, finished, found),
            Err(failed) => answer::failure(finished, self.name(), failed, output),
        }
    }
}

/// Judges as QCEngine's harness does: first what is in the files, then the exit status. Asks of the files only what the
/// driver needs.
fn found(
    calculation: &Calculation,
    specification: &QcSpecification,
    aux: Option<&str>,
    finished: &Finished,
    output: &str,
) -> Result<Found, Failed> {
    answer::unless_killed("mopac", finished)?;
    let Some(aux) = aux else {
        answer::unless_failed("mopac", finished)?;
        let nothing = "An unknown error occured and no results were captured.";
        return Err(Failed::unknown(if output.is_empty() { nothing } else { output }));
    };
    let Aux { version, heat_of_formation, gradient, extras, left_out, errors } =
        aux::read(aux).map_err(Failed::unknown)?;
    answer::unless_failed("mopac", finished)?;
    if gradient.is_none() && !errors.is_empty() {
        return Err(Failed::unknown(errors.join("\n")));
    }
    let mut properties = Map::new();
    properties.insert("return_energy".to_owned(), Value::from(heat_of_formation));
    let atoms = calculation.molecule.atoms();
    let return_result = match (specification.driver, gradient) {
        (Driver::Energy, _) => Value::from(heat_of_formation),
        (_, Some(gradient)) if gradient.len() == 3 * atoms => Value::from(gradient),
        // MOPAC prints no gradient of a single atom: it is zero.
        (_, None) if atoms == 1 && !left_out.contains_key("gradients") => Value::from(vec![0.0; 3]),
        (_, Some(gradient)) => {
            return Err(Failed::unknown(format!(
                "the MOPAC output has a gradient of {} numbers",
                gradient.len()
            )));
        }
        (_, None) => {
            let why = left_out.get("gradients").cloned();
            return Err(Failed::unknown(
                why.unwrap_or_else(|| "the MOPAC output has no gradient".to_owned()),
            ));
        }
    };
    let output =
        answer::with_notes(output, left_out.iter().map(|(name, why)| (AUX, format!("`{name}`: {why}"))));
    Ok(Found { creator: "mopac", version, properties, return_result, extras, output })
}

#[cfg(test)]
mod tests;
