//! Charge and multiplicity of a molecule and of its fragments: fills in what is not given, refuses what cannot be. Pure.
//!
//! Gives what QCElemental's `validate_and_fill_chgmult` gives: charge 0 and the lowest multiplicities by default, a missing
//! charge on the first fragment that can bear it, high-spin addition of multiplicities not all given.

/// Sums of charges agree within this many elementary charges.
const CHARGE_TOLERANCE: f64 = 1e-8;
/// Fragments times multiplicity beyond which the search is not begun.
const SEARCH_LIMIT: usize = 4_000_000;

/// What a document says; `None` where it says nothing.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) charge: Option<f64>,
    pub(super) multiplicity: Option<u32>,
    /// One per fragment.
    pub(super) fragment_charges: Vec<Option<f64>>,
    /// One per fragment.
    pub(super) fragment_multiplicities: Vec<Option<u32>>,
}

/// A complete and consistent answer.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Settled {
    pub(super) charge: f64,
    pub(super) multiplicity: u32,
    pub(super) fragment_charges: Vec<f64>,
    pub(super) fragment_multiplicities: Vec<u32>,
}

/// Completes `given`. `protons` holds, per fragment, the protons of its real atoms; 0 means a ghost fragment.
/// `None` where no answer agrees with what is given.
pub(super) fn settle(protons: &[u32], given: &Given) -> Option<Settled> {
    let high = given.multiplicity.unwrap_or_else(|| high_spin(&given.fragment_multiplicities, 2));
    if protons.len().saturating_mul(high as usize) > SEARCH_LIMIT {
        return None;
    }
    charge_choices(given).into_iter().find_map(|(charge, fragment_charges)| {
        let neutral =
            protons.iter().zip(&fragment_charges).all(|(protons, charge)| *protons > 0 || *charge == 0.0);
        if !neutral {
            return None;
        }
        let electrons: Vec<f64> = protons
            .iter()
            .zip(&fragment_charges)
            .map(|(protons, charge)| f64::from(*protons) - charge)
            .collect();
        let total = protons.iter().map(|protons| f64::from(*protons)).sum::<f64>() - charge;
        let (multiplicity, fragment_multiplicities) = multiplicities(protons, &electrons, total, given)?;
        Some(Settled { charge, multiplicity, fragment_charges, fragment_multiplicities })
    })
}

/// Whether `electrons` can have this multiplicity: enough of them, and the right parity (any, where it is fractional).
pub(super) fn is_possible(electrons: f64, multiplicity: u32) -> bool {
    let multiplicity = f64::from(multiplicity);
    multiplicity >= 1.0
        && multiplicity - 1.0 <= electrons
        && multiplicity.rem_euclid(2.0) != electrons.rem_euclid(2.0)
}

/// Every total charge and charges of fragments that agree with what is given, the preferred one first.
fn charge_choices(given: &Given) -> Vec<(f64, Vec<f64>)> {
    // adding zero makes a negative zero, which an empty sum is too, a positive one
    let known = given.fragment_charges.iter().flatten().sum::<f64>() + 0.0;
    let charge = given.charge.map_or(known, |charge| charge + 0.0);
    let missing = charge - known;
    let with_rest_on = |chosen: Option<usize>| -> Vec<f64> {
        let charges = given.fragment_charges.iter().enumerate();
        charges
            .map(|(index, charge)| charge.unwrap_or(if chosen == Some(index) { missing } else { 0.0 }) + 0.0)
            .collect()
    };
    if missing.abs() <= CHARGE_TOLERANCE {
        return vec![(charge, with_rest_on(None))];
    }
    let open = (0..given.fragment_charges.len()).filter(|index| given.fragment_charges[*index].is_none());
    open.map(|index| (charge, with_rest_on(Some(index)))).collect()
}

/// The multiplicity of fragments whose spins all point the same way, `default` where none is given.
fn high_spin(multiplicities: &[Option<u32>], default: u32) -> u32 {
    multiplicities
        .iter()
        .fold(1, |sum: u32, one| sum.saturating_add(one.unwrap_or(default).saturating_sub(1)))
}

/// The first total multiplicity and multiplicities of fragments that the electrons allow.
fn multiplicities(protons: &[u32], electrons: &[f64], total: f64, given: &Given) -> Option<(u32, Vec<u32>)> {
    let totals = match given.multiplicity {
        Some(multiplicity) => multiplicity..=multiplicity,
        None => high_spin(&given.fragment_multiplicities, 1)..=high_spin(&given.fragment_multiplicities, 2),
    };
    let candidates: Vec<Vec<u32>> = (0..protons.len())
        .map(|fragment| {
            let mut candidates = candidates(fragment, given);
            candidates.retain(|multiplicity| {
                is_possible(electrons[fragment], *multiplicity)
                    && (protons[fragment] > 0 || *multiplicity == 1)
            });
            candidates
        })
        .collect();
    if candidates.iter().any(Vec::is_empty) {
        return None;
    }
    let all_given = given.multiplicity.is_some() && given.fragment_multiplicities.iter().all(Option::is_some);
    totals.into_iter().filter(|multiplicity| is_possible(total, *multiplicity)).find_map(|multiplicity| {
        let chosen = if all_given {
            candidates.iter().map(|candidates| candidates[0]).collect()
        } else {
            first_with_sum(&candidates, multiplicity as usize - 1)?
        };
        Some((multiplicity, chosen))
    })
}

