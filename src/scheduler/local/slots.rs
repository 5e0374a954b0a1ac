//! Cores as files: who holds the lock of `slots/N` has the core N. The kernel frees them when the holder dies.
//! One waiter at a time collects what it needs, so that big jobs are not overtaken for ever by small ones.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use super::LocalError;
use super::state::{State, open_private};

/// Waiting begins with this and doubles up to [`WAIT_MAX`]: no lock tells when it becomes free.
const WAIT_FIRST: Duration = Duration::from_millis(20);
const WAIT_MAX: Duration = Duration::from_millis(500);

/// Cores held; dropping them frees them.
#[derive(Debug)]
pub(super) struct Cores {
    #[expect(dead_code, reason = "held for its locks")]
    held: Vec<File>,
}

/// Cores of this machine that this process may use.
pub fn machine_cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX))
}

/// Waits until `cores` of `total` are free and takes them. Dropping the future gives back what it had collected.
pub(super) async fn take(state: &State, cores: u32, total: u32) -> Result<Cores, LocalError> {
    let mut wait = WAIT_FIRST;
    let _turn = loop {
        if let Some(turn) = try_lock(&state.turn())? {
            break turn;
        }
        pause(&mut wait).await;
    };
    wait = WAIT_FIRST;
    let mut held: Vec<(u32, File)> = Vec::new();
    loop {
        for slot in 0..total {
            if held.len() as u64 >= u64::from(cores) {
                break;
            }
            if held.iter().all(|(one, _)| *one != slot)
                && let Some(lock) = try_lock(&state.slots().join(slot.to_string()))?
            {
                held.push((slot, lock));
            }
        }
        if held.len() as u64 >= u64::from(cores) {
            return Ok(Cores { held: held.into_iter().map(|(_, lock)| lock).collect() });
        }
        pause(&mut wait).await;
    }
}

async fn pause(wait: &mut Duration) {
    tokio::time::sleep(*wait).await;
    *wait = (*wait * 2).min(WAIT_MAX);
}

fn try_lock(path: &Path) -> Result<Option<File>, LocalError> {
    let file = open_private(path).map_err(LocalError::state("open", path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(LocalError::state("lock", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn cores_are_held_once_and_come_back() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(directory.path()).unwrap();
        let two = take(&state, 2, 3).await.unwrap();
        let one = take(&state, 1, 3).await.unwrap();
        let patience = Duration::from_secs(3);
        assert!(tokio::time::timeout(patience, take(&state, 1, 3)).await.is_err());
        drop(one);
        let big = tokio::time::timeout(patience, take(&state, 3, 3)).await;
        assert!(big.is_err(), "one of three is free");
        drop(two);
        assert!(tokio::time::timeout(patience, take(&state, 3, 3)).await.is_ok());
    }
}
