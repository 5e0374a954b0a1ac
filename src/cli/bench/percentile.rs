//! Percentiles of measured values. Pure.

use serde::Serialize;

/// How values are spread, in seconds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(super) struct Spread {
    /// Half of the values are at most this.
    pub p50: f64,
    /// All but a hundredth are at most this.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of `values`; none where there are none.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        Some(Spread { p50: at(&sorted, 50)?, p99: at(&sorted, 99)?, max: *sorted.last()? })
    }
}

/// The smallest value that is not exceeded by `percent` of all (the nearest rank).
fn at(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_nearest_rank_is_taken() {
        let hundred = (1..=100).rev().map(f64::from);
        assert_eq!(Spread::of(hundred), Some(Spread { p50: 50.0, p99: 99.0, max: 100.0 }));
        assert_eq!(Spread::of([3.0]), Some(Spread { p50: 3.0, p99: 3.0, max: 3.0 }));
        assert_eq!(Spread::of([1.0, 2.0]), Some(Spread { p50: 1.0, p99: 2.0, max: 2.0 }));
        assert_eq!(Spread::of([f64::NAN]), None);
    }

    proptest! {
        #[test]
        fn at_most_so_many_lie_above(values in proptest::collection::vec(0.0..1e6, 1..300)) {
            let spread = Spread::of(values.iter().copied()).unwrap();
            let above = |limit: f64| values.iter().filter(|value| **value > limit).count();
            prop_assert!(2 * above(spread.p50) <= values.len());
            prop_assert!(100 * above(spread.p99) <= values.len());
            prop_assert_eq!(above(spread.max), 0);
        }
    }
}
