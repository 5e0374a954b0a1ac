//! Round marks on an axis, units of time, numbers beside them. Pure.

/// An axis from 0 to `end` with a mark each `step`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Axis {
    pub end: f64,
    pub step: f64,
}

impl Axis {
    /// An axis that holds `most`, with about `marks` marks at round numbers.
    pub(super) fn new(most: f64, marks: f64) -> Axis {
        let rough = most / marks;
        let power = 10_f64.powf(rough.log10().floor());
        let factor =
            [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough * 0.999).unwrap_or(10.0);
        Axis { end: most, step: factor * power }
    }

    /// The marks.
    pub(super) fn ticks(&self) -> impl Iterator<Item = f64> + use<> {
        let Axis { end, step } = *self;
        (0..).map(move |index| f64::from(index) * step).take_while(move |tick| *tick <= end * 1.000_001)
    }
}

/// A unit of time that keeps the numbers small.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Unit {
    pub name: &'static str,
    pub seconds: f64,
}

impl Unit {
    /// For a span of so many seconds.
    pub(super) fn of(seconds: f64) -> Unit {
        match seconds {
            ..0.5 => Unit { name: "ms", seconds: 1e-3 },
            0.5..600.0 => Unit { name: "s", seconds: 1.0 },
            600.0..36_000.0 => Unit { name: "min", seconds: 60.0 },
            _ => Unit { name: "h", seconds: 3600.0 },
        }
    }
}

/// At most three decimals, none where they are noughts.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_few() {
        for (most, marks, step) in [(2.16, 6.0, 0.5), (138.2, 6.0, 50.0), (29.9, 10.0, 5.0), (0.9, 10.0, 0.1)]
        {
            assert_eq!(Axis::new(most, marks).step, step, "{most}");
        }
        assert_eq!(Axis::new(29.9, 10.0).ticks().collect::<Vec<_>>(), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]);
        assert_eq!((number(0.5), number(20.0), number(0.125)), ("0.5".into(), "20".into(), "0.125".into()));
    }
}
