//! The promises of `plan::pilots`: nothing is staged twice or over a limit, everything that fits is staged in the end,
//! chunks shrink towards the end, and no job is submitted that is not wanted.

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::resources::{Filling, NodeSharing, TaskResources};
use crate::plan::packing::NodeSize;
use crate::plan::packing::tests::{DEFAULTS, GIB, shape, task};

fn tasks(count: i64, expected_seconds: f64) -> Vec<Waiting> {
    (0..count).map(|id| Waiting { expected_seconds, ..task(id) }).collect()
}

fn snapshot<'a>(waiting: &'a [Waiting], live: &'a [LiveGroup], free_jobs: u32) -> Snapshot<'a> {
    Snapshot { waiting, backlog: waiting.len(), unclaimed: &[], live, free_jobs }
}

fn pilots(phase: Phase, jobs: u32) -> LiveGroup {
    let left = Duration::from_secs(3600);
    let node = NodeSize { cores: 1, memory_bytes: 2 * GIB, gpus: 0 };
    LiveGroup { phase, jobs, nodes: 1, node, left, tasks_left: None }
}

fn jobs(plan: &Plan) -> Vec<u32> {
    plan.jobs
        .iter()
        .map(|jobs| match jobs.kind {
            JobKind::Pilots(count) => count,
            JobKind::Bound { .. } => 0,
        })
        .collect()
}

fn sizes(plan: &Plan) -> Vec<usize> {
    plan.chunks.iter().map(|chunk| chunk.tasks.len()).collect()
}

fn spread() -> Shape {
    Shape { filling: Filling::Spread, ..shape() }
}

#[test]
fn a_thousand_one_task_jobs_are_one_array() {
    let waiting = tasks(1000, 10.0);
    let one_each = Shape { tasks_per_job: Some(1), ..shape() };
    let planned = plan(&snapshot(&waiting, &[], 5000), &one_each, DEFAULTS);
    assert_eq!(jobs(&planned), [1000]);
    assert_eq!(sizes(&planned), vec![1; 1000]);
}

#[test]
fn a_shared_queue_gets_few_full_jobs_and_a_laptop_as_many_as_can_run() {
    let waiting = tasks(100, 360.0);
    assert_eq!(jobs(&plan(&snapshot(&waiting, &[], 20), &shape(), DEFAULTS)), [10], "ten hours of work");
    assert_eq!(jobs(&plan(&snapshot(&waiting, &[], 4), &spread(), DEFAULTS)), [4]);
    assert_eq!(jobs(&plan(&snapshot(&waiting[..3], &[], 4), &spread(), DEFAULTS)), [3]);
    let short = tasks(10, 1e-3);
    assert_eq!(jobs(&plan(&snapshot(&short, &[], 4), &spread(), DEFAULTS)), [1], "not worth a second start");
}

#[test]
fn jobs_that_are_there_are_counted_before_others_are_submitted() {
    let waiting = tasks(100, 360.0);
    let coming = [pilots(Phase::Coming, 10)];
    let planned = plan(&snapshot(&waiting, &coming, 20), &shape(), DEFAULTS);
    assert_eq!((jobs(&planned), planned.surplus.queued), (vec![], 0));
    let busy = [pilots(Phase::Busy, 6)];
    assert_eq!(jobs(&plan(&snapshot(&waiting, &busy, 20), &shape(), DEFAULTS)), [4], "they come to it");
    assert_eq!(jobs(&plan(&snapshot(&waiting[..3], &busy, 9), &spread(), DEFAULTS)), [3], "cores are free");
    let idle = [pilots(Phase::Idle, 2)];
    assert_eq!(jobs(&plan(&snapshot(&waiting[..3], &idle, 9), &spread(), DEFAULTS)), [1]);
}

#[test]
fn jobs_in_the_queue_that_nothing_is_left_for_are_too_many() {
    let coming = [pilots(Phase::Coming, 10), pilots(Phase::Busy, 5)];
    assert_eq!(plan(&snapshot(&[], &coming, 20), &shape(), DEFAULTS).surplus.queued, 10);
    let waiting = tasks(20, 360.0);
    let planned = plan(&snapshot(&waiting, &coming[..1], 20), &shape(), DEFAULTS);
    assert_eq!((jobs(&planned), planned.surplus.queued), (vec![], 8));
}

