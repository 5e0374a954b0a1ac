//! Bayesian regression of one logarithm on another: a line, how sure it is, and the spread around it. Pure.
//!
//! The prior is conjugate (normal for the line, inverse gamma for the spread), so that what is believed after any number
//! of runs is eight numbers again, and serves as the prior of something more special.

/// What a regression is given: sums over points (x, y), and how many say something of the spread.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Sums {
    /// Number of points.
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
    /// Degrees of freedom of the spread.
    pub freedom: f64,
}

impl Sums {
    /// Adds others.
    pub fn add(&mut self, other: &Sums) {
        self.weight += other.weight;
        self.x += other.x;
        self.y += other.y;
        self.xx += other.xx;
        self.xy += other.xy;
        self.yy += other.yy;
        self.freedom += other.freedom;
    }
}

/// What is believed of a line y = level + slope · x.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Line {
    level: f64,
    slope: f64,
    /// Covariance of level and slope, in units of the variance around the line.
    level_variance: f64,
    covariance: f64,
    slope_variance: f64,
    /// Inverse gamma of the variance around the line.
    shape: f64,
    rate: f64,
}

/// How a line is stated ahead of all history.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Belief {
    /// y at x = 0.
    pub level: f64,
    /// Standard deviation of that.
    pub level_spread: f64,
    /// Growth of y with x.
    pub slope: f64,
    /// Standard deviation of that.
    pub slope_spread: f64,
    /// Standard deviation of single values around the line.
    pub spread: f64,
}

/// Weight of what is believed of the spread ahead of history: that of so many runs.
const SPREAD_RUNS: f64 = 4.0;

impl Line {
    /// A line that is only stated.
    pub fn stated(belief: Belief) -> Line {
        let variance = belief.spread * belief.spread;
        Line {
            level: belief.level,
            slope: belief.slope,
            level_variance: belief.level_spread * belief.level_spread / variance,
            covariance: 0.0,
            slope_variance: belief.slope_spread * belief.slope_spread / variance,
            shape: SPREAD_RUNS / 2.0,
            rate: SPREAD_RUNS / 2.0 * variance,
        }
    }

    /// A line of which nothing is known but that it rises, about quadratically.
    pub fn open() -> Line {
        Line::stated(Belief { level: 0.0, level_spread: 100.0, slope: 2.0, slope_spread: 1.0, spread: 0.4 })
    }

    /// What is believed after `sums`.
    pub fn updated(&self, sums: &Sums) -> Line {
        let (p00, p01, p11) = inverse(self.level_variance, self.covariance, self.slope_variance);
        let (q00, q01, q11) = (p00 + sums.weight, p01 + sums.x, p11 + sums.xx);
        let (v00, v01, v11) = inverse(q00, q01, q11);
        let (r0, r1) =
            (p00 * self.level + p01 * self.slope + sums.y, p01 * self.level + p11 * self.slope + sums.xy);
        let (level, slope) = (v00 * r0 + v01 * r1, v01 * r0 + v11 * r1);
        // The squares of what the line leaves: of the points, and of the step away from what was believed.
        let (up, over) = (level - self.level, slope - self.slope);
        let step = p00 * up * up + 2.0 * p01 * up * over + p11 * over * over;
        let left = sums.yy - 2.0 * (level * sums.y + slope * sums.xy)
            + level * level * sums.weight
            + 2.0 * level * slope * sums.x
            + slope * slope * sums.xx;
        Line {
            level,
            slope,
            level_variance: v00,
            covariance: v01,
            slope_variance: v11,
            shape: self.shape + sums.freedom / 2.0,
            rate: self.rate + (left + step).max(0.0) / 2.0,
        }
    }

    /// The prior of something more special, whose level and slope may differ by so much. Of the spread, not more than
    /// the experience of `runs` is taken along.
    pub fn widened(&self, level_spread: f64, slope_spread: f64, runs: f64) -> Line {
        let variance = self.variance();
        let shape = self.shape.min(runs / 2.0);
        Line {
            level_variance: self.level_variance + level_spread * level_spread / variance,
            slope_variance: self.slope_variance + slope_spread * slope_spread / variance,
            shape,
            rate: variance * shape,
            ..*self
        }
    }

    /// Variance of single values around the line.
    pub fn variance(&self) -> f64 {
        self.rate / self.shape
    }

