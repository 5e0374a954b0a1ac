//! Compressed inputs, known by the ends of their names, with a bound on what may come out of them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes that one compressed file may unpack to.
const MOST_BYTES: u64 = 64 << 30;

/// Memory that an xz file may ask for: its own `-9` takes 65 MiB.
const XZ_MEMORY_KIB: u32 = 256 << 10;

/// How many times larger than the file its content may be, beyond the first megabytes: a bomb holds more.
const MOST_GROWTH: u64 = 10_000;
const FREE_BYTES: u64 = 256 << 20;

/// How a file is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Compression {
    Zstandard,
    Gzip,
    Bzip2,
    Xz,
}

impl Compression {
    /// By the extension of a name.
    pub(super) fn of(path: &Path) -> Option<Compression> {
        let known = [
            ("zst", Compression::Zstandard),
            ("gz", Compression::Gzip),
            ("bz2", Compression::Bzip2),
            ("xz", Compression::Xz),
        ];
        let extension = path.extension()?;
        known.into_iter().find(|(own, _)| extension.eq_ignore_ascii_case(own)).map(|(_, known)| known)
    }

    /// The content of `file`, unpacked as it is read. Files of several parts are read to their end.
    pub(super) fn open(self, file: File) -> io::Result<Box<dyn Read + Send>> {
        let most = most_of(file.metadata()?.len());
        let content: Box<dyn Read + Send> = match self {
            Compression::Zstandard => Box::new(zstd::stream::read::Decoder::new(file)?),
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
            Compression::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(file)),
            Compression::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(file, true, XZ_MEMORY_KIB)),
        };
        Ok(Box::new(Bounded { content, left: most }))
    }
}

/// Bytes that a file of so many bytes may unpack to.
fn most_of(packed: u64) -> u64 {
    packed.saturating_mul(MOST_GROWTH).saturating_add(FREE_BYTES).min(MOST_BYTES)
}

/// A stream that is an error behind so many bytes.
struct Bounded<R> {
    content: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, "it unpacks to too much"))?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_a_file_unpacks_to_is_bounded() {
        assert_eq!(most_of(0), FREE_BYTES);
        assert_eq!(most_of(u64::MAX), MOST_BYTES);
        let packed = zstd::bulk::compress(&vec![b' '; 1 << 20], 1).expect("compression to memory");
        let bounded = |left| {
            let content = zstd::stream::read::Decoder::new(packed.as_slice()).expect("a decoder");
            Bounded { content, left }.read_to_end(&mut Vec::new())
        };
        assert_eq!(bounded(1 << 20).expect("within the bound"), 1 << 20);
        let error = bounded((1 << 20) - 1).expect_err("beyond the bound");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
