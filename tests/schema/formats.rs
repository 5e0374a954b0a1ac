//! Molfiles, Psi4's words, compressed files, and what of a directory cannot be looked at.

use std::fs;
use std::io::Write;
use std::path::Path;

use qcbatch::intake::{Content, Documents, Format, Inputs, ReadOptions};
use qcbatch::model::molecule::Molecule;
use serde::Deserialize;
use serde_json::{Value, json};

fn read(text: &str, options: &ReadOptions) -> Result<Vec<Molecule>, String> {
    Documents::from_reader("in", std::io::Cursor::new(text.to_owned()), options)
        .map(|document| match document.map_err(|error| error.to_string())?.content {
            Content::Molecule(molecule) => Ok(*molecule),
            Content::Json(text) => Err(text),
        })
        .collect()
}

/// One molfile of these atoms, bonds and properties.
fn molfile(atoms: &[&str], bonds: &[&str], properties: &[&str]) -> String {
    let counts = format!("{:3}{:3}  0  0  0  0  0  0  0  0999 V2000", atoms.len(), bonds.len());
    let lines = ["a name", "  program 01012612003D", "a comment", &counts];
    let lines = lines.iter().chain(atoms).chain(bonds).chain(properties).copied();
    lines.chain(["M  END"]).map(|line| format!("{line}\n")).collect()
}

/// The first lines of a text.
fn start_of(text: &str, lines: usize) -> String {
    text.split_inclusive('\n').take(lines).collect()
}

const O: &str = "    0.0000    0.0000    0.1000 O   0  0  0  0  0  0  0  0  0  0  0  0";
const O_MINUS: &str = "    0.0000    0.0000    0.1000 O   0  5  0  0  0  0  0  0  0  0  0  0";
const H: &str = "    0.0000    0.7600   -0.5000 H   0  0  0  0  0  0  0  0  0  0  0  0";
const D: &str = "    0.0000   -0.7600   -0.5000 D   0  0  0  0  0  0  0  0  0  0  0  0";

#[test]
fn molfiles_tell_atoms_bonds_charges_radicals_and_isotopes() {
    let bonds = ["  1  2  1  0", "  1  3  1  0"];
    let water = molfile(&[O, H, D], &bonds, &[]);
    let unsaid = ReadOptions::default();
    let molecule = read(&water, &unsaid).unwrap().remove(0);
    let document = molecule.to_qcschema();
    assert_eq!((molecule.name(), molecule.comment()), (Some("a name"), Some("a comment")));
    assert_eq!(document["connectivity"], json!([[0, 1, 1.0], [0, 2, 1.0]]));
    assert_eq!(document["mass_numbers"], json!([-1, -1, 2]));
    assert_eq!(document["masses"][2], json!(2.01410177812));
    assert_eq!(document["geometry"][2], json!(0.18897261));

    let state = |text: &str, options: &ReadOptions| -> String {
        match read(text, options) {
            Ok(read) => format!("{} {}", read[0].molecular_charge(), read[0].molecular_multiplicity()),
            Err(error) => error,
        }
    };
    let anion = ReadOptions { charge: Some(-1.0), ..unsaid.clone() };
    let triplet = ReadOptions { multiplicity: Some(3), ..unsaid.clone() };
    let drawing = water.replace("3D\n", "2D\n");
    let odd = water.replace(" O   0  0", " R#  0  0");
    for (text, options, expected) in [
        (molfile(&[O_MINUS, H], &[], &[]), &unsaid, "-1 1"),
        (molfile(&[O, H], &[], &["M  CHG  1   1  -1"]), &unsaid, "-1 1"),
        // charges in properties replace those of the atoms
        (molfile(&[O_MINUS, H, D], &[], &["M  CHG  2   1   1   2   1"]), &unsaid, "2 1"),
        (molfile(&[O, H], &[], &["M  RAD  1   1   2"]), &unsaid, "0 2"),
        (molfile(&[O], &[], &["M  RAD  1   1   3"]), &unsaid, "0 3"),
        (molfile(&[O, H], &[], &["M  CHG  1   1  -1"]), &anion, "-1 1"),
        (
            molfile(&[O, H], &[], &["M  CHG  1   1   1"]),
            &anion,
            "in:1: charge 1 here and -1 by --charge (one of them expected)",
        ),
        (
            molfile(&[O, H, D], &[], &["M  RAD  2   1   2   2   2"]),
            &unsaid,
            "in:1: 2 radical centres couple in an unknown way (--multiplicity expected)",
        ),
        (molfile(&[O, H, D], &[], &["M  RAD  2   1   2   2   2"]), &triplet, "0 3"),
        (
            molfile(&[O, H], &[], &["M  CHG  1   7   1"]),
            &unsaid,
            "in:7: `M  CHG  1   7   1` (pairs of an atom and a number expected)",
        ),
        (drawing, &unsaid, "in:2: a drawing in two dimensions (a geometry in three expected)"),
        (odd, &unsaid, "in:5: `R#` (an element symbol expected)"),
        (water.replace("V2000", "V3000"), &unsaid, "in:4: a molfile of version V3000 (V2000 expected)"),
        (start_of(&water, 5), &unsaid, "in:1: the molfile that starts here does not end"),
    ] {
        assert_eq!(state(&text, options), expected, "{text}");
    }

    let several =
        format!("{water}> <id>\n7\n\n$$$$\n{}$$$$\n", molfile(&[O, H], &[], &["M  CHG  1   1  -1"]));
    let formulas: Vec<String> = read(&several, &unsaid).unwrap().iter().map(Molecule::formula).collect();
    assert_eq!(formulas, ["H2O", "HO"]);
    // a file whose first line, the name, is empty, as most programs write it
    let nameless = water.replacen("a name", "", 1);
    assert_eq!(read(&nameless, &unsaid).unwrap()[0].name(), None);
}

