//! The probe job: staged, rendered, submitted, followed and removed as the daemon does with its own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::follow::{self, Followed, Stopped};
use super::{Ending, Report, Trial, judge};
use crate::jobscript::{ScriptError, ScriptInput, render};
use crate::model::causes::chain;
use crate::model::ids::{JobId, SchedulerJobId, Tag};
use crate::permit::{Permit, WithoutLease};
use crate::scheduler::{FindAnswer, SchedulerError, SubmitAnswer, SubmitRequest};
use crate::spool::SpoolError;
use crate::spool::atomic::{self, Access};
use crate::spool::layout::SubmissionDirectory;
use crate::spool::stage::stage_script;
use crate::spool::sweep::remove_submission;

/// What the probe job asks for; it takes a few seconds.
const WALLTIME: Duration = Duration::from_secs(60);
const WARNING: Duration = Duration::from_secs(15);
/// Of a pool that does not say.
const MEMORY_BYTES: u64 = 512 << 20;
/// Not 0: an exit code that is lost on the way looks like success.
pub(super) const EXIT_CODE: i32 = 7;
/// The job stays so long that a poll can see it run.
const LONGEST_STAY: Duration = Duration::from_secs(20);
/// Between two polls, if the pool does not ask for more often.
const POLL_INTERVAL: Duration = Duration::from_secs(10);
/// The variable by which the job knows our program.
const PROGRAM_VARIABLE: &str = "QCBATCH_CHECK_PROGRAM";
const STAY_VARIABLE: &str = "QCBATCH_CHECK_SECONDS";
/// Stands in the place of our program; called as `probe node DIRECTORY` by the pool's own script.
const RUNNER: &str = "#!/bin/sh
# qcbatch adapter check: stands in the place of the node runner and writes down what it sees.
new=\"$2/marker.new\"
{
    echo \"program=$(\"$QCBATCH_CHECK_PROGRAM\" --version 2>&1 | head -n 1)\"
    echo \"hostname=$(uname -n)\"
    echo \"scheduler_job_id=$QCBATCH_SCHEDULER_JOB_ID\"
    echo \"time=$(date +%s)\"
} >\"$new\"
mv \"$new\" \"$2/marker\"
sleep \"$QCBATCH_CHECK_SECONDS\"
exit 7
";

