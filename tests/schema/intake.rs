//! Files and streams into documents.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use qcbatch::intake::{
    Batches, Content, Document, Documents, Format, Inputs, IntakeError, ReadOptions, STDIN,
};
use qcbatch::model::molecule::Molecule;
use qcbatch::model::qcschema::InputDefaults;

fn documents(text: &'static str) -> Vec<Result<Document, IntakeError>> {
    Documents::from_reader("in", text.as_bytes(), &ReadOptions::default()).collect()
}

/// `line text` of every document, or the error.
fn told(documents: impl IntoIterator<Item = Result<Document, IntakeError>>) -> Vec<String> {
    let tell = |document: Result<Document, IntakeError>| match document {
        Ok(Document { line, content: Content::Json(text), .. }) => format!("{line} {text}"),
        Ok(Document { line, content: Content::Molecule(molecule), .. }) => {
            format!("{line} {}", molecule.formula())
        }
        Err(error) => error.to_string(),
    };
    documents.into_iter().map(tell).collect()
}

#[test]
fn json_is_cut_into_its_objects() {
    for (text, expected) in [
        ("", &[][..]),
        ("[]", &[]),
        (" {\"a\": [1]} ", &["1 {\"a\": [1]}"]),
        ("\u{feff}{\"a\": \"}\\\"]\"}", &["1 {\"a\": \"}\\\"]\"}"]),
        ("[{},\n {\"b\": {}} , {}\n]\n", &["1 {}", "2 {\"b\": {}}", "2 {}"]),
        ("{\n}\n{\n}{}", &["1 {\n}", "3 {\n}", "4 {}"]),
        ("{}\n\n  \r\n{\"a\":1}\r\n", &["1 {}", "4 {\"a\":1}"]),
        ("{}\n{\"a\":\n{}\n", &["1 {}", "2 {\"a\":", "3 {}"]),
        ("[{}", &["1 {}", "in:1: the list does not end (`]` expected)"]),
        ("[{} {}]", &["1 {}", "in:1: no comma between two elements of the list"]),
        ("[{}] {}", &["1 {}", "in:1: text behind the list (nothing expected)"]),
        ("[{},\n]", &["1 {}", "in:2: `]` (`{` expected)"]),
        ("[,{}]", &["in:1: `,` (`{` expected)"]),
        ("[1]", &["in:1: `1` (`{` expected)"]),
        ("\n{\"a\": {}", &["in:2: the object that starts here does not end"]),
        ("# water", &["in:1: starts with `#` (JSON, XYZ or SDF expected)"]),
    ] {
        assert_eq!(told(documents(text)), expected, "{text}");
    }
}

#[test]
fn text_must_be_utf8() {
    let stream = &b"{}\n{}\n{\"a\": \"\xff\"}\n"[..];
    let told = told(Documents::from_reader("in", stream, &ReadOptions::default()));
    assert_eq!(told, ["1 {}", "2 {}", "in:3: not UTF-8 text"]);
}

