//! Opens what others wrote: regular files only, no symbolic links, never waiting for a writer, and read up to a limit.
//!
//! A job's directory belongs to programs of others. A FIFO, a link or a sparse file of some gigabytes in it must cost the
//! daemon neither a thread nor its memory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc::{ELOOP, O_NOFOLLOW, O_NONBLOCK};

use super::error::SpoolError;

/// Opens the regular file at `path` for reading, and gives its length.
pub fn open_foreign(path: &Path) -> Result<(File, u64), SpoolError> {
    let opened = OpenOptions::new().read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path);
    let file = match opened {
        Err(error) if error.raw_os_error() == Some(ELOOP) => {
            return Err(SpoolError::NotAFile { path: path.to_owned() });
        }
        other => other.map_err(SpoolError::io("open", path))?,
    };
    let metadata = file.metadata().map_err(SpoolError::io("read", path))?;
    if !metadata.is_file() {
        return Err(SpoolError::NotAFile { path: path.to_owned() });
    }
    Ok((file, metadata.len()))
}

/// The whole of the regular file at `path`, which must not be longer than `most_bytes`.
pub fn read_foreign(path: &Path, most_bytes: u64) -> Result<Vec<u8>, SpoolError> {
    let (file, length) = open_foreign(path)?;
    let too_large = || SpoolError::TooLarge { path: path.to_owned(), most_bytes };
    if length > most_bytes {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    let read = file.take(most_bytes + 1).read_to_end(&mut bytes);
    read.map_err(|error: io::Error| SpoolError::io("read", path)(error))?;
    if bytes.len() as u64 > most_bytes { Err(too_large()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn only_regular_files_of_bounded_size_are_read_and_nothing_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        std::fs::write(at("good"), b"12345").unwrap();
        assert_eq!(read_foreign(&at("good"), 5).unwrap(), b"12345");
        assert!(matches!(read_foreign(&at("good"), 4), Err(SpoolError::TooLarge { most_bytes: 4, .. })));
        mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        symlink(at("good"), at("link")).unwrap();
        std::fs::create_dir(at("directory")).unwrap();
        for name in ["fifo", "link", "directory"] {
            let outcome = read_foreign(&at(name), 100);
            assert!(matches!(outcome, Err(SpoolError::NotAFile { .. })), "{name}: {outcome:?}");
        }
        File::create(at("sparse")).unwrap().set_len(3 << 30).unwrap();
        assert!(matches!(read_foreign(&at("sparse"), 1 << 20), Err(SpoolError::TooLarge { .. })));
        assert!(read_foreign(&at("nothing"), 100).unwrap_err().is_absent());
    }
}
