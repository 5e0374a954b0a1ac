//! Writes a submission's files into the spool: script, and for each job manifest and chunk. Idempotent: a daemon that
//! died half-way stages the same again.

use std::collections::HashMap;
use std::sync::Arc;

use super::forecast::{self, Asked};
use super::planner;
use super::pools::Pool;
use super::site::Site;
use super::submitter::SubmitterError;
use crate::jobscript::{Launch, ScriptInput, render};
use crate::model::chunk::ChunkNeed;
use crate::model::identity::SPOOL_FORMAT;
use crate::model::ids::{JobId, Tag, TaskId};
use crate::model::resources::JobResources;
use crate::model::task::{ExitRule, JobManifest, Placement, TaskOrder};
use crate::permit::{Guard, Permit};
use crate::plan::packing::{self, Waiting};
use crate::plan::predict::Expectation;
use crate::scheduler::SubmitRequest;
use crate::spool::SpoolError;
use crate::spool::layout::SubmissionDirectory;
use crate::spool::stage::{self, stage_job, stage_script};
use crate::store::staging::{JobOrders, StagedTask};
use crate::store::submission::SubmissionRow;

/// Jobs whose tasks are in memory at once.
const JOBS_AT_ONCE: usize = 100;

/// Which nodes of a job have a runner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Runners {
    /// Each: the job takes what is ready.
    OnEachNode,
    /// The first: the job was made for one task.
    OnFirstNode,
}

impl Runners {
    /// Of a job that is a pilot or not.
    fn of(jobs: &[JobOrders]) -> Runners {
        if jobs.iter().any(|job| job.pilot) { Runners::OnEachNode } else { Runners::OnFirstNode }
    }
}

/// What became of staging.
pub enum Staged {
    /// Everything is in place for this request.
    Ready(Box<SubmitRequest>),
    /// Every task that its jobs were made for was cancelled meanwhile.
    Empty,
    /// A runner has been in one of its job directories: the scheduler has it already.
    Started,
}

/// Stages `submission`.
pub async fn stage(
    site: &Arc<Site>,
    pool: &Pool,
    submission: &SubmissionRow,
) -> Result<Staged, SubmitterError> {
    let directory = site.spool.submission(&submission.pool, &submission.tag);
    let mut after = None;
    let mut work = 0;
    let mut job_ids = Vec::new();
    let mut runners = Runners::OnFirstNode;
    loop {
        let batch = site.store.orders(submission.id, after, JOBS_AT_ONCE).await?;
        let Some(last) = batch.last() else { break };
        after = Some(last.array_index);
        // Jobs of one submission are alike.
        runners = Runners::of(&batch);
        work += batch.iter().filter(|job| job.pilot || !job.orders.is_empty()).count();
        job_ids.extend(batch.iter().map(|job| job.job_id));
        let tasks = batch.iter().flat_map(|job| &job.orders).filter_map(Asked::staged);
        let expected = forecast::expectations(site, pool, tasks).await?;
        let jobs: Vec<StagedJob> = batch
            .into_iter()
            .map(|job| staged_job(site, pool, (submission, &directory), job, &expected))
            .collect();
        let directory = directory.clone();
        let permit = site.lease.permit().await?;
        if run_blocking(move || stage_jobs(&directory, jobs, &permit)).await? == stage::Staged::AlreadyStarted
        {
            return Ok(Staged::Started);
        }
    }
    if work == 0 {
        return Ok(Staged::Empty);
    }
    let request =
        request(pool, &directory, &submission.tag, submission.array_size, submission.resources.clone());
    let script = script(site, pool, &request, job_ids, runners)?;
    let permit = site.lease.permit().await?;
    run_blocking(move || {
        permit.check()?;
        stage_script(&directory, &script)
    })
    .await?;
    Ok(Staged::Ready(Box::new(request)))
}

/// Stages job after job, up to one that a runner has been in.
fn stage_jobs(
    directory: &SubmissionDirectory,
    jobs: Vec<StagedJob>,
    permit: &Permit,
) -> Result<stage::Staged, SpoolError> {
    let mut tasks = 0;
    for job in jobs {
        match stage_job(&directory.job(job.index), &job.manifest, job.orders, permit)? {
            stage::Staged::Ready { tasks: more } => tasks += more,
            stage::Staged::AlreadyStarted => return Ok(stage::Staged::AlreadyStarted),
        }
    }
    Ok(stage::Staged::Ready { tasks })
}

/// The request for a submission whose files are in `directory`.
pub fn request(
    pool: &Pool,
    directory: &SubmissionDirectory,
    tag: &Tag,
    array_size: u32,
    resources: JobResources,
) -> SubmitRequest {
    SubmitRequest {
        tag: tag.clone(),
        directory: directory.path().to_owned(),
        script: directory.script(),
        log: pool.cluster.scheduler.log_path(directory.path(), array_size),
        array_size,
        resources,
        warning: pool.config.warning,
    }
}