#[derive(Deserialize)]
struct Recorded {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    #[serde(default)]
    refused: bool,
    hash: Option<String>,
    charge: Option<f64>,
    multiplicity: Option<u32>,
}

/// Written by `tests/data/make_psi4_molecules.py`. Internal coordinates are the one thing that we refuse and it takes.
#[test]
fn psi4s_words_are_read_as_qcelemental_reads_them() {
    let recorded: Recorded = serde_json::from_str(include_str!("../data/psi4_molecules.json")).unwrap();
    assert!(recorded.cases.len() > 10);
    let options = ReadOptions { format: Some(Format::Psi4), ..ReadOptions::default() };
    for case in recorded.cases {
        let ours = read(&case.text, &options);
        if case.refused || case.text.contains("104.5") {
            assert!(ours.is_err(), "{}{ours:?}", case.text);
            continue;
        }
        let molecule = ours.unwrap_or_else(|error| panic!("{}{error}", case.text)).remove(0);
        let state = (Some(molecule.molecular_charge()), Some(molecule.molecular_multiplicity()));
        assert_eq!(
            (Some(molecule.hash()), state),
            (case.hash, (case.charge, case.multiplicity)),
            "{}",
            case.text
        );
    }
    // without an extension the first line tells
    let sniffed = read("-1 1\nO 0 0 0\nH 0 0 0.97\n", &ReadOptions::default()).unwrap();
    assert_eq!(sniffed[0].molecular_charge(), -1.0);
}

fn formulas(path: &Path) -> Vec<String> {
    let told = |document: Result<qcbatch::intake::Document, qcbatch::intake::IntakeError>| match document {
        Ok(document) => match document.content {
            Content::Molecule(molecule) => molecule.formula(),
            Content::Json(text) => text,
        },
        Err(error) => format!(
            "{error}: {}",
            std::error::Error::source(&error).map_or(String::new(), ToString::to_string)
        ),
    };
    Inputs::open([path.to_owned()], &ReadOptions::default()).unwrap().map(told).collect()
}

