//! Looks into the directory of one job, brings its new results in, and draws the conclusion. Changes of many jobs are
//! stored together by the caller; only the end of a job is stored here.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::ending;
use super::ingester::{self, IngestError};
use super::looks::{self, LOOK_LIMIT};
use super::pools::Pool;
use super::python::{Moment, News, last_words};
use super::sightings::{Poll, Seen};
use super::site::Site;
use super::troubles::chain;
use crate::model::chunk::ChunkName;
use crate::model::failure::Blame;
use crate::model::ids::{JobId, NodeIndex, SchedulerJobId};
use crate::model::job::JobState;
use crate::model::task::StartRecord;
use crate::plan::job::{EndEvidence, Evidence, JobStep, KnownJob, Patience, Sighting, next_step};
use crate::spool::SpoolError;
use crate::spool::evidence::{self, saturating_sum};
use crate::spool::frame::Finality;
use crate::spool::layout::JobDirectory;
use crate::store::StoreError;
use crate::store::job::{JobRow, JobUpdate};

/// A heartbeat is stored now and then only: it is a write per running job.
const BETWEEN_BEATS: Duration = Duration::from_secs(60);

/// A job just submitted may not be listed yet (peers F5).
const SUBMIT_GRACE: Duration = Duration::from_secs(60);

/// What came of a look.
#[derive(Default)]
pub struct Followed {
    /// To be stored.
    pub update: Option<JobUpdate>,
    /// It has started.
    pub started: Option<JobId>,
    /// Results were stored.
    pub grew: bool,
    /// The runner said its last word, or the job has ended.
    pub over: bool,
    /// How far the results of its nodes are stored now.
    pub offsets: Vec<(NodeIndex, u64)>,
    /// Chunks in its directory.
    pub claimed: Vec<ChunkName>,
}

/// What was found in the directory, its results stored.
struct Look {
    directory: JobDirectory,
    found: evidence::JobEvidence,
    followed: Followed,
}

/// Looks for new results and claims only.
pub async fn glance(site: &Arc<Site>, pool: &Pool, job: &JobRow) -> Result<Option<Followed>, StoreError> {
    let look = look(site, pool, job).await?;
    Ok(look.map(|look| look.followed))
}

/// Looks, and judges the job by what was found and what the scheduler said.
pub async fn follow(
    site: &Arc<Site>,
    pool: &Pool,
    job: &JobRow,
    seen: &Seen,
) -> Result<Option<Followed>, StoreError> {
    let Some(Look { directory, found, mut followed }) = look(site, pool, job).await? else { return Ok(None) };
    let mut job = job.clone();
    for (node, offset) in &followed.offsets {
        job.set_offset(*node, *offset);
    }
    let job = &job;
    let known = known_job(job, &found);
    let patience = Patience {
        submit_grace: SUBMIT_GRACE.min(pool.config.grace),
        evidence_grace: pool.config.evidence_grace,
        missing_grace: pool.config.grace,
    };
    let evidence = in_plans_evidence(&found);
    let step = next_step(&known, &seen.sighting, &evidence, &seen.accounting, patience);
    let mut update = update_of(job, &found, seen.reason.as_deref());
    if let Some(id) = copy_at_work(pool, job, &found) {
        tracing::warn!(job.id = job.id.0, scheduler_job_id = %id, "another copy of the job has the work: it is followed");
        update = update.scheduler_job_id(id);
    }
    match step {
        JobStep::Keep => followed.update = update.changes().then_some(update),
        JobStep::Start | JobStep::Found(JobState::Running) => {
            followed.update = Some(update.found());
            followed.started = Some(job.id);
        }
        JobStep::Move(to) | JobStep::Found(to) => followed.update = Some(update.found().to(to)),
        // The accounting has answered, but there was no new poll to count.
        JobStep::CountMissing if seen.poll == Poll::Old && seen.sighting == Sighting::NotListed => {}
        JobStep::CountMissing => {
            let to = match seen.sighting {
                Sighting::NotListed => JobState::Missing,
                _ => JobState::Ending,
            };
            followed.update = Some(update.missing().to(to));
        }
        JobStep::End(ending) => {
            ending::end(site, pool, job, &directory, &found, ending).await?;
            followed.over = true;
            return Ok(Some(followed));
        }
    }
    if !found.further.is_empty() {
        let free = ending::end_runners(site, job, &directory, &found).await?;
        followed.claimed.retain(|name| !free.contains(name));
        pool.board.see_job(job.id, &followed.claimed);
    }
    Ok(Some(followed))
}

async fn look(site: &Arc<Site>, pool: &Pool, job: &JobRow) -> Result<Option<Look>, StoreError> {
    let directory = site.spool.submission(&job.pool, &job.tag).job(job.array_index);
    let subject = format!("job {}", job.id);
    let pool_directory = site.spool.pool(&job.pool);
    let found = match gather(&pool_directory, &directory, job.nodes).await {
        Ok(found) => found,
        Err(error) => {
            site.troubles.note(&subject, chain(&error));
            return Ok(None);
        }
    };
    if let Some((node, why)) = found.no_worker() {
        python_does_not_start(site, pool, job.id, node, why);
    }
    let mut offsets = Vec::new();
    for (node, found) in found.nodes().filter(|(node, found)| found.results_bytes > job.offset(*node)) {
        let (which, offset) = ((job.id, node), job.offset(node));
        match ingester::bring_in(site, pool, which, &directory, offset, finality(found)).await {
            Ok(stored) => offsets.push((node, stored)),
            Err(IngestError::Store(error)) => return Err(error),
            Err(error) => {
                site.troubles.note(&subject, chain(&error));
                return Ok(None);
            }
        }
    }
    match unreadable(&found) {
        Some(message) => site.troubles.note(&subject, message),
        None => site.troubles.clear(&subject),
    }
    let claimed = found.claimed();
    pool.board.see_job(job.id, &claimed);
    let followed = Followed {
        grew: offsets.iter().any(|(node, offset)| *offset > job.offset(*node)),
        offsets,
        over: found.end().is_some(),
        claimed,
        ..Followed::default()
    };
    Ok(Some(Look { directory, found, followed }))
}

