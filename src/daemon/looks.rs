//! Looks at files of jobs that may hang: each on a thread of its own, with a time limit. A look that hangs costs its job's
//! turn, and the pool's other jobs go on; while it has not come back, the same is not looked at again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::spool::SpoolError;

/// How long a look at a few small files may take.
pub(super) const LOOK_LIMIT: Duration = Duration::from_secs(20);
/// How long reading a piece of a result file may take.
pub(super) const READ_LIMIT: Duration = Duration::from_secs(60);

/// Looks that hang in one directory of a pool before its others are not tried any more: each costs a thread.
const MOST_HANGING: usize = 4;

/// What hangs, or may: what is looked at, and the pool's directory that it lies in.
static UNDER_WAY: LazyLock<Mutex<HashMap<PathBuf, Way>>> = LazyLock::new(Mutex::default);

struct Way {
    pool: PathBuf,
    state: WayState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WayState {
    Looking,
    Hanging,
}

/// Takes what was looked at off the list when the look comes back, however late.
struct Back(PathBuf);

impl Drop for Back {
    fn drop(&mut self) {
        UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Runs `look` at `path`, which lies in the directory `pool`, for at most `limit`.
pub(super) async fn within<T: Send + 'static>(
    limit: Duration,
    pool: &Path,
    path: &Path,
    look: impl FnOnce() -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, SpoolError> {
    let no_answer = || SpoolError::NoAnswer { path: path.to_owned(), seconds: limit.as_secs() };
    let back = begin(pool, path).ok_or_else(no_answer)?;
    let looking = spawn_blocking(move || {
        let _back = back;
        look()
    });
    match timeout(limit, looking).await {
        Ok(Ok(outcome)) => outcome,
        // The runtime shuts down.
        Ok(Err(_)) => Err(no_answer()),
        Err(_) => {
            let mut under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(way) = under_way.get_mut(path) {
                way.state = WayState::Hanging;
            }
            Err(no_answer())
        }
    }
}

/// Notes that `path` is looked at, unless a look at it has not come back or too many of the pool hang.
fn begin(pool: &Path, path: &Path) -> Option<Back> {
    let mut under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
    let hanging = under_way.values().filter(|way| way.state == WayState::Hanging && way.pool == pool).count();
    if hanging >= MOST_HANGING || under_way.contains_key(path) {
        return None;
    }
    under_way.insert(path.to_owned(), Way { pool: pool.to_owned(), state: WayState::Looking });
    Some(Back(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_look_that_hangs_is_given_up_and_others_go_on() {
        let pool = Path::new("/spool/hangs");
        let soon = Duration::from_millis(50);
        let (go_on, wait) = mpsc::channel::<()>();
        let hangs = |wait: mpsc::Receiver<()>| {
            move || {
                // Ends when the test does.
                let _ = wait.recv();
                Ok(1)
            }
        };
        let (first, second) = (pool.join("tag/0"), pool.join("tag/1"));
        let outcome = within(soon, pool, &first, hangs(wait)).await;
        assert!(matches!(outcome, Err(SpoolError::NoAnswer { .. })), "{outcome:?}");
        assert_eq!(within(LOOK_LIMIT, pool, &second, || Ok(2)).await.unwrap(), 2);
        let again =
            within(LOOK_LIMIT, pool, &first, || -> Result<i32, _> { panic!("looked at twice at once") });
        assert!(again.await.is_err());
        drop(go_on);
        while UNDER_WAY.lock().unwrap().contains_key(&first) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(within(LOOK_LIMIT, pool, &first, || Ok(3)).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_pool_whose_file_system_hangs_costs_a_few_threads_and_no_other_pool() {
        let (hung, well) = (Path::new("/spool/hung"), Path::new("/spool/well"));
        let mut ends = Vec::new();
        for number in 0..2 * MOST_HANGING {
            let (end, wait) = mpsc::channel::<()>();
            let look = move || {
                let _ = wait.recv();
                Ok(())
            };
            let path = hung.join(number.to_string());
            assert!(within(Duration::from_millis(20), hung, &path, look).await.is_err());
            ends.push(end);
        }
        let hanging = UNDER_WAY.lock().unwrap().values().filter(|way| way.pool == hung).count();
        assert_eq!(hanging, MOST_HANGING);
        assert!(within(LOOK_LIMIT, well, &well.join("0"), || Ok(())).await.is_ok());
    }
}
