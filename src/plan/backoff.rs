//! How long to leave something alone that keeps failing. Pure; the jitter is handed in.

use std::time::Duration;

/// Delay after `failures` failures in a row (1, 2, 4, 8 … times `first`, at most `longest`), moved by up to ±20 % by
/// `jitter` in `0.0..1.0` so that many daemons do not come back together.
pub fn delay(failures: u32, first: Duration, longest: Duration, jitter: f64) -> Duration {
    if failures == 0 {
        return Duration::ZERO;
    }
    let plain = first.saturating_mul(1 << (failures - 1).min(16)).min(longest);
    plain.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_stops_growing() {
        let (first, longest) = (Duration::from_secs(60), Duration::from_secs(900));
        let delays: Vec<u64> =
            (0..7).map(|failures| delay(failures, first, longest, 0.5).as_secs()).collect();
        assert_eq!(delays, [0, 60, 120, 240, 480, 900, 900]);
    }
}
