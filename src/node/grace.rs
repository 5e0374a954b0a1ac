//! How long a runner may go on after the scheduler asked it to end: always shorter than the scheduler's own patience,
//! so that the end record is written before the kill. Pure.

use std::time::Duration;

/// The time between a scheduler's request to end and its kill, where nobody told: Slurm's `KillWait` is 30 s.
const USUAL_KILL_WAIT: Duration = Duration::from_secs(30);
/// A task that is killed has two seconds between TERM and KILL, and what it leaves has to be stored.
const KILLING: Duration = Duration::from_secs(3);

/// What is left after a request to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grace {
    /// Running tasks are killed after this.
    pub tasks: Duration,
    /// Results are no longer tried to be stored after this; what remains is for the end record and the job script.
    pub storing: Duration,
}

impl Grace {
    /// The grace under a scheduler that kills so long after its request. A longer patience than usual is not used up: what
    /// was asked to end should end soon.
    pub fn within(kill_wait: Option<Duration>) -> Grace {
        let whole = kill_wait.unwrap_or(USUAL_KILL_WAIT).min(USUAL_KILL_WAIT);
        let kept = (whole / 4).clamp(Duration::from_millis(1500), Duration::from_secs(7));
        let storing = whole.saturating_sub(kept);
        Grace { tasks: storing.saturating_sub(KILLING), storing }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_grace_follows_the_schedulers_patience() {
        // Seconds until the kill; milliseconds for tasks and for storing.
        for (kill_wait, tasks, storing) in [
            // Nobody told; Slurm.
            (None, 20_000, 23_000),
            (Some(30), 20_000, 23_000),
            // LSF: twice a JOB_TERMINATE_INTERVAL of 10 s.
            (Some(20), 12_000, 15_000),
            // PBS: kill_delay.
            (Some(10), 4_500, 7_500),
            (Some(2), 0, 500),
            (Some(0), 0, 0),
            // Grid Engine with a long `notify`.
            (Some(300), 20_000, 23_000),
        ] {
            let grace = Grace::within(kill_wait.map(Duration::from_secs));
            let expected =
                Grace { tasks: Duration::from_millis(tasks), storing: Duration::from_millis(storing) };
            assert_eq!(grace, expected, "{kill_wait:?}");
        }
    }

    proptest! {
        #[test]
        fn a_runner_is_never_more_patient_than_its_scheduler(kill_wait in 2_u64..4000) {
            let kill_wait = Duration::from_secs(kill_wait);
            let grace = Grace::within(Some(kill_wait));
            prop_assert!(grace.tasks <= grace.storing);
            prop_assert!(grace.storing + Duration::from_secs(1) < kill_wait);
        }
    }
}