/// Tasks that need Python are kept from the pool for a while; what is staged is dealt anew, without them.
fn python_does_not_start(site: &Site, pool: &Pool, job: JobId, node: Option<&str>, why: &str) {
    let now = Timestamp::now();
    let blame = |node| site.nodes.python_does_not_start(&pool.cluster.name, node, &last_words(why), now);
    if node.map(blame) == Some(Blame::Node) {
        site.nodes_bell.notify_one();
        return;
    }
    let news = pool.python.does_not_start(job, &pool.config.worker_python, why, Moment::now());
    if news == News::New {
        tracing::warn!(pool = %pool.config.name, why, "no Python worker can be started");
        pool.board.ask_withdrawal("tasks that need Python are kept from the pool".to_owned());
        site.stager_bell.notify_one();
        site.planner_bell.notify_one();
    }
}

async fn gather(
    pool: &Path,
    directory: &JobDirectory,
    nodes: u32,
) -> Result<evidence::JobEvidence, SpoolError> {
    let job = directory.clone();
    looks::within(LOOK_LIMIT, pool, directory.path(), move || evidence::gather(&job, nodes)).await
}

/// What to say of files of a job that are not what they should be.
fn unreadable(found: &evidence::JobEvidence) -> Option<String> {
    let names: Vec<String> =
        found.nodes().flat_map(|(_, node)| &node.unreadable).map(|path| path.display().to_string()).collect();
    let first = names.first()?;
    Some(match names.len() {
        1 => format!("{first} is not the file that it should be"),
        more => format!("{first} and {} others are not the files that they should be", more - 1),
    })
}

fn known_job(job: &JobRow, found: &evidence::JobEvidence) -> KnownJob {
    // Where a runner that died could not say how long its file is, its surplus does not stand for another one's lack.
    let stored = found.nodes().map(|(node, found)| {
        let most = found.end.as_ref().map_or(u64::MAX, |end| end.results_bytes);
        if found.end.is_some() { job.offset(node).min(most) } else { job.offset(node) }
    });
    KnownJob {
        state: job.state,
        queued_ago: job.queued_ago,
        missing_for: job.missing_for,
        missing_polls: job.missing_polls,
        cancel_requested: job.cancel_requested_on.is_some(),
        beat: job.beat,
        beat_ago: job.beat_ago,
        results_offset: saturating_sum(stored),
    }
}

fn finality(found: &evidence::Evidence) -> Finality {
    if found.ended_and_visible() { Finality::Final } else { Finality::StillWritten }
}

fn in_plans_evidence(found: &evidence::JobEvidence) -> Evidence {
    Evidence {
        started: found.started(),
        beat: found.beat().cast_signed(),
        end: found.end().map(|end| EndEvidence {
            reason: end.reason,
            exit_code: end.exit_code,
            results_bytes: Some(end.results_bytes),
        }),
    }
}

/// The scheduler's id of the copy of the job that has the work, where the one that is known found it taken and went away.
/// That one's end says nothing of the work.
fn copy_at_work(pool: &Pool, job: &JobRow, found: &evidence::JobEvidence) -> Option<SchedulerJobId> {
    let known = job.scheduler_job_id.as_ref()?;
    if job.cluster.as_ref().is_some_and(|cluster| *cluster != pool.cluster.name) {
        return None;
    }
    let scheduler = &pool.cluster.scheduler;
    let id_of = |record: &StartRecord| {
        let id = SchedulerJobId(record.scheduler_job_id.clone()?);
        let submission = scheduler.submission_id(&id, job.array_index, job.array_size)?;
        Some(scheduler.element_id(&submission, job.array_index, job.array_size))
    };
    let gone = id_of(found.first.duplicate.as_ref()?)?;
    let at_work = id_of(found.first.start.as_ref()?)?;
    (gone == *known && at_work != gone).then_some(at_work)
}

fn update_of(job: &JobRow, found: &evidence::JobEvidence, reason: Option<&str>) -> JobUpdate {
    let mut update = JobUpdate::of(job);
    if let Some(reason) = reason {
        update = update.reason(reason);
    }
    let noted_lately = job.beat_ago.is_some_and(|ago| ago < BETWEEN_BEATS);
    let beat = found.beat().cast_signed();
    if beat > 0 && beat != job.beat && (!noted_lately || job.missing_for.is_some()) {
        update = update.beat(beat);
        let heartbeats = found.nodes().filter_map(|(_, node)| node.heartbeat.as_ref());
        let results = saturating_sum(heartbeats.map(|heartbeat| heartbeat.results));
        let results = u32::try_from(results).unwrap_or(u32::MAX);
        if job.pilot && results > job.tasks {
            update = update.tasks(results);
        }
    }
    if let Some(start) =
        found.first.start.as_ref().filter(|start| job.hostname.as_ref() != Some(&start.hostname))
    {
        update = update.hostname(&start.hostname);
    }
    update
}
