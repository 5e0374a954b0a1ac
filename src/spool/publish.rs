//! The daemon's side of a pool's chunks: written beside, published by rename, taken back by rename. One daemon at a time:
//! each rename and each removal asks the permit first.
//!
//! Invariant: what was once in `ready` is never written there again; a job may have claimed it.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::atomic;
use super::chunk;
use super::error::SpoolError;
use super::layout::{self, Spool, is_ready};
use super::listing::names;
use super::ready;
use crate::model::chunk::ChunkName;
use crate::model::ids::PoolName;
use crate::model::task::TaskOrder;
use crate::permit::Permit;

/// A chunk that is taken back is renamed to this and its name, and removed.
const WITHDRAWN: &str = "withdrawn-";

/// The directories of a pool's chunks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChunkStore {
    staged: PathBuf,
    ready: PathBuf,
}

impl ChunkStore {
    /// That of `pool`.
    pub fn of(spool: &Spool, pool: &PoolName) -> ChunkStore {
        ChunkStore { staged: spool.staged(pool), ready: spool.ready(pool) }
    }

    /// Those of every directory of the spool that looks like a pool's, with the directory.
    pub fn all(spool: &Spool) -> Result<Vec<(PathBuf, ChunkStore)>, SpoolError> {
        let directories = names(spool.root())?.into_iter().map(|name| spool.root().join(name));
        let mut stores = Vec::new();
        for directory in directories.filter(|directory| directory.is_dir()) {
            if names(&directory)?.iter().any(|name| name.to_str().is_some_and(is_ready)) {
                let store = ChunkStore {
                    staged: directory.join(layout::STAGED),
                    ready: directory.join(spool.ready_name()),
                };
                stores.push((directory, store));
            }
        }
        Ok(stores)
    }

    /// Makes its directories. It is fine if they exist.
    pub fn create(&self) -> Result<(), SpoolError> {
        atomic::create_directory(&self.staged)?;
        atomic::create_directory(&self.ready)
    }

    /// Writes chunks where no job looks, durably. Writing one again replaces it.
    pub fn write(&self, chunks: Vec<(ChunkName, Vec<TaskOrder>)>, permit: &Permit) -> Result<(), SpoolError> {
        self.create()?;
        for (name, orders) in chunks {
            chunk::write_chunk(&self.staged.join(name.to_string()), permit, orders)?;
        }
        Ok(())
    }

