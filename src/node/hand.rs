//! The tasks at hand: the job's own chunk, chunks that a former run of the job had claimed, chunks claimed from the
//! pool's `ready` directory. Reads chunks, claims them, and removes them once all their reports are safe.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::budget::{Budget, Share};
use super::clock::JobClock;
use super::error::chain;
use crate::failpoint::{self, FailPoint};
use crate::model::chunk::ChunkName;
use crate::model::ids::{ChunkId, TaskId};
use crate::model::notice::Attempt;
use crate::model::task::{JobManifest, TaskOrder};
use crate::spool::chunk::ChunkReader;
use crate::spool::layout::CLAIMED_PREFIX;
use crate::spool::{JobDirectory, SpoolError, ready};

/// Files with chunks of the pool that a job holds at most at once, so that its directory stays at twelve inodes.
const MOST_HELD: usize = 3;
/// A listing of `ready` serves so long: listing a full directory costs more than a claim.
const LISTING_SERVES: Duration = Duration::from_secs(1);
/// So many names of a listing are kept.
const LISTING_KEPT: usize = 512;

/// Which of the chunks at hand a task came from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ChunkKey(u64);

/// What there is to know when a task is looked for.
pub struct Situation<'a> {
    /// The time.
    pub now: Instant,
    /// The job's walltime.
    pub clock: &'a JobClock,
    /// What is free.
    pub budget: &'a Budget,
    /// Tasks that run.
    pub running: &'a BTreeMap<TaskId, ChunkKey>,
    /// Length of the result file.
    pub length: u64,
    /// About `ready`.
    pub may_look: MayLook,
}

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
    /// None, and why.
    Not(Look),
}

/// Where the orders of the chunk that is read come from.
enum Orders {
    /// Its file.
    File(ChunkReader),
    /// What is left of it after the others were given back.
    Kept(VecDeque<TaskOrder>),
}

impl Iterator for Orders {
    type Item = Result<TaskOrder, SpoolError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Orders::File(reader) => reader.next(),
            Orders::Kept(orders) => orders.pop_front().map(Ok),
        }
    }
}

