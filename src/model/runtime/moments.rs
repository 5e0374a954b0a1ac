//! Sums that a regression of one logarithm on another needs. They merge by addition, so that history of any length is
//! eight numbers. Pure.

use super::line::{Line, Sums};

/// Weight of history: beyond so many runs, older ones fade.
const MOST_WEIGHT: f64 = 1000.0;

/// Runs after which an outlier is recognised.
const ENOUGH: f64 = 5.0;

/// Spreads away from what was expected at which a value counts as an outlier.
const FAR: f64 = 4.0;

/// The spread is believed to be at least so much: a quarter of the value.
const LEAST_SPREAD: f64 = 0.25;

/// A run that was stopped counts as one of this many times its limit.
const BEYOND_LIMIT: f64 = 1.5;

/// Sums over runs: logarithms of size (x) and value (y).
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Moments {
    /// Weight of the runs in the sums; their number until old ones fade.
    pub weight: f64,
    /// Σx.
    pub x: f64,
    /// Σy.
    pub y: f64,
    /// Σx².
    pub xx: f64,
    /// Σxy.
    pub xy: f64,
    /// Σy².
    pub yy: f64,
    /// Number of runs ever.
    pub runs: u64,
    /// Of these, stopped at a limit.
    pub stopped: u64,
}

/// One more run.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Observation {
    /// It came to its end.
    Whole {
        /// x.
        log_size: f64,
        /// y.
        log_value: f64,
    },
    /// It was stopped at a limit: its value would have been larger.
    StoppedAt {
        /// x.
        log_size: f64,
        /// y.
        log_value: f64,
    },
}

impl Moments {
    /// Adds a run. What lies far from all the others is drawn near first, so that a single run cannot spoil what
    /// thousands told; when it was a change rather than an outlier, the next ones widen the spread and are believed.
    ///
    /// A run that was stopped never lowers what is expected.
    pub fn observe(&mut self, observation: Observation) {
        let expected = (self.weight > 0.0).then(|| Line::open().updated(&self.sums()));
        let (x, mut y) = match observation {
            Observation::Whole { log_size, log_value } => (log_size, log_value),
            Observation::StoppedAt { log_size, log_value } => {
                self.stopped += 1;
                let least = log_value + BEYOND_LIMIT.ln();
                (log_size, expected.map_or(least, |line| line.location(log_size).max(least)))
            }
        };
        if let Some(line) = expected.filter(|_| self.weight >= ENOUGH) {
            let (middle, reach) = (line.location(x), FAR * line.scale(x).max(LEAST_SPREAD));
            y = y.clamp(middle - reach, middle + reach);
        }
        self.fade();
        self.add(&Moments { weight: 1.0, x, y, xx: x * x, xy: x * y, yy: y * y, runs: 1, stopped: 0 });
    }

    /// Adds the sums of other runs.
    pub fn add(&mut self, other: &Moments) {
        self.weight += other.weight;
        self.x += other.x;
        self.y += other.y;
        self.xx += other.xx;
        self.xy += other.xy;
        self.yy += other.yy;
        self.runs += other.runs;
        self.stopped += other.stopped;
    }

    fn fade(&mut self) {
        if self.weight < MOST_WEIGHT {
            return;
        }
        let rest = (MOST_WEIGHT - 1.0) / self.weight;
        for sum in [&mut self.weight, &mut self.x, &mut self.y, &mut self.xx, &mut self.xy, &mut self.yy] {
            *sum *= rest;
        }
    }

    /// The sums as they are.
    pub fn sums(&self) -> Sums {
        let Moments { weight, x, y, xx, xy, yy, .. } = *self;
        Sums { weight, x, y, xx, xy, yy, freedom: weight }
    }