    /// Publishes written chunks: any job of the pool may claim them from now on. One that was published before is left
    /// alone.
    pub fn publish(&self, names: &[ChunkName], permit: &Permit) -> Result<(), SpoolError> {
        for name in names {
            let (from, to) = (self.staged.join(name.to_string()), self.ready.join(name.to_string()));
            permit.check()?;
            match fs::rename(&from, &to) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(SpoolError::io("publish", &to)(error)),
            }
        }
        atomic::sync_directory(&self.ready)?;
        atomic::sync_directory(&self.staged)
    }

    /// Takes chunks back, published or not; returns those that no job had claimed before.
    pub fn withdraw(&self, names: &[ChunkName], permit: &Permit) -> Result<Vec<ChunkName>, SpoolError> {
        let mut withdrawn = Vec::new();
        for name in names {
            let staged = self.staged.join(name.to_string());
            let away = self.staged.join(format!("{WITHDRAWN}{name}"));
            permit.check()?;
            let was_staged = remove(&staged)?;
            match fs::rename(self.ready.join(name.to_string()), &away) {
                Ok(()) => {
                    remove(&away)?;
                    withdrawn.push(*name);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if was_staged {
                        withdrawn.push(*name);
                    }
                }
                Err(error) => return Err(SpoolError::io("withdraw", &away)(error)),
            }
        }
        Ok(withdrawn)
    }

    /// Takes back every chunk that waits for a job and that is not in `keep`. Whoever put it there, no row of this database
    /// will ever ask for it. Chunks that waited for jobs of before a restore go too, whether they are in `keep` or not.
    pub fn withdraw_strays(
        &self,
        keep: &HashSet<ChunkName>,
        permit: &Permit,
    ) -> Result<Vec<ChunkName>, SpoolError> {
        self.create()?;
        let mut withdrawn = Vec::new();
        for ready in self.all_ready()? {
            let ours = ready == self.ready;
            let strays = ready::list(&ready)?.into_iter().filter(|name| !(ours && keep.contains(name)));
            for name in strays {
                let away = self.staged.join(format!("{WITHDRAWN}{name}"));
                permit.check()?;
                match fs::rename(ready.join(name.to_string()), &away) {
                    Ok(()) => {
                        remove(&away)?;
                        withdrawn.push(name);
                    }
                    // A job was quicker.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(SpoolError::io("withdraw", &away)(error)),
                }
            }
        }
        Ok(withdrawn)
    }

    /// Every directory of the pool in which chunks wait, or did before a restore.
    fn all_ready(&self) -> Result<Vec<PathBuf>, SpoolError> {
        let pool = atomic::parent(&self.ready);
        let ready = names(pool)?.into_iter().filter(|name| name.to_str().is_some_and(is_ready));
        Ok(ready.map(|name| pool.join(name)).collect())
    }

    /// Chunks that are published and not claimed.
    pub fn ready(&self) -> Result<HashSet<ChunkName>, SpoolError> {
        Ok(ready::list(&self.ready)?.into_iter().collect())
    }

    /// Chunks that are written and not published.
    pub fn staged(&self) -> Result<HashSet<ChunkName>, SpoolError> {
        Ok(ready::list(&self.staged)?.into_iter().collect())
    }

    /// Removes what a daemon that died left half-done beside the written chunks, and those of them that `keep` does not
    /// name.
    pub fn sweep(&self, keep: &HashSet<ChunkName>, permit: &Permit) -> Result<(), SpoolError> {
        for name in names(&self.staged)? {
            let kept =
                name.to_str().and_then(|text| text.parse().ok()).is_some_and(|name| keep.contains(&name));
            if !kept {
                permit.check()?;
                remove(&self.staged.join(&name))?;
            }
        }
        Ok(())
    }
}

