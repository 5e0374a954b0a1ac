//! What keeps records from running, in sentences: the same for `status` and `show`. Pure.

use crate::model::ids::{JobId, PoolName, SchedulerJobId};

/// A job that waits for a person in its scheduler's queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockedInQueue {
    /// The job.
    pub job: JobId,
    /// The scheduler's id.
    pub scheduler_job_id: Option<SchedulerJobId>,
    /// What the scheduler says of it.
    pub reason: Option<String>,
}

/// What may keep a pool from getting on with its tasks.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct PoolFacts {
    /// Why it submits nothing, and until when.
    pub paused: Option<String>,
    /// What is wrong with its scheduler: it does not answer, say.
    pub scheduler: Option<String>,
    /// Why nothing starts in its queue, in the scheduler's words.
    pub closed: Option<String>,
    /// What is wrong with its files: the disk is full, say.
    pub spool: Option<String>,
    /// What is said of its blocked jobs.
    pub blocked: Option<String>,
    /// It has as many jobs as it may.
    pub full: Option<Full>,
}

/// Why a pool that has work submits no further job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// The configuration allows so many.
    MaxJobs(u32),
    /// The scheduler refused more within the last hour.
    SchedulersLimit,
}

/// What stands in a pool's way, the gravest first; nothing where it gets on.
pub fn obstacles(facts: &PoolFacts) -> Vec<String> {
    let PoolFacts { paused, scheduler, closed, spool, blocked, full } = facts;
    let paused = paused.as_ref().map(|reason| format!("it is paused: {reason}"));
    let scheduler = scheduler.as_ref().map(|trouble| format!("its scheduler: {trouble}"));
    let closed = closed.as_ref().map(|word| format!("its queue is closed ({word}): nothing starts there"));
    let spool = spool.as_ref().map(|trouble| format!("its files: {trouble}"));
    let full = full.map(|full| match full {
        Full::MaxJobs(most) => format!("it has as many jobs as it may (`max_jobs` is {most})"),
        Full::SchedulersLimit => "its scheduler took as many jobs as it allows".to_owned(),
    });
    [paused, scheduler, closed, spool, blocked.clone(), full].into_iter().flatten().collect()
}

/// Why a record waits, given what is stored of it and the pools that can run it with what stands in their way. As long as one
/// of them gets on, the record waits for its turn there.
pub fn because(stored: &str, pools: &[(PoolName, Vec<String>)]) -> String {
    if pools.is_empty() || pools.iter().any(|(_, obstacles)| obstacles.is_empty()) {
        return stored.to_owned();
    }
    let told = pools.iter().map(|(pool, obstacles)| format!("pool {pool}: {}", obstacles.join("; ")));
    format!("{stored}; {}", told.collect::<Vec<_>>().join("; "))
}

/// Jobs that are named one by one; of more, how many there are.
const NAMED: usize = 3;

/// What is said of a pool's blocked jobs; nothing where there are none.
pub fn blocked(jobs: &[BlockedInQueue]) -> Option<String> {
    let (subject, verb) = match jobs.len() {
        0 => return None,
        1 => ("one job is", "it does"),
        _ => ("jobs are", "they do"),
    };
    let named: Vec<String> = jobs.iter().take(NAMED).map(name).collect();
    let more = match jobs.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let count = if jobs.len() > 1 { format!("{} ", jobs.len()) } else { String::new() };
    Some(format!(
        "{count}{subject} blocked in the queue and {verb} not count: others are submitted for the work ({}{more})",
        named.join("; ")
    ))
}

fn name(job: &BlockedInQueue) -> String {
    let id = job.scheduler_job_id.as_ref().map(|id| format!(", `{id}` to the scheduler")).unwrap_or_default();
    let reason = job.reason.as_deref().unwrap_or("the scheduler gives no reason");
    format!("job {}{id}: {reason}", job.job)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocked_jobs_are_named_with_the_schedulers_words() {
        let job = |id: i64, reason: Option<&str>| BlockedInQueue {
            job: JobId(id),
            scheduler_job_id: Some(SchedulerJobId(format!("{id}00"))),
            reason: reason.map(str::to_owned),
        };
        assert_eq!(blocked(&[]), None);
        assert_eq!(
            blocked(&[job(7, Some("JobHeldUser"))]).as_deref(),
            Some(
                "one job is blocked in the queue and it does not count: others are submitted for the work (job 7, `700` to \
                 the scheduler: JobHeldUser)"
            )
        );
        let many: Vec<BlockedInQueue> = (1..=5).map(|id| job(id, None)).collect();
        let said = blocked(&many).unwrap();
        assert!(said.starts_with("5 jobs are blocked in the queue and they do not count"), "{said}");
        assert!(
            said.ends_with("job 3, `300` to the scheduler: the scheduler gives no reason; and 2 more)"),
            "{said}"
        );
    }

    #[test]
    fn each_cause_is_told_in_words_of_its_own() {
        let text = |text: &str| Some(text.to_owned());
        let none = PoolFacts::default();
        for (facts, told) in [
            (
                PoolFacts { paused: text("policy (paused until 12:00)"), ..none.clone() },
                "it is paused: policy (paused until 12:00)",
            ),
            (PoolFacts { scheduler: text("no answer"), ..none.clone() }, "its scheduler: no answer"),
            (
                PoolFacts { closed: text("DRAIN"), ..none.clone() },
                "its queue is closed (DRAIN): nothing starts there",
            ),
            (
                PoolFacts { spool: text("No space left on device"), ..none.clone() },
                "its files: No space left on device",
            ),
            (PoolFacts { blocked: text("one job is blocked"), ..none.clone() }, "one job is blocked"),
            (
                PoolFacts { full: Some(Full::MaxJobs(4)), ..none.clone() },
                "it has as many jobs as it may (`max_jobs` is 4)",
            ),
            (
                PoolFacts { full: Some(Full::SchedulersLimit), ..none.clone() },
                "its scheduler took as many jobs as it allows",
            ),
        ] {
            assert_eq!(obstacles(&facts), [told]);
        }
        assert!(obstacles(&none).is_empty());
    }

    #[test]
    fn a_record_waits_for_the_pool_that_gets_on_and_is_told_why_where_none_does() {
        let pool = |name: &str, obstacles: &[&str]| {
            (PoolName(name.to_owned()), obstacles.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>())
        };
        let stored = "waits for a free job slot in a pool with psi4";
        assert_eq!(because(stored, &[]), stored);
        assert_eq!(because(stored, &[pool("a", &["it is paused: x"]), pool("b", &[])]), stored);
        assert_eq!(
            because(stored, &[pool("a", &["it is paused: x", "its files: y"]), pool("b", &["its files: z"])]),
            format!("{stored}; pool a: it is paused: x; its files: y; pool b: its files: z")
        );
    }
}
