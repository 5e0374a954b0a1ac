//! Command lines, and what is read of outputs that xtb 6.5.1 wrote.

use super::*;

const SHARE: Share = Share { cores: 2, memory_bytes: 1 << 30, gpus: 0 };

fn calculation(method: &str, driver: &str, keywords: Value, molecule: Value) -> Calculation {
    serde_json::from_value(json!({
        "specification": {"record_type": "singlepoint", "program": "xtb", "driver": driver, "method": method,
            "basis": "", "keywords": keywords, "protocols": {}},
        "molecule": molecule,
        "extras": {"mine": 1},
    }))
    .unwrap()
}

fn water() -> Value {
    json!({"symbols": ["O", "H", "H"], "geometry": [0, 0, 0.22166, 0, 1.4309, -0.8867, 0, -1.4309, -0.8867]})
}

fn arguments(calculation: &Calculation) -> Option<String> {
    match Xtb.prepare(calculation, SHARE)?.step {
        Step::Process { arguments, environment } => {
            assert!(environment.contains(&("OMP_NUM_THREADS".to_owned(), "2".to_owned())));
            Some(arguments.join(" "))
        }
        step => panic!("{step:?}"),
    }
}

#[test]
fn a_request_is_a_command_line_and_a_file_of_coordinates() {
    let hydroxide =
        json!({"symbols": ["O", "H"], "geometry": [0, 0, 0, 0, 0.3, 1.8], "molecular_charge": -1});
    let methyl = json!({"symbols": ["C", "H", "H", "H"], "molecular_multiplicity": 2,
        "geometry": [0, 0, 0.05, 2.04, 0, 0, -1.02, 1.7666918, 0, -1.02, -1.7666918, 0]});
    let table = [
        ("gfn2-xtb", json!({}), water(), "--gfn 2 --chrg 0 --uhf 0"),
        ("GFN1-xTB", json!({"solvent": "none"}), hydroxide, "--gfn 1 --chrg -1 --uhf 0"),
        ("gfn0xtb", json!({}), methyl.clone(), "--gfn 0 --chrg 0 --uhf 1"),
        ("gfnff", json!({}), methyl, "--gfnff --chrg 0 --uhf 1"),
        (
            "gfn2-xtb",
            json!({"accuracy": 0.01, "electronic_temperature": 5000, "max_iterations": 50, "solvent": "Water"}),
            water(),
            "--gfn 2 --chrg 0 --uhf 0 --acc 0.01 --etemp 5000.0 --iterations 50 --gbsa h2o",
        ),
    ];
    for (method, keywords, molecule, expected) in table {
        let line = arguments(&calculation(method, "energy", keywords, molecule)).unwrap();
        assert_eq!(line, format!("xtb coord --grad --json --norestart {expected}"));
    }
    let invocation = Xtb.prepare(&calculation("gfn2-xtb", "gradient", json!({}), water()), SHARE).unwrap();
    let [(name, bytes)] = &invocation.files[..] else { panic!("{invocation:?}") };
    assert_eq!(name, "coord");
    assert_eq!(
        String::from_utf8_lossy(bytes),
        "$coord\n      0.00000000000000       0.00000000000000       0.22166000000000 o\n      \
         0.00000000000000       1.43090000000000      -0.88670000000000 h\n      \
         0.00000000000000      -1.43090000000000      -0.88670000000000 h\n$end\n"
    );
}

#[test]
fn what_the_harness_does_otherwise_is_left_to_qcengine() {
    let ghost = json!({"symbols": ["He", "He"], "geometry": [0, 0, 0, 0, 0, 5], "real": [true, false]});
    let refused = [
        ("gfn3-xtb", "energy", json!({}), water()),
        ("ipea-xtb", "energy", json!({}), water()),
        ("gfn2-xtb", "hessian", json!({}), water()),
        ("gfn2-xtb", "properties", json!({}), water()),
        ("gfn2-xtb", "energy", json!({"verbosity": "muted"}), water()),
        ("gfn2-xtb", "energy", json!({"solvent": "wine"}), water()),
        ("gfn2-xtb", "energy", json!({"accuracy": 1e-9}), water()),
        ("gfn2-xtb", "energy", json!({"accuracy": "high"}), water()),
        ("gfn2-xtb", "energy", json!({"max_iterations": 0}), water()),
        ("gfn2-xtb", "energy", json!({"electronic_temperature": -1.0}), water()),
        ("gfn0-xtb", "energy", json!({"accuracy": 0.1}), water()),
        ("gfn2-xtb", "energy", json!({}), ghost),
    ];
    for (method, driver, keywords, molecule) in refused {
        let what = format!("{method} {driver} {keywords} {molecule}");
        assert_eq!(arguments(&calculation(method, driver, keywords, molecule)), None, "{what}");
    }
}

