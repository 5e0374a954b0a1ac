//! Batches of results that the database failed to store although it answers: how often, and since when.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::model::ids::{JobId, NodeIndex};
use crate::plan::poison::{self, Storing};
use crate::store::StoreError;

/// The failures of each result file, at the position where it last failed. Losing them costs a few tries.
#[derive(Default)]
pub struct Doubts(Mutex<HashMap<(JobId, NodeIndex), Failures>>);

struct Failures {
    offset: u64,
    count: u32,
    since: Instant,
}

impl Doubts {
    fn lock(&self) -> MutexGuard<'_, HashMap<(JobId, NodeIndex), Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the batch at `offset` is to be stored.
    pub fn storing(&self, which: (JobId, NodeIndex), offset: u64) -> Storing {
        match self.lock().get(&which).filter(|failures| failures.offset == offset) {
            Some(failures) => poison::storing(failures.count, failures.since.elapsed()),
            None => Storing::Together,
        }
    }

    /// Counts a failure of the batch at `offset`, if it may be the batch's own.
    pub fn failed(&self, which: (JobId, NodeIndex), offset: u64, error: &StoreError) {
        if !error.may_be_the_statement() {
            return;
        }
        let mut all = self.lock();
        let failures = all.entry(which).or_insert(Failures { offset, count: 0, since: Instant::now() });
        if failures.offset != offset {
            *failures = Failures { offset, count: 0, since: Instant::now() };
        }
        failures.count += 1;
    }

    /// Forgets a file whose batch was stored.
    pub fn stored(&self, which: (JobId, NodeIndex)) {
        let mut all = self.lock();
        if !all.is_empty() {
            all.remove(&which);
        }
    }
}
