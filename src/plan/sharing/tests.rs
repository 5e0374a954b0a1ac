//! The promises of `plan::sharing`: no task is lost or done twice, and idle jobs get work.

use proptest::prelude::*;

use super::*;
use crate::plan::pilots::Phase;

const GIB: u64 = 1 << 30;

fn need(cores: u32) -> Need {
    Need { cores, memory_bytes: GIB, walltime_seconds: 600, gpus: 0, nodes: 1 }
}

fn job(cores: u32, chunks: &[HeldChunk]) -> Hands {
    Hands {
        job: LiveGroup {
            phase: if chunks.is_empty() { Phase::Idle } else { Phase::Busy },
            jobs: 1,
            nodes: 1,
            node: NodeSize { cores, memory_bytes: 64 * GIB, gpus: 0 },
            left: Duration::from_secs(3600),
            tasks_left: None,
        },
        chunks: chunks.to_vec(),
    }
}

fn held(id: i64, tasks: u32, open: u32, seconds: u64) -> HeldChunk {
    HeldChunk { chunk: ChunkId(id), need: need(1), tasks, open, held_for: Duration::from_secs(seconds) }
}

fn gives(jobs: &[Hands]) -> Vec<(i64, u32)> {
    share(jobs, &[], 0).into_iter().map(|give| (give.chunk.0, give.keep)).collect()
}

#[test]
fn what_one_job_hoards_is_shared_with_those_that_have_nothing() {
    let mut jobs = vec![job(1, &[held(7, 400, 396, 4)])];
    jobs.extend((0..15).map(|_| job(1, &[])));
    assert_eq!(gives(&jobs), [(7, 24)], "395 are not begun; a sixteenth stays");
    assert_eq!(gives(&jobs[..1]), [], "nobody is idle");
    let staged = Unclaimed { need: need(1), compute_priority: 1, chunks: 1, tasks: 1, expected_seconds: 1.0 };
    assert_eq!(share(&jobs, &[staged], 0), [], "what lies there is taken first");
    let large = Unclaimed { need: need(8), ..staged };
    assert_eq!(share(&jobs, &[large], 0).len(), 1, "nobody idle can take what lies there");
}

#[test]
fn cores_that_are_idle_beside_a_straggler_count_and_jobs_that_cannot_take_it_do_not() {
    let hoard = job(2, &[held(7, 100, 52, 60)]);
    let straggler = job(8, &[held(8, 20, 1, 60)]);
    assert_eq!(gives(&[hoard.clone(), straggler.clone()]), [(7, 11)], "2 of 9 slots are the holder's");
    let small = Hands { chunks: vec![HeldChunk { need: need(4), ..held(7, 10, 5, 60) }], ..job(4, &[]) };
    assert_eq!(gives(&[small.clone(), job(3, &[])]), []);
    assert_eq!(gives(&[small.clone(), job(4, &[])]), [(7, 2)]);
    let mut spent = job(4, &[]);
    spent.job.tasks_left = Some(0);
    assert_eq!(gives(&[small.clone(), spent]), []);
    let mut ends = job(4, &[]);
    ends.job.left = Duration::from_secs(5);
    assert_eq!(gives(&[small, ends]), []);
}

#[test]
fn little_work_and_work_just_claimed_stay_where_they_are() {
    assert_eq!(gives(&[job(1, &[held(1, 400, 400, 1)]), job(1, &[])]), [], "claimed a moment ago");
    assert_eq!(gives(&[job(1, &[held(1, 1000, 500, 4)]), job(1, &[])]), [], "two seconds of work are left");
    assert_eq!(gives(&[job(4, &[held(1, 4, 4, 60)]), job(1, &[])]), [], "all are begun");
    assert_eq!(gives(&[job(1, &[held(1, 2, 2, 6)]), job(1, &[])]), [(1, 0)], "one waits behind a long one");
}

#[test]
fn a_chunk_that_takes_far_longer_than_a_minute_goes_back_though_nobody_is_idle() {
    assert_eq!(gives(&[job(1, &[held(1, 1000, 999, 30)])]), [(1, 4)], "14 s each: a minute of them stays");
    assert_eq!(gives(&[job(1, &[held(1, 1000, 1000, 90)])]), [(1, 0)], "nothing is done yet after 90 s");
    assert_eq!(gives(&[job(1, &[held(1, 60, 30, 30)])]), [], "half a minute is left");
}