#[test]
fn a_blocked_job_counts_for_nothing_is_replaced_and_goes_when_the_work_is_done() {
    let waiting = tasks(12, 10.0);
    let blocked = [pilots(Phase::Blocked, 1)];
    let planned = plan(&snapshot(&waiting, &blocked, 4), &shape(), DEFAULTS);
    assert_eq!(
        (jobs(&planned), planned.surplus),
        (vec![1], Surplus::default()),
        "it stays while there is work"
    );
    assert!(!planned.chunks.is_empty(), "for the new one");
    let replaced = [blocked[0], pilots(Phase::Coming, 1)];
    let planned = plan(&snapshot(&waiting, &replaced, 4), &shape(), DEFAULTS);
    assert_eq!((jobs(&planned), planned.surplus), (vec![], Surplus::default()));
    let planned = plan(&snapshot(&[], &replaced, 4), &shape(), DEFAULTS);
    assert_eq!(planned.surplus, Surplus { queued: 1, blocked: 1 });
    let planned = plan(&snapshot(&waiting, &blocked, 0), &shape(), DEFAULTS);
    assert!(planned.chunks.is_empty(), "what is staged for a blocked job alone could not go to another pool");
}

#[test]
fn blocked_jobs_take_no_places_and_never_more_than_the_pool_has() {
    assert_eq!(
        [free_jobs(4, 0, 0), free_jobs(4, 3, 0), free_jobs(4, 3, 2), free_jobs(4, 4, 4)],
        [4, 1, 3, 4]
    );
    assert_eq!(
        [free_jobs(4, 8, 8), free_jobs(4, 7, 6), free_jobs(4, 9, 9), free_jobs(1, 1, 1)],
        [0, 1, 0, 1]
    );
}

#[test]
fn two_jobs_that_wait_long_count_as_one_and_both_are_kept() {
    let waiting = tasks(100, 360.0);
    let late = |count| [pilots(Phase::Late, count)];
    let planned = |live: &[LiveGroup]| plan(&snapshot(&waiting, live, 99), &shape(), DEFAULTS);
    assert_eq!((jobs(&planned(&late(10))), planned(&late(10)).surplus.queued), (vec![5], 0));
    assert_eq!((jobs(&planned(&late(20))), planned(&late(20)).surplus.queued), (vec![], 0));
    assert_eq!((jobs(&planned(&late(25))), planned(&late(25)).surplus.queued), (vec![], 5));
    let one_by_one = [late(1)[0]; 10];
    assert_eq!(jobs(&planned(&one_by_one)), [5], "each submitted by itself");
    let both = [pilots(Phase::Late, 10), pilots(Phase::Coming, 5)];
    assert_eq!((jobs(&planned(&both)), planned(&both).surplus.queued), (vec![], 0));
    assert_eq!(jobs(&planned(&late(1))), [10], "one counts for none: it may never come");
}

#[test]
fn after_a_cancel_pilots_in_the_queue_go_at_once() {
    let (soon, minute) = (Duration::from_secs(20), Duration::from_secs(60));
    assert_eq!(
        [patience(None), patience(Some(soon)), patience(Some(minute))],
        [minute, Duration::ZERO, minute]
    );
}

#[test]
fn staged_work_wants_jobs_too() {
    let need = need_of(&task(1), &shape(), DEFAULTS);
    let unclaimed = [Unclaimed { need, compute_priority: 1, chunks: 2, tasks: 20, expected_seconds: 7200.0 }];
    let snapshot = Snapshot { unclaimed: &unclaimed, ..snapshot(&[], &[], 9) };
    assert_eq!(jobs(&plan(&snapshot, &shape(), DEFAULTS)), [2]);
}

#[test]
fn what_was_not_read_wants_jobs_as_well() {
    let waiting = tasks(100, 36.0);
    let snapshot = Snapshot { backlog: 1000, ..snapshot(&waiting, &[], 99) };
    assert_eq!(jobs(&plan(&snapshot, &shape(), DEFAULTS)), [10]);
}

#[test]
fn chunks_hold_a_minute_for_each_slot_and_shrink_towards_the_end() {
    let waiting = tasks(200, 10.0);
    let idle = [pilots(Phase::Idle, 4)];
    let planned = plan(&snapshot(&waiting, &idle, 0), &spread(), DEFAULTS);
    assert_eq!(sizes(&planned), vec![6; 8], "a minute each, two for each job; more when these are claimed");
    let planned = plan(&snapshot(&waiting[..40], &idle, 0), &spread(), DEFAULTS);
    // What is staged and not begun counts as well: it is what the others still have before them.
    assert!(sizes(&planned).iter().all(|size| *size == 5), "{:?}", sizes(&planned));
    let planned = plan(&snapshot(&waiting[..8], &idle, 0), &spread(), DEFAULTS);
    assert_eq!(sizes(&planned), vec![1; 8]);
}