#[test]
fn compressed_files_are_read_whatever_packed_them() {
    let directory = tempfile::tempdir().unwrap();
    let frame = b"1\n\nHe 0 0 0\n";
    let path = |name: &str| directory.path().join(name);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(frame).unwrap();
    let mut gzip = gzip.finish().unwrap();
    // two parts, one after the other, as `cat` makes them
    gzip.extend(gzip.clone());
    fs::write(path("a.xyz.gz"), &gzip).unwrap();
    let mut bzip = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    bzip.write_all(frame).unwrap();
    fs::write(path("b.xyz.BZ2"), bzip.finish().unwrap()).unwrap();
    fs::write(path("c.xyz.zst"), zstd::bulk::compress(frame, 0).unwrap()).unwrap();
    // as xz 5.4 wrote it
    fs::write(path("d.xyz.xz"), XZ).unwrap();
    assert_eq!(formulas(directory.path()), ["He", "He", "He", "He", "He"]);

    fs::write(path("a.xyz.gz"), &gzip[..gzip.len() - 9]).unwrap();
    let told = formulas(&path("a.xyz.gz"));
    assert!(told.last().unwrap().contains("cannot be read"), "{told:?}");
    fs::write(path("e.tar.gz"), &gzip).unwrap();
    assert!(formulas(&path("e.tar.gz"))[0].contains("is an archive"));
}

const XZ: &[u8] = &[
    0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x0, 0x0, 0x4, 0xe6, 0xd6, 0xb4, 0x46, 0x2, 0x0, 0x21, 0x1, 0x16, 0x0, 0x0,
    0x0, 0x74, 0x2f, 0xe5, 0xa3, 0x1, 0x0, 0xb, 0x31, 0xa, 0xa, 0x48, 0x65, 0x20, 0x30, 0x20, 0x30, 0x20,
    0x30, 0xa, 0x0, 0x6f, 0x3b, 0x56, 0x51, 0x76, 0x52, 0x82, 0x56, 0x0, 0x1, 0x24, 0xc, 0xa6, 0x18, 0xd8,
    0xd8, 0x1f, 0xb6, 0xf3, 0x7d, 0x1, 0x0, 0x0, 0x0, 0x0, 0x4, 0x59, 0x5a,
];

#[test]
fn what_cannot_be_looked_at_in_a_directory_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("good.xyz"), "1\n\nHe 0 0 0\n").unwrap();
    fs::write(path("notes.txt"), "").unwrap();
    fs::create_dir(path("folder.json")).unwrap();
    std::os::unix::fs::symlink("good.xyz", path("link.xyz")).unwrap();
    std::os::unix::fs::symlink("nothing", path("dangling.txt")).unwrap();
    assert_eq!(formulas(directory.path()), ["He", "He"]);
    std::os::unix::fs::symlink("nothing", path("dangling.xyz")).unwrap();
    std::os::unix::fs::symlink("loop.json", path("loop.json")).unwrap();
    nix::unistd::mkfifo(&path("pipe.jsonl"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    let error =
        Inputs::open([directory.path().to_owned()], &ReadOptions::default()).err().unwrap().to_string();
    for name in [
        "dangling.xyz cannot be looked at",
        "loop.json cannot be looked at",
        "pipe.jsonl cannot be looked at",
    ] {
        assert!(error.contains(name), "{error}");
    }
    assert!(!error.contains("dangling.txt"), "{error}");
}

/// Python writes integers of arrays as floats.
#[test]
fn integers_written_as_floats_are_integers() {
    let water = |changes: Value| {
        let mut document =
            json!({ "symbols": ["O", "H", "H"], "geometry": [0, 0, 0.22, 0, 1.43, -0.89, 0, -1.43, -0.89] });
        document.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value::<Molecule>(document)
    };
    for (floats, integers) in [
        (json!({ "mass_numbers": [16.0, 2.0, -1.0] }), json!({ "mass_numbers": [16, 2, -1] })),
        (json!({ "atomic_numbers": [8.0, 1.0, 1.0] }), json!({ "atomic_numbers": [8, 1, 1] })),
        (json!({ "real": [1.0, 0.0, 1] }), json!({ "real": [true, false, true] })),
        (json!({ "molecular_multiplicity": 3.0 }), json!({ "molecular_multiplicity": 3 })),
    ] {
        assert_eq!(water(floats.clone()).unwrap(), water(integers).unwrap(), "{floats}");
    }
    for wrong in [
        json!({ "mass_numbers": [16.5, 1, 1] }),
        json!({ "real": [2, 0, 1] }),
        json!({ "real": [0.5, 0, 1] }),
    ] {
        assert!(water(wrong.clone()).is_err(), "{wrong}");
    }
}
