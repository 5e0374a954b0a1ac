//! Identifiers as newtypes, so that no job id is ever passed for a record id.
//! Pure: the only randomness a tag needs is handed in by the caller.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$name> for i64 {
            fn from(id: $name) -> i64 {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map($name)
            }
        }
    };
}

row_id!(
    /// One requested calculation.
    RecordId
);
row_id!(
    /// The schedulable part of a record.
    TaskId
);
row_id!(
    /// One batch job or one element of a job array.
    JobId
);
row_id!(
    /// One call of the scheduler's submit command; it makes one or more jobs.
    SubmissionId
);
row_id!(
    /// Tasks that lie together in one file of the spool.
    ChunkId
);
row_id!(
    /// A report that fits no task and was kept aside.
    AsideId
);
row_id!(
    /// A molecule, stored once and found by its hash.
    MoleculeId
);
row_id!(
    /// A specification, stored once and found by its hash.
    SpecificationId
);
row_id!(
    /// The fencing number of the site's lease: every write of the daemon checks it.
    Fence
);

/// A node of a job that has several; 0 is the first, on which the job script runs.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeIndex(pub u32);

impl NodeIndex {
    /// The node on which the job script runs.
    pub const FIRST: NodeIndex = NodeIndex(0);
}

/// The unique name that a submission carries into the scheduler: `qcb-` and 26 characters of Crockford's base 32.
///
/// A lost answer is looked up by it. 30 characters that start with a letter fit every scheduler's job name but old
/// Torque's (15), whose adapter shortens it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl Tag {
    /// What every tag begins with.
    pub const PREFIX: &str = "qcb-";

    /// Makes a tag that sorts by `unix_milliseconds` and is otherwise as random as `random` is.
    pub fn new(unix_milliseconds: u64, random: u128) -> Tag {
        let bits = (u128::from(unix_milliseconds) << 80) | (random & ((1 << 80) - 1));
        let mut text = String::with_capacity(30);
        text.push_str(Tag::PREFIX);
        for position in (0..26).rev() {
            let digit = (bits >> (position * 5)) & 31;
            text.push(char::from(CROCKFORD[digit as usize]));
        }
        Tag(text)
    }

    /// The tag as the scheduler sees it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no tag.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a submission tag (`qcb-` and 26 characters)")]
pub struct NotATag(String);

impl FromStr for Tag {
    type Err = NotATag;

    fn from_str(text: &str) -> Result<Self, NotATag> {
        let valid = text
            .strip_prefix(Tag::PREFIX)
            .is_some_and(|rest| rest.len() == 26 && rest.bytes().all(|byte| CROCKFORD.contains(&byte)));
        if valid { Ok(Tag(text.to_owned())) } else { Err(NotATag(text.to_owned())) }
    }
}

impl TryFrom<String> for Tag {
    type Error = NotATag;

    fn try_from(text: String) -> Result<Self, NotATag> {
        text.parse()
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> String {
        tag.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a pool as its configuration gives it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PoolName(pub String);

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A job's id as its scheduler writes it (`4711`, `4711_3`, `12[4].server`). Never parsed outside `scheduler`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchedulerJobId(pub String);

impl fmt::Display for SchedulerJobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Longest compute tag, in bytes.
const COMPUTE_TAG_BYTES: usize = 64;

/// What a compute tag may be, for messages.
pub const COMPUTE_TAG_RULE: &str = "a tag of at most 64 lower-case letters, digits, `_`, `.` and `-`, or `*`";

/// Whether `text` is a compute tag. QCFractal folds tags to lower case; here another case is refused.
pub fn is_compute_tag(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte);
    text == "*" || ((1..=COMPUTE_TAG_BYTES).contains(&text.len()) && text.bytes().all(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_survives_its_own_text() {
        let tag = Tag::new(1_700_000_000_000, 42);
        assert_eq!(tag.as_str().len(), 30);
        assert_eq!(tag.as_str().parse::<Tag>().unwrap(), tag);
    }

    #[test]
    fn later_tags_sort_later() {
        assert!(Tag::new(1, u128::MAX) < Tag::new(2, 0));
    }

    #[test]
    fn what_a_shell_could_misread_is_no_tag() {
        for text in ["", "qcb-", "qcb-0000000000000000000000000;", "xyz-00000000000000000000000000"] {
            assert!(text.parse::<Tag>().is_err(), "{text}");
        }
    }
}
