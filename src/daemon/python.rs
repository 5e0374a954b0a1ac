//! Whether the jobs of a pool can start Python workers. Where they cannot, tasks that need one are kept from the pool for a
//! while; programs that the runner starts itself go on.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::pools::one_line;
use crate::model::ids::JobId;
use crate::plan::backoff;

const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// The breaker.
#[derive(Default)]
pub struct PythonBreaker(Mutex<State>);

#[derive(Default)]
struct State {
    /// Pauses in a row.
    pauses: u32,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    reason: String,
    /// Jobs that complained: the complaint of one that goes on is no news after the pause.
    told_by: BTreeSet<JobId>,
}

impl State {
    /// As at the beginning, except that complaints stay known.
    fn closed(&self) -> State {
        State { told_by: self.told_by.clone(), ..State::default() }
    }
}

/// Complaints that are remembered; jobs that are older have ended.
const REMEMBERED: usize = 256;

/// Whether something is news.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// It was known.
    Old,
    /// It was not.
    New,
}

impl PythonBreaker {
    /// A job could not start a worker. `command` is the interpreter, `why` what it said.
    pub fn does_not_start(&self, job: JobId, command: &str, why: &str, now: Timestamp) -> News {
        let mut state = self.lock();
        if !state.told_by.insert(job) {
            return News::Old;
        }
        if state.told_by.len() > REMEMBERED {
            state.told_by.pop_first();
        }
        if state.until.is_some_and(|until| until > now) {
            return News::Old;
        }
        state.pauses += 1;
        let pause = backoff::delay(state.pauses, FIRST_PAUSE, LONGEST_PAUSE, rand::random());
        let span = SignedDuration::try_from(pause).unwrap_or(SignedDuration::from_secs(60));
        state.since = Some(now);
        state.until = Some(now.saturating_add(span).unwrap_or(now));
        state.reason = format!("QCEngine cannot be started with `{command}` ({})", last_words(why));
        News::New
    }

    /// A job has used a worker.
    pub fn works(&self) {
        let mut state = self.lock();
        if state.pauses > 0 {
            *state = state.closed();
        }
    }

    /// Ends the pause.
    pub fn close(&self) {
        let mut state = self.lock();
        *state = state.closed();
    }

    /// Why tasks that need Python are kept from the pool at `now`, if they are.
    pub fn paused(&self, now: Timestamp) -> Option<String> {
        let state = self.lock();
        let until = state.until.filter(|until| *until > now)?;
        Some(format!("{} (tried again at {until:.0})", state.reason))
    }

    /// Whether they have been since before `moment`.
    pub fn paused_before(&self, moment: Timestamp) -> bool {
        let state = self.lock();
        state.since.is_some_and(|since| since < moment) && state.until.is_some_and(|until| until > moment)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a person is told to do.
pub fn advice(reason: &str, pool: &str) -> String {
    format!(
        "{reason}: set `[worker] python` to an interpreter that has QCEngine, or mend this one; tasks that need it wait, \
         MOPAC and xtb run without it; `qcbatch pool resume {pool}` tries at once"
    )
}

/// The line that names the error: the last one of a traceback.
pub fn last_words(why: &str) -> String {
    let last = why.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    one_line(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    #[test]
    fn a_python_that_does_not_start_is_tried_again_later_and_later() {
        let breaker = PythonBreaker::default();
        let why = "worker `python3 w.py` did not start: it wrote: Traceback:\n  File\nModuleNotFoundError: no qcengine\n";
        assert_eq!(breaker.does_not_start(JobId(1), "python3", why, at(0)), News::New);
        assert_eq!(breaker.does_not_start(JobId(2), "python3", why, at(1)), News::Old);
        let reason = breaker.paused(at(2)).unwrap();
        assert!(
            reason
                .starts_with("QCEngine cannot be started with `python3` (ModuleNotFoundError: no qcengine)"),
            "{reason}"
        );
        assert_eq!(breaker.paused(at(73)), None, "a minute, give or take a fifth");
        assert_eq!(
            breaker.does_not_start(JobId(1), "python3", why, at(73)),
            News::Old,
            "it goes on and said so"
        );
        assert_eq!(breaker.does_not_start(JobId(3), "python3", why, at(73)), News::New);
        assert!(breaker.paused(at(73 + 90)).is_some(), "two minutes now");
        breaker.works();
        assert_eq!(breaker.paused(at(80)), None);
        breaker.does_not_start(JobId(4), "python3", why, at(90));
        assert!(breaker.paused_before(at(91)) && !breaker.paused_before(at(90)));
        breaker.close();
        assert_eq!(breaker.paused(at(91)), None);
    }
}
