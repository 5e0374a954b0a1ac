//! A program that computes nothing, for `qcbatch bench`: it measures the way of a task, not the task. Pure.
//!
//! Method `null` answers at once, `sleep` after keyword `milliseconds`, `true` when `/bin/true` has ended. Keyword
//! `payload_bytes` asks for so much text as standard output; it is made from the input and hardly compresses. The energy is
//! the sum of the molecule's coordinates: a result that was stored tells which molecule it is of.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::{Finished, Invocation, NativeProgram, Step};
use crate::model::calculation::{Calculation, QcSpecification, Specification};
use crate::model::task::NATIVE_ROUTINE;
use crate::model::timing::SYNTHETIC as NAME;
use crate::node::budget::Share;
use crate::node::worker::{Reply, ReplyError};

/// Most text that is made.
const LARGEST_PAYLOAD: u64 = 256 << 20;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The program.
#[derive(Clone, Copy, Debug)]
pub struct Synthetic;

impl NativeProgram for Synthetic {
    fn name(&self) -> &'static str {
        NAME
    }

    fn executable(&self) -> Option<&'static str> {
        None
    }

    fn prepare(&self, calculation: &Calculation, _share: Share) -> Option<Invocation> {
        let specification = calculation.specification.qc();
        let step = match specification.method.as_str() {
            "sleep" => Step::Sleep(Duration::from_millis(number(&specification.keywords, "milliseconds"))),
            "true" => Step::Process { arguments: vec!["/bin/true".into()], environment: vec![] },
            _ => Step::Nothing,
        };
        Some(Invocation { step, ..Invocation::default() })
    }

    fn read(&self, calculation: &Calculation, _share: Share, finished: &Finished) -> Reply {
        let outcome = match &calculation.specification {
            Specification::Optimization(_) => Err("the synthetic program has single points only".to_owned()),
            Specification::Singlepoint(specification) => answer(calculation, specification, finished),
        };
        let (result, error) = match outcome {
            Ok(result) => (Some(result), None),
            Err(message) => {
                (None, Some(ReplyError { error_type: "input_error".into(), error_message: message }))
            }
        };
        let wanted = number(&calculation.specification.qc().keywords, "payload_bytes").min(LARGEST_PAYLOAD);
        Reply {
            stdout: (wanted > 0 && error.is_none()).then(|| payload(calculation, wanted)),
            result,
            error,
            stderr: None,
            native_files: BTreeMap::new(),
            cpu_seconds: finished.cpu_seconds,
            program: Some(NAME.into()),
            program_version: Some(env!("CARGO_PKG_VERSION").into()),
            exit_code: None,
        }
    }
}

fn number(keywords: &Map<String, Value>, name: &str) -> u64 {
    keywords.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn answer(
    calculation: &Calculation,
    specification: &QcSpecification,
    finished: &Finished,
) -> Result<Box<RawValue>, String> {
    if !matches!(specification.method.as_str(), "null" | "sleep" | "true") {
        return Err(format!(
            "the synthetic program has no method `{}`: null, sleep, true",
            specification.method
        ));
    }
    if let Some(status) = finished.status.filter(|status| !status.success()) {
        return Err(format!("/bin/true ended with {status}"));
    }
    let mut model = json!({"method": specification.method});
    if !specification.basis.is_empty() {
        model["basis"] = specification.basis.clone().into();
    }
    let energy: f64 = calculation.molecule.geometry().iter().sum();
    let result = json!({
        "schema_name": "qcschema_output",
        "schema_version": 1,
        "molecule": calculation.molecule,
        "driver": specification.driver,
        "model": model,
        "keywords": specification.keywords,
        "protocols": specification.protocols,
        "extras": calculation.extras,
        "provenance": {"creator": NAME, "version": env!("CARGO_PKG_VERSION"), "routine": format!("{NATIVE_ROUTINE}{NAME}")},
        "properties": {"return_energy": energy},
        "return_result": energy,
        "success": true,
    });
    to_raw_value(&result).map_err(|error| error.to_string())
}

/// Text of the asked length: the same for the same calculation, different for others.
fn payload(calculation: &Calculation, bytes: u64) -> String {
    let document = serde_json::to_vec(calculation).unwrap_or_default();
    let seed = document.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut state = seed | 1;
    let mut text = String::with_capacity(usize::try_from(bytes).unwrap_or(0));
    for _ in 0..bytes {
        // xorshift64*: its high bits are the good ones.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let digit = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 58;
        text.push(char::from(ALPHABET[digit as usize]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calculation(method: &str, keywords: Value, number: i64) -> Calculation {
        serde_json::from_value(json!({
            "specification": {"record_type": "singlepoint", "program": NAME, "driver": "energy",
                "method": method, "basis": "", "keywords": keywords, "protocols": {}},
            "molecule": {"symbols": ["He"], "geometry": [0.0, 0.0, 0.0]},
            "extras": {"number": number},
        }))
        .unwrap()
    }

    fn read(calculation: &Calculation) -> Reply {
        Synthetic.read(calculation, Share::default(), &Finished::default())
    }

    #[test]
    fn methods_say_what_is_started() {
        let step = |method: &str, keywords: Value| {
            Synthetic.prepare(&calculation(method, keywords, 0), Share::default()).unwrap().step
        };
        assert_eq!(step("null", json!({})), Step::Nothing);
        assert_eq!(step("sleep", json!({"milliseconds": 20})), Step::Sleep(Duration::from_millis(20)));
        assert!(
            matches!(step("true", json!({})), Step::Process { arguments, .. } if arguments == ["/bin/true"])
        );
    }

    #[test]
    fn the_answer_is_a_result_of_zero_and_other_methods_are_refused() {
        let reply = read(&calculation("null", json!({}), 7));
        let result: Value = serde_json::from_str(reply.result.unwrap().get()).unwrap();
        assert_eq!((&result["return_result"], &result["extras"]["number"]), (&json!(0.0), &json!(7)));
        assert_eq!((&result["success"], reply.stdout), (&json!(true), None));
        let error = read(&calculation("hf", json!({}), 0)).error.unwrap();
        assert_eq!(error.error_type, "input_error");
    }

    #[test]
    fn a_payload_is_reproducible_its_own_and_does_not_compress() {
        let keywords = json!({"payload_bytes": 10_000});
        let text = |number| read(&calculation("null", keywords.clone(), number)).stdout.unwrap();
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
        assert_eq!(text(1).len(), 10_000);
        // 6 bits of chance in each byte of 8.
        assert!(zstd::bulk::compress(text(1).as_bytes(), 3).unwrap().len() > 7_400);
    }
}
