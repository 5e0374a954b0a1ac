//! What the daemon knows of a pool's chunks between passes: what is staged, and which job has claimed what. Read from
//! the database once; after that the directories tell the rest. Losing it costs a read.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::model::chunk::ChunkName;
use crate::model::ids::{ChunkId, JobId};
use crate::model::notice::GiveBack;
use crate::plan::pilots::Unclaimed;

/// A runner looks for notices every few seconds: until then, and until its answer is stored, it is not asked again.
const ASK_AGAIN: Duration = Duration::from_secs(8);

/// The board of one pool.
#[derive(Default)]
pub struct Board(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    loaded: bool,
    unclaimed: HashMap<ChunkId, Entry>,
    /// Chunks that lie in the directories of running jobs.
    claimed: HashMap<JobId, Vec<ChunkName>>,
    /// Since when each of them is known to.
    claimed_on: HashMap<ChunkId, Instant>,
    /// Holders that were asked to give unbegun tasks back, and when.
    asked: HashMap<ChunkId, (GiveBack, Instant)>,
    published_on: Option<Instant>,
    /// Why everything staged is to be taken back.
    withdrawal: Option<String>,
}

/// A chunk that no job has claimed.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name of its file.
    pub name: ChunkName,
    /// How long all of its tasks take, one after the other.
    pub expected_seconds: f64,
    /// How far its file has come.
    pub file: File,
}