#[derive(Debug, thiserror::Error)]
enum StageError {
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    #[error(transparent)]
    Script(#[from] ScriptError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// Sends the job and adds what it showed to `report`.
pub(super) async fn send(trial: &Trial, report: &mut Report, progress: &(dyn Fn(&str) + Sync)) {
    let before = Timestamp::now();
    let tag = Tag::new(before.as_millisecond().unsigned_abs(), rand::random());
    let directory = trial.spool.submission(&trial.pool.name, &tag);
    let request = match stage(trial, &directory, &tag) {
        Ok(request) => request,
        Err(error) => {
            report.failed("job script", chain(&error));
            return remove(&directory, report);
        }
    };
    report.proven("job script", format!("template {} renders", trial.pool.template));
    let since = before - SignedDuration::from_mins(5);
    let unknown_before = trial.scheduler.find_by_tag(&tag, since).await;
    progress("submitting the probe job");
    let started = Instant::now();
    let id = match trial.scheduler.submit(&request, &WithoutLease).await {
        SubmitAnswer::Accepted { scheduler_job_id } => scheduler_job_id,
        SubmitAnswer::Refused { kind, message } => {
            report.failed("submit", format!("refused ({}): {message}", judge::refusal(kind)));
            return remove(&directory, report);
        }
        SubmitAnswer::NotCalled { message } => {
            report.failed("submit", message);
            return remove(&directory, report);
        }
        SubmitAnswer::Unclear { message } => {
            unclear(trial, &tag, since, message, report).await;
            report.kept = Some(directory.path().to_owned());
            return;
        }
    };
    report.scheduler_job_id = Some(id.to_string());
    report.proven("submit", format!("taken as {id} with tag {tag}"));
    let known_after = found(trial, &tag, since).await;
    judge::find_by_tag(report, &id, &unknown_before, &known_after);
    let interval = POLL_INTERVAL.min(trial.pool.poll_interval);
    let mut followed = follow::to_the_end(trial, &directory, &id, interval, progress).await;
    followed.submitted_before = started;
    conclude(trial, report, &id, &followed).await;
    match report.has_failures() {
        true => report.kept = Some(directory.path().to_owned()),
        false => remove(&directory, report),
    }
}

async fn conclude(trial: &Trial, report: &mut Report, id: &SchedulerJobId, followed: &Followed) {
    judge::states(report, followed);
    if let Some(stopped) = followed.stopped {
        if stopped == Stopped::TimedOut {
            report.ending = Ending::TimedOut;
        }
        judge::cancelled(report, followed, trial.timeout);
    }
    let ids = std::slice::from_ref(id);
    let mut books = trial.scheduler.post_mortem(ids).await;
    // Books lag behind.
    for _ in 0..5 {
        if followed.stopped.is_some() || judge::books_are_ready(&books, id) {
            break;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        books = trial.scheduler.post_mortem(ids).await;
    }
    judge::post_mortem(report, id, followed, &books);
    judge::exit_code(report, id, followed, &books);
    judge::node(report, trial, id, followed);
    if followed.stopped.is_none() {
        match trial.scheduler.cancel(ids, &WithoutLease).await {
            Ok(()) => {
                report.unproven("cancel", "only tried on the job when it had ended, which was taken well")
            }
            Err(error) => report.failed("cancel", error.to_string()),
        }
    }
    let missing = trial.scheduler.missing_verbs();
    let untried: Vec<&str> = ["hold", "release"].into_iter().filter(|verb| !missing.contains(verb)).collect();
    if !untried.is_empty() {
        report.unproven("hold, release", "not tried");
    }
}

/// Nobody knows whether it was taken: what carries the tag is cancelled.
async fn unclear(trial: &Trial, tag: &Tag, since: Timestamp, message: String, report: &mut Report) {
    tokio::time::sleep(trial.scheduler.lookup_gap()).await;
    let after = match trial.scheduler.find_by_tag(tag, since).await {
        FindAnswer::Known(ids) => match trial.scheduler.cancel(&ids, &WithoutLease).await {
            Ok(()) => format!("it was taken all the same, found by its tag as {ids:?} and cancelled"),
            Err(error) => format!("it was found by its tag as {ids:?}, but not cancelled: {error}"),
        },
        FindAnswer::NotKnown => format!("no job carries its tag {tag}"),
        FindAnswer::Unanswered { message } => {
            format!("whether a job carries its tag {tag} is not told: {message}")
        }
    };
    report.failed("submit", format!("the answer is unclear: {message}; {after}"));
}

/// Looks the tag up until it is known; schedulers may take a moment.
async fn found(trial: &Trial, tag: &Tag, since: Timestamp) -> FindAnswer {
    let mut answer = trial.scheduler.find_by_tag(tag, since).await;
    for _ in 0..5 {
        if matches!(answer, FindAnswer::Known(_)) {
            break;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        answer = trial.scheduler.find_by_tag(tag, since).await;
    }
    answer
}

fn stage(trial: &Trial, directory: &SubmissionDirectory, tag: &Tag) -> Result<SubmitRequest, StageError> {
    let pool = &trial.pool;
    let mut resources = pool.resources.clone();
    resources.walltime = WALLTIME;
    resources.cores = pool.cores.unwrap_or(1);
    resources.memory_bytes = resources.memory_bytes.or(Some(MEMORY_BYTES));
    let request = SubmitRequest {
        tag: tag.clone(),
        directory: directory.path().to_owned(),
        script: directory.script(),
        log: trial.scheduler.log_path(directory.path(), 1),
        array_size: 1,
        resources,
        warning: WARNING,
    };
    atomic::create_directory(directory.path())?;
    atomic::create_directory(directory.job(0).path())?;
    let runner = directory.path().join("probe");
    atomic::write_bytes(&runner, Access::Program, RUNNER.as_bytes())?;
    let facts = trial.scheduler.script_facts();
    let stay = (2 * POLL_INTERVAL.min(pool.poll_interval)).min(LONGEST_STAY);
    let own = BTreeMap::from([
        (PROGRAM_VARIABLE.to_owned(), trial.program.display().to_string()),
        (STAY_VARIABLE.to_owned(), stay.as_secs().max(1).to_string()),
    ]);
    let input = ScriptInput {
        template: pool.template.clone(),
        directives: trial.scheduler.directives(&request)?,
        scheduler_lines: facts.lines.clone(),
        array_index_variable: None,
        first_array_index: facts.first_array_index,
        scheduler_job_id: facts.job_id.clone(),
        launch: None,
        tag: tag.clone(),
        pool: pool.name.clone(),
        directory: request.directory.clone(),
        program: runner,
        job_ids: vec![JobId(0)],
        setup: pool.setup.clone(),
        setup_errors: pool.setup_errors,
        environment: pool.environment.clone().into_iter().chain(own).collect(),
        scratch: pool.scratch.clone(),
        warn_after: trial.scheduler.warns_itself().then(|| WALLTIME.saturating_sub(WARNING)),
    };
    stage_script(directory, &render(&input, &trial.templates)?)?;
    Ok(request)
}

fn remove(directory: &SubmissionDirectory, report: &mut Report) {
    if remove_submission(directory, &Permit::without_lease()).is_err() {
        report.kept = Some(directory.path().to_owned());
    }
}
