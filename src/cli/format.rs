//! Numbers and times as people read them. Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Stands for what is not known.
pub const ABSENT: &str = "-";

/// An energy in hartree, with eight decimals.
pub fn energy(hartree: Option<f64>) -> String {
    hartree.map_or_else(|| ABSENT.to_owned(), |hartree| format!("{hartree:.8}"))
}

/// A duration in seconds with two units: `0.42s`, `12s`, `3m05s`, `2h03m`, `4d07h`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return ABSENT.to_owned();
    }
    if seconds < 9.995 {
        return format!("{seconds:.2}s");
    }
    // Whole seconds of a finite, positive number; a saturated value is far outside any walltime.
    let whole = seconds.round() as u64;
    let (minutes, hours, days) = (whole / 60, whole / 3600, whole / 86_400);
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{minutes}m{:02}s", whole % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// A duration that may be unknown.
pub fn maybe_duration(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| ABSENT.to_owned(), duration)
}

/// The time from `then` to `now`, never negative: clocks of two hosts may differ.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    match now.duration_since(then).as_secs() {
        ..10 => "<10s".to_owned(),
        seconds => duration(seconds as f64),
    }
}

/// Date and second.
pub fn exact_moment(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Bytes in the largest binary unit that keeps them readable: `512 MiB`, `2 GiB`, `1.5 GiB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value.fract() < 0.05 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// Method and basis in the usual notation.
pub fn model(method: &str, basis: &str) -> String {
    if basis.is_empty() { method.to_owned() } else { format!("{method}/{basis}") }
}

/// A word for a count: `1 record`, `2 records`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        let table = [
            (0.0, "0.00s"),
            (0.42, "0.42s"),
            (9.996, "10s"),
            (59.4, "59s"),
            (59.6, "1m00s"),
            (185.0, "3m05s"),
            (7380.0, "2h03m"),
            (370_800.0, "4d07h"),
            (-1.0, "-"),
            (f64::NAN, "-"),
        ];
        for (seconds, text) in table {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn sizes_models_and_counts() {
        assert_eq!(bytes(512 << 20), "512 MiB");
        assert_eq!(bytes(3 << 29), "1.5 GiB");
        assert_eq!(bytes(2 << 30), "2 GiB");
        assert_eq!(bytes(17), "17 B");
        assert_eq!((model("hf", "sto-3g"), model("pm7", "")), ("hf/sto-3g".to_owned(), "pm7".to_owned()));
        assert_eq!((count(1, "job"), count(0, "job")), ("1 job".to_owned(), "0 jobs".to_owned()));
        assert_eq!(energy(Some(-74.963_110_1)), "-74.96311010");
    }

    #[test]
    fn ages_do_not_go_backwards() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(age(at(100), at(50)), "<10s");
        assert_eq!(age(at(100), at(109)), "<10s");
        assert_eq!(age(at(0), at(190)), "3m10s");
        assert_eq!(age(at(100), at(130)), "30s");
        assert_eq!(age(at(0), at(7380)), "2h03m");
    }
}