/// How far the file of a chunk has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum File {
    /// To be written.
    Planned,
    /// Written, to be published.
    Written,
    /// Jobs can see it.
    Published,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what is stored was read.
    pub fn is_loaded(&self) -> bool {
        self.lock().loaded
    }

    /// Takes what is stored.
    pub fn load(&self, entries: Vec<Entry>) {
        let mut inner = self.lock();
        inner.unclaimed = entries.into_iter().map(|entry| (entry.name.chunk_id, entry)).collect();
        inner.loaded = true;
    }

    /// Chunks were planned.
    pub fn add(&self, entries: impl IntoIterator<Item = Entry>) {
        self.lock().unclaimed.extend(entries.into_iter().map(|entry| (entry.name.chunk_id, entry)));
    }

    /// The files of these chunks have come so far.
    pub fn advance(&self, names: &[ChunkName], file: File) {
        let mut inner = self.lock();
        for name in names {
            if let Some(entry) = inner.unclaimed.get_mut(&name.chunk_id) {
                entry.file = file;
            }
        }
        if file == File::Published && !names.is_empty() {
            inner.published_on = Some(Instant::now());
        }
    }

    /// These chunks are gone.
    pub fn remove(&self, names: &[ChunkName]) {
        let mut inner = self.lock();
        for name in names {
            inner.unclaimed.remove(&name.chunk_id);
        }
    }

    /// Published chunks that are not in `ready` any more were claimed. `seen_before` are those that were published
    /// before the directory was listed.
    pub fn see_ready(&self, ready: &HashSet<ChunkName>, published_before: &HashSet<ChunkId>) {
        self.lock()
            .unclaimed
            .retain(|id, entry| !published_before.contains(id) || ready.contains(&entry.name));
    }

    /// Chunks whose files are published.
    pub fn published(&self) -> HashSet<ChunkId> {
        let inner = self.lock();
        let published = inner.unclaimed.values().filter(|entry| entry.file == File::Published);
        published.map(|entry| entry.name.chunk_id).collect()
    }

    /// Up to `tasks` tasks in chunks whose files have come so far; the most urgent first, one at least.
    pub fn at(&self, file: File, tasks: u32) -> Vec<Entry> {
        let inner = self.lock();
        let mut entries: Vec<Entry> =
            inner.unclaimed.values().filter(|entry| entry.file == file).copied().collect();
        entries.sort_by_key(|entry| (std::cmp::Reverse(entry.name.compute_priority), entry.name.chunk_id));
        let mut sum = 0u32;
        entries.retain(|entry| {
            let fits = sum == 0 || sum.saturating_add(entry.name.tasks) <= tasks;
            sum = sum.saturating_add(entry.name.tasks);
            fits
        });
        entries
    }

    /// Everything that no job has claimed.
    pub fn all(&self) -> Vec<Entry> {
        self.lock().unclaimed.values().copied().collect()
    }

    /// The same as the planner wants it.
    pub fn unclaimed(&self) -> Vec<Unclaimed> {
        let mut sums: HashMap<_, Unclaimed> = HashMap::new();
        for entry in self.lock().unclaimed.values() {
            let ChunkName { compute_priority, tasks, need, .. } = entry.name;
            let sum = sums.entry((compute_priority, need)).or_insert(Unclaimed {
                need: need.into(),
                compute_priority,
                chunks: 0,
                tasks: 0,
                expected_seconds: 0.0,
            });
            sum.chunks += 1;
            sum.tasks += tasks;
            sum.expected_seconds += entry.expected_seconds;
        }
        sums.into_values().collect()
    }

    /// A job was seen to have these chunks in its directory.
    pub fn see_job(&self, job: JobId, claimed: &[ChunkName]) {
        let mut inner = self.lock();
        if claimed.is_empty() {
            inner.claimed.remove(&job);
        } else if inner.claimed.get(&job).is_none_or(|known| known != claimed) {
            inner.claimed.insert(job, claimed.to_vec());
        }
        let now = Instant::now();
        for name in claimed {
            inner.claimed_on.entry(name.chunk_id).or_insert(now);
        }
    }

    /// What each job was seen to have in its directory, and for how long.
    pub fn held(&self) -> HashMap<JobId, Vec<(ChunkName, Duration)>> {
        let mut inner = self.lock();
        let Inner { claimed, claimed_on, asked, .. } = &mut *inner;
        let known: HashSet<ChunkId> = claimed.values().flatten().map(|name| name.chunk_id).collect();
        claimed_on.retain(|chunk, _| known.contains(chunk));
        asked.retain(|chunk, _| known.contains(chunk));
        let since =
            |name: &ChunkName| claimed_on.get(&name.chunk_id).map_or(Duration::ZERO, Instant::elapsed);
        let with_time = |names: &Vec<ChunkName>| names.iter().map(|name| (*name, since(name))).collect();
        claimed.iter().map(|(job, names)| (*job, with_time(names))).collect()
    }

    /// The holder of this chunk is to give all but so many of its unbegun tasks back, unless it was asked a moment ago. Says
    /// whether it is asked now.
    pub fn ask_back(&self, chunk: ChunkId, give_back: GiveBack) -> bool {
        let mut inner = self.lock();
        let asks = inner.asked.get(&chunk).is_none_or(|(_, at)| at.elapsed() >= ASK_AGAIN);
        if asks {
            inner.asked.insert(chunk, (give_back, Instant::now()));
        }
        asks
    }

    /// What holders of chunks were asked.
    pub fn asked_back(&self) -> Vec<(ChunkId, GiveBack)> {
        self.lock().asked.iter().map(|(chunk, (give_back, _))| (*chunk, *give_back)).collect()
    }

    /// Whether a chunk may be in somebody's hands, or come into them.
    pub fn knows(&self, chunk: ChunkId) -> bool {
        let inner = self.lock();
        inner.unclaimed.contains_key(&chunk)
            || inner.claimed.values().flatten().any(|name| name.chunk_id == chunk)
    }

    /// Whether a job was seen to have work.
    pub fn is_at_work(&self, job: JobId) -> bool {
        self.lock().claimed.contains_key(&job)
    }

    /// Chunks that were seen in directories of jobs.
    pub fn seen_claimed(&self) -> HashSet<ChunkId> {
        self.lock().claimed.values().flatten().map(|name| name.chunk_id).collect()
    }

    /// Whether something was published less than `ago` ago.
    pub fn published_within(&self, ago: Duration) -> bool {
        self.lock().published_on.is_some_and(|at| at.elapsed() < ago)
    }

    /// Everything staged is to be taken back, for this reason.
    pub fn ask_withdrawal(&self, reason: String) {
        let mut inner = self.lock();
        if !inner.unclaimed.is_empty() {
            inner.withdrawal = Some(reason);
        }
    }

    /// Why everything staged is to be taken back, asked once.
    pub fn take_withdrawal(&self) -> Option<String> {
        self.lock().withdrawal.take()
    }
}
