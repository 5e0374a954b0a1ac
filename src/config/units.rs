//! Sizes and durations as people write them, read and written by config files, flags and reports.
//! Pure. `parse_*(&format_*(x)) == x` holds for every value that can be written.

use std::time::Duration;

/// Units of size with their bytes. Binary units first: [`format_size`] only writes those.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
];

/// Units of time with their milliseconds, in the order in which a duration names them.
const TIME_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// What a size may look like, for messages.
pub const SIZE_FORMS: &str =
    "a size with its unit (B, KiB, MiB, GiB, TiB, kB, MB, GB or TB), such as \"2GiB\" or \"1.5 GB\"";

/// What a duration may look like, for messages.
pub const DURATION_FORMS: &str =
    "a duration with its unit, such as \"90s\", \"10m\", \"1h30m\", \"2d\", \"HH:MM:SS\" or \"D-HH:MM:SS\"";

/// Why a text is no size or no duration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnitError {
    /// No digits where a number should be.
    #[error("no number")]
    NoNumber,
    /// A number alone.
    #[error("no unit")]
    NoUnit,
    /// A unit that is not known.
    #[error("no such unit: `{0}`")]
    UnknownUnit(String),
    /// `30m1h`, `1h1h`.
    #[error("units go from long to short, each once")]
    UnitOrder,
    /// `1:75:00`.
    #[error("minutes and seconds go up to 59, hours after days up to 23")]
    ClockField,
    /// `1:30`, `1:2:3:4`.
    #[error("a clock time has hours, minutes and seconds")]
    ClockForm,
    /// `0.3 B`.
    #[error("not a whole number of bytes")]
    Fraction,
    /// More than 64 bits can count.
    #[error("too large")]
    TooLarge,
}

/// Bytes of a size such as `2GiB`, `512 MiB` or `1.5 GB`.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let unit = rest.strip_prefix(' ').unwrap_or(rest);
    if number.is_empty() {
        return Err(UnitError::NoNumber);
    }
    if unit.is_empty() {
        return Err(UnitError::NoUnit);
    }
    let (_, unit_bytes) = SIZE_UNITS
        .into_iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| UnitError::UnknownUnit(unit.to_owned()))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || number.ends_with('.') || fraction.contains('.') {
        return Err(UnitError::NoNumber);
    }
    let scale = 10u128.checked_pow(fraction.len() as u32).ok_or(UnitError::TooLarge)?;
    let scaled: u128 = format!("{whole}{fraction}").parse().map_err(|_| UnitError::TooLarge)?;
    let scaled_bytes = scaled.checked_mul(u128::from(unit_bytes)).ok_or(UnitError::TooLarge)?;
    if scaled_bytes % scale != 0 {
        return Err(UnitError::Fraction);
    }
    u64::try_from(scaled_bytes / scale).map_err(|_| UnitError::TooLarge)
}

/// A size in the largest binary unit that divides it: `2GiB`, `1536MiB`, `1000B`.
pub fn format_size(bytes: u64) -> String {
    let (name, unit_bytes) = SIZE_UNITS
        .into_iter()
        .take(5)
        .find(|(_, unit_bytes)| bytes >= *unit_bytes && bytes.is_multiple_of(*unit_bytes))
        .unwrap_or(("B", 1));
    format!("{}{name}", bytes / unit_bytes)
}

/// A duration such as `90s`, `1h30m`, `2d`, `250ms`, `12:00:00` or `1-12:00:00`, in whole milliseconds.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let milliseconds = if text.contains(':') { parse_clock(text)? } else { parse_units(text)? };
    Ok(Duration::from_millis(milliseconds))
}

fn parse_units(text: &str) -> Result<u64, UnitError> {
    let mut rest = text;
    let mut sum = 0u64;
    let mut next_unit = 0;
    while !rest.is_empty() || sum == 0 && next_unit == 0 {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        if number.is_empty() {
            return Err(UnitError::NoNumber);
        }
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        if unit.is_empty() {
            return Err(UnitError::NoUnit);
        }
        let position = TIME_UNITS
            .iter()
            .position(|(name, _)| *name == unit)
            .ok_or_else(|| UnitError::UnknownUnit(unit.to_owned()))?;
        if position < next_unit {
            return Err(UnitError::UnitOrder);
        }
        next_unit = position + 1;
        let count: u64 = number.parse().map_err(|_| UnitError::TooLarge)?;
        sum = count
            .checked_mul(TIME_UNITS[position].1)
            .and_then(|part| sum.checked_add(part))
            .ok_or(UnitError::TooLarge)?;
        rest = after;
    }
    Ok(sum)
}

fn parse_clock(text: &str) -> Result<u64, UnitError> {
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (Some(number(days)?), clock),
        None => (None, text),
    };
    let fields: Vec<&str> = clock.split(':').collect();
    let [hours, minutes, seconds] = fields[..] else { return Err(UnitError::ClockForm) };
    let (hours, minutes, seconds) = (number(hours)?, number(minutes)?, number(seconds)?);
    if minutes > 59 || seconds > 59 || (days.is_some() && hours > 23) {
        return Err(UnitError::ClockField);
    }
    let hours =
        days.unwrap_or(0).checked_mul(24).and_then(|h| h.checked_add(hours)).ok_or(UnitError::TooLarge)?;
    hours
        .checked_mul(3600)
        .and_then(|whole| whole.checked_add(minutes * 60 + seconds))
        .and_then(|whole| whole.checked_mul(1000))
        .ok_or(UnitError::TooLarge)
}

