//! A pool as the daemon runs it: its configuration, its cluster, and the breakers that stop it after jobs that ran
//! nothing, or keep tasks from it that need a Python which does not start.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::board::Board;
use super::clusters::Cluster;
use super::pace::Pace;
use super::python::PythonBreaker;
use crate::config::PoolConfig;
use crate::model::limits::{self, Allowed};
use crate::model::resources::TaskResources;
use crate::plan::backoff;
use crate::plan::blame::Ran;
use crate::plan::fit::Offer;
use crate::plan::limits::{PoolJobs, room};
use crate::plan::packing::Shape;
use crate::plan::submission;
use crate::plan::waiting::Full;
use crate::scheduler::local;

/// Memory of tasks that say nothing.
const USUAL_MEMORY_BYTES: u64 = 2 << 30;

/// Jobs in a row that may run nothing before the pool pauses (peers F125).
const EMPTY_JOBS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// The same where the scheduler refused for now or for a limit: both pass without anybody's doing.
const LONGEST_PASSING_PAUSE: Duration = Duration::from_secs(600);

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
    /// Why it submits no further job although there is work.
    pub full: Mutex<Option<Full>>,
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
    pause: Option<Pause>,
    /// How many jobs of the user, ours and others, there were when the scheduler refused one more (peers F10, F11), and
    /// when that was.
    ceiling: Option<(usize, Instant)>,
    /// The most jobs of one array, after a larger one was refused for a limit.
    largest_array: Option<u32>,
    /// How quickly the last submission went.
    pace: submission::Pace,
}

/// A pause that began by a clock that nobody sets.
#[derive(Clone)]
struct Pause {
    began: Instant,
    span: Duration,
    cause: Cause,
    reason: String,
    /// When it ends, for people.
    until: Timestamp,
}

impl Pause {
    fn left(&self) -> Duration {
        self.span.saturating_sub(self.began.elapsed())
    }
}

/// What a pause waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cause {
    /// The scheduler, which refused for now.
    Scheduler,
    /// A limit of the scheduler's, which others' jobs may be below soon.
    Limit,
    /// Somebody who mends something.
    Person,
}

