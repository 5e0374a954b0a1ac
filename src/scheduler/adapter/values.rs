//! The values that adapters may put into commands and directives, and the formats they can be written in. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

/// One value, before it is written in the format its placeholder asks for.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Words.
    Text(String),
    /// A count.
    Number(u64),
    /// A length of time.
    Span(Duration),
    /// An amount of memory.
    Bytes(u64),
    /// A point in time.
    Moment(Timestamp),
    /// Several words, each an argument or line of its own unless joined.
    List(Vec<String>),
}

/// The kind a placeholder's value has; it decides which formats make sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueKind {
    /// See [`Value::Text`] and [`Value::Number`]: no formats.
    Plain,
    /// See [`Value::Span`].
    Span,
    /// See [`Value::Bytes`].
    Bytes,
    /// See [`Value::Moment`].
    Moment,
    /// See [`Value::List`].
    List,
}

/// How a value is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Format {
    /// As it is.
    Plain,
    /// Whole seconds, rounded up.
    Seconds,
    /// Whole minutes, rounded up.
    Minutes,
    /// `H:MM`, minutes rounded up; hours may exceed 24.
    HoursMinutes,
    /// `H:MM:SS`; hours may exceed 24.
    HoursMinutesSeconds,
    /// `D-HH:MM:SS`.
    DaysHoursMinutesSeconds,
    /// Whole multiples of so many bytes, rounded up.
    Multiple(u64),
    /// Seconds since the epoch.
    Epoch,
    /// `2026-11-22T01:02:03`, UTC.
    Iso,
    /// One word, the list's words joined by this.
    Joined(String),
}

impl Format {
    /// The format that `text` names for a value of `kind`; the error lists what is allowed.
    pub fn parse(kind: ValueKind, text: Option<&str>) -> Result<Format, String> {
        let allowed = match (kind, text) {
            (ValueKind::Plain | ValueKind::List, None) => return Ok(Format::Plain),
            (ValueKind::List, Some(joint)) => return Ok(Format::Joined(joint.to_owned())),
            (ValueKind::Plain, Some(_)) => return Err("no format: this value has none".to_owned()),
            (ValueKind::Span, Some(text)) => match text {
                "seconds" => return Ok(Format::Seconds),
                "minutes" => return Ok(Format::Minutes),
                "h:mm" => return Ok(Format::HoursMinutes),
                "h:mm:ss" => return Ok(Format::HoursMinutesSeconds),
                "d-hh:mm:ss" => return Ok(Format::DaysHoursMinutesSeconds),
                _ => "seconds, minutes, h:mm, h:mm:ss, d-hh:mm:ss",
            },
            (ValueKind::Bytes, Some(text)) => match text {
                "B" => return Ok(Format::Multiple(1)),
                "KiB" => return Ok(Format::Multiple(1 << 10)),
                "MiB" => return Ok(Format::Multiple(1 << 20)),
                "GiB" => return Ok(Format::Multiple(1 << 30)),
                "kB" => return Ok(Format::Multiple(1_000)),
                "MB" => return Ok(Format::Multiple(1_000_000)),
                "GB" => return Ok(Format::Multiple(1_000_000_000)),
                _ => "B, KiB, MiB, GiB, kB, MB, GB",
            },
            (ValueKind::Moment, Some(text)) => match text {
                "epoch" => return Ok(Format::Epoch),
                "iso" => return Ok(Format::Iso),
                _ => "epoch, iso",
            },
            (ValueKind::Span, None) => "seconds, minutes, h:mm, h:mm:ss, d-hh:mm:ss",
            (ValueKind::Bytes, None) => "B, KiB, MiB, GiB, kB, MB, GB",
            (ValueKind::Moment, None) => "epoch, iso",
        };
        Err(format!("one of the formats {allowed}"))
    }
}

impl Value {
    /// Writes the value in `format`. A list in [`Format::Plain`] gives one word per entry, anything else exactly one.
    pub fn write(&self, format: &Format) -> Vec<String> {
        let word = match (self, format) {
            (Value::List(words), Format::Joined(joint)) => words.join(joint),
            (Value::List(words), _) => return words.clone(),
            (Value::Text(text), _) => text.clone(),
            (Value::Number(number), _) => number.to_string(),
            (Value::Span(span), format) => write_span(*span, format),
            (Value::Bytes(bytes), Format::Multiple(unit)) => bytes.div_ceil(*unit).to_string(),
            (Value::Bytes(bytes), _) => bytes.to_string(),
            (Value::Moment(moment), Format::Iso) => moment.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
            (Value::Moment(moment), _) => moment.as_second().to_string(),
        };
        vec![word]
    }
}

fn write_span(span: Duration, format: &Format) -> String {
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    let minutes = seconds.div_ceil(60);
    match format {
        Format::Minutes => minutes.to_string(),
        Format::HoursMinutes => format!("{}:{:02}", minutes / 60, minutes % 60),
        Format::HoursMinutesSeconds => {
            format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
        }
        Format::DaysHoursMinutesSeconds => {
            let (days, rest) = (seconds / 86_400, seconds % 86_400);
            format!("{days}-{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
        }
        _ => seconds.to_string(),
    }
}

/// Values by placeholder name; what is absent makes optional pieces vanish.
#[derive(Clone, Default, Debug)]
pub struct Values(BTreeMap<&'static str, Value>);

impl Values {
    /// Sets `name`.
    pub fn set(&mut self, name: &'static str, value: Value) {
        self.0.insert(name, value);
    }

    /// Sets `name` when there is something to set.
    pub fn set_some(&mut self, name: &'static str, value: Option<Value>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Adds all of `more`.
    pub fn add(&mut self, more: Values) {
        self.0.extend(more.0);
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("seconds", "93784")]
    #[case("minutes", "1564")]
    #[case("h:mm", "26:04")]
    #[case("h:mm:ss", "26:03:04")]
    #[case("d-hh:mm:ss", "1-02:03:04")]
    fn spans(#[case] format: &str, #[case] expected: &str) {
        let span = Value::Span(Duration::from_secs(93_784));
        let format = Format::parse(ValueKind::Span, Some(format)).unwrap();
        assert_eq!(span.write(&format), [expected]);
    }

    #[rstest]
    #[case("MiB", "1025")]
    #[case("GiB", "2")]
    #[case("MB", "1074")]
    #[case("B", "1073741825")]
    fn sizes_round_up(#[case] format: &str, #[case] expected: &str) {
        let format = Format::parse(ValueKind::Bytes, Some(format)).unwrap();
        assert_eq!(Value::Bytes((1 << 30) + 1).write(&format), [expected]);
    }

    #[test]
    fn lists_stay_words_or_are_joined() {
        let list = Value::List(vec!["1".into(), "2".into()]);
        assert_eq!(list.write(&Format::Plain), ["1", "2"]);
        assert_eq!(list.write(&Format::Joined(",".into())), ["1,2"]);
    }

    #[test]
    fn a_time_needs_a_format() {
        assert!(Format::parse(ValueKind::Span, None).is_err());
        assert!(Format::parse(ValueKind::Plain, Some("iso")).is_err());
    }
}
