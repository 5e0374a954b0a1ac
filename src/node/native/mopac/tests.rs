//! Inputs to the byte, and what is read of outputs that MOPAC 22.0.6 wrote.

use serde_json::{Value, json};

use super::*;
use crate::model::calculation::Specification;

const SHARE: Share = Share { cores: 2, memory_bytes: 1 << 30, gpus: 0 };

fn calculation(method: &str, driver: &str, keywords: Value, molecule: Value) -> Calculation {
    serde_json::from_value(json!({
        "specification": {"record_type": "singlepoint", "program": "mopac", "driver": driver, "method": method,
            "basis": "", "keywords": keywords, "protocols": {}},
        "molecule": molecule,
        "extras": {"mine": 1},
    }))
    .unwrap()
}

fn water(charge: i32, multiplicity: u32) -> Value {
    json!({"symbols": ["O", "H", "H"], "geometry": [0, 0, 0.22166, 0, 1.4309, -0.8867, 0, -1.4309, -0.8867],
        "molecular_charge": charge, "molecular_multiplicity": multiplicity})
}

fn input_of(calculation: &Calculation) -> Option<String> {
    let invocation = Mopac.prepare(calculation, SHARE)?;
    let [(name, bytes)] = &invocation.files[..] else { panic!("{invocation:?}") };
    assert_eq!(name, "dispatch.mop");
    Some(String::from_utf8(bytes.clone()).unwrap())
}

#[test]
fn the_input_is_qcengines_to_the_byte() {
    let cation = calculation("pm7", "energy", json!({}), water(1, 2));
    assert_eq!(
        input_of(&cation).unwrap(),
        "PM7 CHARGE=1.0 MS=0.5&\n\
         1SCF GRADIENTS AUX(PRECISION=9, XP, XS, XW) A0 PULAY ITER=100&\n\
         \n\
         O     0.000000000000     0.000000000000     0.221660000000\n\
         H     0.000000000000     1.430900000000    -0.886700000000\n\
         H     0.000000000000    -1.430900000000    -0.886700000000"
    );
    let told = calculation("pm6-d3h4", "gradient", json!({"iter": 7, "Pulay": false}), water(0, 1));
    let text = input_of(&told).unwrap();
    assert!(text.starts_with("PM6-D3H4 CHARGE=0.0 MS=0.0&\n1SCF "), "{text}");
    assert!(text.contains(" A0  ITER=7&\n"), "{text}");
}

#[test]
fn what_qcengine_would_refuse_or_write_otherwise_is_left_to_it() {
    let refused = [
        ("pm8", "energy", json!({})),
        ("pm7", "hessian", json!({})),
        ("pm7", "properties", json!({})),
        ("pm7", "energy", json!({"precise": true})),
        ("pm7", "energy", json!({"iter": "many"})),
        ("pm7", "energy", json!({"iter": 1.5})),
        ("pm7", "energy", json!({"pulay": 1})),
        ("pm7", "energy", json!({"iter": 1, "ITER": 2})),
    ];
    for (method, driver, keywords) in refused {
        let what = format!("{method} {driver} {keywords}");
        assert_eq!(Mopac.prepare(&calculation(method, driver, keywords, water(0, 1)), SHARE), None, "{what}");
    }
    let mut configured = calculation("pm7", "energy", json!({}), water(0, 1));
    configured.extras.insert("_qcengine_local_config".into(), json!({"ncores": 1}));
    assert_eq!(Mopac.prepare(&configured, SHARE), None);
}

#[test]
fn the_program_is_told_its_threads() {
    let invocation = Mopac.prepare(&calculation("pm7", "energy", json!({}), water(0, 1)), SHARE).unwrap();
    let Step::Process { arguments, environment } = invocation.step else { panic!("{invocation:?}") };
    assert_eq!(arguments, ["mopac", "dispatch.mop"]);
    assert!(environment.iter().all(|(_, value)| value == "2"), "{environment:?}");
    assert_eq!(environment.len(), 3);
}

