//! Whether the jobs of a pool can start Python workers. Where they cannot, tasks that need one are kept from the pool for a
//! while; programs that the runner starts itself go on.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
    pause: Option<Pause>,
    reason: String,
    /// Jobs that complained: the complaint of one that goes on is no news after the pause.
    told_by: BTreeSet<JobId>,
}

/// A pause is measured by a clock that nobody sets.
#[derive(Clone, Copy)]
struct Pause {
    until: Instant,
    /// When it began, by the clock that jobs' starts are stored by.
    since: Timestamp,
    /// When it ends, for people.
    told_until: Timestamp,
}

/// A moment by both clocks.
#[derive(Clone, Copy)]
pub struct Moment {
    /// The clock that nobody sets.
    pub steady: Instant,
    /// The clock that people read.
    pub wall: Timestamp,
}

impl Moment {
    /// This one.
    pub fn now() -> Moment {
        Moment { steady: Instant::now(), wall: Timestamp::now() }
    }
}

impl State {
    fn pause_at(&self, now: Instant) -> Option<Pause> {
        self.pause.filter(|pause| pause.until > now)
    }

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
    pub fn does_not_start(&self, job: JobId, command: &str, why: &str, now: Moment) -> News {
        let mut state = self.lock();
        if !state.told_by.insert(job) {
            return News::Old;
        }
        if state.told_by.len() > REMEMBERED {
            state.told_by.pop_first();
        }
        if state.pause_at(now.steady).is_some() {
            return News::Old;
        }
        state.pauses += 1;
        let pause = backoff::delay(state.pauses, FIRST_PAUSE, LONGEST_PAUSE, rand::random());
        let span = SignedDuration::try_from(pause).unwrap_or(SignedDuration::from_secs(60));
        let told_until = now.wall.saturating_add(span).unwrap_or(now.wall);
        state.pause = Some(Pause { until: now.steady + pause, since: now.wall, told_until });
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
    pub fn paused(&self, now: Instant) -> Option<String> {
        let state = self.lock();
        let Pause { told_until, .. } = state.pause_at(now)?;
        Some(format!("{} (tried again at {told_until:.0})", state.reason))
    }

    /// Whether they are at `now`, and have been since before a job's start.
    pub fn paused_before(&self, start: Timestamp, now: Instant) -> bool {
        self.lock().pause_at(now).is_some_and(|pause| pause.since < start)
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

    fn wall(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    #[test]
    fn a_python_that_does_not_start_is_tried_again_later_and_later() {
        let breaker = PythonBreaker::default();
        let start = Instant::now();
        let steady = |second: u64| start + Duration::from_secs(second);
        let at = |second: u64| Moment { steady: steady(second), wall: wall(second as i64) };
        let why = "worker `python3 w.py` did not start: it wrote: Traceback:\n  File\nModuleNotFoundError: no qcengine\n";
        assert_eq!(breaker.does_not_start(JobId(1), "python3", why, at(0)), News::New);
        assert_eq!(breaker.does_not_start(JobId(2), "python3", why, at(1)), News::Old);
        let reason = breaker.paused(steady(2)).unwrap();
        assert!(
            reason
                .starts_with("QCEngine cannot be started with `python3` (ModuleNotFoundError: no qcengine)"),
            "{reason}"
        );
        assert_eq!(breaker.paused(steady(73)), None, "a minute, give or take a fifth");
        assert_eq!(
            breaker.does_not_start(JobId(1), "python3", why, at(73)),
            News::Old,
            "it goes on and said so"
        );
        assert_eq!(breaker.does_not_start(JobId(3), "python3", why, at(73)), News::New);
        assert!(breaker.paused(steady(73 + 90)).is_some(), "two minutes now");
        breaker.works();
        assert_eq!(breaker.paused(steady(80)), None);
        breaker.does_not_start(JobId(4), "python3", why, at(90));
        assert!(breaker.paused_before(wall(91), steady(91)));
        assert!(!breaker.paused_before(wall(90), steady(91)), "it began before the pause");
        assert!(!breaker.paused_before(wall(91), steady(9999)), "the pause is over");
        // The wall clock is put back by a day: the pause is as long as it was.
        let later = Moment { steady: steady(92), wall: wall(-86_400) };
        assert_eq!(breaker.does_not_start(JobId(5), "python3", why, later), News::Old);
        assert_eq!(breaker.paused(steady(90 + 75)), None);
        breaker.close();
        assert_eq!(breaker.paused(steady(91)), None);
    }
}