    /// Degrees of freedom of its Student distribution.
    pub fn freedom(&self) -> f64 {
        2.0 * self.shape
    }

    /// The middle of what is expected at `x`.
    pub fn location(&self, x: f64) -> f64 {
        self.level + self.slope * x
    }

    /// The spread of single values at `x`, of the line itself included.
    pub fn scale(&self, x: f64) -> f64 {
        let of_line = self.level_variance + 2.0 * self.covariance * x + self.slope_variance * x * x;
        (self.variance() * (1.0 + of_line.max(0.0))).sqrt()
    }

    /// The same where the slope is at least 0: a larger molecule never takes less.
    pub fn rising(&self) -> Line {
        if self.slope >= 0.0 {
            return *self;
        }
        let level = self.level - self.slope * self.covariance / self.slope_variance;
        Line { level, slope: 0.0, ..*self }
    }

    /// The value `t` spreads away from the middle at `x`, of a line that rises. Never falls with `x`: where the growing
    /// uncertainty of small sizes would make it fall, what holds of a larger size is said of the smaller, and of the
    /// lower bound the other way round.
    pub fn value(&self, x: f64, t: f64) -> f64 {
        let reach = t * self.variance().sqrt();
        let x = match self.turning_point(reach) {
            Some(turn) if t > 0.0 => x.max(turn),
            Some(turn) if t < 0.0 => x.min(turn),
            _ => x,
        };
        self.location(x) + t * self.scale(x)
    }

    /// Where location + reach · spread turns from falling to rising or back.
    fn turning_point(&self, reach: f64) -> Option<f64> {
        let (a, b, c) = (1.0 + self.level_variance, self.covariance, self.slope_variance);
        let excess = c * reach * reach - self.slope * self.slope;
        if c <= 0.0 || excess <= 0.0 {
            return None;
        }
        let u = (self.slope * self.slope * (a * c - b * b).max(0.0) / excess).sqrt();
        Some((-u.copysign(reach) - b) / c)
    }
}

/// The inverse of a symmetric matrix of two rows.
fn inverse(m00: f64, m01: f64, m11: f64) -> (f64, f64, f64) {
    let determinant = (m00 * m11 - m01 * m01).max(f64::MIN_POSITIVE);
    (m11 / determinant, -m01 / determinant, m00 / determinant)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sums(points: &[(f64, f64)]) -> Sums {
        let mut all = Sums::default();
        for (x, y) in points {
            all.add(&Sums { weight: 1.0, x: *x, y: *y, xx: x * x, xy: x * y, yy: y * y, freedom: 1.0 });
        }
        all
    }

    #[test]
    fn many_points_on_a_line_are_that_line() {
        let points: Vec<_> =
            (0..200).map(|n| (f64::from(n % 20) / 5.0, 1.0 + 3.0 * f64::from(n % 20) / 5.0)).collect();
        let line = Line::open().updated(&sums(&points));
        assert!((line.location(2.5) - 8.5).abs() < 0.01, "{line:?}");
        assert!(line.scale(2.5) < 0.1, "{line:?}");
    }

    proptest! {
        #[test]
        fn the_order_and_grouping_of_points_leave_no_trace(
            points in prop::collection::vec((-3.0..3.0f64, -5.0..9.0f64), 2..20), cut in 0..20usize,
        ) {
            let (one, two) = points.split_at(cut.min(points.len()));
            let (whole, parts) = (Line::open().updated(&sums(&points)), Line::open().updated(&sums(two)).updated(&sums(one)));
            prop_assert!((whole.location(1.0) - parts.location(1.0)).abs() < 1e-5, "{whole:?} {parts:?}");
            prop_assert!((whole.scale(1.0) - parts.scale(1.0)).abs() < 1e-4, "{whole:?} {parts:?}");
        }

        #[test]
        fn no_value_falls_with_size(
            points in prop::collection::vec((-3.0..3.0f64, -5.0..9.0f64), 0..20),
            x in -6.0..8.0f64, step in 0.0..4.0f64, t in -8.0..8.0f64,
        ) {
            let line = Line::open().updated(&sums(&points)).rising();
            prop_assert!(line.value(x + step, t) >= line.value(x, t) - 1e-9);
        }
    }
}