#[test]
fn null_tasks_are_staged_in_large_chunks_half_a_minute_ahead() {
    let waiting = tasks(20_000, 1e-3);
    let live = [pilots(Phase::Busy, 2)];
    let snapshot = Snapshot { backlog: 200_000, ..snapshot(&waiting, &live, 0) };
    let planned = plan(&snapshot, &spread(), DEFAULTS);
    assert_eq!(sizes(&planned), vec![1000; 20]);
}

#[test]
fn a_suspect_gets_a_job_of_its_own_and_a_task_lost_once_few_neighbours() {
    let mut waiting = tasks(100, 1e-3);
    waiting[0].losses = 2;
    waiting[1].losses = 1;
    waiting[2].placement = Placement::Dedicated;
    let planned = plan(&snapshot(&waiting, &[pilots(Phase::Idle, 1)], 2), &spread(), DEFAULTS);
    let bound: Vec<JobKind> = planned.jobs.iter().map(|jobs| jobs.kind.clone()).collect();
    let own = |id, placement| JobKind::Bound { task: TaskId(id), placement };
    assert_eq!(bound, [own(0, Placement::Shared), own(2, Placement::Dedicated)]);
    assert_eq!(planned.chunks[0].tasks, [TaskId(1)]);
}

#[test]
fn urgent_tasks_are_staged_although_enough_others_are() {
    let need = need_of(&task(1), &shape(), DEFAULTS);
    let unclaimed =
        [Unclaimed { need, compute_priority: 1, chunks: 50, tasks: 50_000, expected_seconds: 5e4 }];
    let mut waiting = tasks(2, 10.0);
    waiting[0].compute_priority = 2;
    let live = [pilots(Phase::Busy, 1)];
    let snapshot = Snapshot { unclaimed: &unclaimed, ..snapshot(&waiting, &live, 0) };
    let planned = plan(&snapshot, &spread(), DEFAULTS);
    assert_eq!(planned.chunks.len(), 1);
    assert_eq!((planned.chunks[0].compute_priority, &planned.chunks[0].tasks[..]), (2, &[TaskId(0)][..]));
}

#[test]
fn what_is_more_urgent_and_finds_no_job_is_not_kept_waiting_by_others() {
    let mut waiting = tasks(20, 10.0);
    waiting[0].compute_priority = 2;
    waiting[0].asks = TaskResources { cores: Some(4), ..TaskResources::default() };
    let planned = plan(&snapshot(&waiting, &[pilots(Phase::Busy, 2)], 0), &spread(), DEFAULTS);
    assert!(planned.chunks.is_empty(), "the small ones would keep every job at work");
}

#[test]
fn nothing_is_staged_where_nobody_can_come() {
    let waiting = tasks(20, 10.0);
    assert!(plan(&snapshot(&waiting, &[], 0), &spread(), DEFAULTS).chunks.is_empty());
    let last_minute = [LiveGroup { left: Duration::from_secs(5), ..pilots(Phase::Busy, 2) }];
    assert!(plan(&snapshot(&waiting, &last_minute, 0), &spread(), DEFAULTS).chunks.is_empty());
}

#[test]
fn a_pilot_asks_for_its_longest_task_and_its_share_of_the_work() {
    let waiting = tasks(40, 90.0);
    let planned = plan(&snapshot(&waiting, &[], 9), &shape(), DEFAULTS);
    let asked = planned.jobs[0].resources.walltime;
    assert_eq!(asked, Duration::from_secs(3600 + 2 * 3600 + 480 + 240), "twice an hour is 128 minutes");
    let short = Shape { walltime: Some(Duration::from_secs(5000)), ..shape() };
    let planned = plan(&snapshot(&waiting, &[], 9), &short, DEFAULTS);
    assert_eq!(planned.jobs[0].resources.walltime, Duration::from_secs(5000));
}