#[test]
fn a_job_that_may_be_started_counts_as_idle_where_there_is_work_for_it() {
    let given = |open, new_jobs| -> Vec<u32> {
        share(&[job(1, &[held(1, 60, open, 22)])], &[], new_jobs).into_iter().map(|give| give.keep).collect()
    };
    assert_eq!((given(41, 0), given(41, 3)), (vec![], vec![10]), "a second each, forty are left");
    assert_eq!(given(11, 3), Vec::<u32>::new(), "ten seconds are not worth a start");
}

#[test]
fn the_idle_are_counted_once_for_several_holders() {
    let jobs = [job(1, &[held(1, 100, 100, 10)]), job(1, &[held(2, 100, 100, 10)]), job(1, &[])];
    assert_eq!(gives(&jobs), [(1, 49), (2, 7)], "the second has more than five minutes of work");
    let jobs = [job(1, &[held(1, 20, 11, 10)]), job(1, &[held(2, 20, 11, 10)]), job(1, &[])];
    assert_eq!(gives(&jobs), [(1, 5)], "one is enough for one idle slot");
}

proptest! {
    /// All tasks lie in one chunk at first, the worst that an estimate can do. What is asked back is dealt to idle jobs, and each
    /// round every job does as many tasks as it has slots: each task is done once, and nobody stands idle beside a hoard.
    #[test]
    fn no_task_is_lost_or_done_twice_and_idle_jobs_get_work(
        slots in prop::collection::vec(1u32..5, 1..8), tasks in 1u32..300, round in 2u64..40,
    ) {
        let mut jobs: Vec<Deal> = slots.iter().map(|_| Deal::default()).collect();
        jobs[0] = Deal { since: 0, tasks, left: (0..tasks).collect() };
        let (mut done, mut idle_beside_hoard): (Vec<u32>, u32) = (vec![], 0);
        let mut rounds = 0;
        while done.len() < tasks as usize {
            rounds += 1;
            prop_assert!(rounds <= tasks + 5, "it does not end");
            for (slots, deal) in slots.iter().zip(&mut jobs) {
                let begun = (*slots as usize).min(deal.left.len());
                done.extend(deal.left.drain(..begun));
            }
            let held = |deal: &Deal, id: usize| HeldChunk {
                chunk: ChunkId(id as i64),
                need: need(1),
                tasks: deal.tasks,
                open: deal.left.len() as u32,
                held_for: Duration::from_secs(round * u64::from(rounds - deal.since)),
            };
            let seen: Vec<Hands> = slots.iter().zip(&jobs).enumerate().map(|(id, (slots, deal))| {
                if deal.left.is_empty() { job(*slots, &[]) } else { job(*slots, &[held(deal, id)]) }
            }).collect();
            let mut waiting = vec![];
            for Give { chunk, keep, given } in share(&seen, &[], 0) {
                let (slots, deal) = (slots[chunk.0 as usize], &mut jobs[chunk.0 as usize]);
                let stay = (slots + keep) as usize;
                prop_assert!(stay < deal.left.len(), "asked for what it has begun");
                waiting.extend(deal.left.drain(stay..));
                deal.tasks -= given;
            }
            let idle: Vec<usize> = (0..jobs.len()).filter(|job| jobs[*job].left.is_empty()).collect();
            let hoard = slots.iter().zip(&jobs).any(|(slots, deal)| deal.left.len() as u32 > 2 * slots + 5);
            idle_beside_hoard += u32::from(!idle.is_empty() && waiting.is_empty() && hoard);
            let part = waiting.len().div_ceil(idle.len().max(1)).max(1);
            let mut parts = waiting.chunks(part);
            for job in idle {
                let left: Vec<u32> = parts.next().unwrap_or_default().to_vec();
                jobs[job] = Deal { since: rounds, tasks: left.len() as u32, left };
            }
            // Where nobody is idle, what went back is claimed by whoever is free first.
            let rest: Vec<u32> = parts.flatten().copied().collect();
            jobs[0].tasks += rest.len() as u32;
            jobs[0].left.extend(rest);
        }
        done.sort_unstable();
        prop_assert_eq!(done, (0..tasks).collect::<Vec<_>>());
        prop_assert!(idle_beside_hoard <= 5, "{idle_beside_hoard} rounds with idle jobs beside a hoard");
    }
}

/// What one job has in its hands.
#[derive(Default)]
struct Deal {
    since: u32,
    tasks: u32,
    left: Vec<u32>,
}
