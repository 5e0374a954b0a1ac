//! What a submission would look like, without storing or calling anything: `submit --dry-run`.

use super::planner;
use super::pools::Pool;
use super::site::Site;
use super::staging::{self, Runners};
use super::submitter::SubmitterError;
use crate::api::wire::PreviewedSubmission;
use crate::model::ids::{JobId, PoolName, TaskId};
use crate::model::resources::TaskResources;
use crate::model::task::Placement;
use crate::plan::fit::{self, Demand};
use crate::plan::packing::Waiting;
use crate::plan::pilots::{self, JobKind, Snapshot};
use crate::plan::predict::Expectation;

/// One calculation as far as packing is concerned.
pub struct PreviewedTask {
    /// Programs it needs.
    pub required_programs: Vec<String>,
    /// What it asks for.
    pub asks: TaskResources,
}

/// What all of them have in common.
pub struct PreviewOptions {
    /// The pool asked for.
    pub pool: Option<PoolName>,
    /// The compute tag.
    pub compute_tag: String,
    /// In jobs of their own or not.
    pub placement: Placement,
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// No pool is called so.
    #[error("there is no pool `{asked}`; the pools are {known}")]
    NoSuchPool {
        /// The name asked for.
        asked: PoolName,
        /// Those that exist.
        known: String,
    },
    /// No pool takes such tasks.
    #[error("no pool takes them: {reason}")]
    NoPool {
        /// The reasons, pool by pool.
        reason: String,
    },
    /// Rendering failed.
    #[error(transparent)]
    Script(#[from] SubmitterError),
}

/// The submissions that the first suiting pool would make, if it had nothing else to do.
pub fn preview(
    site: &Site,
    tasks: &[PreviewedTask],
    options: &PreviewOptions,
) -> Result<Vec<PreviewedSubmission>, PreviewError> {
    if let Some(asked) = options.pool.as_ref().filter(|asked| site.pool(asked).is_none()) {
        let known =
            site.pools.iter().map(|pool| format!("`{}`", pool.config.name)).collect::<Vec<_>>().join(", ");
        return Err(PreviewError::NoSuchPool { asked: asked.clone(), known });
    }
    let mut reasons = Vec::new();
    for pool in &site.pools {
        match suits(site, pool, tasks, options) {
            Ok(()) => return render(site, pool, tasks, options.placement),
            Err(reason) => reasons.push(format!("{}: {reason}", pool.config.name)),
        }
    }
    Err(PreviewError::NoPool { reason: reasons.join("; ") })
}

fn suits(site: &Site, pool: &Pool, tasks: &[PreviewedTask], options: &PreviewOptions) -> Result<(), String> {
    let offer = pool.offer();
    let misfit = tasks.iter().find_map(|task| {
        let demand = Demand {
            required_programs: &task.required_programs,
            compute_tag: &options.compute_tag,
            pool: options.pool.as_ref(),
            asks: &site.config.defaults.complete(&task.asks),
        };
        fit::misfit(&offer, &demand)
    });
    misfit.map_or(Ok(()), Err)
}

fn render(
    site: &Site,
    pool: &Pool,
    tasks: &[PreviewedTask],
    placement: Placement,
) -> Result<Vec<PreviewedSubmission>, PreviewError> {
    let waiting: Vec<Waiting> = (0..)
        .zip(tasks)
        .map(|(id, task)| Waiting {
            task_id: TaskId(id),
            placement,
            asks: task.asks.clone(),
            expectation: Expectation::default(),
            compute_priority: 1,
            tries: 0,
            losses: 0,
            last_failure: None,
            expected_seconds: super::pace::unknown(
                task.asks.walltime_seconds.unwrap_or(site.config.defaults.walltime.as_secs()),
            ),
        })
        .collect();
    let snapshot = Snapshot {
        waiting: &waiting,
        backlog: waiting.len(),
        unclaimed: &[],
        live: &[],
        free_jobs: pool.config.max_jobs,
    };
    let plan = pilots::plan(&snapshot, &pool.shape(), planner::defaults(site, pool));
    if let Some((_, reason)) = plan.unfit.first() {
        return Err(PreviewError::NoPool { reason: format!("{}: {reason}", pool.config.name) });
    }
    let mut previewed = Vec::new();
    for submission in plan.jobs {
        let tag = planner::new_tag();
        let directory = site.spool.submission(&pool.config.name, &tag);
        let (jobs, runners) = match submission.kind {
            JobKind::Pilots(jobs) => (jobs, Runners::OnEachNode),
            JobKind::Bound { .. } => (1, Runners::OnFirstNode),
        };
        let request = staging::request(pool, &directory, &tag, jobs, submission.resources);
        previewed.push(PreviewedSubmission {
            pool: pool.config.name.clone(),
            argv: pool.cluster.scheduler.submit_argv(&request).map_err(SubmitterError::from)?,
            script: staging::script(
                site,
                pool,
                &request,
                (1..=jobs).map(|id| JobId(i64::from(id))).collect(),
                runners,
            )?,
            jobs,
            tasks: submission.tasks,
        });
    }
    Ok(previewed)
}
