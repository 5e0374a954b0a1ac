//! XYZ files: frames of a count, a comment and that many lines of `symbol x y z` in ångström.

use super::text::TextReader;
use super::{IntakeError, ReadOptions};
use crate::model::molecule::{Element, Molecule, MoleculeDocument};

/// One ångström in bohr with CODATA 2014's bohr radius, the constant of QCElemental, so that hashes agree.
const BOHR_PER_ANGSTROM: f64 = 1.0 / 0.52917721067;

/// The next frame's first line and its molecule.
pub(super) fn next(
    reader: &mut TextReader,
    options: &ReadOptions,
) -> Result<Option<(u64, Molecule)>, IntakeError> {
    let Some((line, count)) = next_filled_line(reader)? else {
        return Ok(None);
    };
    let atoms: usize = count.trim().parse().ok().filter(|atoms| *atoms > 0).ok_or_else(|| {
        reader.malformed(line, format!("`{}` (the number of atoms of a frame expected)", shortened(&count)))
    })?;
    let Some((comment_line, comment)) = reader.next_line()? else {
        return Err(reader.malformed(line, format!("the frame ends before its {atoms} atoms")));
    };
    let comment = Comment::read(&comment).map_err(|reason| reader.malformed(comment_line, reason))?;
    let mut symbols = Vec::new();
    let mut geometry = Vec::new();
    for read in 0..atoms {
        let Some((atom_line, text)) = reader.next_line()? else {
            return Err(reader.malformed(line, format!("the frame has {read} of its {atoms} atoms")));
        };
        let (element, position) = atom(&text).map_err(|reason| reader.malformed(atom_line, reason))?;
        symbols.push(element);
        geometry.extend(position.map(|angstrom| angstrom * BOHR_PER_ANGSTROM));
    }
    let document = MoleculeDocument::new(symbols, geometry)
        .charged(comment.charge.or(options.charge), comment.multiplicity.or(options.multiplicity))
        .commented(comment.text);
    let molecule = Molecule::try_from(document).map_err(|error| reader.malformed(line, error.message()))?;
    Ok(Some((line, molecule)))
}

fn next_filled_line(reader: &mut TextReader) -> Result<Option<(u64, String)>, IntakeError> {
    while let Some((line, text)) = reader.next_line()? {
        if !text.trim().is_empty() {
            return Ok(Some((line, text)));
        }
    }
    Ok(None)
}

/// `symbol x y z`, an atomic number also being a symbol; what follows (charges, velocities) is ignored.
fn atom(text: &str) -> Result<(Element, [f64; 3]), String> {
    let mut words = text.split_whitespace();
    let (Some(symbol), Some(x), Some(y), Some(z)) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(format!("`{}` (`symbol x y z` in ångström expected)", shortened(text)));
    };
    let by_number = || symbol.parse().ok().and_then(Element::from_atomic_number);
    let element = Element::from_symbol(symbol).or_else(by_number);
    let element = element.ok_or_else(|| format!("`{}` (an element symbol expected)", shortened(symbol)))?;
    let coordinate = |word: &str| {
        let number = word.parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| format!("`{}` (a coordinate in ångström expected)", shortened(word)))
    };
    Ok((element, [coordinate(x)?, coordinate(y)?, coordinate(z)?]))
}

/// What the comment line says of the molecule, as `key=value` words of extended XYZ.
struct Comment {
    text: Option<String>,
    charge: Option<f64>,
    multiplicity: Option<u32>,
}

impl Comment {
    fn read(line: &str) -> Result<Comment, String> {
        let text = line.trim();
        if text.contains('\0') {
            return Err("the comment holds a NUL character".to_owned());
        }
        let kept = (!text.is_empty()).then(|| text.to_owned());
        let mut comment = Comment { text: kept, charge: None, multiplicity: None };
        for (key, value) in text.split_whitespace().filter_map(|word| word.split_once('=')) {
            let value = value.trim_matches(['"', '\'', ',', ';']);
            match key.to_ascii_lowercase().as_str() {
                "charge" => {
                    let charge = value.parse::<f64>().ok().filter(|charge| charge.is_finite());
                    comment.charge =
                        Some(charge.ok_or_else(|| format!("`charge={value}` (a number expected)"))?);
                }
                "multiplicity" => {
                    let multiplicity = value.parse().ok();
                    let wrong = || format!("`multiplicity={value}` (a positive integer expected)");
                    comment.multiplicity = Some(multiplicity.ok_or_else(wrong)?);
                }
                "lattice" => return Err("a periodic cell (`Lattice=`) is not a molecule".to_owned()),
                "properties" if !value.to_ascii_lowercase().starts_with("species:s:1:pos:r:3") => {
                    return Err(format!(
                        "`Properties={value}` (columns `species:S:1:pos:R:3` first expected)"
                    ));
                }
                _ => {}
            }
        }
        Ok(comment)
    }
}

/// The start of a text that may be long or hold control characters.
fn shortened(text: &str) -> String {
    let start: String = text.trim().chars().take(40).collect();
    start.escape_debug().to_string()
}
