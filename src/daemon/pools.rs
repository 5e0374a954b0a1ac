//! A pool as the daemon runs it: its configuration, its cluster, and the breakers that stop it after jobs that ran
//! nothing, or keep tasks from it that need a Python which does not start.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::board::Board;
use super::clusters::Cluster;
use super::pace::Pace;
use super::python::PythonBreaker;
use crate::config::PoolConfig;
use crate::plan::backoff;
use crate::plan::blame::Ran;
use crate::plan::fit::Offer;
use crate::plan::packing::Shape;

/// Jobs in a row that may run nothing before the pool pauses (peers F125).
const EMPTY_JOBS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// One pool.
pub struct Pool {
    /// As configured.
    pub config: PoolConfig,
    /// Where it runs.
    pub cluster: Arc<Cluster>,
    /// What is staged and claimed.
    pub board: Board,
    /// How long tasks take here.
    pub pace: Pace,
    /// Whether its jobs can start Python workers.
    pub python: PythonBreaker,
    breaker: Mutex<Breaker>,
}

#[derive(Default)]
struct Breaker {
    empty_jobs: u32,
    /// Of them, those that came to a node that is not fit for work.
    on_unfit_nodes: u32,
    refusals: u32,
    /// Pauses for jobs that ran nothing, since one ran something.
    pauses: u32,
    paused_until: Option<Timestamp>,
    reason: Option<String>,
    /// How many jobs of the user, ours and others, there were when the scheduler refused one more (peers F10, F11), and
    /// when that was.
    ceiling: Option<(usize, Timestamp)>,
    /// The most jobs of one array, after a larger one was refused for a limit.
    largest_array: Option<u32>,
}

impl Pool {
    /// A pool that may submit.
    pub fn new(config: PoolConfig, cluster: Arc<Cluster>) -> Pool {
        Pool {
            config,
            cluster,
            board: Board::default(),
            pace: Pace::default(),
            python: PythonBreaker::default(),
            breaker: Mutex::default(),
        }
    }

    /// What troubles are noted under.
    pub fn subject(&self) -> String {
        format!("pool {}", self.config.name)
    }

    /// What the packer must know of it.
    pub fn shape(&self) -> Shape {
        let max_array = self.cluster.scheduler.capabilities().array_size_max.unwrap_or(u32::MAX);
        let max_array = max_array.min(self.lock().largest_array.unwrap_or(u32::MAX));
        Shape {
            base: self.config.resources.clone(),
            cores: self.config.cores,
            memory_bytes: self.config.resources.memory_bytes,
            walltime: Some(self.config.resources.walltime),
            tasks_per_job: self.config.tasks_per_job,
            task_nodes: self.config.task_nodes,
            max_array: max_array.min(self.config.max_array),
            filling: self.config.filling,
            margin: self.config.warning,
        }
    }

    /// What it offers to tasks.
    pub fn offer(&self) -> Offer {
        Offer {
            pool: self.config.name.clone(),
            programs: self.config.programs.clone(),
            compute_tags: self.config.compute_tags.clone(),
            most: self.shape().most(),
        }
    }

    /// Why it does not submit at `now`, if it does not.
    pub fn paused(&self, now: Timestamp) -> Option<String> {
        let breaker = self.lock();
        let until = breaker.paused_until.filter(|until| *until > now)?;
        Some(format!("{} (paused until {until:.0})", breaker.reason.as_deref().unwrap_or("paused")))
    }

    /// Ends every pause, and forgets what was learned of limits: the next pass tries at once. Says what was paused.
    pub fn resume(&self, now: Timestamp) -> Option<String> {
        let paused = self.paused(now).or_else(|| self.python.paused(now));
        *self.lock() = Breaker::default();
        self.python.close();
        paused
    }

    /// Whether jobs came to nodes that are not fit for work, since one last ran something.
    pub fn met_unfit_nodes(&self) -> bool {
        self.lock().on_unfit_nodes > 0
    }

