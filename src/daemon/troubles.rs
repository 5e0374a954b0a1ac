//! What is paused or failing right now, one line per subject, for `qcbatch status` and, once, for the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use crate::model::causes::chain;

/// The board of troubles. Cheap to clone; every loop writes its own subject.
#[derive(Clone, Default)]
pub struct Troubles {
    board: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Troubles {
    /// Notes that `subject` is in trouble; logs it when it is new or says something else.
    pub fn note(&self, subject: &str, message: impl Into<String>) {
        let message = message.into();
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        if board.get(subject) != Some(&message) {
            tracing::warn!(subject, "{subject}: {message}");
            board.insert(subject.to_owned(), message);
        }
    }

    /// Notes that `subject` works.
    pub fn clear(&self, subject: &str) {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        if board.remove(subject).is_some() {
            tracing::info!(subject, "{subject}: works again");
        }
    }

    /// What is wrong with `subject`, if anything is.
    pub fn about(&self, subject: &str) -> Option<String> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner).get(subject).cloned()
    }

    /// One line per trouble.
    pub fn lines(&self) -> Vec<String> {
        let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.iter().map(|(subject, message)| format!("{subject}: {message}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_stays_until_it_is_cleared() {
        let troubles = Troubles::default();
        troubles.note("database", "connection refused");
        troubles.note("database", "still refused");
        assert_eq!(troubles.lines(), ["database: still refused"]);
        troubles.clear("database");
        assert!(troubles.lines().is_empty());
    }
}
