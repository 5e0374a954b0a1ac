//! What workers write to standard error: all of it (within a limit) to one file of the job, the end of it to reports.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::spool::{JobDirectory, SpoolError, atomic};

/// The file stops growing here: a worker that warns without end must not fill the shared disk.
const FILE_LIMIT_BYTES: usize = 16 << 20;
/// What a report keeps.
const TAIL_BYTES: usize = 16 << 10;

/// `worker.stderr`, shared by all workers of the job.
#[derive(Clone, Debug)]
pub struct StderrLog {
    file: Arc<Mutex<(File, usize)>>,
}

impl StderrLog {
    /// Opens the file for appending.
    pub fn open(directory: &JobDirectory) -> Result<StderrLog, SpoolError> {
        let path = directory.worker_stderr();
        let file = atomic::open_append(&path)?;
        let length = file.metadata().map_err(SpoolError::io("read", &path))?.len();
        let left = FILE_LIMIT_BYTES.saturating_sub(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(StderrLog { file: Arc::new(Mutex::new((file, left))) })
    }

    fn write(&self, bytes: &[u8]) {
        let mut guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, left) = &mut *guard;
        let kept = &bytes[..bytes.len().min(*left)];
        *left -= kept.len();
        // A full disk loses these words, not the worker that speaks them.
        let _ = file.write_all(kept);
    }
}

/// The last words of one worker since its task began.
#[derive(Clone, Default, Debug)]
pub struct Tail {
    bytes: Arc<Mutex<VecDeque<u8>>>,
}

impl Tail {
    /// Forgets everything: a new task begins.
    pub fn clear(&self) {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The text, if there is any.
    pub fn text(&self) -> Option<String> {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(bytes.make_contiguous()).trim_end().to_owned();
        (!text.is_empty()).then_some(text)
    }

    fn push(&self, new: &[u8]) {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.extend(new);
        let excess = bytes.len().saturating_sub(TAIL_BYTES);
        bytes.drain(..excess);
    }
}

/// Reads a worker's standard error to its end.
pub async fn follow(mut pipe: impl AsyncRead + Unpin, log: StderrLog, tail: Tail) {
    let mut buffer = vec![0; 8 << 10];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        log.write(&buffer[..count]);
        tail.push(&buffer[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_file_is_limited_and_the_tail_is_the_end() {
        let root = tempfile::tempdir().unwrap();
        let directory = JobDirectory::at(root.path());
        let words = vec![b'x'; FILE_LIMIT_BYTES + 5];
        let tail = Tail::default();
        follow(&words[..], StderrLog::open(&directory).unwrap(), tail.clone()).await;
        follow(&b"the end\n"[..], StderrLog::open(&directory).unwrap(), tail.clone()).await;
        let length = std::fs::metadata(directory.worker_stderr()).unwrap().len();
        assert_eq!(length, FILE_LIMIT_BYTES as u64);
        let text = tail.text().unwrap();
        assert!(text.ends_with("xthe end") && text.len() < TAIL_BYTES);
        tail.clear();
        assert_eq!(tail.text(), None);
    }
}
