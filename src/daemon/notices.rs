//! Puts up what runners are to be told of what they hold, and takes down what nobody needs any more: attempts that a person
//! cancelled, as the database has them, and requests to give unbegun tasks back, as the board has them. The stager calls it:
//! the pools' directories are its own.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::site::Site;
use super::stager::StagerError;
use crate::model::ids::{JobId, PoolName};
use crate::model::notice::{Holder, Notice};
use crate::permit::Guard;
use crate::spool::notice::NoticeBoard;

/// Whoever holds a chunk was seen by then, also after a start: a notice stays so long where nobody seems to.
const NOWHERE: Duration = Duration::from_secs(120);
/// Between two looks for notices that nobody needs any more.
const SWEEP_INTERVAL: Duration = Duration::from_secs(15);

/// Who is told something, in which pool.
type Addressee = (PoolName, Holder);

/// What is up. Losing it means writing it again.
#[derive(Default)]
pub(super) struct Notices {
    up: BTreeMap<Addressee, Notice>,
    /// Since when nobody seems to hold what a notice is about.
    nowhere: HashMap<Addressee, Instant>,
    /// Leftovers of an earlier daemon were looked for.
    found: HashSet<PoolName>,
    swept_on: Option<Instant>,
}

impl Notices {
    /// Puts up what is new, and now and then takes down what is over.
    pub(super) async fn deliver(&mut self, site: &Arc<Site>) -> Result<(), StagerError> {
        let mut wanted: BTreeMap<Addressee, Notice> = BTreeMap::new();
        for (addressee, recalled) in site.store.recalls(site.name()).await? {
            wanted.entry(addressee).or_default().recalled = recalled;
        }
        for pool in &site.pools {
            for (chunk, give_back) in pool.board.asked_back() {
                let addressee = (pool.config.name.clone(), Holder::Chunk(chunk));
                wanted.entry(addressee).or_default().give_back = Some(give_back);
            }
        }
        for (addressee, notice) in &wanted {
            if self.up.get(addressee) == Some(notice) {
                continue;
            }
            let (board, holder, text) = (board(site, &addressee.0), addressee.1, notice.clone());
            let permit = site.lease.permit().await?;
            tokio::task::spawn_blocking(move || board.write(holder, &text, &permit)).await??;
            self.up.insert(addressee.clone(), notice.clone());
        }
        if self.swept_on.is_none_or(|at| at.elapsed() >= SWEEP_INTERVAL) {
            self.swept_on = Some(Instant::now());
            self.find_leftovers(site).await?;
            self.sweep(site).await?;
        }
        Ok(())
    }

    async fn find_leftovers(&mut self, site: &Site) -> Result<(), StagerError> {
        for pool in site.pools.iter().map(|pool| &pool.config.name) {
            if self.found.contains(pool) {
                continue;
            }
            let board = board(site, pool);
            for holder in tokio::task::spawn_blocking(move || board.holders()).await?? {
                self.up.entry((pool.clone(), holder)).or_default();
            }
            self.found.insert(pool.clone());
        }
        Ok(())
    }

    /// Takes down what is about chunks that are nowhere any more and about jobs that have ended.
    async fn sweep(&mut self, site: &Site) -> Result<(), StagerError> {
        let jobs: Vec<JobId> = self.up.keys().filter_map(|(_, holder)| job_of(*holder)).collect();
        let ended: HashSet<JobId> = site.store.ended_jobs(&jobs).await?.into_iter().collect();
        let mut over = Vec::new();
        for addressee in self.up.keys() {
            let (pool, holder) = addressee;
            let is_held = match holder {
                Holder::Chunk(chunk) => site.pool(pool).is_some_and(|pool| pool.board.knows(*chunk)),
                Holder::Job(job) => !ended.contains(job),
            };
            if is_held {
                self.nowhere.remove(addressee);
            } else if self.nowhere.entry(addressee.clone()).or_insert_with(Instant::now).elapsed() >= NOWHERE
            {
                over.push(addressee.clone());
            }
        }
        let holders: Vec<Holder> = over.iter().map(|(_, holder)| *holder).collect();
        site.writer.forget_recalls(&holders).await?;
        for addressee in over {
            let (board, holder) = (board(site, &addressee.0), addressee.1);
            let permit = site.lease.permit().await?;
            tokio::task::spawn_blocking(move || board.remove(holder, &permit)).await??;
            self.up.remove(&addressee);
            self.nowhere.remove(&addressee);
        }
        Ok(())
    }
}

fn job_of(holder: Holder) -> Option<JobId> {
    match holder {
        Holder::Job(id) => Some(id),
        Holder::Chunk(_) => None,
    }
}

fn board(site: &Site, pool: &PoolName) -> NoticeBoard {
    NoticeBoard::of(&site.spool, pool)
}