    /// A job ended. One that stored a result closes the breaker; one that could have run something and did not counts.
    pub fn job_ended(&self, ran: Ran, detail: &str, now: Timestamp) {
        let mut breaker = self.lock();
        match ran {
            Ran::Something => {
                let Breaker { ceiling, largest_array, .. } = *breaker;
                *breaker = Breaker { ceiling, largest_array, ..Breaker::default() };
            }
            Ran::NothingNeeded => {}
            Ran::Nothing | Ran::NodeUnfit => {
                breaker.empty_jobs += 1;
                breaker.on_unfit_nodes += u32::from(ran == Ran::NodeUnfit);
                if breaker.empty_jobs >= EMPTY_JOBS {
                    let last = one_line(detail);
                    let reason =
                        format!("{} jobs in a row ran nothing; the last: {last}", breaker.empty_jobs);
                    if breaker.paused_until.is_none_or(|until| until <= now) {
                        breaker.pauses += 1;
                    }
                    let pauses = breaker.pauses;
                    breaker.pause(pauses, reason, now);
                }
            }
        }
    }

    /// The scheduler refused for now. Returns when to try again.
    pub fn refused(&self, message: &str, now: Timestamp) -> Timestamp {
        let mut breaker = self.lock();
        if breaker.paused_until.is_none_or(|until| until <= now) {
            breaker.refusals += 1;
        }
        let failures = breaker.refusals;
        breaker.pause(failures, format!("the scheduler refuses: {message}"), now)
    }

    /// The scheduler refused so many jobs at once for a limit: fewer may be taken. How far below the limit we are is not
    /// known, so that the next array is half as large.
    pub fn array_refused(&self, jobs: u32) {
        self.lock().largest_array = Some((jobs / 2).max(1));
    }

    /// The scheduler refused one job more. Returns when to try again.
    pub fn limit_reached(&self, message: &str, now: Timestamp) -> Timestamp {
        // Jobs that were accepted since the last poll count as well.
        let users_jobs = self.cluster.snapshot().map_or(0, |snapshot| snapshot.users_jobs);
        let jobs = users_jobs.max(self.cluster.live_jobs());
        self.lock().ceiling = (jobs > 0).then_some((jobs, now));
        self.refused(message, now)
    }

    /// How many jobs more the scheduler will take, as far as it has taught us within the last hour: limits change.
    pub fn room_below_ceiling(&self, now: Timestamp) -> u32 {
        if self.cluster.live_jobs() == 0 {
            // Without jobs there are no polls, and what the last one counted says nothing any more.
            return u32::MAX;
        }
        let users_jobs = self.cluster.snapshot().map_or(0, |snapshot| snapshot.users_jobs);
        let serves = SignedDuration::try_from(LONGEST_PAUSE).unwrap_or(SignedDuration::MAX);
        let ceiling = self.lock().ceiling.filter(|(_, learned)| now.duration_since(*learned) < serves);
        let room = ceiling.map(|(jobs, _)| jobs.saturating_sub(users_jobs));
        room.map_or(u32::MAX, |room| u32::try_from(room).unwrap_or(u32::MAX))
    }

    /// It refused, or answered nothing clear, again and again. Returns when to try again.
    pub fn unclear_again(&self, calls: u32, message: &str, now: Timestamp) -> Option<Timestamp> {
        (calls > 1).then(|| self.refused(message, now))
    }

    /// The scheduler took a submission of so many jobs.
    pub fn accepted(&self, jobs: u32) {
        let mut breaker = self.lock();
        // It takes as many as we dare: more may be taken next time.
        breaker.largest_array =
            breaker.largest_array.map(|most| if jobs >= most { most.saturating_mul(2) } else { most });
        if breaker.refusals > 0 && breaker.empty_jobs < EMPTY_JOBS {
            breaker.paused_until = None;
        }
        breaker.refusals = 0;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Breaker {
    fn pause(&mut self, failures: u32, reason: String, now: Timestamp) -> Timestamp {
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return until;
        }
        let pause = backoff::delay(failures, FIRST_PAUSE, LONGEST_PAUSE, rand::random());
        let span = SignedDuration::try_from(pause).unwrap_or(SignedDuration::from_secs(60));
        let until = now.saturating_add(span).unwrap_or(now);
        self.paused_until = Some(until);
        self.reason = Some(reason);
        until
    }
}

/// A text on one line, for tables and the log: what says most stands at the end of a traceback.
pub fn one_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    match lines.next_back() {
        Some(last) => format!("{first} … {last}"),
        None => first.to_owned(),
    }
}
