//! Points in time and numbers with units as schedulers print them. Pure; what cannot be read is `None`, never an error,
//! because times are for people and for hints, not for decisions.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Shapes with a date that schedulers print in UTC when asked with `TZ=UTC`: ISO, `ctime`, LSF with a year.
const DATED: [&str; 3] = ["%Y-%m-%dT%H:%M:%S", "%a %b %d %H:%M:%S %Y", "%b %d %H:%M:%S %Y"];

/// Reads seconds since the epoch or a date; `N/A`, `None`, `Unknown`, `NOT_SET`, `INVALID` and the like are `None`.
pub fn instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<i64>() {
        return (seconds > 0).then(|| Timestamp::from_second(seconds).ok()).flatten();
    }
    DATED.iter().find_map(|shape| {
        let date = DateTime::strptime(shape, text).ok()?;
        date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })
}

/// Reads bytes from `626456kb`, `1.50G`, `4096M`, `12345K`, `8192` (bytes); units are 1024-based as schedulers mean them.
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let unit = text[end..].trim().to_ascii_lowercase();
    let power = match unit.trim_end_matches("ytes").trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let bytes = number * 1024_f64.powi(power);
    // 2^63 is far above any memory; the cast below is exact enough under it.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in 0..2^63")]
    (bytes.is_finite() && (0.0..9.2e18).contains(&bytes)).then_some(bytes as u64)
}

/// Reads a length of time as schedulers print limits: `1-00:00:00`, `10:00:00`, `5.0 min`, `3600` (seconds). What has no end
/// (`UNLIMITED`, `INFINITY`, `-`), and 0, are `None`.
pub fn length(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Some(minutes) = text.split_once(" min").map(|(minutes, _)| minutes.trim()) {
        let minutes: f64 = minutes.parse().ok()?;
        return Duration::try_from_secs_f64(minutes * 60.0).ok().filter(|length| !length.is_zero());
    }
    let (days, clock) = text.split_once('-').unwrap_or(("0", text));
    let parts: Vec<u64> = clock.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let seconds = match parts[..] {
        [hours, minutes, seconds] => {
            hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(seconds)?
        }
        [seconds] => seconds,
        _ => return None,
    };
    let days: u64 = days.parse().ok()?;
    let whole = days.checked_mul(86_400)?.checked_add(seconds)?;
    (whole > 0).then(|| Duration::from_secs(whole))
}

/// Reads a length of time as adapters write it: `90s`, `10m`, `2h`, `1d`.
pub fn span(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let number: u64 = text[..text.len() - 1].parse().ok()?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1795309051", Some(1_795_309_051))]
    #[case("2026-11-22T01:02:03", Some(1_795_309_323))]
    #[case("Sun Nov 22 01:02:03 2026", Some(1_795_309_323))]
    #[case("Nov 22 01:02:03 2026", Some(1_795_309_323))]
    #[case("N/A", None)]
    #[case("None", None)]
    #[case("Unknown", None)]
    #[case("NOT_SET", None)]
    #[case("INVALID", None)]
    #[case("UNLIMITED", None)]
    #[case("0", None)]
    #[case("99999999999999999", None)]
    #[case("", None)]
    fn instants(#[case] text: &str, #[case] seconds: Option<i64>) {
        assert_eq!(instant(text).map(Timestamp::as_second), seconds);
    }

    #[rstest]
    #[case("1-00:00:00", Some(86_400))]
    #[case("240:10:05", Some(864_605))]
    #[case("5.0 min", Some(300))]
    #[case("240.0 min of hostA", Some(14_400))]
    #[case("600", Some(600))]
    #[case("00:00:60", Some(60))]
    #[case("UNLIMITED", None)]
    #[case("INFINITY", None)]
    #[case("-", None)]
    #[case("NONE", None)]
    #[case("0", None)]
    #[case("10:30", None)]
    #[case("9999999999999999-00:00:00", None)]
    fn lengths(#[case] text: &str, #[case] seconds: Option<u64>) {
        assert_eq!(length(text), seconds.map(Duration::from_secs));
    }

    #[rstest]
    #[case("8192", Some(8192))]
    #[case("626456kb", Some(626_456 * 1024))]
    #[case("1.50G", Some(1_610_612_736))]
    #[case("4096M", Some(4 << 30))]
    #[case("2GiB", Some(2 << 30))]
    #[case("5.5 Mbytes", Some(5_767_168))]
    #[case("12 bytes", Some(12))]
    #[case("lots", None)]
    #[case("1e999", None)]
    #[case("-5M", None)]
    fn sizes(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(bytes(text), expected);
    }
}