/// Of a real run on water, shortened.
const AUX_TEXT: &str = r#" START OF MOPAC PROGRAM
 ####################################
 MOPAC_VERSION=22.0.6              
 TITLE="SPLENDID=TOTAL_ENERGY:EV=1.0D+00"
 ATOM_EL[03]=
  O  H  H 
 ATOM_X:ANGSTROMS[09]=
    0.0000000000000    0.0000000000000    0.1172974205688
 HEAT_OF_FORMATION:KCAL/MOL=-0.577900260590450D+02
 GRADIENT_NORM:KCAL/MOL/ANGSTROM=+0.318168321200215D+01
 POINT_GROUP=C2v 
 DIPOLE:DEBYE=+0.214073182927681D+01
 DIP_VEC:DEBYE[3]= +0.90721827681758D-16 -0.18502836077028D-10 -0.21407318292768D+01
 AREA:SQUARE ANGSTROMS=+0.424914618697455D+02
 TOTAL_SPIN=+0.000000000000000D+00
 MOLECULAR_WEIGHT:AMU=+0.180152000000000D+02
 ATOM_CHARGES[03]=
 -0.64534345651430 +0.32267172825448 +0.32267172825982
 GRADIENTS:KCAL/MOL/ANGSTROM[09]=
   0.0000000515290  -0.0000001405112   2.5970125818936   0.0000000256066  -0.0565518430810  -1.2985063531586
   0.0000000256066   0.0565516858247  -1.2985063564357
 MOLECULAR_ORBITAL_OCCUPANCIES[00006]=
 2.0000000000000 2.0000000000000
 END OF MOPAC FILE
"#;

#[test]
fn the_auxiliary_file_is_read_in_atomic_units_to_qcengines_last_digit() {
    let aux = aux::read(AUX_TEXT).unwrap();
    assert_eq!((aux.version.as_str(), aux.heat_of_formation), ("22.0.6", -0.09209435344270761));
    let expected = json!({
        "heat_of_formation": -0.09209435344270761,
        "gradient_norm": 0.0026831081606737907,
        "point_group": "C2v",
        "dip_vec": aux.extras["dip_vec"],
        "total_spin": 0.0,
        "molecular_weight": 18.0152,
        "atom_charges": [-0.6453434565143, 0.32267172825448, 0.32267172825982],
    });
    assert_eq!(Value::Object(aux.extras.clone()), expected);
    assert_eq!(aux.extras["dip_vec"][2], -0.8422287951216786);
    let gradient = aux.gradient.unwrap();
    assert_eq!(gradient.len(), 9);
    assert_eq!((gradient[0], gradient[2]), (4.3454319993208145e-11, 0.002190056390770094));
    assert!(aux.left_out.is_empty() && aux.errors.is_empty());
}