/// Gives one byte at a time, as a slow pipe may.
struct Drops(&'static [u8]);

impl Read for Drops {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.len().min(1);
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

#[test]
fn how_a_stream_arrives_does_not_matter() {
    let text = "[{\"a\": \"\\\\\"},\n{\"é\": [1, {}]}]";
    let slow = Documents::from_reader("in", Drops(text.as_bytes()), &ReadOptions::default());
    assert_eq!(told(slow), ["1 {\"a\": \"\\\\\"}", "2 {\"é\": [1, {}]}"]);
}

#[test]
fn an_error_names_file_line_and_path() {
    let text = "{\"symbols\": [\"H\"], \"geometry\": [0, 0, 0]}\n\n{\"symbols\": [\"O\", \"H\", \"H\"], \"geometry\": [0, 0, 0, 0, 0, 2, 0, 2]}\n";
    let defaults = InputDefaults {
        program: Some("mopac".to_owned()),
        method: Some("pm7".to_owned()),
        ..InputDefaults::default()
    };
    let mut errors =
        documents(text).into_iter().filter_map(|document| document.unwrap().calculation(&defaults).err());
    let error = errors.next().unwrap();
    assert_eq!(error.to_string(), "in:3: $.geometry: 8 numbers for 3 atoms (9 expected)");
    assert!(errors.next().is_none());

    let pretty = documents(
        "[\n  {\n    \"program\": \"mopac\",\n    \"input_data\": {\n      \"molecule\": {\n        \"symbols\": [\"Q\"]\n}}}]",
    );
    let error = pretty[0].as_ref().unwrap().calculation(&defaults).unwrap_err();
    insta::assert_snapshot!(error, @"in:6: $.input_data.molecule.symbols[0]: `Q` is not an element (an element symbol expected)");
}

#[test]
fn xyz_frames_become_molecules() {
    let text = "3\ncharge=0 water\nO 0 0 0.1173\nH 0 0.7572 -0.4692 ignored\n1 0 -0.7572 -0.4692\n\n1\n charge=1 multiplicity=1 \nH 0 0 0\n";
    let options = ReadOptions { multiplicity: Some(1), ..ReadOptions::default() };
    let read: Vec<Document> =
        Documents::from_reader("in", text.as_bytes(), &options).map(Result::unwrap).collect();
    let molecules: Vec<&Molecule> = read
        .iter()
        .map(|document| match &document.content {
            Content::Molecule(molecule) => molecule.as_ref(),
            Content::Json(text) => panic!("{text}"),
        })
        .collect();
    assert_eq!(molecules.len(), 2);
    // QCElemental 0.28 and 0.51 give this hash for the first frame
    assert_eq!(molecules[0].hash(), "32b2309ca95695b1e21dc16b0483b397aa4beb3b");
    assert_eq!(molecules[0].comment(), Some("charge=0 water"));
    assert_eq!((read[1].line, molecules[1].molecular_charge()), (7, 1.0));
}

#[test]
fn broken_xyz_is_refused_with_its_line() {
    for (text, expected) in [
        ("2\n\nH 0 0 0\n", "in:1: the frame has 1 of its 2 atoms"),
        ("1", "in:1: the frame ends before its 1 atoms"),
        ("1\n\nQ 0 0 0", "in:3: `Q` (an element symbol expected)"),
        ("1\n\nHe 0 0", "in:3: `He 0 0` (`symbol x y z` in ångström expected)"),
        ("1\n\nHe 0 0 nan", "in:3: `nan` (a coordinate in ångström expected)"),
        ("0\n\n", "in:1: `0` (the number of atoms of a frame expected)"),
        ("1 x\n\nHe 0 0 0", "in:1: `1 x` (the number of atoms of a frame expected)"),
        ("1\ncharge=x\nHe 0 0 0", "in:2: `charge=x` (a number expected)"),
        ("1\nmultiplicity=-1\nHe 0 0 0", "in:2: `multiplicity=-1` (a positive integer expected)"),
        ("1\nLattice=\"1 0 0\"\nHe 0 0 0", "in:2: a periodic cell (`Lattice=`) is not a molecule"),
        (
            "1\nProperties=pos:R:3:tag:S:1\n0 0 0 He",
            "in:2: `Properties=pos:R:3:tag:S:1` (columns `species:S:1` or `Z:I:1`, and `pos:R:3`, expected)",
        ),
        (
            "1\nmultiplicity=2\nHe 0 0 0",
            "in:1: multiplicity 2 with 2 electrons (an odd multiplicity of at most 3 expected)",
        ),
        ("2\n\nHe 0 0 0\nHe 0 0 0", "in:1: atoms 0 and 1 are 0.000 bohr apart (at least 0.1 bohr expected)"),
    ] {
        assert_eq!(told(documents(text)), [expected], "{text}");
    }
}

fn write(directory: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn directories_are_read_in_order_and_only_their_inputs() {
    let directory = tempfile::tempdir().unwrap();
    let empty = Inputs::open([directory.path().to_owned()], &ReadOptions::default()).err().unwrap();
    assert!(empty.to_string().contains("holds no input"), "{empty}");

    write(directory.path(), "b.json", "{\"b\": 1}");
    write(directory.path(), "a.jsonl", "{\"a\": 1}\n{\"a\": 2}\n");
    write(directory.path(), "c.XYZ", "1\n\nHe 0 0 0\n");
    write(directory.path(), "notes.txt", "not an input");
    write(directory.path(), ".hidden.json", "{}");
    fs::create_dir(directory.path().join("d.json")).unwrap();
    let mut compressed = zstd::stream::write::Encoder::new(Vec::new(), 0).unwrap();
    compressed.write_all(b"{\"z\": 1}\n").unwrap();
    let compressed = write(directory.path(), "z.jsonl.zst", compressed.finish().unwrap());

    let inputs = Inputs::open([directory.path().to_owned()], &ReadOptions::default()).unwrap();
    assert_eq!(told(inputs), ["1 {\"a\": 1}", "2 {\"a\": 2}", "1 {\"b\": 1}", "1 He", "1 {\"z\": 1}"]);

    let missing = directory.path().join("missing.json");
    let inputs = Inputs::open([compressed, missing.clone()], &ReadOptions::default()).unwrap();
    assert_eq!(told(inputs), ["1 {\"z\": 1}".to_owned(), format!("{} cannot be read", missing.display())]);
    assert_eq!(STDIN, "-");
}

#[test]
fn a_given_format_wins_over_the_extension() {
    let directory = tempfile::tempdir().unwrap();
    let path = write(directory.path(), "molecule.json", "1\n\nHe 0 0 0\n");
    let options = ReadOptions { format: Some(Format::Xyz), ..ReadOptions::default() };
    assert_eq!(told(Inputs::open([path], &options).unwrap()), ["1 He"]);
}

#[test]
fn batches_are_bounded_by_documents_and_by_bytes() {
    let sizes = |most_documents, most_bytes| -> Vec<usize> {
        let stream = io::Cursor::new("{\"a\": 1}\n".repeat(10));
        let documents = Documents::from_reader("in", stream, &ReadOptions::default());
        Batches::new(documents, most_documents, most_bytes).map(|batch| batch.unwrap().len()).collect()
    };
    assert_eq!(sizes(4, usize::MAX), [4, 4, 2]);
    assert_eq!(sizes(100, 16), [2, 2, 2, 2, 2]);
    assert_eq!(sizes(100, 0), [1; 10]);
    let failing = Documents::from_reader("in", "[{}, {}, 1]".as_bytes(), &ReadOptions::default());
    let batches: Vec<bool> = Batches::new(failing, 10, 1000).map(|batch| batch.is_ok()).collect();
    assert_eq!(batches, [false]);
}