/// One chunk that has been begun.
#[derive(Debug)]
struct Held {
    /// What to remove in the end: none for the job's own chunk, which stays, several where chunks were folded.
    paths: Vec<PathBuf>,
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
    /// Attempts that are not to be begun: a former run of the job has reported them, they were given back, or recalled.
    reported: HashSet<(TaskId, u32)>,
    reading: Option<(ChunkKey, Orders)>,
    /// Chunks that a former run had claimed; those with one file stand together.
    former: VecDeque<Vec<PathBuf>>,
    /// The one that is read now is such a chunk.
    reads_former: bool,
    listing: VecDeque<ChunkName>,
    listed: Option<Instant>,
    lacks_time: bool,
    held: BTreeMap<ChunkKey, Held>,
    /// Chunks that were folded into others.
    folded: BTreeMap<ChunkKey, ChunkKey>,
    may_fold: bool,
    last_key: u64,
    /// Chunks that are done, with the length of the result file that holds all their reports.
    done: Vec<(u64, Vec<PathBuf>)>,
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
        let former = ready::claimed(directory)?;
        let taken = former.iter().fold(manifest.tasks, |sum, name| sum.saturating_add(name.tasks));
        let former = by_file(former.iter().map(|name| directory.claimed(name)))?;
        let mut hand = Hand {
            directory: directory.clone(),
            ready: manifest.ready.as_ref().map(PathBuf::from),
            whole,
            tasks_left: manifest.tasks_limit.unwrap_or(u32::MAX).saturating_sub(taken),
            reported,
            reading: None,
            former,
            reads_former: false,
            listing: VecDeque::new(),
            listed: None,
            lacks_time: false,
            held: BTreeMap::new(),
            folded: BTreeMap::new(),
            may_fold: true,
            last_key: 0,
            done: vec![],
        };
        hand.begin(own, vec![])?;
        Ok(hand)
    }

    fn begin(&mut self, path: &Path, paths: Vec<PathBuf>) -> Result<(), SpoolError> {
        let reader = ChunkReader::open(path)?;
        self.last_key += 1;
        let key = ChunkKey(self.last_key);
        self.held.insert(key, Held { paths, open: 0, read: false, kept: false });
        self.reading = Some((key, Orders::File(reader)));
        Ok(())
    }

    /// Whether a chunk of the pool is in the job's directory.
    pub fn holds(&self, chunk: ChunkId) -> bool {
        let held = self.held.values().flat_map(|held| &held.paths);
        held.chain(self.former.iter().flatten()).any(|path| chunk_at(path) == Some(chunk))
    }

    /// This attempt is not to be begun.
    pub fn recall(&mut self, attempt: Attempt) {
        self.reported.insert((attempt.task_id, attempt.attempt));
    }

    /// Takes all but `keep` of a chunk's tasks out that have not been handed out yet, for others. Only the chunk that is
    /// being read has such.
    pub fn give_back(&mut self, chunk: ChunkId, keep: usize) -> Result<Vec<TaskOrder>, SpoolError> {
        let Some((key, orders)) = &mut self.reading else { return Ok(vec![]) };
        let key = *key;
        let is_it = |held: &Held| held.paths.iter().any(|path| chunk_at(path) == Some(chunk));
        if !self.held.get(&key).is_some_and(is_it) {
            return Ok(vec![]);
        }
        let reported = &self.reported;
        let unknown = |order: &Result<TaskOrder, SpoolError>| {
            order.as_ref().map_or(true, |order| !reported.contains(&(order.task_id, order.attempt)))
        };
        let mut left = orders.filter(unknown).collect::<Result<VecDeque<_>, _>>()?;
        let given = left.split_off(keep.min(left.len()));
        self.reported.extend(given.iter().map(|order| (order.task_id, order.attempt)));
        self.tasks_left = self.tasks_left.saturating_add(u32::try_from(given.len()).unwrap_or(0));
        self.reading = Some((key, Orders::Kept(left)));
        Ok(given.into())
    }

    /// The next task.
    pub fn next(&mut self, situation: &Situation<'_>) -> Result<Look, SpoolError> {
        loop {
            if let Some((key, reader)) = &mut self.reading {
                let key = *key;
                match reader.next().transpose()? {
                    Some(order) if self.reported.contains(&(order.task_id, order.attempt)) => {}
                    Some(order) => {
                        if self.reads_former {
                            // A runner that was killed while it folded chunks left some tasks in two files.
                            self.reported.insert((order.task_id, order.attempt));
                        }
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
                        self.settle(key, situation.length);
                    }
                }
                continue;
            }
            if let Some(paths) = self.former.pop_front() {
                self.reads_former = true;
                if let Some(path) = paths.first().cloned() {
                    self.begin(&path, paths)?;
                }
                continue;
            }
            self.reads_former = false;
            match self.claim_one(situation) {
                Ok(Claimed::Chunk(path)) => self.begin(&path, vec![path.clone()])?,
                Ok(Claimed::Not(look)) => return Ok(look),
                Err(error) => return Ok(Look::Trouble(error)),
            }
        }
    }

    fn claim_one(&mut self, situation: &Situation<'_>) -> Result<Claimed, SpoolError> {
        let Some(ready) = self.ready.clone().filter(|_| self.tasks_left > 0) else {
            return Ok(Claimed::Not(Look::Nothing));
        };
        if situation.budget.is_full() || (self.pool_chunks() >= MOST_HELD && !self.fold(situation.running)) {
            return Ok(Claimed::Not(Look::NoRoom));
        }
        match situation.may_look {
            MayLook::Yes => self.claim(&ready, situation),
            MayLook::No => Ok(Claimed::Not(Look::NotYet)),
        }
    }

    /// Makes one of all chunks that were read to their end and wait for stragglers. Says whether there is room now.
    fn fold(&mut self, running: &BTreeMap<TaskId, ChunkKey>) -> bool {
        let waits = |held: &Held| held.read && !held.kept && !held.paths.is_empty();
        let keys: Vec<ChunkKey> =
            self.held.iter().filter(|(_, held)| waits(held)).map(|(key, _)| *key).collect();
        let Some((first, others)) = keys.split_first().filter(|(_, others)| !others.is_empty()) else {
            return false;
        };
        if !self.may_fold {
            return false;
        }
        let paths: Vec<PathBuf> = keys.iter().flat_map(|key| self.held[key].paths.clone()).collect();
        let left = keys.iter().map(|key| orders_left(&self.held[key].paths, running));
        let folded = left
            .collect::<Result<Vec<_>, _>>()
            .and_then(|left| ready::fold(&self.directory, &paths, left.into_iter().flatten()));
        if let Err(error) = folded {
            // A filesystem without links: cores may wait for stragglers there.
            tracing::warn!(error = chain(&error), "chunks are not folded");
            self.may_fold = false;
            return false;
        }
        let mut open = 0;
        for key in others {
            open += self.held.remove(key).map_or(0, |held| held.open);
            self.folded.values_mut().filter(|target| *target == key).for_each(|target| *target = *first);
            self.folded.insert(*key, *first);
        }
        if let Some(held) = self.held.get_mut(first) {
            held.open += open;
            held.paths = paths;
        }
        true
    }

    fn held_mut(&mut self, key: ChunkKey) -> Option<(ChunkKey, &mut Held)> {
        let key = self.folded.get(&key).copied().unwrap_or(key);
        self.held.get_mut(&key).map(|held| (key, held))
    }

    fn pool_chunks(&self) -> usize {
        self.held.values().filter(|held| !held.paths.is_empty()).count() + self.done.len()
    }

    /// Claims the most urgent chunk that fits the job, if one of its tasks could start now.
    fn claim(&mut self, ready: &Path, situation: &Situation<'_>) -> Result<Claimed, SpoolError> {
        let Situation { now, clock, budget, .. } = *situation;
        let fresh = self.listed.is_some_and(|at| now.duration_since(at) < LISTING_SERVES);
        let mut listed_now = !fresh || self.listing.is_empty();
        if listed_now {
            self.list(ready, now)?;
        }
        loop {
            let Some(name) = self.listing.front().copied() else {
                if listed_now {
                    return Ok(Claimed::Not(if self.lacks_time { Look::NoTime } else { Look::NothingNow }));
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
                return Ok(Claimed::Not(Look::NoRoom));
            }
            self.listing.pop_front();
            if let Some(path) = ready::claim(ready, &name, &self.directory)? {
                failpoint::hit(FailPoint::ChunkClaimed);
                tracing::info!(chunk = %name, "chunk claimed");
                self.tasks_left = self.tasks_left.saturating_sub(name.tasks);
                return Ok(Claimed::Chunk(path));
            }
        }
    }

    fn list(&mut self, ready: &Path, now: Instant) -> Result<(), SpoolError> {
        // Chunks of another shape than this job's may be many, and before all others.
        let names = ready::list(ready)?;
        self.listing = names.into_iter().filter(|name| self.fits(name)).take(LISTING_KEPT).collect();
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
        let in_time = clock.may_start(Duration::from_secs(name.need.walltime_seconds), None, now);
        self.lacks_time |= !in_time;
        in_time
    }

    /// A task's report was taken; the result file is now `length` long.
    pub fn reported(&mut self, key: ChunkKey, length: u64) {
        if let Some((key, held)) = self.held_mut(key) {
            held.open = held.open.saturating_sub(1);
            self.settle(key, length);
        }
    }

    /// A task goes back: its chunk stays where it is.
    pub fn handed_back(&mut self, key: ChunkKey) {
        if let Some((_, held)) = self.held_mut(key) {
            held.kept = true;
        }
    }

    fn settle(&mut self, key: ChunkKey, length: u64) {
        let over = |held: &Held| held.read && held.open == 0 && !held.kept;
        if self.held.get(&key).is_some_and(over)
            && let Some(held) = self.held.remove(&key)
            && !held.paths.is_empty()
        {
            self.folded.retain(|_, target| *target != key);
            self.done.push((length, held.paths));
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
        self.done.retain(|(length, paths)| {
            if *length > safe_bytes {
                return true;
            }
            for path in paths {
                failpoint::hit(FailPoint::ChunkFinished);
                if let Err(error) = ready::finish(path) {
                    tracing::warn!(error = chain(&error), "a finished chunk stays behind");
                }
            }
            false
        });
    }
}

/// Orders of the file with these names whose tasks still run.
fn orders_left(
    paths: &[PathBuf],
    running: &BTreeMap<TaskId, ChunkKey>,
) -> Result<Vec<TaskOrder>, SpoolError> {
    let Some(path) = paths.first() else { return Ok(vec![]) };
    let left = |order: &Result<TaskOrder, SpoolError>| {
        order.as_ref().map_or(true, |order| running.contains_key(&order.task_id))
    };
    ChunkReader::open(path)?.filter(left).collect()
}

/// The chunk whose claimed file this is; none of a job's own.
fn chunk_at(path: &Path) -> Option<ChunkId> {
    let name: ChunkName = path.file_name()?.to_str()?.strip_prefix(CLAIMED_PREFIX)?.parse().ok()?;
    Some(name.chunk_id)
}

/// Puts names of one and the same file together.
fn by_file(paths: impl Iterator<Item = PathBuf>) -> Result<VecDeque<Vec<PathBuf>>, SpoolError> {
    let mut files: Vec<(u64, Vec<PathBuf>)> = vec![];
    for path in paths {
        let inode = std::fs::metadata(&path).map_err(SpoolError::io("look at", &path))?.ino();
        match files.iter_mut().find(|(known, _)| *known == inode) {
            Some((_, names)) => names.push(path),
            None => files.push((inode, vec![path])),
        }
    }
    Ok(files.into_iter().map(|(_, names)| names).collect())
}

fn need(name: &ChunkName) -> Share {
    Share { cores: name.need.cores, memory_bytes: name.need.memory_bytes, gpus: name.need.gpus }
}