/// Renders the script of `request`.
pub fn script(
    site: &Site,
    pool: &Pool,
    request: &SubmitRequest,
    job_ids: Vec<JobId>,
    runners: Runners,
) -> Result<String, SubmitterError> {
    let facts = pool.cluster.scheduler.script_facts();
    let several = runners == Runners::OnEachNode && request.resources.nodes > 1;
    let launch = facts.launch.as_ref().filter(|_| several);
    let input = ScriptInput {
        template: pool.config.template.clone(),
        directives: pool.cluster.scheduler.directives(request)?,
        scheduler_lines: facts.lines.clone(),
        array_index_variable: facts.array_index_variable.clone().filter(|_| request.array_size > 1),
        first_array_index: facts.first_array_index,
        scheduler_job_id: facts.job_id.clone(),
        launch: launch.map(|launch| Launch { hosts: launch.hosts.clone(), command: launch.command.clone() }),
        warn_after: pool
            .cluster
            .scheduler
            .warns_itself()
            .then(|| request.resources.walltime.saturating_sub(request.warning)),
        tag: request.tag.clone(),
        pool: pool.config.name.clone(),
        directory: request.directory.clone(),
        program: site.program.clone(),
        job_ids,
        setup: pool.config.setup.clone(),
        setup_errors: pool.config.setup_errors,
        environment: pool.config.environment.clone(),
        scratch: pool.config.scratch.clone(),
    };
    Ok(render(&input, &site.templates)?)
}

/// One job's files before they are written.
struct StagedJob {
    index: u32,
    manifest: JobManifest,
    orders: Vec<TaskOrder>,
}

fn staged_job(
    site: &Site,
    pool: &Pool,
    (submission, directory): (&SubmissionRow, &SubmissionDirectory),
    job: JobOrders,
    expected: &HashMap<TaskId, Expectation>,
) -> StagedJob {
    let resources = &submission.resources;
    let expectation = |task: &StagedTask| expected.get(&task.task_id).copied().unwrap_or_default();
    let orders: Vec<TaskOrder> = job
        .orders
        .into_iter()
        .map(|task| {
            let expectation = expectation(&task);
            order(site, pool, resources, task, expectation)
        })
        .collect();
    // Programs on several nodes work in a directory that all of them see.
    let seen_by_all = !job.pilot && resources.nodes > 1;
    let scratch = match seen_by_all {
        true => Some(directory.job(job.array_index).path().to_owned()),
        false => pool.config.scratch.clone(),
    };
    let manifest = JobManifest {
        format: SPOOL_FORMAT,
        database: Some(site.database),
        job_id: job.job_id,
        tasks: u32::try_from(orders.len()).unwrap_or(u32::MAX),
        exit: match job.placement {
            Placement::Dedicated => ExitRule::Tasks,
            Placement::Shared => ExitRule::Runner,
        },
        cores: resources.cores_per_node(),
        memory_bytes: resources.memory_bytes.unwrap_or_else(|| most_memory(&orders)),
        walltime_seconds: resources.walltime.as_secs(),
        worker_command: vec![pool.config.worker_python.clone(), site.worker_script.display().to_string()],
        scratch: scratch.map(|path| path.display().to_string()),
        recycle_after: site.config.worker.recycle_after,
        heartbeat_seconds: site.config.worker.heartbeat.as_secs().max(1),
        gpus: resources.gpus,
        ready: job.pilot.then(|| site.spool.ready(&pool.config.name).display().to_string()),
        notices: Some(site.spool.notices(&pool.config.name).display().to_string()),
        idle_seconds: pool.config.idle.as_secs(),
        tasks_limit: pool.shape().tasks_per_runner().filter(|_| job.pilot),
        native_programs: site.config.worker.native_programs.clone(),
        recycle_growth_bytes: Some(site.config.worker.recycle_growth_bytes),
        result_bytes: Some(site.config.worker.result_bytes),
        mpiexec: pool.config.mpiexec.clone(),
        nodes: if job.pilot { resources.nodes } else { 1 },
        kill_wait_seconds: pool.cluster.scheduler.kill_wait(resources).map(|wait| wait.as_secs()),
        warning: pool.cluster.scheduler.script_facts().warning,
    };
    StagedJob { index: job.array_index, manifest, orders }
}

/// The order of one task: what the packer counted on when it made the job, and not more than the job got, should history
/// say more since.
fn order(
    site: &Site,
    pool: &Pool,
    job: &JobResources,
    task: StagedTask,
    expectation: Expectation,
) -> TaskOrder {
    let waiting = Waiting {
        task_id: task.task_id,
        placement: task.placement,
        asks: task.resources.clone(),
        expectation,
        compute_priority: 0,
        tries: task.tries,
        losses: task.losses,
        last_failure: task.last_failure,
        expected_seconds: 0.0,
    };
    let need = packing::need_of(&waiting, &pool.shape(), planner::defaults(site, pool));
    let memory_bytes = job.memory_bytes.map_or(need.memory_bytes, |most| need.memory_bytes.min(most));
    let order = task.into_order(ChunkNeed { memory_bytes, ..need.of_chunk() });
    let expected_seconds = expectation.seconds.map(|seconds| seconds.ceil() as u64);
    TaskOrder { nodes: need.nodes, expected_seconds, ..order }
}

fn most_memory(orders: &[TaskOrder]) -> u64 {
    orders.iter().map(|order| order.memory_bytes).max().unwrap_or(0)
}

async fn run_blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, SubmitterError>
where
    T: Send + 'static,
    E: Send + 'static,
    SubmitterError: From<E>,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => Ok(outcome?),
        Err(error) => Err(SubmitterError::Interrupted(error)),
    }
}
