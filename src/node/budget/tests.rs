//! The promises of `node::budget`.

use super::*;

const fn share(cores: u32, memory_bytes: u64) -> Share {
    Share { cores, memory_bytes, gpus: 0 }
}

fn side_by_side(job: Share, task: Share) -> usize {
    let mut budget = Budget::new(job.cores, job.memory_bytes, vec![]);
    std::iter::from_fn(|| budget.take(task)).take(100).count()
}

#[test]
fn the_scarcer_of_cores_and_memory_decides() {
    assert_eq!(side_by_side(share(8, 100), share(1, 10)), 8);
    assert_eq!(side_by_side(share(8, 100), share(1, 30)), 3);
    assert_eq!(side_by_side(share(8, 100), share(3, 1)), 2);
}

#[test]
fn a_task_larger_than_the_job_runs_alone_with_all_there_is() {
    let mut budget = Budget::new(4, 100, vec![]);
    let grant = budget.take(share(16, 1000)).unwrap();
    assert_eq!(grant.share, share(4, 100));
    assert_eq!(budget.take(share(1, 1)), None);
    budget.give_back(grant);
    assert_eq!(budget.take(share(1, 1)).unwrap().share, share(1, 1));
    assert_eq!(budget.take(share(4, 1)), None);
    assert_eq!(side_by_side(share(0, 0), share(1, 1)), 1);
}

#[test]
fn each_gpu_has_one_user_at_a_time() {
    let mut budget = Budget::new(8, 100, ["2", "5", "7"].map(String::from).to_vec());
    let task = |gpus: u32| Share { gpus, ..share(1, 1) };
    let one = budget.take(task(1)).unwrap();
    let two = budget.take(task(2)).unwrap();
    assert_eq!((one.gpus.clone(), two.gpus.clone()), (vec!["2".to_owned()], vec!["5".into(), "7".into()]));
    assert_eq!(budget.take(task(1)), None);
    assert!(budget.take(task(0)).is_some(), "a task without GPUs still has room");
    budget.give_back(two);
    assert_eq!(budget.take(task(1)).unwrap().gpus, ["5"]);
    budget.give_back(one);
    assert_eq!(budget.take(task(9)), None, "all three are wanted, one is in use");
}