impl Cause {
    const fn longest_pause(self) -> Duration {
        match self {
            Cause::Scheduler | Cause::Limit => LONGEST_PASSING_PAUSE,
            Cause::Person => LONGEST_PAUSE,
        }
    }
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
            full: Mutex::default(),
            breaker: Mutex::default(),
        }
    }

    /// What troubles are noted under.
    pub fn subject(&self) -> String {
        format!("pool {}", self.config.name)
    }

    /// What the scheduler allows its jobs, as far as it tells.
    pub fn allowed(&self) -> Allowed {
        limits::allowed(&self.cluster.scheduler.known_limits(), &self.config.resources)
    }

    /// How many jobs more the scheduler's own limits leave room for; `ours` are the live jobs of all pools of its cluster.
    pub fn room_under_limits(&self, ours: &[PoolJobs<'_>]) -> u32 {
        // Without jobs there are no polls, and what the last one counted says nothing any more.
        let counted = self.cluster.snapshot().filter(|_| !self.cluster.live_jobs().is_empty());
        let users_jobs = counted.map_or(0, |snapshot| snapshot.users_jobs);
        let users_jobs = u32::try_from(users_jobs).unwrap_or(u32::MAX);
        room(&self.cluster.scheduler.known_limits(), &self.config.resources, ours, users_jobs)
    }

    /// What the packer must know of it.
    pub fn shape(&self) -> Shape {
        let allowed = self.allowed();
        let told = self.cluster.scheduler.capabilities().array_size_max;
        let largest = [told, allowed.array_size, self.lock().largest_array, Some(self.config.max_array)];
        let walltime = self.config.resources.walltime;
        Shape {
            base: self.config.resources.clone(),
            cores: self.config.cores,
            memory_bytes: self.config.resources.memory_bytes,
            walltime: Some(allowed.walltime.map_or(walltime, |most| most.min(walltime))),
            tasks_per_job: self.config.tasks_per_job,
            task_nodes: self.config.task_nodes,
            max_array: largest.into_iter().flatten().min().unwrap_or(u32::MAX).max(1),
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
            most: self.most(),
        }
    }

    /// The most that one task may ask for. On this machine that is the machine's memory, where the pool has no limit of its
    /// own.
    fn most(&self) -> TaskResources {
        let mut most = self.shape().most();
        if self.config.adapter == "local" && most.memory_bytes.is_none() {
            // A machine with less runs tasks of the usual size one at a time.
            most.memory_bytes = local::memory_bytes().map(|bytes| bytes.max(USUAL_MEMORY_BYTES));
        }
        most
    }

    /// How quickly its last submission went.
    pub fn submission_pace(&self) -> submission::Pace {
        self.lock().pace
    }

    /// Notes how quickly a submission went, and tells it.
    pub fn note_submission(&self, pace: submission::Pace) -> submission::Pace {
        self.lock().pace = pace;
        pace
    }

    /// Why it does not submit now, if it does not.
    pub fn paused(&self) -> Option<String> {
        let breaker = self.lock();
        let Pause { reason, until, .. } = breaker.running_pause()?;
        Some(format!("{reason} (paused until {until:.0})"))
    }

    /// Ends every pause, and forgets what was learned of limits: the next pass tries at once. Says what was paused.
    pub fn resume(&self) -> Option<String> {
        let paused = self.paused().or_else(|| self.python.paused(Instant::now()));
        *self.lock() = Breaker::default();
        self.python.close();
        paused
    }

    /// Whether jobs came to nodes that are not fit for work, since one last ran something.
    pub fn met_unfit_nodes(&self) -> bool {
        self.lock().on_unfit_nodes > 0
    }

    /// A job ended. One that stored a result closes the breaker; one that could have run something and did not counts.
    pub fn job_ended(&self, ran: Ran, detail: &str) {
        let mut breaker = self.lock();
        match ran {
            Ran::Something => {
                let Breaker { ceiling, largest_array, pace, .. } = *breaker;
                *breaker = Breaker { ceiling, largest_array, pace, ..Breaker::default() };
            }
            Ran::NothingNeeded => {}
            Ran::Nothing | Ran::NodeUnfit => {
                breaker.empty_jobs += 1;
                breaker.on_unfit_nodes += u32::from(ran == Ran::NodeUnfit);
                if breaker.empty_jobs >= EMPTY_JOBS {
                    let last = one_line(detail);
                    let reason =
                        format!("{} jobs in a row ran nothing; the last: {last}", breaker.empty_jobs);
                    if breaker.running_pause().is_none() {
                        breaker.pauses += 1;
                    }
                    let pauses = breaker.pauses;
                    breaker.pause(pauses, Cause::Person, reason);
                }
            }
        }
    }

    /// The scheduler refused, and will until somebody mends something. Returns after how long to try again.
    pub fn refused(&self, message: &str) -> Duration {
        self.refused_for(Cause::Person, message)
    }

    /// The scheduler refused for now. Returns after how long to try again, unless it answers a poll before.
    pub fn refused_for_now(&self, message: &str) -> Duration {
        self.refused_for(Cause::Scheduler, message)
    }

    fn refused_for(&self, cause: Cause, message: &str) -> Duration {
        let mut breaker = self.lock();
        if breaker.running_pause().is_none() {
            breaker.refusals += 1;
        }
        let failures = breaker.refusals;
        breaker.pause(failures, cause, format!("the scheduler refuses: {message}"))
    }

    /// The scheduler answers again after an outage: what waited for that alone goes on.
    pub fn scheduler_is_back(&self) {
        let mut breaker = self.lock();
        if breaker.pause.as_ref().is_some_and(|pause| pause.cause == Cause::Scheduler) {
            breaker.pause = None;
            breaker.refusals = 0;
        }
    }

    /// The scheduler refused so many jobs at once for a limit: fewer may be taken. How far below the limit we are is not
    /// known, so that the next array is half as large.
    pub fn array_refused(&self, jobs: u32) {
        self.lock().largest_array = Some((jobs / 2).max(1));
    }

    /// The scheduler refused one job more. Returns after how long to try again.
    pub fn limit_reached(&self, message: &str) -> Duration {
        // Jobs that were accepted since the last poll count as well.
        let users_jobs = self.cluster.snapshot().map_or(0, |snapshot| snapshot.users_jobs);
        let jobs = users_jobs.max(self.cluster.live_jobs().len());
        self.lock().ceiling = (jobs > 0).then(|| (jobs, Instant::now()));
        self.refused_for(Cause::Limit, message)
    }

    /// How many jobs more the scheduler will take, as far as it has taught us within the last hour: limits change.
    pub fn room_below_ceiling(&self) -> u32 {
        if self.cluster.live_jobs().is_empty() {
            // Without jobs there are no polls, and what the last one counted says nothing any more.
            return u32::MAX;
        }
        let users_jobs = self.cluster.snapshot().map_or(0, |snapshot| snapshot.users_jobs);
        let ceiling = self.lock().ceiling.filter(|(_, learned)| learned.elapsed() < LONGEST_PAUSE);
        let room = ceiling.map(|(jobs, _)| jobs.saturating_sub(users_jobs));
        room.map_or(u32::MAX, |room| u32::try_from(room).unwrap_or(u32::MAX))
    }

    /// It refused, or answered nothing clear, again and again. Returns after how long to try again.
    pub fn unclear_again(&self, calls: u32, message: &str) -> Option<Duration> {
        (calls > 1).then(|| self.refused_for_now(message))
    }

    /// The scheduler took a submission of so many jobs.
    pub fn accepted(&self, jobs: u32) {
        let mut breaker = self.lock();
        // It takes as many as we dare: more may be taken next time.
        breaker.largest_array =
            breaker.largest_array.map(|most| if jobs >= most { most.saturating_mul(2) } else { most });
        if breaker.refusals > 0 && breaker.empty_jobs < EMPTY_JOBS {
            breaker.pause = None;
        }
        breaker.refusals = 0;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Breaker {
    fn running_pause(&self) -> Option<&Pause> {
        self.pause.as_ref().filter(|pause| !pause.left().is_zero())
    }

    /// Pauses, unless it does already. Returns how long the pause lasts.
    fn pause(&mut self, failures: u32, cause: Cause, reason: String) -> Duration {
        if let Some(pause) = self.running_pause() {
            return pause.left();
        }
        let span = backoff::delay(failures, FIRST_PAUSE, cause.longest_pause(), rand::random());
        let now = Timestamp::now();
        let until = now.saturating_add(span).unwrap_or(now);
        self.pause = Some(Pause { began: Instant::now(), span, cause, reason, until });
        span
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
