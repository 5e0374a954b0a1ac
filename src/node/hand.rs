//! The tasks at hand: the job's own chunk, chunks that a former run of the job had claimed, chunks claimed from the
//! pool's `ready` directory. Reads chunks, claims them, and removes them once all their reports are safe.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::budget::{Budget, Share};
use super::clock::JobClock;
use super::error::chain;
use crate::model::chunk::ChunkName;
use crate::model::ids::TaskId;
use crate::model::task::{JobManifest, TaskOrder};
use crate::spool::chunk::ChunkReader;
use crate::spool::{JobDirectory, SpoolError, ready};

/// Chunks of the pool that a job holds at most at once, so that its directory stays at twelve files.
const MOST_HELD: usize = 4;
/// A listing of `ready` serves so long: listing a full directory costs more than a claim.
const LISTING_SERVES: Duration = Duration::from_secs(1);
/// So many names of a listing are kept.
const LISTING_KEPT: usize = 512;

/// Which of the chunks at hand a task came from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ChunkKey(u64);

/// Whether it is time to look at `ready`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MayLook {
    /// It is.
    Yes,
    /// It was looked at a moment ago.
    No,
}

/// What looking for a task gave.
#[derive(Debug)]
pub enum Look {
    /// A task, from this chunk.
    Task(Box<TaskOrder>, ChunkKey),
    /// None at hand, and it is not time to look for a chunk.
    NotYet,
    /// None at hand, none claimed: look again later.
    NothingNow,
    /// A further task could not start now.
    NoRoom,
    /// The pool's chunks cannot be seen or claimed now: look again later.
    Trouble(SpoolError),
    /// Chunks wait, but for none of them enough time is left.
    NoTime,
    /// There will be none: the job works through its own chunk only, or has taken as many tasks as it may.
    Nothing,
}

/// What an attempt to claim a chunk gave.
enum Claimed {
    Chunk(PathBuf),
    /// The most urgent one that fits the job could not start now.
    NoRoom,
    None,
}

/// One chunk that has been begun.
#[derive(Debug)]
struct Held {
    /// What to remove in the end; the job's own chunk stays.
    path: Option<PathBuf>,
    /// Tasks read and not yet reported.
    open: u32,
    /// Every order was read.
    read: bool,
    /// A task of it went back: the chunk stays for the daemon to see.
    kept: bool,
}

/// What is at hand and where more may come from.
pub struct Hand {
    directory: JobDirectory,
    ready: Option<PathBuf>,
    whole: Share,
    /// Tasks that may still be claimed.
    tasks_left: u32,
    /// Tasks that a former run of the job has reported.
    reported: HashSet<(TaskId, u32)>,
    reading: Option<(ChunkKey, ChunkReader)>,
    former: VecDeque<ChunkName>,
    listing: VecDeque<ChunkName>,
    listed: Option<Instant>,
    lacks_time: bool,
    held: BTreeMap<ChunkKey, Held>,
    last_key: u64,
    /// Chunks that are done, with the length of the result file that holds all their reports.
    done: Vec<(u64, PathBuf)>,
}

impl Hand {
    /// What is there at the start: the job's own chunk at `own`, and what a former run had claimed.
    pub fn new(
        directory: &JobDirectory,
        manifest: &JobManifest,
        own: &Path,
        whole: Share,
        reported: HashSet<(TaskId, u32)>,
    ) -> Result<Hand, SpoolError> {
        let former = VecDeque::from(ready::claimed(directory)?);
        let taken = former.iter().fold(manifest.tasks, |sum, name| sum.saturating_add(name.tasks));
        let mut hand = Hand {
            directory: directory.clone(),
            ready: manifest.ready.as_ref().map(PathBuf::from),
            whole,
            tasks_left: manifest.tasks_limit.unwrap_or(u32::MAX).saturating_sub(taken),
            reported,
            reading: None,
            former,
            listing: VecDeque::new(),
            listed: None,
            lacks_time: false,
            held: BTreeMap::new(),
            last_key: 0,
            done: vec![],
        };
        hand.begin(own, None)?;
        Ok(hand)
    }

    fn begin(&mut self, path: &Path, remove: Option<PathBuf>) -> Result<(), SpoolError> {
        let reader = ChunkReader::open(path)?;
        self.last_key += 1;
        let key = ChunkKey(self.last_key);
        self.held.insert(key, Held { path: remove, open: 0, read: false, kept: false });
        self.reading = Some((key, reader));
        Ok(())
    }

