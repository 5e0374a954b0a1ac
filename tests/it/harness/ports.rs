//! Free loopback ports for servers that cannot choose their own (Slurm). A lock file per port keeps two test processes apart.

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

const RANGE: std::ops::Range<u16> = 17_000..18_000;

/// A port that nobody else in these tests uses while this lives.
pub struct Port {
    /// Its number.
    pub number: u16,
    _lock: File,
}

impl Port {
    /// Takes a free one.
    pub fn take() -> Port {
        let locks = PathBuf::from(format!("/tmp/qcbatch-test-ports-{}", nix::unistd::getuid()));
        fs::create_dir_all(&locks).expect("/tmp is writable");
        let start = rand::random_range(RANGE);
        (start..RANGE.end)
            .chain(RANGE.start..start)
            .find_map(|number| {
                let lock =
                    OpenOptions::new().create(true).append(true).open(locks.join(number.to_string())).ok()?;
                lock.try_lock().ok()?;
                TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
                Some(Port { number, _lock: lock })
            })
            .expect("one of a thousand ports is free")
    }
}
