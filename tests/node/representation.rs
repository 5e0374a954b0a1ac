//! What a program cannot represent is not computed; what remains is computed as asked, on the real programs.

use qcbatch::model::failure::FailureClass;
use serde_json::{Value, json};

use crate::fixture::*;

/// Two waters, 3 Å apart.
fn dimer() -> Value {
    let monomer = water();
    let geometry: Vec<f64> =
        monomer["geometry"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    let shifted = geometry.iter().enumerate().map(|(index, x)| if index % 3 == 2 { x + 5.7 } else { *x });
    let geometry: Vec<f64> = geometry.iter().copied().chain(shifted).collect();
    json!({"symbols": ["O", "H", "H", "O", "H", "H"], "geometry": geometry})
}

fn with(molecule: &Value, changes: Value) -> Value {
    let mut molecule = molecule.clone();
    molecule.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    molecule
}

fn with_ghosts() -> Value {
    with(
        &dimer(),
        json!({"real": [true, true, true, false, false, false], "fragments": [[0, 1, 2], [3, 4, 5]]}),
    )
}

fn methylene(multiplicity: u32) -> Value {
    json!({"symbols": ["C", "H", "H"], "geometry": [0, 0, 0, 0, 1.63, 1.13, 0, -1.63, 1.13],
        "molecular_multiplicity": multiplicity})
}

/// Records that were stored before intake asked: neither the program nor a Python is started.
#[test]
fn what_a_program_would_misread_is_refused_by_the_runner() {
    let fractional = with(&water(), json!({"molecular_charge": 0.4}));
    let mopac = singlepoint("mopac", "energy", "pm7", "");
    let xtb = singlepoint("xtb", "energy", "gfn2-xtb", "");
    for native in [vec![], vec!["mopac".to_owned(), "xtb".to_owned()]] {
        let job = Job::new(Generation::V1)
            .manifest(|manifest| {
                manifest.worker_command = vec!["/no/such/python".into()];
                manifest.native_programs = native.clone();
            })
            .task_on(mopac.clone(), with_ghosts())
            .task_on(xtb.clone(), with_ghosts())
            .task_on(pm7_optimization(), with_ghosts())
            .task_on(mopac.clone(), fractional.clone())
            .task_on(xtb.clone(), fractional.clone())
            .task_on(singlepoint("psi4", "energy", "hf", "sto-3g"), fractional.clone())
            .staged();
        assert_eq!(job.run(), 0);
        let reports = job.by_task();
        assert_eq!(reports.len(), 6);
        for (task, words) in
            [(0, "ghost"), (1, "ghost"), (2, "ghost"), (3, "round"), (4, "round"), (5, "round")]
        {
            let (class, error_type, message) = error_of(&reports[&task]);
            assert_eq!((class, error_type.as_str()), (FailureClass::Input, "input_error"), "{message}");
            assert!(message.contains(words), "{message}");
        }
    }
}

/// Ghosts, isotopes and spins on programs that have them.
#[test]
fn what_is_accepted_is_computed_as_asked() {
    let hf = |program: &str| singlepoint(program, "energy", "hf", "sto-3g");
    let mopac = singlepoint("mopac", "energy", "pm7", "");
    let xtb = singlepoint("xtb", "energy", "gfn2-xtb", "");
    let heavy = with(&water(), json!({"mass_numbers": [18, 2, 2]}));
    let job = Job::new(Generation::V1)
        .manifest(|manifest| manifest.native_programs = vec!["mopac".into(), "xtb".into()])
        .task_on(hf("psi4"), water())
        .task_on(hf("psi4"), heavy.clone())
        .task_on(hf("psi4"), with_ghosts())
        .task_on(hf("psi4"), dimer())
        .task_on(hf("nwchem"), water())
        .task_on(hf("nwchem"), with_ghosts())
        .task_on(mopac.clone(), water())
        .task_on(mopac.clone(), heavy.clone())
        .task_on(xtb.clone(), water())
        .task_on(xtb.clone(), heavy)
        .task_on(xtb.clone(), methylene(1))
        .task_on(xtb, methylene(3))
        .task_on(hf("psi4"), methylene(3))
        .staged();
    assert_eq!(job.run(), 0);
    let reports = job.by_task();
    let energy = |task: i64| result_of(&reports[&task])["return_result"].as_f64().unwrap();
    // isotopes change no electronic energy
    for (light, heavy) in [(0, 1), (6, 7), (8, 9)] {
        assert!((energy(light) - energy(heavy)).abs() < 1e-8, "{} {}", energy(light), energy(heavy));
    }
    // ghosts lower the energy of the monomer by their basis functions, and bring no electrons
    for (alone, beside_ghosts) in [(0, 2), (4, 5)] {
        let gain = energy(alone) - energy(beside_ghosts);
        assert!((1e-5..1e-2).contains(&gain), "{} {}", energy(alone), energy(beside_ghosts));
    }
    assert!(energy(3) < 1.9 * energy(0));
    // the triplet of methylene is another state than its singlet, and has the two unpaired electrons that it says
    assert!((energy(10) - energy(11)).abs() > 1e-3);
    let psi4 = result_of(&reports[&12]);
    let (alpha, beta) = (&psi4["properties"]["calcinfo_nalpha"], &psi4["properties"]["calcinfo_nbeta"]);
    assert_eq!((alpha, beta), (&json!(5), &json!(3)));
}

/// Python reads and writes them between: 1 is not 1.0 there, and -0.0 is not 0.
#[test]
fn extras_reach_a_python_worker_as_they_were_sent() {
    let sent: Value = serde_json::from_str(
        r#"{"float": 1e18, "integer": 1000000000000000000, "zero": -0.0, "one": 1, "point": 1.0,
            "large": 18446744073709551615, "tiny": 5e-324, "deep": [{"list": [1e18, -0.0]}]}"#,
    )
    .unwrap();
    let job = Job::new(Generation::V1)
        .task(singlepoint("xtb", "energy", "gfn2-xtb", ""))
        .each(|order| order.calculation.extras = sent.as_object().unwrap().clone())
        .staged();
    assert_eq!(job.run(), 0);
    let result = result_of(&job.by_task()[&0]);
    for (key, value) in sent.as_object().unwrap() {
        // as text, because 1 == 1.0 would not tell
        assert_eq!(result["extras"][key].to_string(), value.to_string(), "{key}");
    }
}