const STDOUT: &str = "
   * xtb version 6.5.1 (unknown) compiled by 'builduser@buildhost' on 2022-12-09
         :: total energy              -5.070370651327 Eh    ::
          | TOTAL ENERGY               -5.070370651327 Eh   |
          | GRADIENT NORM               0.007222623791 Eh/α |
";
const GRADIENT_TEXT: &str = "$grad
  cycle =      1    SCF energy =    -5.07037065133   |dE/dxyz| =  0.007223
    0.00000000000000      0.00000000000000      0.22166000000000      o
    0.00000000000000      1.43090000000000     -0.88670000000000      h
    0.00000000000000     -1.43090000000000     -0.88670000000000      h
  -2.0376658135964E-17  -1.9373415193436E-16   2.9548974966254E-03
   2.8449378327086E-17  -4.4197944294765E-03  -1.4774487483127E-03
  -8.0727201911224E-18   4.4197944294767E-03  -1.4774487483126E-03
$end
";
const REPORT_TEXT: &str = r#"{
   "total energy":          -5.07037065,
   "dipole": [    -0.00000000,     0.00000000,    -0.89353133],
   "partial charges": [
       -0.56349879,
        0.28174939,
        0.28174939],
   "number of electrons": 8,
   "xtb version": "6.5.1 (unknown)"
}"#;
const BONDS_TEXT: &str = "           1           2  0.92021629196566346     \n           1           3  0.92021629196566357     \n";

fn finished(stdout: &str, files: &[(&str, &str)], wait_status: i32) -> Finished {
    use std::os::unix::process::ExitStatusExt;
    Finished {
        status: Some(std::process::ExitStatus::from_raw(wait_status)),
        stdout: stdout.to_owned(),
        stderr: "normal termination of xtb\n".to_owned(),
        files: files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect(),
        hostname: "node7".into(),
        ..Finished::default()
    }
}

const FILES: &[(&str, &str)] = &[(GRADIENT, GRADIENT_TEXT), (REPORT, REPORT_TEXT), (BONDS, BONDS_TEXT)];

#[test]
fn the_answer_has_the_digits_that_the_program_printed() {
    let calculation = calculation("gfn2-xtb", "energy", json!({}), water());
    let reply = Xtb.read(&calculation, SHARE, &finished(STDOUT, FILES, 0));
    assert_eq!((reply.program_version.as_deref(), reply.stdout.as_deref()), (Some("6.5.1"), Some(STDOUT)));
    let result: Value = serde_json::from_str(reply.result.unwrap().get()).unwrap();
    assert_eq!(result["return_result"], -5.070370651327);
    assert_eq!(
        result["properties"],
        json!({"return_energy": -5.070370651327, "scf_dipole_moment": [-0.0, 0.0, -0.89353133]})
    );
    let extras = &result["extras"];
    assert_eq!(extras["mine"], 1);
    assert_eq!(extras["xtb"]["mulliken_charges"], json!([-0.56349879, 0.28174939, 0.28174939]));
    assert_eq!(
        extras["xtb"]["mayer_bonds"],
        json!([[0, 1, 0.920_216_291_965_663_5], [0, 2, 0.920_216_291_965_663_6]])
    );
    assert_eq!(extras["xtb"]["return_gradient"][4], -4.4197944294765e-3);
    assert_eq!(result["provenance"]["routine"], "qcbatch.node.native.xtb");
}

