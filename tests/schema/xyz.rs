//! XYZ as its own libraries read it: recorded answers of ASE and extxyz, QM9, and comments that may be a charge.

use qcbatch::intake::{Content, Documents, Format, ReadOptions};
use qcbatch::model::molecule::Molecule;
use serde::Deserialize;

fn molecules(text: impl Into<Vec<u8>>, options: &ReadOptions) -> Result<Vec<Molecule>, String> {
    let options = ReadOptions { format: Some(Format::Xyz), ..options.clone() };
    Documents::from_reader("in", std::io::Cursor::new(text.into()), &options)
        .map(|document| match document.map_err(|error| error.to_string())?.content {
            Content::Molecule(molecule) => Ok(*molecule),
            Content::Json(text) => Err(text),
        })
        .collect()
}

fn one(text: &str) -> Result<Molecule, String> {
    molecules(text, &ReadOptions::default()).map(|mut molecules| {
        assert_eq!(molecules.len(), 1, "{text}");
        molecules.remove(0)
    })
}

#[derive(Deserialize)]
struct Recorded {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    ase: Reading,
    extxyz: Reading,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Reading {
    Refused { refused: bool },
    Taken(Frame),
}

#[derive(Deserialize)]
struct Frame {
    charge: Option<f64>,
    multiplicity: Option<f64>,
    periodic: bool,
    symbols: Vec<String>,
    positions: Vec<[f64; 3]>,
}

impl Frame {
    fn is(&self, molecule: &Molecule) -> bool {
        const BOHR: f64 = 0.52917721067;
        let symbols: Vec<&str> = molecule.elements().iter().map(|element| element.symbol()).collect();
        let places = self.positions.as_flattened().iter().zip(molecule.geometry());
        let multiplicity = f64::from(molecule.molecular_multiplicity());
        molecule.molecular_charge() == self.charge.unwrap_or(0.0)
            && self.multiplicity.is_none_or(|stated| stated == multiplicity)
            && symbols == self.symbols
            && places.into_iter().all(|(angstrom, bohr)| (angstrom - bohr * BOHR).abs() < 1e-7)
    }
}

/// Written by `tests/data/make_xyz_frames.py`. What both libraries take as one molecule we take as that molecule; what
/// neither takes, or what is periodic to one of them, we refuse; and we never read what no library reads.
#[test]
fn frames_are_read_as_ase_and_extxyz_read_them() {
    let recorded: Recorded = serde_json::from_str(include_str!("../data/xyz_frames.json")).unwrap();
    assert!(recorded.cases.len() > 45);
    for Case { text, ase, extxyz } in recorded.cases {
        let ours = one(&text);
        let frames: Vec<&Frame> = [&ase, &extxyz]
            .into_iter()
            .filter_map(|reading| match reading {
                Reading::Taken(frame) => Some(frame),
                Reading::Refused { refused } => {
                    assert!(refused);
                    None
                }
            })
            .collect();
        if frames.iter().any(|frame| frame.periodic) || frames.is_empty() {
            assert!(ours.is_err(), "{text}{ours:?}");
            continue;
        }
        match &ours {
            Ok(molecule) => assert!(frames.iter().any(|frame| frame.is(molecule)), "{text}{molecule:?}"),
            Err(error) => assert!(frames.len() < 2, "{text}{error}"),
        }
    }
}

/// The words of a comment that are in quotes say nothing of the charge.
#[test]
fn words_inside_quotes_are_never_keys() {
    let text = "1\ncharge=0 comment=\"fragment of the charge=2 ion\"\nHe 0 0 0\n";
    let molecule = one(text).unwrap();
    assert_eq!(molecule.molecular_charge(), 0.0);
    assert_eq!(molecule.comment(), Some("charge=0 comment=\"fragment of the charge=2 ion\""));
    let swallowed = one("1\nit's an anion charge=-1\nHe 0 0 0\n").unwrap_err();
    assert!(swallowed.starts_with("in:2: the comment opens a quote"), "{swallowed}");
    assert!(one("1\nPauling's helium\nHe 0 0 0\n").is_ok());
}

#[test]
fn what_may_be_a_charge_is_read_or_refused_and_never_passed_over() {
    let water = "O 0 0 0.1173\nH 0 0.7572 -0.4692\nH 0 -0.7572 -0.4692\n";
    let told = |comment: &str, options: &ReadOptions| -> String {
        match molecules(format!("3\n{comment}\n{water}"), options) {
            Ok(read) => format!("{} {}", read[0].molecular_charge(), read[0].molecular_multiplicity()),
            Err(error) => error.split_inclusive(' ').skip(1).collect::<String>().chars().take(60).collect(),
        }
    };
    let unsaid = ReadOptions::default();
    let cation = ReadOptions { charge: Some(1.0), ..unsaid.clone() };
    for (comment, options, expected) in [
        ("-1 2", &unsaid, "-1 2"),
        ("+2 1", &unsaid, "2 1"),
        ("0 3", &unsaid, "0 3"),
        ("-1 1", &unsaid, "multiplicity 1 with 11 electrons (an even multiplicity of at"),
        ("0 1 H2O", &unsaid, "0 1"),
        ("1 2 H2O", &unsaid, "`1 2` in the comment may be a charge or spin other than 0 an"),
        ("1 2 H2O", &cation, "1 2"),
        ("12 3 conformer", &unsaid, "0 1"),
        ("1 2 3", &unsaid, "0 1"),
        ("17 conformers", &unsaid, "0 1"),
        ("charge 1", &unsaid, "`charge 1` in the comment may be a charge or spin other than"),
        ("charge: -1, mult: 2", &unsaid, "`charge -1` in the comment may be a charge or spin other tha"),
        ("charge 0 multiplicity 1", &unsaid, "0 1"),
        ("charge transfer", &unsaid, "0 1"),
        ("spin=0", &unsaid, "0 1"),
        ("spin=2", &unsaid, "`spin=2` in the comment may be a charge or spin other than 0"),
        ("spin=2 multiplicity=3", &unsaid, "0 3"),
        ("total_charge=1 spin_multiplicity=2", &unsaid, "1 2"),
        ("charge=0", &cation, "charge 0 here and 1 by --charge (one of them expected)"),
        ("charge=1", &cation, "1 2"),
        ("charge=1 charge=2", &unsaid, "charge 1 here and 2 by another word of the comment (one of t"),
        ("0 1", &cation, "charge 0 here and 1 by --charge (one of them expected)"),
        ("", &cation, "1 2"),
    ] {
        assert_eq!(told(comment, options), expected, "{comment}");
    }
}

/// The first molecules of QM9, as its files have them: numbers of Mathematica, three lines behind the atoms.
#[test]
fn frames_of_qm9_are_read() {
    let text = "5\ngdb 1\t157.7118\t157.70997\t157.70699\t0.\t13.21\t-0.3877\t0.1171\t0.5048\t35.3641\t0.044749\t-40.47893\t-40.476062\t-40.475117\t-40.498597\t6.469\t\n\
C\t-0.0126981359\t 1.0858041578\t 0.0080009958\t-0.535689\nH\t 0.002150416\t-0.0060313176\t 0.0019761204\t 0.133921\n\
H\t 1.0117308433\t 1.4637511618\t 0.0002765748\t 0.133922\nH\t-0.540815069\t 1.4475266138\t-0.8766437152\t 0.133923\n\
H\t-0.5238136345\t 1.4379326443\t 0.9063972942\t 0.133923\n1341.307\t1341.3284\t1341.365\t1562.6731\t1562.7453\t3038.3205\t3151.6034\t3151.6788\t3151.7078\n\
C\tC\t\nInChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4\n";
    let hydrogen = "2\ngdb 0\t1.\nH\t0.\t0.\t3.7*^-1\t0.\nH\t0.\t2.1997*^-6\t-0.37\t0.\n4401.2\n[H][H]\t[H][H]\nInChI=1S/H2/h1H\tInChI=1S/H2/h1H";
    let read = molecules(format!("{text}{hydrogen}"), &ReadOptions::default()).unwrap();
    assert_eq!(read.iter().map(Molecule::formula).collect::<Vec<_>>(), ["CH4", "H2"]);
    assert!((read[1].geometry()[2] - 0.37 / 0.52917721067).abs() < 1e-8);
    // without those lines, as some collections of them are
    let bare = "1\ngdb 5\nHe 0 0 0\n1\ngdb 6\nNe 0 0 0\n";
    assert_eq!(molecules(bare, &ReadOptions::default()).unwrap().len(), 2);
}

#[test]
fn numbers_units_and_encodings_of_other_programs() {
    let fortran = one("1\n\nHe 1.0D-1 0.d0 1.5E+00\n").unwrap();
    assert!((fortran.geometry()[0] - 0.1 / 0.52917721067).abs() < 1e-8);
    // QCElemental writes bohr so
    let bohr = one("1 au\n0 1 He\nHe 0.5 0 0\n").unwrap();
    assert_eq!(bohr.geometry(), [0.5, 0.0, 0.0]);
    assert!(one("1 furlong\n\nHe 0 0 0\n").unwrap_err().contains("number of atoms"));
    for word in ["inf", "1e999", "nan", "1D", "*^"] {
        let error = one(&format!("1\n\nHe 0 0 {word}\n")).unwrap_err();
        assert!(error.starts_with("in:3: "), "{error}");
    }
    let latin = b"1\nd = 1.2 \xc5, M\xfcller\nHe 0 0 0\n".to_vec();
    let read = molecules(latin, &ReadOptions::default()).unwrap();
    assert_eq!(read[0].comment(), Some("d = 1.2 Å, Müller"));
}
