//! The chunk of a job: zstd-compressed JSON lines of `TaskOrder`, streamed, claimed by rename.
//!
//! Only one runner can rename `chunk`; whoever lost finds it claimed.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::atomic::{self, Access};
use super::error::SpoolError;
use super::layout::JobDirectory;
use crate::model::task::TaskOrder;
use crate::permit::Permit;

/// zstd's own default.
const COMPRESSION_LEVEL: i32 = 3;

/// Writes a chunk at `path`, whole or not at all, one order at a time, if `permit` is still good when the file is about to
/// appear. Returns how many orders there were.
pub fn write_chunk(
    path: &Path,
    permit: &Permit,
    orders: impl IntoIterator<Item = TaskOrder>,
) -> Result<u32, SpoolError> {
    let mut count = 0;
    atomic::write_permitted(path, Access::Data, permit, |file| {
        let failed = SpoolError::io("write", path);
        count = compress(file, path, orders).map_err(|error| match error {
            WriteError::Io(error) => failed(error),
            WriteError::Document(error) => error,
        })?;
        Ok(())
    })?;
    Ok(count)
}

enum WriteError {
    Io(io::Error),
    Document(SpoolError),
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        WriteError::Io(error)
    }
}

fn compress(
    file: &mut File,
    path: &Path,
    orders: impl IntoIterator<Item = TaskOrder>,
) -> Result<u32, WriteError> {
    let mut encoder = zstd::Encoder::new(BufWriter::new(file), COMPRESSION_LEVEL)?;
    encoder.include_checksum(true)?;
    let mut line = Vec::new();
    let mut count = 0;
    for order in orders {
        count += 1;
        line.clear();
        serde_json::to_writer(&mut line, &order).map_err(|source| {
            WriteError::Document(SpoolError::Document {
                path: path.to_owned(),
                line: u64::from(count),
                source,
            })
        })?;
        line.push(b'\n');
        encoder.write_all(&line)?;
    }
    encoder.finish()?.flush()?;
    Ok(count)
}

/// Takes the chunk of `directory` for this runner and no other. Returns the path to read it from.
pub fn claim(directory: &JobDirectory) -> Result<PathBuf, SpoolError> {
    let (from, to) = (directory.chunk(), directory.chunk_claimed());
    if to.exists() {
        return Err(SpoolError::AlreadyClaimed { directory: directory.path().to_owned() });
    }
    match fs::rename(&from, &to) {
        Ok(()) => {
            atomic::sync_directory(directory.path())?;
            Ok(to)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Listing the directory anew makes a network filesystem forget that `chunk.claimed` was not there.
            let listed = fs::read_dir(directory.path()).is_ok_and(|names| {
                names.flatten().any(|name| Some(name.file_name().as_os_str()) == to.file_name())
            });
            let directory = directory.path().to_owned();
            Err(if listed || to.exists() {
                SpoolError::AlreadyClaimed { directory }
            } else {
                SpoolError::NotStaged { directory }
            })
        }
        Err(error) => Err(SpoolError::io("claim", &from)(error)),
    }
}

/// Reads a chunk one order at a time; holds one line in memory.
pub struct ChunkReader {
    path: PathBuf,
    lines: Box<dyn BufRead + Send>,
    line: u64,
}

impl ChunkReader {
    /// Opens the chunk at `path`.
    pub fn open(path: &Path) -> Result<ChunkReader, SpoolError> {
        let file = File::open(path).map_err(SpoolError::io("open", path))?;
        let decoder = zstd::Decoder::new(file).map_err(SpoolError::io("decompress", path))?;
        Ok(ChunkReader { path: path.to_owned(), lines: Box::new(BufReader::new(decoder)), line: 0 })
    }
}

impl ChunkReader {
    /// The order in a line. The version comes first: what a later one means by its other members nobody knows here.
    fn read(&self, line: &[u8]) -> Result<TaskOrder, SpoolError> {
        let unreadable = |source| SpoolError::Document { path: self.path.clone(), line: self.line, source };
        let order: Result<TaskOrder, _> = serde_json::from_slice(line);
        let format = match &order {
            Ok(order) => order.format,
            Err(_) => serde_json::from_slice::<Versioned>(line).map_or(0, |order| order.format),
        };
        SpoolError::refuse_later(&self.path, format)?;
        order.map_err(unreadable)
    }
}

/// What an order of any version says.
#[derive(Deserialize)]
struct Versioned {
    format: u32,
}

impl Iterator for ChunkReader {
    type Item = Result<TaskOrder, SpoolError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut text = Vec::new();
        self.line += 1;
        match self.lines.read_until(b'\n', &mut text) {
            Ok(0) => None,
            Ok(_) => Some(self.read(&text)),
            Err(error) => Some(Err(SpoolError::io("read", &self.path)(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::identity::SPOOL_FORMAT;
    use crate::spool::stage::tests::orders;

    #[test]
    fn a_chunk_reads_back_in_order_and_a_cut_one_says_so() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("chunk");
        assert_eq!(write_chunk(&path, &Permit::without_lease(), orders(100)).unwrap(), 100);
        let ids: Vec<i64> = ChunkReader::open(&path).unwrap().map(|order| order.unwrap().task_id.0).collect();
        assert_eq!(ids, (0..100).collect::<Vec<_>>());
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(ChunkReader::open(&path).unwrap().any(|order| order.is_err()));
    }

    #[test]
    fn orders_of_an_earlier_version_are_read_and_those_of_a_later_one_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("chunk");
        let mut earlier = serde_json::to_value(orders(1).remove(0)).unwrap();
        let members = earlier.as_object_mut().unwrap();
        members.remove("format");
        let write = |order: &serde_json::Value| {
            fs::write(&path, zstd::encode_all(format!("{order}\n").as_bytes(), 3).unwrap()).unwrap();
            ChunkReader::open(&path).unwrap().next().unwrap()
        };
        let read = write(&earlier).unwrap();
        assert_eq!((read.format, read.issue), (1, None));
        let later = serde_json::json!({"format": SPOOL_FORMAT + 1, "calculation": "said in another way"});
        assert!(matches!(write(&later), Err(SpoolError::Later { .. })));
        assert!(matches!(write(&serde_json::json!({})), Err(SpoolError::Document { .. })));
    }

    #[test]
    fn of_many_claimers_one_wins() {
        let root = tempfile::tempdir().unwrap();
        let directory = JobDirectory::at(root.path());
        assert!(matches!(claim(&directory), Err(SpoolError::NotStaged { .. })));
        write_chunk(&directory.chunk(), &Permit::without_lease(), orders(1)).unwrap();
        let barrier = std::sync::Barrier::new(8);
        let wins: Vec<bool> = std::thread::scope(|scope| {
            let claimers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        match claim(&directory) {
                            Ok(_) => true,
                            Err(SpoolError::AlreadyClaimed { .. }) => false,
                            Err(other) => panic!("{other}"),
                        }
                    })
                })
                .collect();
            claimers.into_iter().map(|claimer| claimer.join().unwrap()).collect()
        });
        assert_eq!(wins.iter().filter(|won| **won).count(), 1);
    }
}
