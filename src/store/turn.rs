//! Whose turn it is to take a submission in. Submissions of one process stand in line here, before they take a
//! connection; those of other sites are told apart by a lock in the database. Touches that lock only.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use diesel::sql_types::{BigInt, Bool};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use super::error::{Doing, StoreError};

/// Key of the advisory lock that lets one intake at a time decide what is new: the bytes of `qcb-in`.
pub(crate) const INTAKE_LOCK: i64 = 0x7163_622d_696e;

/// How long an intake waits for its turn when nothing else is said.
pub(super) const USUAL_WAIT: Duration = Duration::from_secs(60);

/// Time between two tries at the lock that another site holds.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// The line of submissions of one process. The first that came is the first to go.
#[derive(Debug)]
pub struct Turns {
    place: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Default for Turns {
    fn default() -> Turns {
        Turns { place: Arc::new(Semaphore::new(1)), waiting: Arc::default() }
    }
}

/// A turn; it ends when it is dropped.
#[derive(Debug)]
pub struct Turn {
    _place: OwnedSemaphorePermit,
    waiting: Arc<AtomicUsize>,
}

/// Counts one submission as waiting for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Waiting<'a> {
        count.fetch_add(1, Ordering::Relaxed);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turns {
    /// Waits for the turn; [`StoreError::Busy`] at `deadline`.
    pub(super) async fn take(&self, deadline: Instant) -> Result<Turn, StoreError> {
        let _waiting = Waiting::begin(&self.waiting);
        match timeout_at(deadline, Arc::clone(&self.place).acquire_owned()).await {
            Ok(Ok(place)) => Ok(Turn { _place: place, waiting: Arc::clone(&self.waiting) }),
            // The semaphore is never closed; should it be, nobody is taken in any more.
            Ok(Err(_)) | Err(_) => Err(StoreError::Busy),
        }
    }
}

impl Turn {
    /// Number of submissions of this process that wait behind this one.
    pub fn others(&self) -> usize {
        AtomicUsize::load(&self.waiting, Ordering::Relaxed)
    }
}

#[derive(diesel::QueryableByName)]
struct LockRow {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

/// Waits inside the caller's transaction until no other site takes a submission in; [`StoreError::Busy`] at `deadline`.
pub(super) async fn lock(conn: &mut AsyncPgConnection, deadline: Instant) -> Result<(), StoreError> {
    loop {
        let row: LockRow = diesel::sql_query("SELECT pg_try_advisory_xact_lock($1) AS locked")
            .bind::<BigInt, _>(INTAKE_LOCK)
            .get_result(conn)
            .await
            .doing("asking whether another site takes a submission in")?;
        if row.locked {
            return Ok(());
        }
        if Instant::now() + BETWEEN_TRIES > deadline {
            return Err(StoreError::Busy);
        }
        sleep(BETWEEN_TRIES).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_waited_for_in_line_and_not_for_ever() {
        let turns = Arc::new(Turns::default());
        let soon = || Instant::now() + Duration::from_secs(10);
        let first = turns.take(soon()).await.unwrap();
        let waiting = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.take(Instant::now() + Duration::from_secs(60)).await }
        });
        while first.others() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(turns.take(soon()).await, Err(StoreError::Busy)));
        assert_eq!(first.others(), 1, "who gave up waits no longer");
        drop(first);
        let second = waiting.await.unwrap().unwrap();
        assert_eq!(second.others(), 0);
    }
}