#[test]
fn a_task_over_several_nodes_has_whole_ones_to_itself_and_a_rank_on_every_core() {
    let wide = Waiting { asks: TaskResources { nodes: Some(3), ..Default::default() }, ..task(1) };
    let base = JobResources { nodes: 2, tasks: 4, ..shape().base };
    let shape = Shape { base, cores: Some(8), memory_bytes: Some(64 * GIB), task_nodes: 4, ..shape() };
    let planned = plan(&snapshot(&[wide.clone(), task(2)], &[], 10), &shape, DEFAULTS);
    let [bound, pilot] = &planned.jobs[..] else { panic!("{planned:#?}") };
    assert_eq!(bound.kind, JobKind::Bound { task: TaskId(1), placement: Placement::Shared });
    let JobResources { nodes, tasks, cores, sharing, .. } = bound.resources;
    assert_eq!((nodes, tasks, cores, sharing), (3, 48, 1, NodeSharing::Exclusive));
    let need = need_of(&wide, &shape, DEFAULTS);
    assert_eq!((need.cores, need.memory_bytes), (16, 64 * GIB), "what it leaves open is the whole node");
    assert_eq!((pilot.kind.clone(), pilot.resources.nodes), (JobKind::Pilots(1), 2));
    let fewer_ranks = TaskResources { cores: Some(4), memory_bytes: Some(GIB), ..wide.asks.clone() };
    let need = need_of(&Waiting { asks: fewer_ranks, ..wide.clone() }, &shape, DEFAULTS);
    assert_eq!((need.cores, need.memory_bytes), (4, GIB));

    let many: Vec<Waiting> = (0..20)
        .map(|id| if id < 10 { Waiting { task_id: TaskId(id), ..wide.clone() } } else { task(id) })
        .collect();
    let planned = plan(&snapshot(&many, &[], 4), &shape, DEFAULTS);
    assert_eq!(jobs(&planned), [0, 0, 1, 0], "half of the jobs first, the rest when the pilots have theirs");
    let urgent = |id| Waiting { compute_priority: 2, ..task(id) };
    let pressed: Vec<Waiting> = (10..20).map(urgent).chain(many[..10].to_vec()).collect();
    let planned = plan(&snapshot(&pressed, &[], 2), &shape, DEFAULTS);
    assert_eq!(jobs(&planned), [1, 0], "the more urgent are first");

    let wider = Waiting { asks: TaskResources { nodes: Some(5), ..Default::default() }, ..task(1) };
    let planned = plan(&snapshot(&[wider], &[], 10), &shape, DEFAULTS);
    let told = "asks for 5 nodes, a task of the pool gets 4";
    assert_eq!((planned.jobs.len(), &planned.unfit[0].1[..]), (0, told));
}

fn any_task() -> impl Strategy<Value = Waiting> {
    let any = (1u32..5, 1u64..9, 1u64..100, any::<bool>(), 0u8..3, 0u32..4, 0.0f64..1000.0, 0u32..3, 1u32..4);
    any.prop_map(|(cores, gib, minutes, alone, compute_priority, losses, expected_seconds, gpus, nodes)| {
        Waiting {
            placement: if alone { Placement::Dedicated } else { Placement::Shared },
            asks: TaskResources {
                cores: Some(cores),
                memory_bytes: Some(gib * GIB),
                walltime_seconds: Some(minutes * 60),
                gpus: Some(gpus),
                nodes: Some(nodes),
            },
            compute_priority,
            losses,
            expected_seconds,
            ..task(0)
        }
    })
}

fn any_shape() -> impl Strategy<Value = Shape> {
    let per_job = prop::option::of(1u32..8);
    let walltime = prop::option::of(1u64..200);
    (per_job, 1u32..6, any::<bool>(), prop::option::of(1u32..8), walltime, 1u32..4, 0u32..3).prop_map(
        |(tasks_per_job, max_array, many, cores, minutes, nodes, gpus)| Shape {
            base: JobResources { nodes, tasks: nodes, gpus, ..shape().base },
            task_nodes: gpus + 1,
            tasks_per_job,
            max_array,
            cores,
            walltime: minutes.map(|minutes| Duration::from_secs(minutes * 60)),
            filling: if many { Filling::Spread } else { Filling::Fill },
            ..shape()
        },
    )
}

fn any_live() -> impl Strategy<Value = LiveGroup> {
    let any = (0usize..5, 1u32..5, 1u32..4, 1u32..8, 1u64..16, 0u64..8000);
    any.prop_map(|(phase, jobs, nodes, cores, gib, seconds)| LiveGroup {
        phase: [Phase::Coming, Phase::Idle, Phase::Busy, Phase::Late, Phase::Blocked][phase],
        jobs,
        nodes,
        node: NodeSize { cores, memory_bytes: gib * GIB, gpus: cores % 3 },
        left: Duration::from_secs(seconds),
        tasks_left: None,
    })
}

fn numbered(mut waiting: Vec<Waiting>) -> Vec<Waiting> {
    for (id, task) in (0..).zip(&mut waiting) {
        task.task_id = TaskId(id);
    }
    waiting.sort_by_key(|task| std::cmp::Reverse(task.compute_priority));
    waiting
}