    /// The next task. `length` is that of the result file now; `may_look` is about `ready`.
    pub fn next(
        &mut self,
        length: u64,
        now: Instant,
        clock: &JobClock,
        budget: &Budget,
        may_look: MayLook,
    ) -> Result<Look, SpoolError> {
        loop {
            if let Some((key, reader)) = &mut self.reading {
                let key = *key;
                match reader.next().transpose()? {
                    Some(order) if self.reported.contains(&(order.task_id, order.attempt)) => {}
                    Some(order) => {
                        if let Some(held) = self.held.get_mut(&key) {
                            held.open += 1;
                        }
                        return Ok(Look::Task(Box::new(order), key));
                    }
                    None => {
                        self.reading = None;
                        if let Some(held) = self.held.get_mut(&key) {
                            held.read = true;
                        }
                        self.settle(key, length);
                    }
                }
                continue;
            }
            if let Some(name) = self.former.pop_front() {
                let path = self.directory.claimed(&name);
                self.begin(&path, Some(path.clone()))?;
                continue;
            }
            let Some(ready) = self.ready.clone().filter(|_| self.tasks_left > 0) else {
                return Ok(Look::Nothing);
            };
            if budget.is_full() || self.pool_chunks() >= MOST_HELD {
                return Ok(Look::NoRoom);
            }
            if may_look == MayLook::No {
                return Ok(Look::NotYet);
            }
            match self.claim(&ready, now, clock, budget) {
                Ok(Claimed::Chunk(path)) => self.begin(&path, Some(path.clone()))?,
                Ok(Claimed::NoRoom) => return Ok(Look::NoRoom),
                Ok(Claimed::None) if self.lacks_time => return Ok(Look::NoTime),
                Ok(Claimed::None) => return Ok(Look::NothingNow),
                Err(error) => return Ok(Look::Trouble(error)),
            }
        }
    }

    fn pool_chunks(&self) -> usize {
        self.held.values().filter(|held| held.path.is_some()).count() + self.done.len()
    }

    /// Claims the most urgent chunk that fits the job, if one of its tasks could start now.
    fn claim(
        &mut self,
        ready: &Path,
        now: Instant,
        clock: &JobClock,
        budget: &Budget,
    ) -> Result<Claimed, SpoolError> {
        let fresh = self.listed.is_some_and(|at| now.duration_since(at) < LISTING_SERVES);
        let mut listed_now = !fresh || self.listing.is_empty();
        if listed_now {
            self.list(ready, now)?;
        }
        loop {
            let Some(name) = self.listing.front().copied() else {
                if listed_now {
                    return Ok(Claimed::None);
                }
                listed_now = true;
                self.list(ready, now)?;
                continue;
            };
            if !self.fits(&name) || !self.in_time(&name, clock, now) {
                self.listing.pop_front();
                continue;
            }
            if !budget.has_room_for(need(&name)) {
                return Ok(Claimed::NoRoom);
            }
            self.listing.pop_front();
            if let Some(path) = ready::claim(ready, &name, &self.directory)? {
                tracing::info!(chunk = %name, "chunk claimed");
                self.tasks_left = self.tasks_left.saturating_sub(name.tasks);
                return Ok(Claimed::Chunk(path));
            }
        }
    }

    fn list(&mut self, ready: &Path, now: Instant) -> Result<(), SpoolError> {
        self.listing = ready::list(ready)?.into_iter().take(LISTING_KEPT).collect();
        self.listed = Some(now);
        self.lacks_time = false;
        Ok(())
    }

    fn fits(&self, name: &ChunkName) -> bool {
        let need = need(name);
        need.cores <= self.whole.cores
            && need.memory_bytes <= self.whole.memory_bytes
            && need.gpus <= self.whole.gpus
            && name.tasks <= self.tasks_left
    }

    fn in_time(&mut self, name: &ChunkName, clock: &JobClock, now: Instant) -> bool {
        let in_time = clock.may_start(Duration::from_secs(name.need.walltime_seconds), now);
        self.lacks_time |= !in_time;
        in_time
    }

    /// A task's report was taken; the result file is now `length` long.
    pub fn reported(&mut self, key: ChunkKey, length: u64) {
        if let Some(held) = self.held.get_mut(&key) {
            held.open = held.open.saturating_sub(1);
        }
        self.settle(key, length);
    }

    /// A task goes back: its chunk stays where it is.
    pub fn handed_back(&mut self, key: ChunkKey) {
        if let Some(held) = self.held.get_mut(&key) {
            held.kept = true;
        }
    }

    fn settle(&mut self, key: ChunkKey, length: u64) {
        let over = |held: &Held| held.read && held.open == 0 && !held.kept;
        if self.held.get(&key).is_some_and(over)
            && let Some(path) = self.held.remove(&key).and_then(|held| held.path)
        {
            self.done.push((length, path));
        }
    }

    /// Whether every task that was taken has a report.
    pub fn is_clean(&self) -> bool {
        self.held.is_empty() && self.former.is_empty()
    }

    /// Whether finished chunks wait for their reports to be safe while there is little room for further ones.
    pub fn waits_for_sync(&self) -> bool {
        self.done.len() * 2 >= MOST_HELD
    }

    /// Removes chunks all whose reports lie before `safe_bytes`.
    pub fn tidy(&mut self, safe_bytes: u64) {
        self.done.retain(|(length, path)| {
            if *length > safe_bytes {
                return true;
            }
            if let Err(error) = ready::finish(path) {
                tracing::warn!(error = chain(&error), "a finished chunk stays behind");
            }
            false
        });
    }
}

fn need(name: &ChunkName) -> Share {
    Share { cores: name.need.cores, memory_bytes: name.need.memory_bytes, gpus: name.need.gpus }
}
