//! What a scheduler allows where jobs go: in a queue, under a quality of service, an account, or to the user at all. Pure.

use std::fmt;
use std::time::Duration;

use super::resources::JobResources;

/// What is allowed; what is not told has no limit.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Allowed {
    /// Most elements of one array.
    pub array_size: Option<u32>,
    /// Most jobs of the user, elements of arrays counted, that wait or run.
    pub submitted: Option<u32>,
    /// Most jobs of the user that run.
    pub running: Option<u32>,
    /// Longest walltime.
    pub walltime: Option<Duration>,
    /// Time between the request to end and the kill.
    pub kill_wait: Option<Duration>,
    /// Why nothing starts there, in the scheduler's words.
    pub closed: Option<String>,
}

impl Allowed {
    /// What both allow.
    #[must_use]
    pub fn and(self, other: &Allowed) -> Allowed {
        fn least<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
            a.into_iter().chain(b).min()
        }
        Allowed {
            array_size: least(self.array_size, other.array_size),
            submitted: least(self.submitted, other.submitted),
            running: least(self.running, other.running),
            walltime: least(self.walltime, other.walltime),
            kill_wait: least(self.kill_wait, other.kill_wait),
            closed: self.closed.or_else(|| other.closed.clone()),
        }
    }

    /// Whether nothing is limited.
    pub fn is_all(&self) -> bool {
        *self == Allowed::default()
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let walltime = self.walltime.map(|walltime| {
            let minutes = walltime.as_secs() / 60;
            match (minutes / 60, minutes % 60) {
                (0, minutes) => format!("walltime {minutes} min"),
                (hours, 0) => format!("walltime {hours} h"),
                (hours, minutes) => format!("walltime {hours} h {minutes} min"),
            }
        });
        let facts = [
            self.closed.as_ref().map(|word| format!("closed ({word})")),
            walltime,
            self.array_size.map(|most| format!("arrays of {most}")),
            self.submitted.map(|most| format!("{most} jobs")),
            self.running.map(|most| format!("{most} running")),
            self.kill_wait.map(|wait| format!("{} s from TERM to KILL", wait.as_secs())),
        ];
        f.write_str(&facts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// What is allowed, and where.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Jobs in this queue or partition.
    pub queue: Option<String>,
    /// Jobs under this quality of service.
    pub qos: Option<String>,
    /// Jobs of this account.
    pub account: Option<String>,
    /// What they may.
    pub allowed: Allowed,
}

impl Limit {
    /// Whether it holds for jobs that ask for `resources`. Where they name no queue, quality or account, the scheduler
    /// chooses one, and nobody knows its limits.
    pub fn holds_for(&self, resources: &JobResources) -> bool {
        let is = |name: &Option<String>, asked: &Option<String>| name.is_none() || name == asked;
        is(&self.queue, &resources.queue)
            && is(&self.qos, &resources.qos)
            && is(&self.account, &resources.account)
    }

    /// Whether it holds for all jobs of the user.
    pub fn is_the_users(&self) -> bool {
        self.queue.is_none() && self.qos.is_none() && self.account.is_none()
    }
}

/// What jobs that ask for `resources` may under all of `limits`.
pub fn allowed(limits: &[Limit], resources: &JobResources) -> Allowed {
    let hold = limits.iter().filter(|limit| limit.holds_for(resources));
    hold.fold(Allowed::default(), |allowed, limit| allowed.and(&limit.allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_queue(queue: &str, allowed: Allowed) -> Limit {
        Limit { queue: Some(queue.to_owned()), allowed, ..Limit::default() }
    }

    #[test]
    fn the_strictest_of_all_that_hold_counts() {
        let hour = Duration::from_secs(3600);
        let limits = [
            Limit { allowed: Allowed { submitted: Some(50), ..Allowed::default() }, ..Limit::default() },
            of_queue("short", Allowed { submitted: Some(9), walltime: Some(hour / 6), ..Allowed::default() }),
            of_queue("long", Allowed { submitted: Some(1), ..Allowed::default() }),
            Limit {
                qos: Some("debug".to_owned()),
                allowed: Allowed { walltime: Some(hour), array_size: Some(10), ..Allowed::default() },
                ..Limit::default()
            },
        ];
        let mut asks = JobResources { queue: Some("short".to_owned()), ..JobResources::of_cores(1, hour) };
        assert_eq!(allowed(&limits, &asks).to_string(), "walltime 10 min, 9 jobs");
        asks.qos = Some("debug".to_owned());
        assert_eq!(allowed(&limits, &asks).to_string(), "walltime 10 min, arrays of 10, 9 jobs");
        // No queue is named: which it will be is not known.
        asks = JobResources::of_cores(1, hour);
        assert_eq!(allowed(&limits, &asks).to_string(), "50 jobs");
        assert!(allowed(&[], &asks).is_all());
    }
}
