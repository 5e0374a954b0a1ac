//! The filters that `list`, `wait`, `cancel`, `retry` and `export` share: ids, ranges and conditions. Pure.

use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::error::CliError;
use crate::config::units;
use crate::model::ids::RecordId;
use crate::model::record::RecordStatus;
use crate::model::view::RecordFilter;

/// Most ids that ranges may name at once.
const MOST_IDS: u64 = 1_000_000;

/// Which records, as typed. Conditions are ANDed, repeated values of one are ORed.
#[derive(Args, Clone, Default, Debug)]
pub struct SelectionArgs {
    /// Record ids and ranges of them, such as `12` or `20-35`
    #[arg(value_name = "ID", value_parser = parse_ids)]
    pub ids: Vec<IdRange>,

    /// Status: waiting, running, complete, error, cancelled, deleted or invalid
    #[arg(long, short = 's', value_name = "STATUS", value_delimiter = ',', value_parser = parse_status, help_heading = "Filters")]
    pub status: Vec<RecordStatus>,

    /// Program, such as `psi4` or `mopac`
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Filters")]
    pub program: Vec<String>,

    /// Method, such as `b3lyp` or `pm7`
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Filters")]
    pub method: Vec<String>,

    /// Compute tag that the records were submitted with
    #[arg(long, value_name = "TAG", value_delimiter = ',', help_heading = "Filters")]
    pub tag: Vec<String>,

    /// Pool that a job of the record ran or runs in
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Filters")]
    pub pool: Vec<String>,

    /// Molecular formula in Hill order, such as `C2H6O`
    #[arg(long, value_name = "FORMULA", value_delimiter = ',', help_heading = "Filters")]
    pub formula: Vec<String>,

    /// Requested at or after: a date (`2026-11-20`), a time (RFC 3339) or an age (`90m`, `2d`)
    #[arg(long, value_name = "WHEN", help_heading = "Filters")]
    pub since: Option<String>,
}

/// One id, or all from the first to the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IdRange {
    first: RecordId,
    last: RecordId,
}

impl SelectionArgs {
    /// The filter that was meant, seen at `now` in `zone`.
    pub fn resolve(&self, now: Timestamp, zone: &TimeZone) -> Result<RecordFilter, CliError> {
        let named: u64 = self.ids.iter().map(|range| range.last.0.abs_diff(range.first.0) + 1).sum();
        if named > MOST_IDS {
            return Err(CliError::usage(format!("{named} ids are named; at most {MOST_IDS} are possible")));
        }
        let lower = |words: &[String]| words.iter().map(|word| word.to_lowercase()).collect::<Vec<_>>();
        let mut ids: Vec<RecordId> =
            self.ids.iter().flat_map(|range| (range.first.0..=range.last.0).map(RecordId)).collect();
        ids.sort_unstable();
        ids.dedup();
        Ok(RecordFilter {
            ids,
            status: self.status.clone(),
            program: lower(&self.program),
            method: lower(&self.method),
            compute_tag: self.tag.clone(),
            pool: self.pool.clone(),
            formula: self.formula.clone(),
            since: self.since.as_deref().map(|text| parse_since(text, now, zone)).transpose()?,
        })
    }
}

/// Whether a filter names anything at all.
pub fn is_empty(filter: &RecordFilter) -> bool {
    *filter == RecordFilter::default()
}

/// `12` or `12-15`.
fn parse_ids(text: &str) -> Result<IdRange, String> {
    let wrong = || format!("`{text}` is neither an id (12) nor a range of ids (12-15)");
    let id = |part: &str| part.parse::<RecordId>().ok().filter(|id| id.0 > 0).ok_or_else(wrong);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = IdRange { first: id(first)?, last: id(last)? };
    if range.first <= range.last { Ok(range) } else { Err(wrong()) }
}

fn parse_status(text: &str) -> Result<RecordStatus, String> {
    RecordStatus::parse(&text.to_lowercase()).ok_or_else(|| {
        let words: Vec<&str> = RecordStatus::ALL.into_iter().map(RecordStatus::as_str).collect();
        format!("the statuses are {}", words.join(", "))
    })
}

/// A date, a time or an age.
fn parse_since(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, CliError> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Ok(date) = text.parse::<Date>()
        && let Ok(midnight) = date.to_zoned(zone.clone())
    {
        return Ok(midnight.timestamp());
    }
    let age = units::parse_duration(text).ok().and_then(|age| i64::try_from(age.as_secs()).ok());
    age.and_then(|seconds| now.checked_sub(seconds.seconds()).ok()).ok_or_else(|| {
        CliError::usage(format!(
            "--since `{text}` is neither a date (2026-11-20), a time (2026-11-20T08:00:00Z) nor an age (90m, 2d)"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(text: &str) -> Result<String, CliError> {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        parse_since(text, now, &zone).map(|at| at.to_string())
    }

    #[test]
    fn since_takes_dates_times_and_ages() {
        assert_eq!(since("2026-11-20").unwrap(), "2026-11-19T23:00:00Z");
        assert_eq!(since("2026-11-20T08:00:00+02:00").unwrap(), "2026-11-20T06:00:00Z");
        assert_eq!(since("90m").unwrap(), "2026-11-22T10:30:00Z");
        assert_eq!(since("2d").unwrap(), "2026-11-20T12:00:00Z");
        assert!(since("yesterday").is_err());
    }

    #[test]
    fn ids_and_ranges() {
        let args = SelectionArgs {
            ids: ["3", "1-4", "9"].map(|text| parse_ids(text).unwrap()).to_vec(),
            ..SelectionArgs::default()
        };
        let filter = args.resolve(Timestamp::UNIX_EPOCH, &TimeZone::UTC).unwrap();
        assert_eq!(filter.ids, [1, 2, 3, 4, 9].map(RecordId));
        for wrong in ["", "0", "-3", "4-1", "a", "1-", "1.5"] {
            assert!(parse_ids(wrong).is_err(), "{wrong}");
        }
        let all = SelectionArgs { ids: vec![parse_ids("1-9223372036854775807").unwrap()], ..args };
        assert!(all.resolve(Timestamp::UNIX_EPOCH, &TimeZone::UTC).is_err());
    }
}
