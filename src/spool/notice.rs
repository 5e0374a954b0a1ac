//! A pool's notices: one small file for each chunk or job that the daemon has something to tell of. The daemon alone writes
//! and removes them; runners read those of what they hold.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::atomic::{self, Access};
use super::error::SpoolError;
use super::layout::Spool;
use super::listing;
use crate::model::ids::PoolName;
use crate::model::notice::{Holder, Notice};
use crate::permit::Permit;

/// A larger file is no notice: a chunk has a thousand tasks at most.
const MOST_BYTES: u64 = 1 << 20;

/// The directory of a pool's notices.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoticeBoard {
    directory: PathBuf,
}

impl NoticeBoard {
    /// That of `pool`.
    pub fn of(spool: &Spool, pool: &PoolName) -> NoticeBoard {
        NoticeBoard::at(spool.notices(pool))
    }

    /// The one at `directory`.
    pub fn at(directory: impl Into<PathBuf>) -> NoticeBoard {
        NoticeBoard { directory: directory.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Puts a notice up, or replaces the one that is there.
    pub fn write(&self, holder: Holder, notice: &Notice, permit: &Permit) -> Result<(), SpoolError> {
        atomic::create_directory(&self.directory)?;
        let path = self.path_of(holder);
        let document = |source| SpoolError::Document { path: path.clone(), line: 0, source };
        let bytes = serde_json::to_vec(notice).map_err(document)?;
        let write = |file: &mut File| file.write_all(&bytes).map_err(SpoolError::io("write", &path));
        atomic::write_permitted(&path, Access::Data, permit, write)
    }

    /// Takes a notice down. It is fine if there is none.
    pub fn remove(&self, holder: Holder, permit: &Permit) -> Result<(), SpoolError> {
        permit.check()?;
        let path = self.path_of(holder);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(SpoolError::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// For whom there are notices. A directory that is not there holds none.
    pub fn holders(&self) -> Result<Vec<Holder>, SpoolError> {
        let names = listing::names(&self.directory)?;
        Ok(names.into_iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
    }

    /// The notice for `holder`; none where there is none.
    pub fn read(&self, holder: Holder) -> Result<Option<Notice>, SpoolError> {
        let path = self.path_of(holder);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SpoolError::io("open", &path)(error)),
        };
        let mut bytes = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(SpoolError::io("read", &path))?;
        let document = |source| SpoolError::Document { path: path.clone(), line: 0, source };
        serde_json::from_slice(&bytes).map(Some).map_err(document)
    }

    fn path_of(&self, holder: Holder) -> PathBuf {
        self.directory.join(holder.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{ChunkId, JobId, TaskId};
    use crate::model::notice::{Attempt, GiveBack};

    #[test]
    fn a_notice_is_put_up_replaced_and_taken_down() {
        let root = tempfile::tempdir().unwrap();
        let board = NoticeBoard::of(&Spool::new(root.path()), &PoolName("short".into()));
        let permit = Permit::without_lease();
        let (chunk, job) = (Holder::Chunk(ChunkId(3)), Holder::Job(JobId(4)));
        assert_eq!((board.holders().unwrap(), board.read(chunk).unwrap()), (vec![], None));
        board.remove(chunk, &permit).unwrap();
        let mut notice = Notice::default();
        board.write(chunk, &notice, &permit).unwrap();
        notice.recalled.push(Attempt { task_id: TaskId(1), attempt: 0 });
        notice.give_back = Some(GiveBack { number: 9, keep: 2 });
        board.write(chunk, &notice, &permit).unwrap();
        board.write(job, &Notice::default(), &permit).unwrap();
        fs::write(board.path().join(".tmp-half"), "{").unwrap();
        let mut holders = board.holders().unwrap();
        holders.sort();
        assert_eq!((holders, board.read(chunk).unwrap()), (vec![chunk, job], Some(notice)));
        board.remove(chunk, &permit).unwrap();
        assert_eq!(board.holders().unwrap(), [job]);
    }

    #[test]
    fn what_is_no_notice_is_an_error_and_a_huge_file_is_not_read_whole() {
        let root = tempfile::tempdir().unwrap();
        let board = NoticeBoard::at(root.path());
        let holder = Holder::Job(JobId(1));
        fs::write(root.path().join("job-1"), "{\"recalled\":").unwrap();
        assert!(board.read(holder).is_err());
        File::create(root.path().join("job-1")).unwrap().set_len(1 << 40).unwrap();
        assert!(board.read(holder).is_err());
    }
}
