//! What can go wrong in the store, so that callers tell "away for now" from "wrong for good".
//! Types only; nothing here touches a database.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use super::connect::ConnectError;
use crate::model::ids::Fence;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection could be had.
    #[error("cannot connect to {target}")]
    Connect {
        /// Host, database and user; never a password.
        target: String,
        /// Why.
        #[source]
        source: ConnectError,
    },
    /// A statement or transaction failed.
    #[error("database failed while {doing}")]
    Query {
        /// What the store was doing, as in "storing results".
        doing: &'static str,
        /// The database's answer.
        #[source]
        source: DieselError,
    },
    /// A migration failed; the database is as it was before that migration.
    #[error("cannot bring the database's tables up to date")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database has migrations that this program does not know.
    #[error(
        "database was made by a newer qcbatch (unknown migrations: {}); run that version, or restore a backup of this one's",
        unknown.join(", ")
    )]
    NewerDatabase {
        /// Versions of the migrations that are not known here.
        unknown: Vec<String>,
    },
    /// Another daemon has taken the site's lease: this one must stop writing.
    #[error("lease of site `{site}` with fence {fence} was taken over by another daemon")]
    LeaseLost {
        /// The site.
        site: String,
        /// The fence that is no longer valid.
        fence: Fence,
    },
    /// Another submission is being taken in, and this one has waited for its turn as long as it may.
    #[error("another submission is being taken in")]
    Busy,
    /// A row holds what the program cannot have written.
    #[error("stored {what} cannot be read")]
    Stored {
        /// Which row and column, as in "`resources` of submission 12".
        what: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// Whether the database is away, broken off, full or busy for now: the caller pauses and does the same again.
    /// Everything else is a lost lease, a wrong configuration or a bug, and the same call would fail again.
    pub fn is_away(&self) -> bool {
        match self {
            StoreError::Connect { source, .. } => source.is_away(),
            StoreError::Query { source, .. } => query_is_away(source),
            StoreError::Migration(source) => source.downcast_ref::<DieselError>().is_some_and(query_is_away),
            StoreError::Busy => true,
            StoreError::NewerDatabase { .. } | StoreError::LeaseLost { .. } | StoreError::Stored { .. } => {
                false
            }
        }
    }
}

impl StoreError {
    /// Whether the statement itself may be what is wrong although the database seems to be in trouble: it took too long or
    /// too much memory.
    pub fn may_be_the_statement(&self) -> bool {
        const SUSPICIOUS: [&str; 2] = ["canceling statement due to statement timeout", "out of memory"];
        match self {
            StoreError::Query { source: DieselError::DatabaseError(_, information), .. } => {
                SUSPICIOUS.iter().any(|words| information.message().contains(words))
            }
            _ => false,
        }
    }

    /// Whether the database refused what it was given for what it is: too long, out of range, not representable. The same
    /// statement would fail again; others would not.
    pub fn is_refusal(&self) -> bool {
        const REFUSALS: [&str; 8] = [
            "invalid memory alloc request size",
            "out of range",
            "value too long",
            "invalid input syntax",
            "exceeds the maximum",
            "exceeds maximum",
            "unsupported Unicode",
            "invalid byte sequence",
        ];
        match self {
            StoreError::Query { source: DieselError::DatabaseError(kind, information), .. } => {
                matches!(kind, DatabaseErrorKind::CheckViolation | DatabaseErrorKind::NotNullViolation)
                    || REFUSALS.iter().any(|words| information.message().contains(words))
            }
            _ => false,
        }
    }
}

/// What a transaction's own BEGIN, COMMIT and ROLLBACK report; statements inside say more with [`Doing`].
impl From<DieselError> for StoreError {
    fn from(source: DieselError) -> StoreError {
        StoreError::Query { doing: "running a transaction", source }
    }
}

/// Gives a query's error the words for what was being done.
pub(crate) trait Doing<T> {
    /// `doing` completes "database failed while …".
    fn doing(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, DieselError> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Query { doing, source })
    }
}

/// diesel drops the SQLSTATE of classes 53 and 57 (no disk, shutting down, cancelled), so their messages are read: in
/// the private cluster they are always English. With a server that speaks another language such an error counts as
/// wrong once; the next call finds the connection broken, which needs no message.
fn query_is_away(error: &DieselError) -> bool {
    const AWAY: [&str; 10] = [
        "terminating connection",
        "the database system is",
        "server closed the connection",
        "No space left on device",
        "Disk quota exceeded",
        "too many clients",
        "remaining connection slots",
        "canceling statement due to",
        "deadlock detected",
        "out of memory",
    ];
    match error {
        DieselError::BrokenTransactionManager => true,
        DieselError::DatabaseError(
            DatabaseErrorKind::UnableToSendCommand
            | DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::SerializationFailure
            | DatabaseErrorKind::ReadOnlyTransaction,
            _,
        ) => true,
        DieselError::DatabaseError(_, information) => {
            AWAY.iter().any(|words| information.message().contains(words))
        }
        DieselError::RollbackErrorOnCommit { rollback_error, commit_error } => {
            query_is_away(rollback_error) || query_is_away(commit_error)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(kind: DatabaseErrorKind, message: &str) -> StoreError {
        DieselError::DatabaseError(kind, Box::new(message.to_owned())).into()
    }

    #[test]
    fn a_broken_connection_is_away() {
        assert!(query(DatabaseErrorKind::UnableToSendCommand, "connection closed").is_away());
        assert!(StoreError::from(DieselError::BrokenTransactionManager).is_away());
        assert!(
            query(DatabaseErrorKind::Unknown, "terminating connection due to administrator command")
                .is_away()
        );
    }

    #[test]
    fn a_full_disk_is_away() {
        let message = "could not extend file \"base/5/1\": No space left on device";
        assert!(query(DatabaseErrorKind::Unknown, message).is_away());
    }

    #[test]
    fn a_bug_is_not_away() {
        assert!(!query(DatabaseErrorKind::UniqueViolation, "duplicate key value").is_away());
        assert!(!query(DatabaseErrorKind::Unknown, "column \"x\" does not exist").is_away());
        assert!(!StoreError::from(DieselError::NotFound).is_away());
    }

    #[test]
    fn what_the_database_cannot_hold_is_a_refusal() {
        let message = "invalid memory alloc request size 1073741824";
        assert!(query(DatabaseErrorKind::Unknown, message).is_refusal());
        assert!(!query(DatabaseErrorKind::Unknown, message).is_away());
        assert!(!query(DatabaseErrorKind::Unknown, "column \"x\" does not exist").is_refusal());
        assert!(!query(DatabaseErrorKind::ClosedConnection, "terminating connection").is_refusal());
    }

    #[test]
    fn a_lost_lease_is_not_away() {
        assert!(!StoreError::LeaseLost { site: "default".to_owned(), fence: Fence(3) }.is_away());
    }
}
