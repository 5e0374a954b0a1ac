//! Records: QCArchive's types, statuses and the only legal ways from one status to the next. Pure.

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

    /// Whether a record may go from `self` to `next`. The one place that says so.
    ///
    /// `running → waiting` is a job's loss; `complete`, `cancelled`, `deleted` and `invalid` end a record until a user
    /// takes the step back (QCFractal's *revert*), which the last lines allow.
    pub fn may_become(self, next: RecordStatus) -> bool {
        use RecordStatus::*;
        matches!(
            (self, next),
            (Waiting, Running | Complete | Error)
                | (Running, Waiting | Complete | Error)
                | (Error, Waiting)
                | (Waiting | Running | Error, Cancelled)
                | (Complete, Invalid)
                | (Waiting | Running | Complete | Error | Cancelled | Invalid, Deleted)
                | (Cancelled, Waiting | Error)
                | (Invalid, Complete)
                | (Deleted, Waiting | Complete | Error | Cancelled | Invalid)
        )
    }

    /// Whether nothing more will happen to the record by itself.
    pub fn is_ended(self) -> bool {
        !matches!(self, RecordStatus::Waiting | RecordStatus::Running)
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
    fn a_complete_record_never_runs_again() {
        for next in [RecordStatus::Waiting, RecordStatus::Running, RecordStatus::Error] {
            assert!(!RecordStatus::Complete.may_become(next));
        }
    }
}
