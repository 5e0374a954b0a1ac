//! Waiting for something to become true, with a generous deadline and a message that says what was seen last.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long a thing may take on a busy two-core machine before it counts as never.
#[derive(Clone, Copy, Debug)]
pub enum Within {
    /// A local action: a process starts, a file appears.
    AMoment,
    /// A calculation, a scheduler's decision.
    Minutes,
    /// Something that waits for a scheduler's own timers (a walltime of a minute and the grace after it).
    AWhile,
}

impl Within {
    /// The deadline.
    pub fn duration(self) -> Duration {
        match self {
            Within::AMoment => Duration::from_secs(60),
            Within::Minutes => Duration::from_secs(300),
            Within::AWhile => Duration::from_secs(600),
        }
    }
}

/// Looks until `wanted` holds for what `look` sees, and gives it; panics with the last sight at the deadline.
#[track_caller]
pub fn wait_until<T: Debug>(
    what: &str,
    within: Within,
    mut look: impl FnMut() -> T,
    wanted: impl Fn(&T) -> bool,
) -> T {
    let started = Instant::now();
    loop {
        let seen = look();
        if wanted(&seen) {
            return seen;
        }
        let deadline = within.duration();
        assert!(started.elapsed() < deadline, "waited {deadline:?} until {what}; last seen: {seen:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
