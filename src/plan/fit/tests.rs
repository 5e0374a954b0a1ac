//! The promises of `plan::fit`: who cannot run a task is told why, by every pool.

use super::*;

fn offer(pool: &str, programs: &[&str], cores: u32) -> Offer {
    Offer {
        pool: PoolName(pool.to_owned()),
        programs: programs.iter().map(|word| (*word).to_owned()).collect(),
        compute_tags: vec!["*".to_owned()],
        most: TaskResources { cores: Some(cores), ..Default::default() },
    }
}

fn ask(cores: u32) -> TaskResources {
    TaskResources { cores: Some(cores), ..Default::default() }
}

#[test]
fn a_task_that_no_pool_can_run_says_why_of_each() {
    let offers = [offer("small", &["*"], 4), offer("large", &["mopac"], 64)];
    let programs = ["psi4".to_owned()];
    let (sixteen, two) = (ask(16), ask(2));
    let demand = Demand { required_programs: &programs, compute_tag: "*", pool: None, asks: &sixteen };
    assert_eq!(
        no_pool(&offers, &demand).unwrap(),
        "no pool can run it (small: asks for 16 cores, a job of the pool has 4; large: it does not have program `psi4`)"
    );
    assert_eq!(no_pool(&offers, &Demand { asks: &two, ..demand }), None);
}

#[test]
fn a_task_with_more_gpus_than_any_pool_has_says_so() {
    let with = |pool: &str, gpus| {
        let offer = offer(pool, &["*"], 4);
        Offer { most: TaskResources { gpus: Some(gpus), ..offer.most.clone() }, ..offer }
    };
    let offers = [with("cpu", 0), with("gpu", 2)];
    let reason = |gpus| {
        let asks = TaskResources { gpus: Some(gpus), ..Default::default() };
        let demand = Demand { required_programs: &[], compute_tag: "*", pool: None, asks: &asks };
        no_pool(&offers, &demand)
    };
    assert_eq!((reason(0), reason(1), reason(2)), (None, None, None));
    let told = "no pool can run it (cpu: asks for 3 GPUs, a node of the pool has 0; gpu: asks for 3 GPUs, a node of the pool has 2)";
    assert_eq!(reason(3).as_deref(), Some(told));
}

#[test]
fn every_pool_has_synthetic_tasks_that_name_it() {
    let only_weekly = Offer { compute_tags: vec!["weekly".to_owned()], ..offer("p", &["mopac"], 4) };
    let (offers, programs, asks) = ([only_weekly], ["synthetic".to_owned()], ask(1));
    let named = PoolName("p".to_owned());
    let demand =
        Demand { required_programs: &programs, compute_tag: "bench-1", pool: Some(&named), asks: &asks };
    assert_eq!(no_pool(&offers, &demand), None);
    assert!(
        no_pool(&offers, &Demand { pool: None, compute_tag: "*", ..demand }).unwrap().contains("synthetic")
    );
}

#[test]
fn a_tag_that_nobody_serves_is_named() {
    let offers = [Offer { compute_tags: vec!["gpu".to_owned()], ..offer("p", &["*"], 4) }];
    let asks = ask(1);
    let demand = Demand { required_programs: &[], compute_tag: "big", pool: None, asks: &asks };
    assert!(no_pool(&offers, &demand).unwrap().contains("compute tag `big`"));
    assert_eq!(no_pool(&offers, &Demand { compute_tag: "*", ..demand.clone() }), None);
    assert_eq!(no_pool(&offers, &Demand { compute_tag: "gpu", ..demand }), None);
}

#[test]
fn more_memory_than_any_pool_has_is_told_unless_one_has_no_limit() {
    let with = |memory_bytes: Option<u64>| {
        let offer = offer("local", &["*"], 4);
        Offer { most: TaskResources { memory_bytes, ..offer.most.clone() }, ..offer }
    };
    let gib = 1u64 << 30;
    let offers = [with(Some(8 * gib)), with(Some(23 * gib))];
    assert_eq!(
        more_memory_than_any(&offers, 400 * gib).unwrap(),
        "400.0 GiB of memory are asked for, and no pool has more than 23.0 GiB"
    );
    assert_eq!(more_memory_than_any(&offers, 20 * gib), None);
    assert_eq!(more_memory_than_any(&[with(Some(8 * gib)), with(None)], 400 * gib), None);
}
