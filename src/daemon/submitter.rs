//! Leads planned submissions to their scheduler, one loop per cluster, and unclear ones back to certainty.
//!
//! The intent (`submitting`) is committed before the scheduler is called. Whatever happens after that line — a time-out,
//! an unreadable id, a dead daemon — the next pass finds the row and looks the tag up before anything else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use thiserror::Error;

use super::clusters::Cluster;
use super::lease::Predecessor;
use super::looks::{self, LOOK_LIMIT};
use super::pools::Pool;
use super::site::Site;
use super::staging::{self, Staged};
use super::troubles::chain;
use crate::failpoint::{self, FailPoint};
use crate::jobscript::ScriptError;
use crate::model::ids::{PoolName, SchedulerJobId, SubmissionId};
use crate::model::job::SubmissionState;
use crate::permit::NotPermitted;
use crate::plan::outage::Retry;
use crate::plan::submission::{
    Client, LookupPolicy, OpenSubmission, Pace, Sorted, SubmissionStep, next_step, sort_copies, turn,
};
use crate::scheduler::{FindAnswer, Refusal, SchedulerError, SubmitAnswer, SubmitRequest};
use crate::spool::SpoolError;
use crate::spool::evidence;
use crate::store::StoreError;
use crate::store::submission::{Certainty, SubmissionNote, SubmissionRow};

/// A look-up asks for jobs made since this long before the call: clocks of two hosts differ, and a tag is never used twice.
const CLOCK_SLACK: Duration = Duration::from_secs(24 * 3600);

