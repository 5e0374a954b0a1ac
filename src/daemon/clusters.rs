//! A cluster as the daemon sees it: one scheduler, shared by the pools whose adapter it is, and its last poll.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::model::ids::SchedulerJobId;
use crate::plan::outage::{Outage, Retry};
use crate::scheduler::{JobSighting, Scheduler};

/// One scheduler.
pub struct Cluster {
    /// The adapter's name.
    pub name: String,
    /// How it is spoken to.
    pub scheduler: Scheduler,
    /// Shortest time between two polls.
    pub poll_interval: Duration,
    /// Rung when something was published for its jobs: the observer looks soon, and often for a while.
    pub look_bell: Notify,
    /// Wakes a poller that sleeps for want of jobs.
    pub has_jobs: Notify,
    /// Rung when there are jobs to be ended.
    pub unwanted_bell: Notify,
    /// Rung when the scheduler answered anything but a poll: a poller that has backed off asks at once.
    pub answered_bell: Notify,
    unwanted: Mutex<Vec<SchedulerJobId>>,
    outage: Mutex<Outage>,
    /// An outage is over, and the submitter does not know yet.
    recovered: AtomicBool,
    live_jobs: RwLock<Arc<HashSet<SchedulerJobId>>>,
    snapshot: RwLock<Option<Arc<Snapshot>>>,
}

/// One valid answer of the scheduler.
pub struct Snapshot {
    /// When it was asked.
    pub asked: Instant,
    /// The same for people.
    pub taken_on: Timestamp,
    /// What it listed, by its ids.
    pub jobs: HashMap<SchedulerJobId, JobSighting>,
    /// All jobs of this user, ours and others.
    pub users_jobs: usize,
    /// Our jobs that the scheduler had accepted when it was asked: only their absence means something.
    pub asked_about: Arc<HashSet<SchedulerJobId>>,
}

impl Cluster {
    /// A cluster that has not been asked anything yet.
    pub fn new(name: String, scheduler: Scheduler, poll_interval: Duration) -> Cluster {
        Cluster {
            name,
            scheduler,
            poll_interval,
            look_bell: Notify::new(),
            has_jobs: Notify::new(),
            unwanted_bell: Notify::new(),
            answered_bell: Notify::new(),
            unwanted: Mutex::default(),
            outage: Mutex::default(),
            recovered: AtomicBool::new(false),
            live_jobs: RwLock::default(),
            snapshot: RwLock::new(None),
        }
    }

    /// What troubles are noted under.
    pub fn subject(&self) -> String {
        format!("scheduler {}", self.name)
    }

    /// The jobs of ours that it has accepted and that have not ended, as far as is known.
    pub fn live_jobs(&self) -> Arc<HashSet<SchedulerJobId>> {
        self.live_jobs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells the poller which jobs there are; the first one wakes it.
    pub fn set_live_jobs(&self, jobs: HashSet<SchedulerJobId>) {
        let some = !jobs.is_empty();
        let mut live_jobs = self.live_jobs.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *live_jobs, Arc::new(jobs));
        if before.is_empty() && some {
            self.has_jobs.notify_one();
        }
    }

    /// Jobs that are to be ended.
    pub fn unwanted(&self) -> Vec<SchedulerJobId> {
        self.unwanted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Hands over which jobs are to be ended.
    pub fn set_unwanted(&self, ids: Vec<SchedulerJobId>) {
        let some = !ids.is_empty();
        *self.unwanted.lock().unwrap_or_else(PoisonError::into_inner) = ids;
        if some {
            self.unwanted_bell.notify_one();
        }
    }

    fn outage(&self) -> MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A submission was refused for now: the scheduler is polled, jobs or not, to see when it is there again.
    pub fn refused_for_now(&self) {
        self.outage().refused();
        self.has_jobs.notify_one();
    }

    /// A submission was taken.
    pub fn took_submission(&self) {
        self.outage().taken();
        self.answered_bell.notify_one();
    }

    /// A poll was not answered.
    pub fn is_silent(&self) {
        self.outage().silence();
    }

    /// A poll was answered.
    pub fn answers(&self) {
        if self.outage().answer() == Retry::AtOnce {
            self.recovered.store(true, Ordering::Relaxed);
        }
    }

    /// Whether submissions wait for the scheduler's answer.
    pub fn is_waited_for(&self) -> bool {
        self.outage().is_waited_out()
    }

    /// Whether an outage is over since the last call.
    pub fn take_recovery(&self) -> Retry {
        if self.recovered.swap(false, Ordering::Relaxed) { Retry::AtOnce } else { Retry::InTime }
    }

    /// The last valid answer.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes `snapshot` the last valid answer.
    pub fn publish(&self, snapshot: Snapshot) {
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(snapshot));
    }
}
