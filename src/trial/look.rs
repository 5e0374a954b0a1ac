//! Asks a scheduler what it is: programs, version, limits, services, the user's jobs. Changes nothing.

use super::{Report, Trial};
use crate::model::limits;
use crate::scheduler::{PollAnswer, Scheduler};

/// Without these nothing can be tried at all.
const INDISPENSABLE: [&str; 4] = ["submit", "find_by_tag", "poll", "cancel"];

/// Looks, and says whether a job can be tried.
pub(super) async fn look(trial: &Trial, report: &mut Report) -> bool {
    let scheduler = &trial.scheduler;
    let probed = scheduler.probe().await;
    // Also after a failed probe: a missing program is its likeliest cause.
    let programs = programs(scheduler, report);
    match probed {
        Ok(_) => {
            tell_limits_of_queues(trial, report).await;
            tell_capabilities(trial, report);
        }
        Err(error) => {
            let hint = "its commands must be in PATH or in `[scheduler] search_path`";
            report.failed("probe", format!("{error}; {hint}"));
            return false;
        }
    }
    if let Err(error) = scheduler.alive().await {
        report.failed("alive", error.to_string());
    }
    match scheduler.limits().await {
        Err(error) => report.failed("limits", error.to_string()),
        Ok(limits) => {
            let told = [("submitted", limits.submitted_max), ("running", limits.running_max)];
            let told: Vec<String> =
                told.iter().filter_map(|(name, most)| Some(format!("{} {name}", (*most)?))).collect();
            match told.is_empty() {
                true => report.unproven("limits", "the scheduler tells no limit on your jobs"),
                false => report.proven("limits", format!("at most {} jobs", told.join(", "))),
            }
        }
    }
    match scheduler.poll().await {
        PollAnswer::Valid { listed_all_users_jobs, .. } => {
            report.your_jobs = Some(listed_all_users_jobs);
            programs
        }
        PollAnswer::Invalid { message } => {
            report.failed("poll", message);
            false
        }
    }
}

/// What the pool's queue, quality of service and account allow.
async fn tell_limits_of_queues(trial: &Trial, report: &mut Report) {
    let scheduler = &trial.scheduler;
    for error in scheduler.learn_limits().await {
        report.unproven("queue limits", error.to_string());
    }
    let allowed = limits::allowed(&scheduler.known_limits(), &trial.pool.resources);
    if !allowed.is_all() {
        report.proven("queue limits", allowed.to_string());
    }
}

/// Whether every program is there that a job needs.
fn programs(scheduler: &Scheduler, report: &mut Report) -> bool {
    let needed = scheduler.needed_programs();
    let mut enough = true;
    for program in needed.iter().filter(|program| program.path.is_none()) {
        let used = program.verbs.join(", ");
        let detail =
            format!("`{}` is not in PATH nor in `[scheduler] search_path` (used for {used})", program.name);
        report.failed("commands", detail);
        enough &= !program.verbs.iter().any(|verb| INDISPENSABLE.contains(verb));
    }
    if needed.iter().all(|program| program.path.is_some()) {
        let paths: Vec<String> =
            needed.iter().filter_map(|program| Some(program.path.as_ref()?.display().to_string())).collect();
        report.proven("commands", paths.join(" "));
    }
    enough
}

fn tell_capabilities(trial: &Trial, report: &mut Report) {
    let scheduler = &trial.scheduler;
    let learned = scheduler.capabilities();
    report.version = learned.version.as_ref().map(ToString::to_string);
    report.cluster.clone_from(&learned.cluster);
    report.array_size_max = learned.array_size_max;
    report.services.clone_from(&learned.services);
    match &report.version {
        Some(version) => report.proven("version", version.clone()),
        None => report.unproven("version", "not told: an old one is assumed"),
    }
    match learned.array_size_max {
        Some(most) => report.proven("arrays", format!("at most {most} elements; none was submitted")),
        None => report.unproven("arrays", "the largest size is not told; none was submitted"),
    }
    let seconds = |time: Option<std::time::Duration>| time.map(|time| format!("{} s", time.as_secs()));
    let times = [
        ("clients give up after", learned.message_timeout),
        ("ended jobs stay listed for", learned.finished_kept),
        ("from TERM to KILL", scheduler.kill_wait(&trial.pool.resources)),
    ];
    let told: Vec<String> =
        times.into_iter().filter_map(|(name, time)| Some(format!("{name} {}", seconds(time)?))).collect();
    if !told.is_empty() {
        report.proven("settings", told.join(", "));
    }
    for (service, there) in &learned.services {
        let detail = format!("{service}: {}", if *there { "there" } else { "not there" });
        report.proven("services", detail);
    }
    let variants = scheduler.summary().variants;
    for (command, variant) in &variants {
        report.proven("variant", format!("{command}: {variant}"));
    }
    report.variants = variants;
}
