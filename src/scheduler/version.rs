//! Version numbers as schedulers print them (`22.05.8`, `10.1.0.15`), compared number by number. Pure.

use std::cmp::Ordering;
use std::fmt;

/// A dotted version; what follows the numbers (`-rc1`, `p1`) does not count.
#[derive(Clone, Debug)]
pub struct Version {
    text: String,
    numbers: Vec<u64>,
}

impl Version {
    /// Reads the leading dotted numbers of `text`; `None` when it does not begin with a digit.
    pub fn parse(text: &str) -> Option<Version> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let numbers: Vec<u64> =
            text[..end].split('.').map_while(|number| number.parse().ok()).collect::<Vec<_>>();
        (!numbers.is_empty()).then(|| Version { text: text.to_owned(), numbers })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        let longest = self.numbers.len().max(other.numbers.len());
        let number = |version: &Version, place: usize| version.numbers.get(place).copied().unwrap_or(0);
        (0..longest)
            .map(|place| number(self, place).cmp(&number(other, place)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

/// The versions that a call, a variant or an argument is for: from `since` on, before `until`.
#[derive(Clone, Default, Debug)]
pub struct VersionRange {
    /// First version it is for.
    pub since: Option<Version>,
    /// First version it is no longer for.
    pub until: Option<Version>,
}

impl VersionRange {
    /// Whether it holds every version.
    pub fn is_all(&self) -> bool {
        self.since.is_none() && self.until.is_none()
    }

    /// Whether `version` lies in it. An unknown version is taken for an old one: nothing gated by `since` is used.
    pub fn contains(&self, version: Option<&Version>) -> bool {
        match version {
            None => self.since.is_none(),
            Some(version) => {
                self.since.as_ref().is_none_or(|since| version >= since)
                    && self.until.as_ref().is_none_or(|until| version < until)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_as_numbers() {
        let version = |text| Version::parse(text).unwrap();
        assert!(version("9.1.3") < version("10.1"));
        assert!(version("22.05.8") < version("23.02"));
        assert_eq!(version("23.02"), version("23.02.0-rc1"));
        assert!(Version::parse("unknown").is_none());
    }

    #[test]
    fn an_unknown_version_is_an_old_one() {
        let gated = VersionRange { since: Version::parse("23.02"), until: None };
        assert!(!gated.contains(None));
        assert!(!gated.contains(Version::parse("22.05").as_ref()));
        assert!(gated.contains(Version::parse("23.02.1").as_ref()));
        assert!(VersionRange::default().contains(None));
    }
}
