//! Whether a pool can ever run a task, and if not, why. Pure.

use crate::model::ids::PoolName;
use crate::model::resources::TaskResources;
use crate::model::timing::SYNTHETIC;

/// What a pool offers.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Its name.
    pub pool: PoolName,
    /// Programs it has; `*` is any.
    pub programs: Vec<String>,
    /// Compute tags it serves; `*` is any.
    pub compute_tags: Vec<String>,
    /// The most that one task may ask for; no limit where open.
    pub most: TaskResources,
}

/// What a task demands.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand<'a> {
    /// Programs it needs.
    pub required_programs: &'a [String],
    /// Its compute tag; `*` fits every pool.
    pub compute_tag: &'a str,
    /// The pool it was asked to run in.
    pub pool: Option<&'a PoolName>,
    /// What it asks for; open where it says nothing.
    pub asks: &'a TaskResources,
}

const GIB: f64 = (1u64 << 30) as f64;

/// Why `offer` can never run a task of this demand; nothing where it can.
pub fn misfit(offer: &Offer, demand: &Demand<'_>) -> Option<String> {
    if demand.pool.is_some_and(|asked| *asked != offer.pool) {
        return Some("another pool was asked for".to_owned());
    }
    let any = |words: &[String]| words.iter().any(|word| word == "*");
    let served = offer.compute_tags.iter().any(|tag| tag == demand.compute_tag);
    // Every pool has what measures it, for tasks that name the pool.
    let measured = demand.pool.is_some() && demand.required_programs == [SYNTHETIC];
    if demand.compute_tag != "*" && !any(&offer.compute_tags) && !served && !measured {
        return Some(format!("it does not serve compute tag `{}`", demand.compute_tag));
    }
    let has = |program: &&String| {
        offer.programs.contains(program) || (*program == SYNTHETIC && demand.pool.is_some())
    };
    let lacking = demand.required_programs.iter().find(|program| !has(program));
    if let Some(program) = lacking.filter(|_| !any(&offer.programs)) {
        return Some(format!("it does not have program `{program}`"));
    }
    too_large(demand.asks, &offer.most)
}

/// Why a task that asks for `asks` is too large where `most` is the most; nothing where it is not.
pub fn too_large(asks: &TaskResources, most: &TaskResources) -> Option<String> {
    if let (Some(cores), Some(most)) = (asks.cores, most.cores)
        && cores > most
    {
        return Some(format!("asks for {cores} cores, a job of the pool has {most}"));
    }
    if let (Some(gpus), Some(most)) = (asks.gpus, most.gpus)
        && gpus > most
    {
        let word = if gpus == 1 { "GPU" } else { "GPUs" };
        return Some(format!("asks for {gpus} {word}, a node of the pool has {most}"));
    }
    if let (Some(nodes), Some(most)) = (asks.nodes, most.nodes)
        && nodes > most
    {
        return Some(format!("asks for {nodes} nodes, a task of the pool gets {most}"));
    }
    if let (Some(memory), Some(most)) = (asks.memory_bytes, most.memory_bytes)
        && memory > most
    {
        let (asked, has) = (memory as f64 / GIB, most as f64 / GIB);
        return Some(format!("asks for {asked:.1} GiB, a job of the pool has {has:.1} GiB"));
    }
    if let (Some(seconds), Some(most)) = (asks.walltime_seconds, most.walltime_seconds)
        && seconds > most
    {
        let asked = seconds.div_ceil(60);
        return Some(format!("asks for {asked} min, a job of the pool has {} min for its tasks", most / 60));
    }
    None
}

/// Why no pool can ever run it, pool by pool; nothing where one can.
pub fn no_pool(offers: &[Offer], demand: &Demand<'_>) -> Option<String> {
    let reasons: Option<Vec<String>> = offers
        .iter()
        .map(|offer| misfit(offer, demand).map(|reason| format!("{}: {reason}", offer.pool)))
        .collect();
    reasons
        .filter(|reasons| !reasons.is_empty())
        .map(|reasons| format!("no pool can run it ({})", reasons.join("; ")))
}

/// Why a task that asks for so much memory can run nowhere: every pool has less. Nothing where one has as much, or no
/// limit.
pub fn more_memory_than_any(offers: &[Offer], asked_bytes: u64) -> Option<String> {
    let most = offers.iter().map(|offer| offer.most.memory_bytes).collect::<Option<Vec<u64>>>()?;
    let most = most.into_iter().max().filter(|most| asked_bytes > *most)?;
    let (asked, has) = (asked_bytes as f64 / GIB, most as f64 / GIB);
    Some(format!("{asked:.1} GiB of memory are asked for, and no pool has more than {has:.1} GiB"))
}

#[cfg(test)]
mod tests;