proptest! {
    #[test]
    fn nothing_twice_nothing_over_a_limit(
        waiting in prop::collection::vec(any_task(), 0..60), shape in any_shape(),
        live in prop::collection::vec(any_live(), 0..4), free in 0u32..20,
    ) {
        let waiting = numbered(waiting);
        let planned = plan(&snapshot(&waiting, &live, free), &shape, DEFAULTS);
        let by_id = |id: TaskId| waiting.iter().find(|task| task.task_id == id).unwrap();
        let mut seen = HashSet::new();
        let mut submitted = 0;
        for jobs in &planned.jobs {
            match jobs.kind {
                JobKind::Pilots(count) => {
                    prop_assert!(count > 0 && count <= shape.max_array);
                    submitted += count;
                }
                JobKind::Bound { task, .. } => {
                    submitted += 1;
                    prop_assert!(seen.insert(task), "{task} twice");
                    let need = need_of(by_id(task), &shape, DEFAULTS);
                    prop_assert!(need.cores <= jobs.resources.cores_per_node());
                    prop_assert!(need.nodes == jobs.resources.nodes && need.nodes <= shape.task_nodes);
                    prop_assert!(need.walltime_seconds <= jobs.resources.walltime.as_secs());
                }
            }
        }
        prop_assert!(submitted <= free);
        for chunk in &planned.chunks {
            prop_assert!(!chunk.tasks.is_empty() && chunk.tasks.len() <= 1000);
            prop_assert!(chunk.tasks.len() <= shape.tasks_per_runner().unwrap_or(1000) as usize);
            prop_assert!(chunk.need.gpus <= shape.base.gpus && chunk.need.nodes == 1);
            for task in &chunk.tasks {
                prop_assert!(seen.insert(*task), "{task} twice");
                prop_assert_eq!(need_of(by_id(*task), &shape, DEFAULTS), chunk.need);
                prop_assert_eq!(by_id(*task).compute_priority, chunk.compute_priority);
            }
        }
        for (id, reason) in &planned.unfit {
            prop_assert!(seen.insert(*id), "{id} both dealt and refused: {reason}");
        }
    }

    /// Jobs claim what is staged, work through it and come back for more, until nothing waits.
    #[test]
    fn everything_that_fits_is_staged_in_the_end(
        waiting in prop::collection::vec(any_task(), 1..60), shape in any_shape(), free in 1u32..20,
    ) {
        let mut waiting = numbered(waiting);
        for _ in 0..200 {
            let planned = plan(&snapshot(&waiting, &[], free), &shape, DEFAULTS);
            let gone: HashSet<TaskId> = planned.chunks.iter().flat_map(|chunk| chunk.tasks.iter().copied())
                .chain(planned.unfit.iter().map(|(id, _)| *id))
                .chain(planned.jobs.iter().filter_map(|jobs| match jobs.kind {
                    JobKind::Bound { task, .. } => Some(task),
                    JobKind::Pilots(_) => None,
                }))
                .collect();
            waiting.retain(|task| !gone.contains(&task.task_id));
            if waiting.is_empty() {
                return Ok(());
            }
            prop_assert!(!gone.is_empty(), "{} wait and nothing moves", waiting.len());
        }
        prop_assert!(false, "{} still wait", waiting.len());
    }

    #[test]
    fn enough_jobs_in_the_queue_are_enough(count in 1i64..300, seconds in 0.001f64..2000.0, shape in any_shape()) {
        let waiting = tasks(count, seconds);
        let first = plan(&snapshot(&waiting, &[], 1000), &shape, DEFAULTS);
        let coming: Vec<LiveGroup> = first.jobs.iter().filter_map(|jobs| match jobs.kind {
            JobKind::Pilots(count) => Some(LiveGroup {
                phase: Phase::Coming,
                jobs: count,
                nodes: jobs.resources.nodes,
                node: NodeSize {
                    cores: jobs.resources.cores_per_node(),
                    memory_bytes: jobs.resources.memory_bytes.unwrap_or(u64::MAX),
                    gpus: jobs.resources.gpus,
                },
                left: jobs.resources.walltime,
                tasks_left: shape.tasks_per_job.map(|most| u64::from(most) * u64::from(count)),
            }),
            JobKind::Bound { .. } => None,
        }).collect();
        let second = plan(&snapshot(&waiting, &coming, 1000), &shape, DEFAULTS);
        prop_assert!(second.jobs.is_empty(), "{:?}", second.jobs);
        prop_assert!(second.surplus.is_none());
    }
}
