//! When to look for a further chunk, and since when there has been nothing to do. Pure: the time is handed in.

use std::time::{Duration, Instant};

const FIRST_WAIT: Duration = Duration::from_millis(50);
const LAST_WAIT: Duration = Duration::from_millis(500);
/// After a minute without a chunk.
const PATIENT_WAIT: Duration = Duration::from_secs(1);
const PATIENT_AFTER: Duration = Duration::from_secs(60);

/// Looks less and less often while there is nothing.
#[derive(Clone, Copy, Debug)]
pub struct Lookout {
    next: Instant,
    wait: Duration,
    looked: Option<Instant>,
    nothing_since: Option<Instant>,
    idle_since: Option<Instant>,
}

impl Lookout {
    /// May look at once.
    pub fn new(now: Instant) -> Lookout {
        Lookout { next: now, wait: FIRST_WAIT, looked: None, nothing_since: None, idle_since: None }
    }

    /// When it is time to look.
    pub fn due(&self) -> Instant {
        self.next
    }

    /// A chunk was found.
    pub fn found(&mut self, now: Instant) {
        *self = Lookout::new(now);
    }

    /// There was none.
    pub fn found_nothing(&mut self, now: Instant) {
        let since = *self.nothing_since.get_or_insert(now);
        let longest = if now.duration_since(since) >= PATIENT_AFTER { PATIENT_WAIT } else { LAST_WAIT };
        self.looked = Some(now);
        self.next = now + self.wait.min(longest);
        self.wait = (self.wait * 2).min(longest);
    }

    /// A further task has no room now: something more urgent may come, or a task may end.
    pub fn no_room(&mut self, now: Instant) {
        self.looked = None;
        self.next = now + LAST_WAIT;
    }

    /// A task has ended: there may be room.
    pub fn room(&mut self, now: Instant) {
        let soon = self.looked.map_or(now, |looked| looked + FIRST_WAIT);
        self.next = self.next.min(soon);
    }

    /// The job has tasks that run.
    pub fn busy(&mut self) {
        self.idle_since = None;
    }

    /// How long the job has had nothing to do at all.
    pub fn idle_for(&mut self, now: Instant) -> Duration {
        now.duration_since(*self.idle_since.get_or_insert(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_twenty_times_a_second_then_twice_then_once() {
        let start = Instant::now();
        let mut lookout = Lookout::new(start);
        let mut waits = vec![];
        let mut now = start;
        for _ in 0..140 {
            lookout.found_nothing(now);
            waits.push((lookout.due() - now).as_millis());
            now = lookout.due();
        }
        assert_eq!(waits[..6], [50, 100, 200, 400, 500, 500]);
        assert_eq!(waits[139], 1000);
        lookout.found(now);
        lookout.found_nothing(now);
        assert_eq!(lookout.due() - now, FIRST_WAIT);
    }

    #[test]
    fn an_ended_task_is_a_reason_to_look_but_not_at_every_one() {
        let start = Instant::now();
        let mut lookout = Lookout::new(start);
        lookout.no_room(start);
        lookout.room(start + Duration::from_millis(7));
        assert_eq!(lookout.due(), start + Duration::from_millis(7));
        for _ in 0..5 {
            lookout.found_nothing(start);
        }
        lookout.room(start + Duration::from_millis(7));
        assert_eq!(lookout.due(), start + FIRST_WAIT);
    }

    #[test]
    fn idleness_begins_anew_after_work() {
        let start = Instant::now();
        let mut lookout = Lookout::new(start);
        assert_eq!(lookout.idle_for(start), Duration::ZERO);
        assert_eq!(lookout.idle_for(start + PATIENT_AFTER), PATIENT_AFTER);
        lookout.busy();
        assert_eq!(lookout.idle_for(start + PATIENT_AFTER), Duration::ZERO);
    }
}