/// Multiplicities to try for one fragment, the preferred one first.
fn candidates(fragment: usize, given: &Given) -> Vec<u32> {
    if let Some(multiplicity) = given.fragment_multiplicities[fragment] {
        return vec![multiplicity];
    }
    let mut candidates = Vec::new();
    if let Some(total) = given.multiplicity {
        let mut others = given.fragment_multiplicities.clone();
        others.remove(fragment);
        let highest = (total + 1).saturating_sub(high_spin(&others, 1));
        let lowest = (total + 1).saturating_sub(high_spin(&others, 2)).max(1);
        candidates.extend((lowest..=highest).rev());
    }
    for default in [1, 2] {
        if !candidates.contains(&default) {
            candidates.push(default);
        }
    }
    candidates
}

/// The lexicographically first choice of one candidate each whose unpaired electrons sum to `unpaired`.
fn first_with_sum(candidates: &[Vec<u32>], unpaired: usize) -> Option<Vec<u32>> {
    // reachable[i][s]: fragments i and after can hold s unpaired electrons together
    let mut reachable = vec![vec![false; unpaired + 1]; candidates.len() + 1];
    reachable[candidates.len()][0] = true;
    for index in (0..candidates.len()).rev() {
        for own in candidates[index].iter().map(|multiplicity| *multiplicity as usize - 1) {
            for sum in own..=unpaired {
                reachable[index][sum] |= reachable[index + 1][sum - own];
            }
        }
    }
    let mut rest = unpaired;
    let mut chosen = Vec::with_capacity(candidates.len());
    for (index, candidates) in candidates.iter().enumerate() {
        let fits = |multiplicity: &&u32| {
            let own = **multiplicity as usize - 1;
            own <= rest && reachable[index + 1][rest - own]
        };
        let multiplicity = *candidates.iter().find(fits)?;
        rest -= multiplicity as usize - 1;
        chosen.push(multiplicity);
    }
    (rest == 0).then_some(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fragments<T> = &'static [Option<T>];
    type Answer = Option<(f64, &'static [f64], u32, &'static [u32])>;

    type Case = (&'static [u32], Option<f64>, Fragments<f64>, Option<u32>, Fragments<u32>, Answer);

    /// The worked examples that the rules of QCElemental imply: protons per fragment, what is given, what comes out.
    const CASES: &[Case] = &[
        (&[2], None, &[None], None, &[None], Some((0.0, &[0.0], 1, &[1]))),
        (&[1], None, &[None], None, &[None], Some((0.0, &[0.0], 2, &[2]))),
        (&[1], Some(1.0), &[None], None, &[None], Some((1.0, &[1.0], 1, &[1]))),
        (&[2, 2], Some(2.0), &[None, None], None, &[None, None], Some((2.0, &[2.0, 0.0], 1, &[1, 1]))),
        (&[2, 2], Some(0.0), &[Some(2.0), None], None, &[None, None], Some((0.0, &[2.0, -2.0], 1, &[1, 1]))),
        (
            &[2, 2, 10],
            Some(2.0),
            &[None, Some(-2.0), None],
            None,
            &[None, None, None],
            Some((2.0, &[0.0, -2.0, 4.0], 1, &[1, 1, 1])),
        ),
        (&[2, 2, 10], Some(2.0), &[None, Some(-2.0), Some(0.0)], None, &[None, None, None], None),
        (&[2, 2], Some(0.0), &[Some(-2.0), Some(-2.0)], None, &[None, None], None),
        (&[2], None, &[None], None, &[Some(2)], None),
        (&[2], None, &[None], None, &[Some(5)], None),
        (&[2, 2], None, &[None, None], Some(3), &[Some(3), Some(3)], Some((0.0, &[0.0, 0.0], 3, &[3, 3]))),
        (&[2, 2], None, &[None, None], Some(2), &[Some(3), Some(3)], None),
        (&[1, 1], None, &[None, None], None, &[None, None], Some((0.0, &[0.0, 0.0], 3, &[2, 2]))),
        (
            &[7, 7, 7],
            None,
            &[Some(1.0), Some(1.0), Some(1.0)],
            Some(3),
            &[None, None, None],
            Some((3.0, &[1.0, 1.0, 1.0], 3, &[3, 1, 1])),
        ),
        (
            &[7, 10, 7],
            Some(1.0),
            &[None, None, None],
            Some(4),
            &[None, Some(3), None],
            Some((1.0, &[1.0, 0.0, 0.0], 4, &[1, 3, 2])),
        ),
        (&[0], Some(1.0), &[None], None, &[None], None),
        (&[2, 0], None, &[Some(2.0), None], None, &[None, None], Some((2.0, &[2.0, 0.0], 1, &[1, 1]))),
        (&[0, 2], None, &[Some(2.0), None], None, &[None, None], None),
    ];

    #[test]
    fn known_cases() {
        for (protons, charge, fragment_charges, multiplicity, fragment_multiplicities, answer) in CASES {
            let given = Given {
                charge: *charge,
                multiplicity: *multiplicity,
                fragment_charges: fragment_charges.to_vec(),
                fragment_multiplicities: fragment_multiplicities.to_vec(),
            };
            let expected =
                answer.map(|(charge, fragment_charges, multiplicity, fragment_multiplicities)| Settled {
                    charge,
                    multiplicity,
                    fragment_charges: fragment_charges.to_vec(),
                    fragment_multiplicities: fragment_multiplicities.to_vec(),
                });
            assert_eq!(settle(protons, &given), expected, "{protons:?} {given:?}");
        }
    }
}
