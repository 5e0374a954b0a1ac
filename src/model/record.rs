//! Records: QCArchive's types, statuses and the legal changes from one status to the next. Pure.

use serde::{Deserialize, Serialize};

/// QCArchive's record statuses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordStatus {
    /// Queued, or held by a job that has not started.
    Waiting,
    /// The job that holds its task has started.
    Running,
    /// Finished with a result.
    Complete,
    /// Finished without; `retry` makes it waiting again.
    Error,
    /// Ended by a user.
    Cancelled,
    /// Soft-deleted (through the portal).
    Deleted,
    /// A result declared wrong (through the portal).
    Invalid,
}

impl RecordStatus {
    /// Every status, in the order people read them.
    pub const ALL: [RecordStatus; 7] = [
        RecordStatus::Waiting,
        RecordStatus::Running,
        RecordStatus::Complete,
        RecordStatus::Error,
        RecordStatus::Cancelled,
        RecordStatus::Deleted,
        RecordStatus::Invalid,
    ];

    /// The word used in SQL, JSON and the CLI.
    pub const fn as_str(self) -> &'static str {
        match self {
            RecordStatus::Waiting => "waiting",
            RecordStatus::Running => "running",
            RecordStatus::Complete => "complete",
            RecordStatus::Error => "error",
            RecordStatus::Cancelled => "cancelled",
            RecordStatus::Deleted => "deleted",
            RecordStatus::Invalid => "invalid",
        }
    }

    /// The status that `word` names.
    pub fn parse(word: &str) -> Option<RecordStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether nothing more will happen to the record by itself.
    pub fn is_ended(self) -> bool {
        !matches!(self, RecordStatus::Waiting | RecordStatus::Running)
    }
}

/// What changes a record's status. This is the one table of legal changes: every SQL statement that sets `record.status`
/// binds [`RecordChange::from`] and [`RecordChange::to`], so that what is not listed here cannot happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordChange {
    /// The job that holds its task has started.
    Start,
    /// Its job was lost or gave the task back; the record waits for another attempt.
    Release,
    /// A result is stored. A good result is good whichever attempt brought it, also after a later one has failed.
    Complete,
    /// An attempt failed, and no other one follows.
    Fail,
    /// A user ends it.
    Cancel,
    /// A user wants another attempt.
    Retry,
    /// A node was to blame for its last attempt, which therefore costs no try.
    Forgive,
}

impl RecordChange {
    /// Every change.
    pub const ALL: [RecordChange; 7] = [
        RecordChange::Start,
        RecordChange::Release,
        RecordChange::Complete,
        RecordChange::Fail,
        RecordChange::Cancel,
        RecordChange::Retry,
        RecordChange::Forgive,
    ];

    /// The statuses in which it applies; in any other the record stays as it is.
    pub const fn from(self) -> &'static [RecordStatus] {
        use RecordStatus::{Cancelled, Error, Running, Waiting};
        match self {
            RecordChange::Start => &[Waiting],
            RecordChange::Release => &[Running],
            RecordChange::Complete => &[Waiting, Running, Error],
            RecordChange::Fail => &[Waiting, Running],
            RecordChange::Cancel => &[Waiting, Running, Error],
            RecordChange::Retry => &[Error, Cancelled],
            RecordChange::Forgive => &[Error],
        }
    }

    /// The status that it leads to.
    pub const fn to(self) -> RecordStatus {
        match self {
            RecordChange::Start => RecordStatus::Running,
            RecordChange::Release | RecordChange::Retry | RecordChange::Forgive => RecordStatus::Waiting,
            RecordChange::Complete => RecordStatus::Complete,
            RecordChange::Fail => RecordStatus::Error,
            RecordChange::Cancel => RecordStatus::Cancelled,
        }
    }
}

/// What kind of calculation a record asks for: QCArchive's `record_type`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordType {
    /// One geometry, one driver.
    Singlepoint,
    /// A geometry optimization by a procedure that calls single points.
    Optimization,
}

impl RecordType {
    /// The word used in SQL, JSON and the CLI.
    pub const fn as_str(self) -> &'static str {
        match self {
            RecordType::Singlepoint => "singlepoint",
            RecordType::Optimization => "optimization",
        }
    }

    /// The type that `word` names.
    pub fn parse(word: &str) -> Option<RecordType> {
        [RecordType::Singlepoint, RecordType::Optimization].into_iter().find(|kind| kind.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_statuses_are_one_to_one() {
        for status in RecordStatus::ALL {
            assert_eq!(RecordStatus::parse(status.as_str()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }

    #[test]
    fn no_change_leaves_a_record_that_is_complete_or_was_put_away() {
        for change in RecordChange::ALL {
            for status in [RecordStatus::Complete, RecordStatus::Deleted, RecordStatus::Invalid] {
                assert!(!change.from().contains(&status), "{change:?}");
            }
            assert!(!change.from().contains(&change.to()), "{change:?} changes something");
        }
    }
}
