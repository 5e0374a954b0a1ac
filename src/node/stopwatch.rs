//! When an attempt began: by the monotonic clock for its length, by the node's clock for people. Reads both clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One attempt's beginning.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    started: Instant,
    started_on: f64,
}

impl Stopwatch {
    /// It begins now.
    pub fn start() -> Stopwatch {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Stopwatch { started: Instant::now(), started_on: clock.as_secs_f64() }
    }

    /// When it began.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// When it began by the node's clock, seconds since the epoch: for display, clocks of hosts are never compared.
    pub fn started_on(&self) -> f64 {
        self.started_on
    }

    /// How long ago that was.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