#[test]
fn the_force_fields_dipole_is_that_of_its_charges() {
    let calculation = calculation("gfn-ff", "gradient", json!({}), water());
    let charges = "   -0.62469045\n    0.31234523\n    0.31234523\n";
    let files = [(GRADIENT, GRADIENT_TEXT), (FORCE_FIELD_CHARGES, charges)];
    let reply = Xtb.read(&calculation, SHARE, &finished(STDOUT, &files, 0));
    let result: Value = serde_json::from_str(reply.result.unwrap().get()).unwrap();
    let z = result["properties"]["scf_dipole_moment"][2].as_f64().unwrap();
    assert!((z + 0.692_381_907_4).abs() < 1e-7, "{z}");
    assert_eq!(result["return_result"].as_array().unwrap().len(), 9);
    assert!(result["extras"]["xtb"].get("mulliken_charges").is_none());
}

#[test]
fn a_failure_is_told_in_the_programs_words() {
    let calculation = calculation("gfn2-xtb", "energy", json!({}), water());
    let failure = |stdout: &str, files: &[(&str, &str)], wait_status| {
        let reply = Xtb.read(&calculation, SHARE, &finished(stdout, files, wait_status));
        assert_eq!(reply.stdout.as_deref(), Some(stdout));
        let error = reply.error.unwrap();
        (error.error_type, error.error_message)
    };
    let stopped = format!(
        "{STDOUT}####\n[ERROR] Program stopped due to fatal error\n-3- Single point calculation terminated\n\
         -1- scf: Self consistent charge iterator did not converge\n####\n"
    );
    let said =
        "-3- Single point calculation terminated\n-1- scf: Self consistent charge iterator did not converge";
    assert_eq!(failure(&stopped, &[], 1 << 8), ("runtime_error".to_owned(), said.to_owned()));
    assert!(failure(" no basis found for atom", &[], 11).1.contains("SIGSEGV"));
    assert!(failure(STDOUT, FILES, 2 << 8).1.contains("exit code 2"));
    assert_eq!(failure("* xtb version 6.5.1", FILES, 0).1, "xtb printed no total energy");
}

#[test]
fn what_the_driver_does_not_need_costs_no_result() {
    let energy = calculation("gfn2-xtb", "energy", json!({}), water());
    let gradient = calculation("gfn2-xtb", "gradient", json!({}), water());
    let short = GRADIENT_TEXT
        .replace("  -8.0727201911224E-18   4.4197944294767E-03  -1.4774487483126E-03\n", "$end\n");
    let overflow = REPORT_TEXT.replace("-0.89353133", "**********");
    let torn = BONDS_TEXT.replace("0.92021629196566346", "********");
    // Files, what is missing in the result, what is said of it, whether a gradient is lost with it.
    let cases: [(&[(&str, &str)], &str, &str, bool); 6] = [
        (
            &FILES[1..],
            "/extras/xtb/return_gradient",
            "gradient this could not be read and is left out: xtb did not write it",
            true,
        ),
        (
            &[(GRADIENT, &short), FILES[1], FILES[2]],
            "/extras/xtb/return_gradient",
            "`$end` is no number",
            true,
        ),
        (
            &[FILES[0], (REPORT, &overflow), FILES[2]],
            "/properties/scf_dipole_moment",
            "of xtbout.json",
            false,
        ),
        (&[FILES[0], (REPORT, &overflow), FILES[2]], "/extras/xtb/mulliken_charges", "of xtbout.json", false),
        (&[FILES[0], FILES[1], (BONDS, &torn)], "/extras/xtb/mayer_bonds", "of wbo", false),
        (&[FILES[0], FILES[1]], "/extras/xtb/mayer_bonds", "of wbo", false),
    ];
    for (files, missing, said, needed) in cases {
        let reply = Xtb.read(&energy, SHARE, &finished(STDOUT, files, 0));
        let result: Value = serde_json::from_str(reply.result.expect(said).get()).unwrap();
        assert_eq!(result["return_result"], -5.070370651327);
        assert_eq!(result.pointer(missing), None, "{missing}");
        let stdout = reply.stdout.unwrap();
        assert_eq!(stdout.matches("[qcbatch: ").count(), 1, "{stdout}");
        assert!(stdout.starts_with(STDOUT) && stdout.contains(said), "{stdout}");
        let reply = Xtb.read(&gradient, SHARE, &finished(STDOUT, files, 0));
        assert_eq!(reply.result.is_none(), needed, "{missing}");
        if needed {
            assert!(reply.error.unwrap().error_message.starts_with("`gradient`: "));
        }
    }
}
