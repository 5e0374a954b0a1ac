//! How much of the job's walltime is left, by the node's monotonic clock. Pure: the time is handed in.

use std::time::{Duration, Instant};

/// Kept back at the end of a job for killing, storing and the end record.
const RESERVE: Duration = Duration::from_secs(30);
/// A task with a longer limit than what is left is tried if at least this much is left, and as much as it will probably
/// take: most tasks end well before their limit, and one that does not goes back.
const WORTH_STARTING: Duration = Duration::from_secs(30);

/// A task is not expected to take more of a job, so that there is time to start.
const MOST_OF_A_JOB: f64 = 0.9;

/// The job's walltime since the runner's start. What ran before the runner in the same job (prolog, module loads) is
/// not in it; the scheduler's warning signal covers that.
#[derive(Clone, Copy, Debug)]
pub struct JobClock {
    started: Instant,
    walltime: Duration,
}

impl JobClock {
    /// A job of `walltime` that started `started`.
    pub fn new(started: Instant, walltime: Duration) -> JobClock {
        JobClock { started, walltime }
    }

    fn reserve(&self) -> Duration {
        RESERVE.min(self.walltime / 4)
    }

    /// When running tasks are killed and go back.
    pub fn work_ends(&self) -> Instant {
        self.started + (self.walltime - self.reserve())
    }

    /// When the runner gives up storing what a full disk does not take.
    pub fn storing_ends(&self) -> Instant {
        self.started + (self.walltime - self.reserve() / 3)
    }

    /// Whether a kill that comes `after` some time is the walltime's. What ran before the runner counts as a twentieth of
    /// the walltime at most.
    pub fn ends_soon(&self, after: Duration, now: Instant) -> bool {
        now + after + RESERVE.max(self.walltime / 20) >= self.started + self.walltime
    }

    /// Whether a task with this limit is started now, which probably takes as long as `expected`. One for which a whole job
    /// like this hardly suffices is started in one that has just begun.
    pub fn may_start(&self, limit: Duration, expected: Option<Duration>, now: Instant) -> bool {
        let left = self.work_ends().saturating_duration_since(now);
        let whole = self.work_ends() - self.started;
        let expected = expected.unwrap_or_default().min(whole.mul_f64(MOST_OF_A_JOB));
        left >= limit.min(expected.max(WORTH_STARTING.min(self.walltime / 4)))
    }
}

/// Whether a task that the job's end cut off had its own time: nine tenths of its limit. If so, its own walltime is to
/// blame and the next try gets more; else it goes back without a report.
pub fn had_its_time(limit: Duration, ran: Duration) -> bool {
    ran >= limit.mul_f64(0.9)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn tasks_start_while_there_is_time_for_them_or_worth_trying() {
        let start = Instant::now();
        let hour = JobClock::new(start, seconds(3600));
        assert_eq!(hour.work_ends(), start + seconds(3570));
        assert!(hour.may_start(seconds(86_400), None, start));
        assert!(hour.may_start(seconds(86_400), None, start + seconds(3540)));
        assert!(!hour.may_start(seconds(86_400), None, start + seconds(3541)));
        assert!(hour.may_start(seconds(5), None, start + seconds(3565)));
        assert!(!hour.may_start(seconds(5), None, start + seconds(3566)));
        assert!(!hour.may_start(seconds(5), None, start + seconds(9999)));
    }

    #[test]
    fn a_task_that_would_probably_not_end_is_not_started() {
        let start = Instant::now();
        let hour = JobClock::new(start, seconds(3600));
        let may_start =
            |expected, at| hour.may_start(seconds(86_400), Some(seconds(expected)), start + seconds(at));
        assert!(may_start(600, 2970));
        assert!(!may_start(600, 2971));
        assert!(may_start(5, 3540));
        assert!(may_start(86_400, 300));
        assert!(!may_start(86_400, 400));
        // Its limit ends it before.
        assert!(hour.may_start(seconds(60), Some(seconds(600)), start + seconds(3500)));
    }

    #[test]
    fn a_kill_long_before_the_walltime_has_another_reason() {
        let start = Instant::now();
        let ten_hours = JobClock::new(start, seconds(36_000));
        let announced = |at| ten_hours.ends_soon(seconds(60), start + seconds(at));
        assert!(!announced(0) && !announced(34_139));
        assert!(announced(34_140) && announced(36_001));
    }

    #[test]
    fn a_short_job_keeps_a_quarter_back() {
        let start = Instant::now();
        let clock = JobClock::new(start, seconds(20));
        assert_eq!(clock.work_ends(), start + seconds(15));
        assert!(clock.storing_ends() > clock.work_ends());
        assert!(clock.may_start(seconds(600), None, start + seconds(10)));
        assert!(!clock.may_start(seconds(600), None, start + seconds(11)));
    }

    #[test]
    fn a_task_cut_by_the_jobs_end_is_blamed_only_after_its_own_time() {
        assert!(had_its_time(seconds(3600), seconds(3570)));
        assert!(!had_its_time(seconds(3600), seconds(600)));
    }
}
