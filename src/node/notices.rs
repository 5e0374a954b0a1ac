//! What the daemon has to tell of what this runner holds. Looks into the pool's directory of notices now and then, and reads
//! only the files that concern it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::error::chain;
use crate::model::notice::{Holder, Notice};
use crate::model::task::JobManifest;
use crate::spool::SpoolError;
use crate::spool::notice::NoticeBoard;

/// Between two looks. A task that is cancelled ends within this and a little.
const INTERVAL: Duration = Duration::from_secs(3);

/// Looks for notices.
#[derive(Debug)]
pub struct Notices {
    /// None where the job was made by a daemon that writes none.
    board: Option<NoticeBoard>,
    heard: HashMap<Holder, Notice>,
    due: Instant,
}

impl Notices {
    /// For the job of `manifest`.
    pub fn new(manifest: &JobManifest, now: Instant) -> Notices {
        let board = manifest.notices.as_ref().map(|path| NoticeBoard::at(PathBuf::from(path)));
        Notices { board, heard: HashMap::new(), due: now + INTERVAL }
    }

    /// When to look.
    pub fn due(&self) -> Option<Instant> {
        self.board.as_ref().map(|_| self.due)
    }

    /// Notices for what `holds` says is ours, those that are new or say something else than before.
    pub fn listen(&mut self, now: Instant, holds: impl Fn(Holder) -> bool) -> Vec<(Holder, Notice)> {
        let Some(board) = self.board.as_ref().filter(|_| now >= self.due) else { return vec![] };
        self.due = now + INTERVAL;
        self.heard.retain(|holder, _| holds(*holder));
        match read(board, holds) {
            Ok(mut notices) => {
                notices.retain(|(holder, notice)| self.heard.get(holder) != Some(notice));
                self.heard.extend(notices.iter().cloned());
                notices
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "notices cannot be read");
                vec![]
            }
        }
    }
}

fn read(board: &NoticeBoard, holds: impl Fn(Holder) -> bool) -> Result<Vec<(Holder, Notice)>, SpoolError> {
    let ours = board.holders()?.into_iter().filter(|holder| holds(*holder));
    let notices = ours.map(|holder| Ok(board.read(holder)?.map(|notice| (holder, notice))));
    notices.filter_map(Result::transpose).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{ChunkId, JobId};
    use crate::model::notice::GiveBack;

    #[test]
    fn only_what_is_ours_is_heard_once_and_again_when_it_changes() {
        let root = tempfile::tempdir().unwrap();
        let board = NoticeBoard::at(root.path());
        let permit = crate::permit::Permit::without_lease();
        let (ours, others) = (Holder::Chunk(ChunkId(1)), Holder::Job(JobId(1)));
        let mut now = Instant::now();
        let mut notices = Notices { board: Some(board.clone()), heard: HashMap::new(), due: now };
        let mut listen = || {
            now += INTERVAL;
            notices.listen(now, |holder| holder == ours)
        };
        assert_eq!(listen(), []);
        board.write(ours, &Notice::default(), &permit).unwrap();
        board.write(others, &Notice::default(), &permit).unwrap();
        assert_eq!((listen().len(), listen().len()), (1, 0));
        let asked = Notice { give_back: Some(GiveBack { number: 1, keep: 0 }), ..Notice::default() };
        board.write(ours, &asked, &permit).unwrap();
        assert_eq!((listen(), listen()), (vec![(ours, asked)], vec![]));
    }
}