fn number(text: &str) -> Result<u64, UnitError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UnitError::NoNumber);
    }
    text.parse().map_err(|_| UnitError::TooLarge)
}

/// A duration in units from long to short: `1h30m`, `2d`, `250ms`, `0s`. Parts below a millisecond are left out.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (name, milliseconds) in TIME_UNITS {
        if rest >= milliseconds {
            text.push_str(&format!("{}{name}", rest / milliseconds));
            rest %= milliseconds;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0B", Ok(0)),
            ("2GiB", Ok(2 << 30)),
            ("2 GB", Ok(2_000_000_000)),
            ("1.5GiB", Ok(3 << 29)),
            ("512MiB", Ok(512 << 20)),
            ("1kB", Ok(1000)),
            ("", Err(UnitError::NoNumber)),
            ("GiB", Err(UnitError::NoNumber)),
            (".5GiB", Err(UnitError::NoNumber)),
            ("1.GiB", Err(UnitError::NoNumber)),
            ("1.2.3GiB", Err(UnitError::NoNumber)),
            ("-1GiB", Err(UnitError::NoNumber)),
            ("2", Err(UnitError::NoUnit)),
            ("2G", Err(UnitError::UnknownUnit("G".into()))),
            ("2gib", Err(UnitError::UnknownUnit("gib".into()))),
            ("2  GiB", Err(UnitError::UnknownUnit(" GiB".into()))),
            ("0.3B", Err(UnitError::Fraction)),
            ("16777216TiB", Err(UnitError::TooLarge)),
            ("99999999999999999999999999999999999999999B", Err(UnitError::TooLarge)),
        ] {
            assert_eq!(parse_size(text), bytes, "{text:?}");
        }
    }

    #[test]
    fn durations() {
        let seconds = |s| Ok(Duration::from_secs(s));
        for (text, duration) in [
            ("90s", seconds(90)),
            ("10m", seconds(600)),
            ("1h30m", seconds(5400)),
            ("2d", seconds(172_800)),
            ("0s", seconds(0)),
            ("250ms", Ok(Duration::from_millis(250))),
            ("12:00:00", seconds(43_200)),
            ("100:00:00", seconds(360_000)),
            ("1-12:30:05", seconds(131_405)),
            ("", Err(UnitError::NoNumber)),
            ("s", Err(UnitError::NoNumber)),
            ("-5s", Err(UnitError::NoNumber)),
            ("1:2:x", Err(UnitError::NoNumber)),
            ("-01:00:00", Err(UnitError::NoNumber)),
            ("30", Err(UnitError::NoUnit)),
            ("1h30", Err(UnitError::NoUnit)),
            ("1.5h", Err(UnitError::NoUnit)),
            ("5 s", Err(UnitError::NoUnit)),
            ("5min", Err(UnitError::UnknownUnit("min".into()))),
            ("30m1h", Err(UnitError::UnitOrder)),
            ("1h1h", Err(UnitError::UnitOrder)),
            ("1:30", Err(UnitError::ClockForm)),
            ("1:75:00", Err(UnitError::ClockField)),
            ("1-24:00:00", Err(UnitError::ClockField)),
            ("300000000000d", Err(UnitError::TooLarge)),
            ("18446744073709551615:00:00", Err(UnitError::TooLarge)),
            ("18446744073709551615-00:00:00", Err(UnitError::TooLarge)),
        ] {
            assert_eq!(parse_duration(text), duration, "{text:?}");
        }
    }

    #[test]
    fn people_read_the_shortest_form() {
        assert_eq!(format_size(2 << 30), "2GiB");
        assert_eq!(format_size(1_000), "1000B");
        assert_eq!(format_duration(Duration::from_secs(5400)), "1h30m");
        assert_eq!(format_duration(Duration::from_secs(60)), "1m");
    }

    proptest! {
        #[test]
        fn a_size_survives_its_own_text(bytes: u64) {
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn a_size_in_any_unit_is_counted(count in 0u64..1_000_000, unit in 0usize..9) {
            let (name, bytes) = SIZE_UNITS[unit];
            prop_assert_eq!(parse_size(&format!("{count} {name}")), Ok(count * bytes));
        }

        #[test]
        fn a_duration_survives_its_own_text(milliseconds: u64) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn a_clock_time_is_counted(days in 0u64..1000, hours in 0u64..24, minutes in 0u64..60, seconds in 0u64..60) {
            let text = format!("{days}-{hours:02}:{minutes:02}:{seconds:02}");
            let expected = ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
            prop_assert_eq!(parse_duration(&text), Ok(Duration::from_secs(expected)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = parse_size(&text);
            let _ = parse_duration(&text);
        }
    }
}
