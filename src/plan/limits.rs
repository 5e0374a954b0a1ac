//! How many jobs more a scheduler will take, by the limits that it tells. Pure.

use crate::model::limits::Limit;
use crate::model::resources::JobResources;

/// Jobs of one pool that wait or run.
#[derive(Clone, Copy, Debug)]
pub struct PoolJobs<'a> {
    /// What each asks for.
    pub resources: &'a JobResources,
    /// How many there are.
    pub jobs: u32,
}

/// How many jobs more that ask for `resources` fit under `limits`. Jobs of the user that are not ours are known by their
/// number only, so that they count where a limit is on all of the user's; elsewhere a refusal teaches the rest.
pub fn room(limits: &[Limit], resources: &JobResources, ours: &[PoolJobs<'_>], users_jobs: u32) -> u32 {
    let room_under = |limit: &Limit| {
        let most = limit.allowed.submitted?;
        let same = ours.iter().filter(|pool| limit.holds_for(pool.resources));
        let counted: u32 = same.map(|pool| pool.jobs).sum();
        let counted = if limit.is_the_users() { counted.max(users_jobs) } else { counted };
        Some(most.saturating_sub(counted))
    };
    let hold = limits.iter().filter(|limit| limit.holds_for(resources));
    hold.filter_map(room_under).min().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::limits::Allowed;

    #[test]
    fn jobs_of_every_pool_that_a_limit_holds_for_count() {
        let in_queue = |queue: &str| JobResources {
            queue: Some(queue.to_owned()),
            ..JobResources::of_cores(1, Duration::from_secs(60))
        };
        let limit = |queue: Option<&str>, most: u32| Limit {
            queue: queue.map(str::to_owned),
            allowed: Allowed { submitted: Some(most), ..Allowed::default() },
            ..Limit::default()
        };
        let (short, long) = (in_queue("short"), in_queue("long"));
        let ours = [
            PoolJobs { resources: &short, jobs: 3 },
            PoolJobs { resources: &long, jobs: 4 },
            PoolJobs { resources: &short, jobs: 2 },
        ];
        for (limits, users_jobs, left) in [
            (vec![], 9, u32::MAX),
            (vec![limit(Some("short"), 10)], 9, 5),
            (vec![limit(Some("long"), 1)], 9, u32::MAX),
            (vec![limit(Some("short"), 2)], 9, 0),
            // A limit on all of the user's jobs: the greater of the two counts.
            (vec![limit(None, 20)], 12, 8),
            (vec![limit(None, 20)], 0, 11),
            (vec![limit(None, 20), limit(Some("short"), 6)], 12, 1),
        ] {
            assert_eq!(room(&limits, &short, &ours, users_jobs), left, "{limits:?} {users_jobs}");
        }
    }
}