/// Why a submission did not go on in this pass.
#[derive(Debug, Error)]
pub enum SubmitterError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The spool: full, or not writable.
    #[error("failed to stage its files")]
    Spool(#[from] SpoolError),
    /// What its jobs wrote cannot be read.
    #[error("failed to look whether its jobs have begun")]
    Evidence(#[source] SpoolError),
    /// The template.
    #[error("failed to render its job script")]
    Script(#[from] ScriptError),
    /// The adapter cannot express the request.
    #[error("failed to make its directives")]
    Scheduler(#[from] SchedulerError),
    /// The lease cannot be shown.
    #[error(transparent)]
    NotPermitted(#[from] NotPermitted),
    /// The runtime is shutting down.
    #[error("interrupted while staging")]
    Interrupted(#[source] tokio::task::JoinError),
}

/// Submits until shutdown.
pub async fn run(site: Arc<Site>, cluster: Arc<Cluster>) {
    let subject = format!("submitter {}", cluster.name);
    let mut lookups = Lookups::default();
    loop {
        let outcome = submit_all(&site, &cluster, &mut lookups).await;
        site.settle(&subject, outcome);
        tokio::select! {
            () = site.shutdown.cancelled() => return,
            () = site.submitter_bell.notified() => {}
            () = tokio::time::sleep(site.config.daemon.tick) => {}
        }
    }
}

/// When this process last heard that a tag is not known. What the database counts must have passed by this clock as well,
/// which nobody sets. Losing it means that the database's clock alone counts.
type Lookups = HashMap<SubmissionId, Instant>;

async fn submit_all(
    site: &Arc<Site>,
    cluster: &Arc<Cluster>,
    lookups: &mut Lookups,
) -> Result<(), StoreError> {
    let retry = cluster.take_recovery();
    if retry == Retry::AtOnce {
        let pools = site.pools.iter().filter(|pool| Arc::ptr_eq(&pool.cluster, cluster));
        pools.for_each(|pool| pool.scheduler_is_back());
    }
    let mut open = site.store.open_submissions(site.name()).await?;
    lookups.retain(|id, _| open.iter().any(|submission| submission.id == *id));
    let pace = |pool: &PoolName| site.pool(pool).map(|pool| pool.submission_pace()).unwrap_or_default();
    open.sort_by_key(|submission| turn(submission.state, pace(&submission.pool)));
    for submission in open {
        if site.shutdown.is_cancelled() {
            return Ok(());
        }
        let Some(pool) = site.pool(&submission.pool) else {
            site.troubles.note(
                &format!("pool {}", submission.pool),
                "has submissions but is no longer configured; put it back to let them go on",
            );
            continue;
        };
        let began = Instant::now();
        let outcome = match concern(site, pool, cluster, &submission) {
            Concern::Lead => lead(site, pool, cluster, &submission, (lookups, retry)).await,
            Concern::Withdraw => withdraw_moved(site, pool, &submission).await,
            Concern::Stranded => {
                let home = home(pool, &submission);
                let message = format!(
                    "whether `{home}` took it is not known, and no pool has that adapter any more: its tasks wait until \
                     one has it again"
                );
                site.troubles.note(&subject_of(&submission), message);
                continue;
            }
            Concern::NotOurs => continue,
        };
        match outcome {
            Ok(()) => site.troubles.clear(&subject_of(&submission)),
            Err(SubmitterError::Store(error)) => return Err(error),
            Err(error) => site.troubles.note(&subject_of(&submission), chain(&error)),
        }
        if pool.note_submission(Pace::of(began.elapsed())) == Pace::Slow {
            // Others may have something to submit by now, and go first.
            return Ok(());
        }
    }
    Ok(())
}

/// What a submission is to the submitter of one cluster.
enum Concern {
    /// It goes through this cluster.
    Lead,
    /// It was to go through the adapter that its pool had before, and never did.
    Withdraw,
    /// It may have gone through an adapter that nobody has any more.
    Stranded,
    NotOurs,
}

/// A pool's adapter may have been changed since the submission was planned. Only the scheduler that was called can tell
/// what became of the call: another one's "not known" would have it submitted twice.
fn concern(site: &Site, pool: &Pool, cluster: &Arc<Cluster>, submission: &SubmissionRow) -> Concern {
    let home = home(pool, submission);
    let (goes_through, has_pool) = (home == cluster.name, Arc::ptr_eq(&pool.cluster, cluster));
    match submission.state {
        _ if goes_through && has_pool => Concern::Lead,
        SubmissionState::Planned if has_pool => Concern::Withdraw,
        SubmissionState::Planned => Concern::NotOurs,
        _ if goes_through => Concern::Lead,
        // It is looked up again where it went, or not at all.
        SubmissionState::Accepted => Concern::NotOurs,
        _ if has_pool && !site.clusters.iter().any(|other| other.name == home) => Concern::Stranded,
        _ => Concern::NotOurs,
    }
}

/// The adapter that a submission goes through.
fn home<'a>(pool: &'a Pool, submission: &'a SubmissionRow) -> &'a str {
    submission.cluster.as_deref().unwrap_or(&pool.cluster.name)
}

/// Submitted now, its jobs would be looked for where they are not. Should one have started after all, it is adopted.
async fn withdraw_moved(site: &Site, pool: &Pool, submission: &SubmissionRow) -> Result<(), SubmitterError> {
    let before = site.clusters.iter().find(|cluster| cluster.name == home(pool, submission));
    if let Some(cluster) = before
        && let Some(id) = id_by_evidence(site, cluster, submission).await?
    {
        return accept(site, cluster, submission, (submission.state, Certainty::Doubtful), id).await;
    }
    let reason = format!("pool {} goes through `{}` now", pool.config.name, pool.cluster.name);
    site.writer.withdraw_submission(submission.id, &reason).await?;
    site.planner_bell.notify_one();
    Ok(())
}

fn subject_of(submission: &SubmissionRow) -> String {
    format!("submission {}", submission.tag)
}

async fn lead(
    site: &Arc<Site>,
    pool: &Pool,
    cluster: &Cluster,
    submission: &SubmissionRow,
    (lookups, retry): (&mut Lookups, Retry),
) -> Result<(), SubmitterError> {
    let scheduler = &cluster.scheduler;
    let ours = lookups.get(&submission.id).map(Instant::elapsed);
    let known = OpenSubmission {
        state: submission.state,
        called_ago: submission.called_ago,
        empty_lookups: submission.empty_lookups,
        empty_lookup_ago: submission.empty_lookup_ago.map(|ago| ours.map_or(ago, |ours| ago.min(ours))),
        // Its pool may still be paused for a reason of its own.
        wait: submission.wait.filter(|_| retry == Retry::InTime),
        rechecks: submission.rechecks,
        rechecked_ago: submission.rechecked_ago,
    };
    let client = client(site, pool, cluster, submission);
    let policy = LookupPolicy { gap: scheduler.lookup_gap(), client_timeout: scheduler.submit_timeout() };
    match next_step(known, client, policy) {
        SubmissionStep::Submit if pool.paused().is_some() => Ok(()),
        SubmissionStep::Submit => submit(site, pool, submission).await,
        SubmissionStep::LookUp => {
            if look_up(site, cluster, submission).await? == LookedUp::NotKnown {
                lookups.insert(submission.id, Instant::now());
            }
            Ok(())
        }
        SubmissionStep::PlanAgain => {
            let unknown = "the scheduler answered twice that it does not know the tag";
            let said = match &submission.last_error {
                Some(error) => format!("{unknown}; the call before said: {error}"),
                None => unknown.to_owned(),
            };
            // A refusal in words that no adapter knows looks like this: not again and again at full speed.
            let wait = pool.unclear_again(submission.calls, &said);
            if wait.is_some() {
                cluster.refused_for_now();
            }
            let note = SubmissionNote { error: Some(said), wait, certainty: Certainty::Doubtful };
            site.writer
                .move_submission(submission.id, submission.state, SubmissionState::Planned, note)
                .await?;
            Ok(())
        }
        SubmissionStep::LookForCopies => look_for_copies(site, cluster, submission).await,
        SubmissionStep::Wait => Ok(()),
    }
}

/// Whether the client of an earlier call can still be at work. Only calls of a daemon that died need to be asked about:
/// this one waits for its own.
fn client(site: &Site, pool: &Pool, cluster: &Cluster, submission: &SubmissionRow) -> Client {
    if matches!(submission.state, SubmissionState::Planned | SubmissionState::Accepted) {
        return Client::Gone;
    }
    let directory = site.spool.submission(&submission.pool, &submission.tag);
    let resources = submission.resources.clone();
    let request = staging::request(pool, &directory, &submission.tag, submission.array_size, resources);
    let here = submission.fence == site.writer.fence() || site.lease.before == Predecessor::Here;
    if here && cluster.scheduler.client_is_gone(&request) { Client::Gone } else { Client::Perhaps }
}

async fn submit(site: &Arc<Site>, pool: &Pool, submission: &SubmissionRow) -> Result<(), SubmitterError> {
    let request = match staging::stage(site, pool, submission).await {
        Ok(Staged::Ready(request)) => *request,
        Ok(Staged::Started) => {
            site.troubles.note(
                &subject_of(submission),
                "a job of it has started although no call was answered: it is looked up, not submitted again",
            );
            look_up(site, &pool.cluster, submission).await?;
            return Ok(());
        }
        Err(error @ (SubmitterError::Scheduler(_) | SubmitterError::Script(_))) => {
            // As it is planned it can never be submitted (a changed limit, a changed template): plan it anew.
            let reason = chain(&error);
            site.writer.withdraw_submission(submission.id, &reason).await?;
            pool.refused(&reason);
            return Err(error);
        }
        Err(error) => return Err(error),
        Ok(Staged::Empty) => {
            site.writer.withdraw_submission(submission.id, "every task of it was cancelled").await?;
            return Ok(());
        }
    };
    failpoint::hit(FailPoint::SubmissionStaged);
    let taken = site
        .writer
        .move_submission(
            submission.id,
            SubmissionState::Planned,
            SubmissionState::Submitting,
            SubmissionNote::default(),
        )
        .await?;
    if !taken {
        return Ok(());
    }
    failpoint::hit(FailPoint::SubmissionCommitted);
    let answer = pool.cluster.scheduler.submit(&request, site.lease.as_ref()).await;
    failpoint::hit(FailPoint::SubmitAnswered);
    settle(site, pool, submission, &request, answer).await
}

async fn settle(
    site: &Arc<Site>,
    pool: &Pool,
    submission: &SubmissionRow,
    request: &SubmitRequest,
    answer: SubmitAnswer,
) -> Result<(), SubmitterError> {
    let (from, writer) = (SubmissionState::Submitting, &site.writer);
    match answer {
        SubmitAnswer::Accepted { scheduler_job_id } => {
            tracing::info!(
                submission.id = submission.id.0, tag = %submission.tag, %scheduler_job_id, jobs = request.array_size,
                "submitted",
            );
            accept(site, &pool.cluster, submission, (from, Certainty::Clear), scheduler_job_id).await?;
            pool.accepted(request.array_size);
            pool.cluster.took_submission();
        }
        SubmitAnswer::NotCalled { message } => {
            // Surely nobody was called. A daemon that lost its lease cannot store that; its successor looks the tag up.
            tracing::warn!(submission.id = submission.id.0, tag = %submission.tag, message, "not submitted");
            writer
                .move_submission(submission.id, from, SubmissionState::Planned, SubmissionNote::said(message))
                .await?;
        }
        SubmitAnswer::Unclear { message } => {
            tracing::warn!(submission.id = submission.id.0, tag = %submission.tag, message, "unclear answer");
            let note = SubmissionNote { certainty: Certainty::Doubtful, ..SubmissionNote::said(message) };
            writer.move_submission(submission.id, from, SubmissionState::Unknown, note).await?;
        }
        SubmitAnswer::Refused { kind: Refusal::Permanent, message } => {
            tracing::error!(submission.id = submission.id.0, message, "the scheduler refused for good");
            writer.reject_submission(submission.id, from, &message).await?;
            pool.refused(&message);
            site.troubles.note(&pool.subject(), pool.paused().unwrap_or(message));
        }
        SubmitAnswer::Refused { kind: Refusal::Limit, message } if submission.array_size > 1 => {
            tracing::info!(submission.id = submission.id.0, message, "so many jobs at once are refused");
            pool.array_refused(submission.array_size);
            writer.reject_submission(submission.id, from, &message).await?;
            site.planner_bell.notify_one();
        }
        SubmitAnswer::Refused { kind: kind @ (Refusal::Limit | Refusal::Transient), message } => {
            let wait = match kind {
                Refusal::Limit => pool.limit_reached(&message),
                _ => {
                    pool.cluster.refused_for_now();
                    pool.refused_for_now(&message)
                }
            };
            let note = SubmissionNote { wait: Some(wait), ..SubmissionNote::said(message) };
            writer.move_submission(submission.id, from, SubmissionState::Planned, note).await?;
        }
    }
    Ok(())
}

/// Stores the scheduler's ids of a submission and of each of its jobs.
async fn accept(
    site: &Site,
    cluster: &Cluster,
    submission: &SubmissionRow,
    (from, certainty): (SubmissionState, Certainty),
    id: SchedulerJobId,
) -> Result<(), SubmitterError> {
    let scheduler = &cluster.scheduler;
    let elements = (0..submission.array_size)
        .map(|index| (index, scheduler.element_id(&id, index, submission.array_size)))
        .collect();
    site.writer.accept_submission(submission.id, from, &id, elements, certainty).await?;
    failpoint::hit(FailPoint::SubmissionAccepted);
    Ok(())
}

/// What a look-up found out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LookedUp {
    /// The scheduler answered that it does not know the tag.
    NotKnown,
    /// A job was found, or nobody answered.
    Otherwise,
}

async fn look_up(
    site: &Arc<Site>,
    cluster: &Cluster,
    submission: &SubmissionRow,
) -> Result<LookedUp, SubmitterError> {
    if let Some(id) = id_by_evidence(site, cluster, submission).await? {
        tracing::info!(tag = %submission.tag, scheduler_job_id = %id, "adopted by its own start record");
        // Others of the tag are found when it is looked up again.
        accept(site, cluster, submission, (submission.state, Certainty::Doubtful), id).await?;
        return Ok(LookedUp::Otherwise);
    }
    match cluster.scheduler.find_by_tag(&submission.tag, since(submission)).await {
        FindAnswer::Known(ids) => {
            if let Some(Sorted { kept, cancelled }) = sort_copies(&ids, &[], None) {
                tracing::info!(tag = %submission.tag, scheduler_job_id = %kept, "adopted by its tag");
                accept(site, cluster, submission, (submission.state, Certainty::Doubtful), kept).await?;
                cancel_copies(site, cluster, submission, &cancelled).await?;
            }
            Ok(LookedUp::Otherwise)
        }
        FindAnswer::NotKnown => {
            let empty = site.writer.count_empty_lookup(submission.id).await?;
            tracing::info!(tag = %submission.tag, empty, "the scheduler does not know the tag");
            Ok(LookedUp::NotKnown)
        }
        FindAnswer::Unanswered { message } => {
            site.troubles.note(&cluster.subject(), format!("look-up by tag: {message}"));
            Ok(LookedUp::Otherwise)
        }
    }
}

/// Before every call for the submission, whatever the scheduler's clock says.
fn since(submission: &SubmissionRow) -> Timestamp {
    let now = Timestamp::now();
    let span = submission.called_ago.unwrap_or_default().saturating_add(CLOCK_SLACK);
    now.checked_sub(span).unwrap_or(now)
}

/// Looks up the tag of a submission that was accepted after a doubt, and cancels what is too much.
async fn look_for_copies(
    site: &Arc<Site>,
    cluster: &Cluster,
    submission: &SubmissionRow,
) -> Result<(), SubmitterError> {
    match cluster.scheduler.find_by_tag(&submission.tag, since(submission)).await {
        FindAnswer::Known(ids) => {
            let begun = begun(site, cluster, submission).await?;
            let known = submission.scheduler_job_id.as_ref();
            if let Some(Sorted { cancelled, .. }) = sort_copies(&ids, &begun, known) {
                cancel_copies(site, cluster, submission, &cancelled).await?;
            }
        }
        FindAnswer::NotKnown => {}
        FindAnswer::Unanswered { message } => {
            site.troubles.note(&cluster.subject(), format!("look-up by tag: {message}"));
            return Ok(());
        }
    }
    site.writer.count_recheck(submission.id).await?;
    Ok(())
}

async fn cancel_copies(
    site: &Site,
    cluster: &Cluster,
    submission: &SubmissionRow,
    copies: &[SchedulerJobId],
) -> Result<(), SubmitterError> {
    if copies.is_empty() {
        return Ok(());
    }
    tracing::error!(tag = %submission.tag, ?copies, "more than one job has the tag; the others are cancelled");
    cluster.scheduler.cancel(copies, site.lease.as_ref()).await?;
    Ok(())
}

/// A job that wrote its start record was surely accepted, even if the scheduler has forgotten it.
async fn id_by_evidence(
    site: &Site,
    cluster: &Cluster,
    submission: &SubmissionRow,
) -> Result<Option<SchedulerJobId>, SubmitterError> {
    Ok(begun(site, cluster, submission).await?.into_iter().next())
}

/// Submissions of the tag whose jobs have begun the work, by what these wrote.
async fn begun(
    site: &Site,
    cluster: &Cluster,
    submission: &SubmissionRow,
) -> Result<Vec<SchedulerJobId>, SubmitterError> {
    let directory = site.spool.submission(&submission.pool, &submission.tag);
    let (pool, path) = (site.spool.pool(&submission.pool), directory.path().to_owned());
    let size = submission.array_size;
    let look = move || {
        let starts = (0..size).map(|index| (index, evidence::start_of(&directory.job(index))));
        Ok(starts.collect::<Vec<_>>())
    };
    let starts = looks::within(LOOK_LIMIT, &pool, &path, look).await.map_err(SubmitterError::Evidence)?;
    let begun = starts.into_iter().filter_map(|(index, start)| {
        let element = start?.scheduler_job_id?;
        cluster.scheduler.submission_id(&SchedulerJobId(element), index, size)
    });
    Ok(begun.collect())
}