    /// What these runs say of others that differ from them by a constant of spread `between`, in units of the spread
    /// among runs: their slope, and one uncertain point.
    pub fn sums_of_relatives(&self, between: f64) -> Sums {
        if self.weight <= 0.0 {
            return Sums::default();
        }
        let (x, y) = (self.x / self.weight, self.y / self.weight);
        let point = 1.0 / (1.0 / self.weight + between * between);
        let around = |sum: f64, product: f64| sum - self.weight * product;
        Sums {
            weight: point,
            x: point * x,
            y: point * y,
            xx: around(self.xx, x * x).max(0.0) + point * x * x,
            xy: around(self.xy, x * y) + point * x * y,
            yy: around(self.yy, y * y).max(0.0) + point * y * y,
            freedom: (self.weight - 1.0).max(0.0) + point,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(log_size: f64, log_value: f64) -> Observation {
        Observation::Whole { log_size, log_value }
    }

    fn of(points: impl IntoIterator<Item = (f64, f64)>) -> Moments {
        let mut moments = Moments::default();
        points.into_iter().for_each(|(x, y)| moments.observe(whole(x, y)));
        moments
    }

    fn expected(moments: &Moments, x: f64) -> f64 {
        Line::open().updated(&moments.sums()).location(x)
    }

    fn good() -> Moments {
        of((0..40).map(|n| (f64::from(n % 5) * 0.3, 2.0 + f64::from(n % 5) * 0.6 + f64::from(n % 3) * 0.1)))
    }

    #[test]
    fn one_outlier_does_not_spoil_history() {
        for outlier in [-7.0, 18.0] {
            let mut moments = good();
            let before = expected(&moments, 0.6);
            moments.observe(whole(0.6, outlier));
            assert!((expected(&moments, 0.6) - before).abs() < 0.1, "{outlier}");
            let line = Line::open().updated(&moments.sums());
            assert!(line.scale(0.6) < 0.6, "{outlier}: {}", line.scale(0.6));
        }
    }

    #[test]
    fn a_change_that_lasts_is_believed() {
        let mut moments = good();
        for _ in 0..400 {
            moments.observe(whole(0.6, 6.0));
        }
        assert!((expected(&moments, 0.6) - 6.0).abs() < 0.7, "{}", expected(&moments, 0.6));
    }

    #[test]
    fn old_runs_fade() {
        let mut moments = of((0..5000).map(|_| (0.0, 1.0)));
        assert!(moments.weight <= MOST_WEIGHT && moments.runs == 5000, "{moments:?}");
        (0..3000).for_each(|_| moments.observe(whole(0.0, 1.5)));
        assert!((expected(&moments, 0.0) - 1.5).abs() < 0.05, "{}", expected(&moments, 0.0));
    }

    proptest! {
        #[test]
        fn a_stopped_run_never_lowers_what_is_expected(
            points in prop::collection::vec((-2.0..4.0f64, -3.0..9.0f64), 0..30), x in -2.0..4.0f64, limit in -3.0..12.0f64,
        ) {
            let mut moments = of(points);
            let before = (moments.weight > 0.0).then(|| expected(&moments, x));
            moments.observe(Observation::StoppedAt { log_size: x, log_value: limit });
            prop_assert_eq!(moments.stopped, 1);
            let after = expected(&moments, x);
            prop_assert!(before.is_none_or(|before| after >= before - 1e-6), "{before:?} {after}");
        }

        #[test]
        fn a_run_that_was_stopped_alone_raises_it_beyond_the_limit(x in -2.0..4.0f64, limit in -3.0..12.0f64) {
            let mut moments = Moments::default();
            moments.observe(Observation::StoppedAt { log_size: x, log_value: limit });
            prop_assert!(expected(&moments, x) > limit);
        }

        #[test]
        fn sums_merge(
            left in prop::collection::vec((-2.0..4.0f64, -3.0..9.0f64), 0..4),
            right in prop::collection::vec((-2.0..4.0f64, -3.0..9.0f64), 0..4),
        ) {
            let mut merged = of(left.clone());
            merged.add(&of(right.clone()));
            let (apart, together) = (merged.sums(), of(left.into_iter().chain(right).take(4)).sums());
            // Up to four runs are never drawn near, so that order and grouping leave no trace.
            if apart.weight <= 4.0 {
                prop_assert!((apart.xy - together.xy).abs() < 1e-9 && (apart.yy - together.yy).abs() < 1e-9);
            }
        }
    }
}
