//! Deals waiting tasks into chunks, as many as the pilots will want before the next look. Pure.

use super::live::{LiveGroup, Phase};
use super::{ChunkPlan, Group, Unclaimed};
use crate::plan::packing::{Need, Shape};

/// Work in one chunk, for each slot of the runner that claims it, in seconds.
const CHUNK_SECONDS: f64 = 60.0;
/// Work that is staged ahead for each slot of a running job, in seconds.
const BUFFER_SECONDS: f64 = 30.0;
/// Chunks that are staged ahead at least, for each runner.
const BUFFER_CHUNKS: u64 = 2;
/// Less work than this is not worth a file of its own, in seconds.
const LEAST_SECONDS: f64 = 1.0;
/// Most tasks in one chunk.
const MOST_TASKS: u64 = 1000;
/// Most tasks staged ahead in one pool, for each priority.
const MOST_STAGED: u64 = 50_000;

/// What is staged ahead and who is there to claim it.
pub(super) struct Buffer<'a> {
    unclaimed: Vec<Unclaimed>,
    live: &'a [LiveGroup],
    /// Tasks that wait and were not read.
    unread: u64,
}

impl<'a> Buffer<'a> {
    /// What is staged so far, with `backlog` tasks that wait and `read` of them known.
    pub(super) fn new(unclaimed: &[Unclaimed], live: &'a [LiveGroup], backlog: usize, read: usize) -> Self {
        Buffer { unclaimed: unclaimed.to_vec(), live, unread: backlog.saturating_sub(read) as u64 }
    }

    /// Deals the tasks of `group` until enough is staged.
    pub(super) fn deal(&mut self, group: Group, shape: &Shape) -> Vec<ChunkPlan> {
        let crew = Crew::of(self.live, group.need);
        let mut dealt = Vec::new();
        if crew.runners == 0 {
            return dealt;
        }
        let mut tasks = group.tasks.into_iter().peekable();
        let mut left = tasks.len() as u64;
        while left > 0 {
            let ahead = self.ahead(group.compute_priority, group.need);
            if crew.has_enough(ahead) {
                break;
            }
            let losses = tasks.peek().map_or(0, |task| task.losses);
            let mean = tasks.peek().map_or(0.0, |task| task.expected_seconds);
            let most = crew.chunk_tasks(mean, left + self.unread + ahead.tasks, losses, shape);
            let mut chunk = ChunkPlan {
                compute_priority: group.compute_priority,
                need: group.need,
                expected_seconds: 0.0,
                tasks: Vec::new(),
            };
            let full = CHUNK_SECONDS * crew.slots_of_runner as f64;
            while (chunk.tasks.len() as u64) < most && chunk.expected_seconds < full {
                // One that was lost before does not draw others in.
                let Some(task) = tasks.next_if(|task| task.losses == losses) else { break };
                chunk.expected_seconds += task.expected_seconds;
                chunk.tasks.push(task.id);
            }
            left -= chunk.tasks.len() as u64;
            self.add(&chunk);
            dealt.push(chunk);
        }
        dealt
    }

    /// What is staged that is claimed before a new chunk of this priority and that the same jobs can take.
    fn ahead(&self, compute_priority: u8, need: Need) -> Ahead {
        let mut ahead = Ahead { chunks: 0, tasks: 0, seconds: 0.0 };
        let crew = |chunks: &&Unclaimed| {
            chunks.compute_priority >= compute_priority
                && self.live.iter().any(|group| group.fits(need) && group.fits(chunks.need))
        };
        for chunks in self.unclaimed.iter().filter(crew) {
            ahead.chunks += u64::from(chunks.chunks);
            ahead.tasks += u64::from(chunks.tasks);
            ahead.seconds += chunks.expected_seconds;
        }
        ahead
    }

