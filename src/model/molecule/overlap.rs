//! Refuses atoms that sit on top of each other. Pure.
//! Large molecules are sorted into cells first, so that the check stays linear in the number of atoms.

use std::collections::HashMap;

use crate::model::qcschema::InputError;

/// Atoms nearer than this, in bohr, are an error (QCElemental's `tooclose`).
const TOO_CLOSE: f64 = 0.1;
/// Up to here every pair is looked at.
const SMALL: usize = 48;

/// Checks a flat geometry in bohr.
pub(super) fn check(geometry: &[f64]) -> Result<(), InputError> {
    let found = if geometry.len() / 3 <= SMALL { among_all(geometry) } else { among_neighbours(geometry) };
    match found {
        None => Ok(()),
        Some((first, second)) => {
            let distance = squared_distance(geometry, first, second).sqrt();
            let reason = format!("atoms {first} and {second} are {distance:.3} bohr apart");
            Err(InputError::new("$.geometry", reason, "at least 0.1 bohr"))
        }
    }
}

fn squared_distance(geometry: &[f64], first: usize, second: usize) -> f64 {
    (0..3).map(|axis| (geometry[3 * first + axis] - geometry[3 * second + axis]).powi(2)).sum()
}

fn too_close(geometry: &[f64], first: usize, second: usize) -> bool {
    squared_distance(geometry, first, second) < TOO_CLOSE * TOO_CLOSE
}

fn among_all(geometry: &[f64]) -> Option<(usize, usize)> {
    let atoms = geometry.len() / 3;
    (0..atoms)
        .flat_map(|second| (0..second).map(move |first| (first, second)))
        .find(|(first, second)| too_close(geometry, *first, *second))
}

/// As `among_all`, but looks only into the cells around an atom. Cells are as wide as the distance that matters.
fn among_neighbours(geometry: &[f64]) -> Option<(usize, usize)> {
    let mut cells: HashMap<[i64; 3], Vec<usize>> = HashMap::new();
    for atom in 0..geometry.len() / 3 {
        let cell = [0, 1, 2].map(|axis| (geometry[3 * atom + axis] / TOO_CLOSE).floor() as i64);
        let around = (0..27).map(|step| [step / 9, step / 3 % 3, step % 3]);
        for [x, y, z] in around {
            let neighbour = [cell[0] + x - 1, cell[1] + y - 1, cell[2] + z - 1];
            let here = cells.get(&neighbour).into_iter().flatten();
            if let Some(other) = here.copied().find(|other| too_close(geometry, *other, atom)) {
                return Some((other, atom));
            }
        }
        cells.entry(cell).or_default().push(atom);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_of(atoms: usize, spacing: f64) -> Vec<f64> {
        (0..atoms).flat_map(|atom| [atom as f64 * spacing, -1.0, 0.5]).collect()
    }

    #[test]
    fn small_and_large_molecules_are_checked_alike() {
        for atoms in [2, SMALL, SMALL + 1, 400] {
            assert_eq!(check(&line_of(atoms, 0.11)), Ok(()), "{atoms}");
            assert!(check(&line_of(atoms, 0.09)).is_err(), "{atoms}");
            let mut one_pair = line_of(atoms, 1.0);
            one_pair[3 * (atoms - 1)] = 0.03;
            let error = check(&one_pair).unwrap_err();
            assert_eq!(error.reason, format!("atoms 0 and {} are 0.030 bohr apart", atoms - 1));
        }
    }
}
