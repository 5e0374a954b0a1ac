//! Real single points of small molecules, PM7, against bare MOPAC processes that run back to back on every core.
//! Both compute the same inputs with the same keywords; the energies are compared.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::Scale;
use crate::ground::{daemon, median, say, until_complete};
use crate::harness::private_dir::PrivateDir;

const TASKS: u32 = 2_000;
const REPEATS: usize = 3;

/// As QCEngine's MOPAC harness has it; MOPAC's own results are in these units.
const KCAL_PER_MOL_OF_HARTREE: f64 = 27.211_386_2 * 23.060_547_83;

/// Small molecules in bohr.
const MOLECULES: [&[(&str, [f64; 3])]; 5] = [
    &[("O", [0.0, 0.0, 0.2217]), ("H", [0.0, 1.4309, -0.8867]), ("H", [0.0, -1.4309, -0.8867])],
    &[
        ("N", [0.0, 0.0, 0.2]),
        ("H", [0.0, 1.77, -0.52]),
        ("H", [1.53, -0.885, -0.52]),
        ("H", [-1.53, -0.885, -0.52]),
    ],
    &[
        ("C", [0.0, 0.0, 0.0]),
        ("H", [1.19, 1.19, 1.19]),
        ("H", [-1.19, -1.19, 1.19]),
        ("H", [-1.19, 1.19, -1.19]),
        ("H", [1.19, -1.19, -1.19]),
    ],
    &[("C", [0.0, 0.0, 0.0]), ("O", [0.0, 0.0, 2.28]), ("H", [0.0, 1.77, -1.1]), ("H", [0.0, -1.77, -1.1])],
    &[("H", [0.0, 0.0, 0.0]), ("C", [0.0, 0.0, 2.02]), ("N", [0.0, 0.0, 4.2])],
];

/// Molecule `number`: its first atom stands a little aside, so that no two are the same.
fn molecule(number: u32) -> Vec<(&'static str, [f64; 3])> {
    let mut atoms = MOLECULES[number as usize % MOLECULES.len()].to_vec();
    atoms[0].1[0] += f64::from(number) * 1e-5;
    atoms
}

pub fn run(scale: Scale) {
    let tasks = scale.of(TASKS);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for turn in 1..=REPEATS {
        let directory = PrivateDir::new();
        let (seconds, expected) = run_bare(directory.path(), tasks, cores);
        bare.push(f64::from(tasks) / seconds);
        let (seconds, energies) = run_ours(directory.path(), tasks);
        ours.push(f64::from(tasks) / seconds);
        let worst = expected.iter().zip(&energies).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert_eq!(expected.len(), energies.len());
        say(&format!(
            "MOPAC PM7, turn {turn}: bare {:.1}/s on {cores} cores, here {:.1}/s; energies differ by {worst:.1e} hartree at most",
            bare[turn - 1],
            ours[turn - 1],
        ));
        assert!(worst < 1e-6, "the same numbers");
    }
    let (bare, ours) = (median(bare), median(ours));
    say(&format!(
        "MOPAC PM7, {tasks} tasks, medians: bare {bare:.1}/s, from submit to the last result {ours:.1}/s, {:.0} %",
        ours / bare * 100.0
    ));
    say("  bound: at least 70 % of the rate of bare MOPAC");
}

/// Bare processes, as many at a time as there are cores: seconds, and energies in hartree.
fn run_bare(directory: &Path, tasks: u32, cores: usize) -> (f64, Vec<f64>) {
    for number in 0..tasks {
        let mut input =
            "PM7 CHARGE=0.0 MS=0.0&\n1SCF GRADIENTS AUX(PRECISION=9, XP, XS, XW) A0 PULAY ITER=100&\n\n"
                .to_owned();
        for (symbol, [x, y, z]) in molecule(number) {
            input += &format!("{symbol}  {x:17.12}  {y:17.12}  {z:17.12}\n");
        }
        fs::write(directory.join(format!("{number}.mop")), input).expect("/tmp has room");
    }
    let next = AtomicU32::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= tasks {
                        return;
                    }
                    let status = Command::new("mopac")
                        .arg(format!("{number}.mop"))
                        .current_dir(directory)
                        .env("OMP_NUM_THREADS", "1")
                        .env("MKL_NUM_THREADS", "1")
                        .stdin(Stdio::null())
                        .stdout(Stdio::null())
                        .stderr(Stdio::null())
                        .status();
                    assert!(status.expect("MOPAC is installed").success(), "{number}.mop");
                }
            });
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    let energies = (0..tasks).map(|number| heat_of_formation(&directory.join(format!("{number}.aux"))));
    (seconds, energies.map(|kcal| kcal / KCAL_PER_MOL_OF_HARTREE).collect())
}

fn heat_of_formation(path: &Path) -> f64 {
    let text = fs::read_to_string(path).expect("MOPAC wrote it");
    let value = text.lines().find_map(|line| line.trim().strip_prefix("HEAT_OF_FORMATION:KCAL/MOL="));
    value.and_then(|value| value.replace('D', "e").parse().ok()).expect("every run has one")
}

/// The same through a new daemon on this machine: seconds from `submit` to the last result, and energies.
fn run_ours(directory: &Path, tasks: u32) -> (f64, Vec<f64>) {
    let path = directory.join("inputs.jsonl");
    let mut file = BufWriter::new(File::create(&path).expect("the directory is ours"));
    for number in 0..tasks {
        writeln!(file, "{}", input(number)).expect("/tmp has room");
    }
    file.flush().expect("/tmp has room");
    let daemon = daemon();
    let started = Instant::now();
    daemon.ask(["submit", path.to_str().expect("the path is ASCII"), "--parsable"]);
    until_complete(&daemon, tasks);
    let seconds = started.elapsed().as_secs_f64();
    let mut records = daemon.json(&["list", "--all"])["records"].as_array().expect("a list").clone();
    records.sort_by_key(|record| record["id"].as_i64());
    (seconds, records.iter().map(|record| record["return_energy"].as_f64().expect("an energy")).collect())
}

fn input(number: u32) -> Value {
    let atoms = molecule(number);
    let symbols: Vec<&str> = atoms.iter().map(|(symbol, _)| *symbol).collect();
    let geometry: Vec<f64> = atoms.iter().flat_map(|(_, place)| *place).collect();
    json!({"program": "mopac", "input_data": {
        "schema_name": "qcschema_input", "schema_version": 1, "driver": "energy",
        "model": {"method": "pm7", "basis": null},
        "molecule": {
            "schema_name": "qcschema_molecule", "schema_version": 2, "symbols": symbols, "geometry": geometry,
            "molecular_charge": 0, "molecular_multiplicity": 1, "fix_com": true, "fix_orientation": true,
        },
    }})
}