    fn add(&mut self, chunk: &ChunkPlan) {
        let ChunkPlan { need, compute_priority, expected_seconds, .. } = *chunk;
        let tasks = u32::try_from(chunk.tasks.len()).unwrap_or(u32::MAX);
        let same = |one: &&mut Unclaimed| one.need == need && one.compute_priority == compute_priority;
        match self.unclaimed.iter_mut().find(same) {
            Some(one) => {
                one.chunks += 1;
                one.tasks += tasks;
                one.expected_seconds += expected_seconds;
            }
            None => {
                self.unclaimed.push(Unclaimed { need, compute_priority, chunks: 1, tasks, expected_seconds });
            }
        }
    }
}

/// What is staged.
#[derive(Clone, Copy)]
struct Ahead {
    chunks: u64,
    tasks: u64,
    seconds: f64,
}

/// The pilots that can run tasks of one need.
struct Crew {
    runners: u64,
    slots: u64,
    running_slots: u64,
    /// Of the largest of them.
    slots_of_runner: u64,
}

impl Crew {
    fn of(live: &[LiveGroup], need: Need) -> Crew {
        let mut crew = Crew { runners: 0, slots: 0, running_slots: 0, slots_of_runner: 1 };
        // Nothing is staged for jobs that wait for a person: it could not go to another pool.
        let takes = |group: &&LiveGroup| {
            group.jobs > 0 && group.phase != Phase::Blocked && group.fits(need) && group.tasks_left != Some(0)
        };
        for group in live.iter().filter(takes) {
            let slots = group.slots(need);
            crew.runners += group.runners();
            crew.slots += slots;
            crew.slots_of_runner = crew.slots_of_runner.max(slots / group.runners());
            if group.phase.runs() {
                crew.running_slots += slots;
            }
        }
        crew
    }

    /// Whether nobody will run dry before the next look. Jobs in the queue need no more than their first chunks: tasks
    /// that lie here cannot go to another pool.
    fn has_enough(&self, ahead: Ahead) -> bool {
        let enough_time = ahead.seconds >= BUFFER_SECONDS * self.running_slots as f64;
        let enough_chunks = ahead.chunks >= BUFFER_CHUNKS * self.runners;
        ahead.tasks >= MOST_STAGED || (enough_time && enough_chunks)
    }

    /// Most tasks of the next chunk, with `remaining` tasks that nobody has begun. Near the end chunks become small, so
    /// that all cores end together.
    fn chunk_tasks(&self, mean_seconds: f64, remaining: u64, losses: u32, shape: &Shape) -> u64 {
        let mean = mean_seconds.max(1e-6);
        let by_time = (CHUNK_SECONDS * self.slots_of_runner as f64 / mean) as u64;
        let worth_it = (LEAST_SECONDS / mean) as u64;
        let guided = remaining.div_ceil(2 * self.slots.max(1));
        // A task that was lost with its job may be why: it shares its next chunk with few.
        let by_losses = if losses > 0 { self.slots_of_runner } else { u64::MAX };
        let most = by_time.min(guided.max(worth_it)).min(MOST_TASKS).min(by_losses).max(1);
        shape.tasks_per_runner().map_or(most, |limit| part_of(u64::from(limit), most))
    }
}

/// The largest number up to `most` of a row that begins with `limit` and in which each one divides those before it:
/// chunks of such sizes, the larger first, fill a job up to its limit.
fn part_of(limit: u64, most: u64) -> u64 {
    let mut part = limit;
    let mut divisor = 2;
    while part > most && divisor <= part {
        if part.is_multiple_of(divisor) { part /= divisor } else { divisor += 1 }
    }
    part.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_a_job_with_a_limit_fill_it() {
        let sizes = |limit| [limit, 9, 7, 3, 1].map(|most| part_of(limit, most));
        assert_eq!(sizes(16), [16, 8, 4, 2, 1]);
        assert_eq!(sizes(100), [100, 5, 5, 1, 1]);
        assert_eq!(sizes(97), [97, 1, 1, 1, 1]);
        assert_eq!(sizes(1), [1, 1, 1, 1, 1]);
    }
}
