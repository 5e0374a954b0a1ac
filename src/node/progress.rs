//! How far a running optimization has come: told now and then, and when it is stopped. Pure.

use std::time::{Duration, Instant};

use crate::model::task::Progress;

/// A node that dies loses at most this much of an optimization.
const INTERVAL: Duration = Duration::from_secs(60);

/// Keeps the last progress of one attempt until it is told.
pub struct Keeper<F: FnMut(Progress)> {
    tell: F,
    told: Instant,
    untold: Option<Progress>,
}

impl<F: FnMut(Progress)> Keeper<F> {
    /// Of an attempt that began at `started`.
    pub fn new(started: Instant, tell: F) -> Keeper<F> {
        Keeper { tell, told: started, untold: None }
    }

    /// Hears of progress, and tells it unless something was told a moment ago.
    pub fn hear(&mut self, progress: Progress, now: Instant) {
        self.untold = Some(progress);
        if now.duration_since(self.told) >= INTERVAL {
            self.told = now;
            self.tell();
        }
    }

    /// Tells what has not been told: the attempt ends without an answer.
    pub fn tell(&mut self) {
        if let Some(progress) = self.untold.take() {
            (self.tell)(progress);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_once_a_minute_and_at_the_end() {
        let start = Instant::now();
        let mut told = Vec::new();
        let mut keeper = Keeper::new(start, |progress: Progress| told.push(progress.gradients));
        for (second, gradients) in [(1, 2), (59, 3), (60, 4), (70, 5), (119, 6), (125, 7), (130, 8), (131, 9)]
        {
            let progress = Progress { geometry: vec![], energy: None, gradients };
            keeper.hear(progress, start + Duration::from_secs(second));
        }
        keeper.tell();
        keeper.tell();
        drop(keeper);
        assert_eq!(told, [4, 7, 9]);
    }
}