#[test]
fn what_no_driver_can_do_without_must_be_readable() {
    for (from, to, said) in [
        ("HEAT_OF_FORMATION:", "HEAT:", "no heat of formation"),
        ("HEAT_OF_FORMATION:KCAL/MOL", "HEAT_OF_FORMATION:HARTREE", "unit `HARTREE`"),
        ("-0.577900260590450D+02", "NaND+02", "'NaND+02'"),
    ] {
        let error = aux::read(&AUX_TEXT.replace(from, to)).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
    let failed = " ERROR_MESSAGE=\"THE SCF CALCULATION FAILED.\"\n ERROR_MESSAGE=\"UNABLE TO ACHIEVE\"\n";
    assert_eq!(aux::read(failed).unwrap_err(), "THE SCF CALCULATION FAILED.\nUNABLE TO ACHIEVE");
}

#[test]
fn an_energy_needs_nothing_but_the_energy() {
    let unfinished = AUX_TEXT.split_once(" GRADIENTS").unwrap().0.to_owned();
    let overflown = AUX_TEXT.replace("-0.0565518430810", "**************");
    let odd = AUX_TEXT.replace("POINT_GROUP=C2v", "POINT_GROUP=C2v\n 1.0");
    let damaged = AUX_TEXT.replace("DIP_VEC:DEBYE", "DIP_VEC:TESLA");
    let nameless = AUX_TEXT.replace("MOPAC_VERSION", "VERSION");
    let cases = [
        (&unfinished, None),
        (&overflown, Some("`gradients`: could not convert string to float: '**************'")),
        (&odd, Some("`point_group` goes on in `1.0`")),
        (&damaged, Some("unit `TESLA`")),
        (&nameless, None),
    ];
    for (text, left_out) in cases {
        let energy = calculation("pm7", "energy", json!({}), water(0, 1));
        let reply = Mopac.read(&energy, SHARE, &finished(&[(AUX, text), (OUTPUT, "printed")], 0));
        let stdout = reply.stdout.unwrap();
        let result: Value = serde_json::from_str(reply.result.expect(left_out.unwrap_or("")).get()).unwrap();
        assert_eq!(result["return_result"], -0.09209435344270761);
        match left_out {
            Some(said) => {
                assert!(stdout.contains("[qcbatch: of dispatch.aux") && stdout.contains(said), "{stdout}")
            }
            None => assert_eq!(stdout, "printed"),
        }
    }
    for (text, said) in [(&unfinished, "has no gradient"), (&overflown, "'**************'")] {
        let gradient = calculation("pm7", "gradient", json!({}), water(0, 1));
        let error = Mopac.read(&gradient, SHARE, &finished(&[(AUX, text)], 0)).error.unwrap();
        assert!(error.error_message.contains(said), "{error:?}");
    }
}

#[test]
fn the_gradient_of_an_atom_is_zero_unless_mopac_says_that_it_failed() {
    let atom = AUX_TEXT.split_once(" GRADIENTS").unwrap().0;
    let helium = json!({"symbols": ["He"], "geometry": [0, 0, 0]});
    let calculation = calculation("pm7", "gradient", json!({}), helium);
    let reply = Mopac.read(&calculation, SHARE, &finished(&[(AUX, atom)], 0));
    let result: Value = serde_json::from_str(reply.result.unwrap().get()).unwrap();
    assert_eq!(result["return_result"], json!([0.0, 0.0, 0.0]));
    let failed = format!("{atom} ERROR_MESSAGE=\"UNABLE TO ACHIEVE SELF-CONSISTENCE\"\n");
    let error = Mopac.read(&calculation, SHARE, &finished(&[(AUX, &failed)], 0)).error.unwrap();
    assert_eq!(error.error_message, "UNABLE TO ACHIEVE SELF-CONSISTENCE");
}

fn finished(files: &[(&str, &str)], wait_status: i32) -> Finished {
    use std::os::unix::process::ExitStatusExt;
    Finished {
        status: Some(std::process::ExitStatus::from_raw(wait_status)),
        files: files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect(),
        hostname: "node7".into(),
        wall_seconds: 0.25,
        cpu_seconds: 0.125,
        ..Finished::default()
    }
}

#[test]
fn the_answer_is_an_atomic_result_that_says_which_way_it_came() {
    let calculation = calculation("pm7", "gradient", json!({"iter": 50}), water(0, 1));
    let reply = Mopac.read(&calculation, SHARE, &finished(&[(AUX, AUX_TEXT), (OUTPUT, "printed")], 0));
    assert_eq!((reply.program.as_deref(), reply.program_version.as_deref()), (Some("mopac"), Some("22.0.6")));
    assert_eq!((reply.stdout.as_deref(), reply.cpu_seconds), (Some("printed"), 0.125));
    let result: Value = serde_json::from_str(reply.result.unwrap().get()).unwrap();
    assert_eq!((&result["schema_name"], &result["success"]), (&json!("qcschema_output"), &json!(true)));
    assert_eq!(result["model"], json!({"method": "pm7", "basis": null}));
    assert_eq!(result["keywords"], json!({"iter": 50}));
    assert_eq!((&result["extras"]["mine"], &result["extras"]["point_group"]), (&json!(1), &json!("C2v")));
    assert_eq!(result["properties"], json!({"return_energy": -0.09209435344270761}));
    assert_eq!(result["return_result"].as_array().unwrap().len(), 9);
    let provenance = &result["provenance"];
    assert_eq!(provenance["routine"], "qcbatch.node.native.mopac");
    assert_eq!((&provenance["hostname"], &provenance["wall_time"]), (&json!("node7"), &json!(0.25)));
    assert!(provenance.get("qcengine_version").is_none());
}

#[test]
fn the_protocol_may_drop_the_output() {
    let mut calculation = calculation("pm7", "energy", json!({}), water(0, 1));
    let Specification::Singlepoint(specification) = &mut calculation.specification else { unreachable!() };
    specification.protocols.insert("stdout".into(), json!(false));
    let reply = Mopac.read(&calculation, SHARE, &finished(&[(AUX, AUX_TEXT), (OUTPUT, "printed")], 0));
    assert_eq!(reply.stdout, None);
    let result: Value = serde_json::from_str(reply.result.unwrap().get()).unwrap();
    assert_eq!(result["return_result"], -0.09209435344270761);
}

#[test]
fn a_failure_has_qcengines_type_and_keeps_what_was_printed() {
    let calculation = calculation("pm7", "energy", json!({}), water(0, 1));
    let failure = |files: &[(&str, &str)], wait_status| {
        let reply = Mopac.read(&calculation, SHARE, &finished(files, wait_status));
        assert!(reply.result.is_none());
        let error = reply.error.unwrap();
        assert_eq!(error.error_type, "unknown_error");
        (error.error_message, reply.stdout)
    };
    assert_eq!(failure(&[(OUTPUT, "no such atom")], 0), ("no such atom".into(), Some("no such atom".into())));
    assert!(failure(&[], 0).0.contains("no results were captured"));
    let (message, stdout) = failure(&[(AUX, "MOPAC_VERSION=1\n"), (OUTPUT, "printed")], 0);
    assert!(message.contains("no heat of formation"), "{message}");
    assert_eq!(stdout.as_deref(), Some("printed"));
    assert!(failure(&[(AUX, AUX_TEXT)], 2 << 8).0.contains("exit code 2"));
    assert!(failure(&[(AUX, AUX_TEXT)], 9).0.contains("SIGKILL"));
}
