//! What workers write to standard error: all of it (within a limit) to one file of the job, the end of it to reports.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::spool::{JobDirectory, SpoolError, atomic};

/// The file stops growing here: a worker that warns without end must not fill the shared disk.
const FILE_LIMIT_BYTES: usize = 16 << 20;
const FILE_IS_FULL: &str = "\n[qcbatch: what workers wrote after this is left out]\n";
/// What a report keeps.
const TAIL_BYTES: usize = 16 << 10;

/// `worker.stderr`, shared by all workers of the job.
#[derive(Clone, Debug)]
pub struct StderrLog {
    file: Arc<Mutex<Limited>>,
}

/// A file, how much it still takes, and whether it says that it takes no more.
#[derive(Debug)]
struct Limited {
    file: File,
    left: usize,
    says_so: bool,
}

impl StderrLog {
    /// Opens the file for appending.
    pub fn open(directory: &JobDirectory) -> Result<StderrLog, SpoolError> {
        let path = directory.worker_stderr();
        let file = atomic::open_append(&path)?;
        let length = file.metadata().map_err(SpoolError::io("read", &path))?.len();
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (left, says_so) = (FILE_LIMIT_BYTES.saturating_sub(length), length > FILE_LIMIT_BYTES);
        Ok(StderrLog { file: Arc::new(Mutex::new(Limited { file, left, says_so })) })
    }

    fn write(&self, bytes: &[u8]) {
        let mut guard = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Limited { file, left, says_so } = &mut *guard;
        let kept = &bytes[..bytes.len().min(*left)];
        *left -= kept.len();
        // A full disk loses these words, not the worker that speaks them.
        let _ = file.write_all(kept);
        if kept.len() < bytes.len() && !std::mem::replace(says_so, true) {
            let _ = file.write_all(FILE_IS_FULL.as_bytes());
        }
    }
}

/// The last words of one worker since its task began.
#[derive(Clone, Default, Debug)]
pub struct Tail {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default, Debug)]
struct Kept {
    bytes: VecDeque<u8>,
    left_out: u64,
}

/// A text of which so many bytes are missing at the beginning; it says so.
pub fn left_out_before(bytes: u64, text: &str) -> String {
    match bytes {
        0 => text.to_owned(),
        _ => format!("[qcbatch: {bytes} bytes before this were left out]\n{text}"),
    }
}

impl Tail {
    /// Forgets everything: a new task begins.
    pub fn clear(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Kept::default();
    }

    /// The text, if there is any.
    pub fn text(&self) -> Option<String> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(kept.bytes.make_contiguous()).trim_end().to_owned();
        (!text.is_empty()).then(|| left_out_before(kept.left_out, &text))
    }

    fn push(&self, new: &[u8]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes.extend(new);
        let excess = kept.bytes.len().saturating_sub(TAIL_BYTES);
        kept.bytes.drain(..excess);
        kept.left_out += excess as u64;
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
        let file = std::fs::read(directory.worker_stderr()).unwrap();
        assert_eq!(file.len(), FILE_LIMIT_BYTES + FILE_IS_FULL.len());
        assert!(file.ends_with(FILE_IS_FULL.as_bytes()));
        let text = tail.text().unwrap();
        let left_out = words.len() + "the end\n".len() - TAIL_BYTES;
        assert!(
            text.starts_with(&format!("[qcbatch: {left_out} bytes before this were left out]\nx")),
            "{text}"
        );
        assert!(text.ends_with("xthe end"));
        tail.clear();
        assert_eq!(tail.text(), None);
    }
}