/// Whether it was there.
fn remove(path: &Path) -> Result<bool, SpoolError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(SpoolError::io("remove", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::chunk::ChunkNeed;
    use crate::model::identity::{DatabaseId, Lineage};
    use crate::model::ids::ChunkId;
    use crate::spool::stage::tests::orders;

    fn name(id: i64) -> ChunkName {
        let need = ChunkNeed { cores: 1, memory_bytes: 1 << 30, gpus: 0, walltime_seconds: 60 };
        ChunkName { compute_priority: 1, chunk_id: ChunkId(id), tasks: 2, need }
    }

    fn free() -> Permit {
        Permit::without_lease()
    }

    fn set(ids: &[i64]) -> HashSet<ChunkName> {
        ids.iter().copied().map(name).collect()
    }

    #[test]
    fn a_chunk_is_seen_by_jobs_only_once_it_is_published() {
        let root = tempfile::tempdir().unwrap();
        let store = ChunkStore::of(&Spool::new(root.path()), &PoolName("local".into()));
        assert!(store.ready().unwrap().is_empty(), "nothing before the first chunk");
        store.write(vec![(name(1), orders(2)), (name(2), orders(2))], &free()).unwrap();
        assert_eq!((store.staged().unwrap(), store.ready().unwrap()), (set(&[1, 2]), set(&[])));
        store.publish(&[name(1)], &free()).unwrap();
        store.publish(&[name(1)], &free()).unwrap();
        assert_eq!((store.staged().unwrap(), store.ready().unwrap()), (set(&[2]), set(&[1])));
    }

    #[test]
    fn only_what_no_job_claimed_is_taken_back() {
        let root = tempfile::tempdir().unwrap();
        let store = ChunkStore::of(&Spool::new(root.path()), &PoolName("local".into()));
        store.write((1..=3).map(|id| (name(id), orders(2))).collect(), &free()).unwrap();
        store.publish(&[name(1), name(2)], &free()).unwrap();
        fs::rename(store.ready.join(name(1).to_string()), root.path().join("claimed")).unwrap();
        assert_eq!(store.withdraw(&[name(1), name(2), name(3)], &free()).unwrap(), [name(2), name(3)]);
        assert!(store.ready().unwrap().is_empty() && names(&store.staged).unwrap().is_empty());
    }

    #[test]
    fn leftovers_go_and_written_chunks_stay() {
        let root = tempfile::tempdir().unwrap();
        let store = ChunkStore::of(&Spool::new(root.path()), &PoolName("local".into()));
        store.write(vec![(name(1), orders(2)), (name(2), orders(2))], &free()).unwrap();
        fs::write(store.staged.join(".tmp-abc"), "half").unwrap();
        fs::write(store.staged.join(format!("{WITHDRAWN}{}", name(7))), "away").unwrap();
        store.sweep(&set(&[2]), &free()).unwrap();
        assert_eq!(names(&store.staged).unwrap(), [std::ffi::OsString::from(name(2).to_string())]);
    }

    #[test]
    fn without_a_permit_nothing_is_written_published_taken_back_or_removed() {
        let root = tempfile::tempdir().unwrap();
        let store = ChunkStore::of(&Spool::new(root.path()), &PoolName("local".into()));
        store.write(vec![(name(1), orders(2)), (name(2), orders(2))], &free()).unwrap();
        store.publish(&[name(1)], &free()).unwrap();
        let closed = Permit::through(&std::sync::Arc::default());
        let refused = |outcome: Result<(), SpoolError>| {
            assert!(matches!(outcome, Err(SpoolError::NotPermitted(_))), "{outcome:?}");
        };
        refused(store.write(vec![(name(3), orders(2))], &closed));
        refused(store.publish(&[name(2)], &closed));
        refused(store.withdraw(&[name(1), name(2)], &closed).map(drop));
        refused(store.withdraw_strays(&set(&[]), &closed).map(drop));
        refused(store.sweep(&set(&[]), &closed));
        assert_eq!((store.staged().unwrap(), store.ready().unwrap()), (set(&[2]), set(&[1])));
    }

    #[test]
    fn what_waits_and_nobody_knows_is_taken_away_and_so_is_all_of_before_a_restore() {
        let root = tempfile::tempdir().unwrap();
        let pool = PoolName("local".into());
        let first = DatabaseId([1; 16]);
        let lineage = |current, former| Lineage { current, former };
        let before = ChunkStore::of(&Spool::of_database(root.path(), &lineage(first, vec![])), &pool);
        let names = [name(1), name(2), name(3)];
        before.write(names.iter().map(|name| (*name, orders(2))).collect(), &free()).unwrap();
        before.publish(&names, &free()).unwrap();
        assert_eq!(before.withdraw_strays(&[name(1), name(2)].into(), &free()).unwrap(), [name(3)]);
        assert_eq!(before.ready().unwrap(), set(&[1, 2]));
        let after = Spool::of_database(root.path(), &lineage(DatabaseId([2; 16]), vec![first]));
        let all = ChunkStore::all(&after).unwrap();
        let store = ChunkStore::of(&after, &pool);
        assert_eq!(all, [(after.pool(&pool), store.clone())]);
        assert_eq!(store.ready().unwrap(), set(&[]), "jobs of before look elsewhere");
        store.write(vec![(name(4), orders(2))], &free()).unwrap();
        store.publish(&[name(4)], &free()).unwrap();
        let mut taken = store.withdraw_strays(&[name(1), name(4)].into(), &free()).unwrap();
        taken.sort_by_key(|name| name.chunk_id);
        assert_eq!(taken, [name(1), name(2)], "whether a row knows it or not");
        assert_eq!((store.ready().unwrap(), before.ready().unwrap()), (set(&[4]), set(&[])));
    }
}
