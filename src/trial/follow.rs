//! Follows the probe job by polls to its end, looks for its marker, and cancels it when it takes too long.

use std::time::{Duration, Instant};

use super::Trial;
use super::clock::{self, Marker};
use crate::model::ids::SchedulerJobId;
use crate::permit::WithoutLease;
use crate::scheduler::{JobSighting, PollAnswer, SchedulerState};
use crate::spool::layout::SubmissionDirectory;

/// Between two looks for the marker: a file, no question to the scheduler.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How long a cancelled job may take to leave the listing.
const CANCEL_PATIENCE: Duration = Duration::from_secs(180);

/// Why a job was cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stopped {
    TimedOut,
    Interrupted,
}

/// What was seen of the job.
#[derive(Debug)]
pub(super) struct Followed {
    /// States in the order they were seen, with reasons.
    pub states: Vec<String>,
    /// The last sighting.
    pub last: Option<JobSighting>,
    /// Whether it left the listing after it had been in it.
    pub left: bool,
    /// Polls, and those that gave no answer with the last one's complaint.
    pub polls: u32,
    pub unanswered: u32,
    pub complaint: Option<String>,
    /// What the job wrote.
    pub marker: Option<Marker>,
    /// What the scheduler kept of its output, when there is no marker.
    pub log: Option<String>,
    /// Before it was submitted.
    pub submitted_before: Instant,
    /// Why it was cancelled, and whether that worked.
    pub stopped: Option<Stopped>,
    pub cancelled: Option<Result<(), String>>,
}

impl Followed {
    fn new() -> Followed {
        Followed {
            states: Vec::new(),
            last: None,
            left: false,
            polls: 0,
            unanswered: 0,
            complaint: None,
            marker: None,
            log: None,
            submitted_before: Instant::now(),
            stopped: None,
            cancelled: None,
        }
    }

    /// Whether the scheduler has shown its end.
    pub fn is_over(&self) -> bool {
        self.left || self.last.as_ref().is_some_and(|job| matches!(job.state, SchedulerState::Ended { .. }))
    }

    async fn poll(&mut self, trial: &Trial, id: &SchedulerJobId) {
        self.polls += 1;
        match trial.scheduler.poll().await {
            PollAnswer::Invalid { message } => {
                self.unanswered += 1;
                self.complaint = Some(message);
            }
            PollAnswer::Valid { mut jobs, .. } => match jobs.remove(id) {
                Some(sighting) => {
                    let state = name(&sighting);
                    if self.states.last() != Some(&state) {
                        self.states.push(state);
                    }
                    self.last = Some(sighting);
                }
                None => self.left = self.last.is_some() || self.marker.is_some(),
            },
        }
    }
}

/// Follows the job `id` until it is over and has shown what it wrote, or is cancelled.
pub(super) async fn to_the_end(
    trial: &Trial,
    directory: &SubmissionDirectory,
    id: &SchedulerJobId,
    interval: Duration,
    progress: &(dyn Fn(&str) + Sync),
) -> Followed {
    let mut followed = Followed::new();
    let started = Instant::now();
    let mut polled: Option<Instant> = None;
    let marker = directory.job(0).path().join("marker");
    // One listener for all of it: what comes while the scheduler is asked is heard afterwards.
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    while !followed.is_over() {
        if followed.marker.is_none() {
            followed.marker = clock::read_marker(&marker, started);
        }
        if polled.is_none_or(|at| at.elapsed() >= interval) {
            polled = Some(Instant::now());
            followed.poll(trial, id).await;
            let state = followed.states.last().map_or("not listed yet", String::as_str);
            progress(&format!("the probe job {id} is {state}"));
        }
        if started.elapsed() >= trial.timeout {
            stop(trial, id, Stopped::TimedOut, interval, &mut followed, progress).await;
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            _ = &mut interrupted => {
                stop(trial, id, Stopped::Interrupted, interval, &mut followed, progress).await;
                break;
            }
        }
    }
    // Attributes of a shared filesystem are cached: the last files of an ended job may take a while to show.
    let ended = Instant::now();
    while followed.marker.is_none() {
        followed.marker = clock::read_marker(&marker, started);
        if followed.stopped.is_some() || ended.elapsed() >= trial.pool.evidence_grace {
            break;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    if followed.marker.is_none() {
        let log = trial.scheduler.log_path(directory.path(), 1);
        followed.log = std::fs::read_to_string(log).ok().filter(|text| !text.trim().is_empty());
    }
    followed
}

/// Cancels the job and waits until it is gone.
async fn stop(
    trial: &Trial,
    id: &SchedulerJobId,
    why: Stopped,
    interval: Duration,
    followed: &mut Followed,
    progress: &(dyn Fn(&str) + Sync),
) {
    progress(&format!("cancelling the probe job {id}"));
    followed.stopped = Some(why);
    if let Err(error) = trial.scheduler.cancel(std::slice::from_ref(id), &WithoutLease).await {
        followed.cancelled = Some(Err(error.to_string()));
        return;
    }
    let asked = Instant::now();
    while asked.elapsed() < CANCEL_PATIENCE {
        followed.poll(trial, id).await;
        if followed.is_over() {
            followed.cancelled = Some(Ok(()));
            return;
        }
        tokio::time::sleep(interval).await;
    }
    let seconds = CANCEL_PATIENCE.as_secs();
    followed.cancelled = Some(Err(format!("it is still listed {seconds} s after the cancel was taken")));
}

/// The state in words, with the scheduler's reason while it waits.
fn name(job: &JobSighting) -> String {
    let reason = job.reason.as_deref().map_or_else(String::new, |reason| format!(" ({reason})"));
    match &job.state {
        SchedulerState::Queued => format!("queued{reason}"),
        SchedulerState::Blocked => format!("blocked{reason}"),
        other => other.to_string(),
    }
}
