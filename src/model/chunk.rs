//! The name of a chunk file: all that a node runner must know before it claims one. Pure.
//!
//! Names sort as they are to be claimed: high priority first, then the older.

use std::fmt;
use std::str::FromStr;

use super::ids::ChunkId;

/// What the tasks of one chunk have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ChunkNeed {
    /// Cores of each task.
    pub cores: u32,
    /// Memory of each task.
    pub memory_bytes: u64,
    /// GPUs of each task.
    pub gpus: u32,
    /// Time limit of each task.
    pub walltime_seconds: u64,
}

/// The name of a chunk file in a pool's `ready` directory, such as `1-0000000000000042-n16-c1-m2147483648-g0-w3600`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ChunkName {
    /// 0 (low) to 2 (high); the name holds `2 - compute_priority`, so that names sort by urgency.
    pub compute_priority: u8,
    /// The chunk.
    pub chunk_id: ChunkId,
    /// Its tasks.
    pub tasks: u32,
    /// What each of them needs.
    pub need: ChunkNeed,
}

/// Highest compute priority.
const HIGHEST: u8 = 2;

impl fmt::Display for ChunkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ChunkName { compute_priority, chunk_id, tasks, need } = self;
        let rank = HIGHEST.saturating_sub(*compute_priority);
        let ChunkNeed { cores, memory_bytes, gpus, walltime_seconds } = need;
        write!(f, "{rank}-{:016}-n{tasks}-c{cores}-m{memory_bytes}-g{gpus}-w{walltime_seconds}", chunk_id.0)
    }
}

/// The text is not the name of a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not the name of a chunk")]
pub struct NotAChunkName;

impl FromStr for ChunkName {
    type Err = NotAChunkName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('-');
        let mut number = |letter: &str| -> Option<u64> { parts.next()?.strip_prefix(letter)?.parse().ok() };
        let mut read = || {
            let name = ChunkName {
                compute_priority: HIGHEST.checked_sub(u8::try_from(number("")?).ok()?)?,
                chunk_id: ChunkId(i64::try_from(number("")?).ok()?),
                tasks: u32::try_from(number("n")?).ok()?,
                need: ChunkNeed {
                    cores: u32::try_from(number("c")?).ok()?,
                    memory_bytes: number("m")?,
                    gpus: u32::try_from(number("g")?).ok()?,
                    walltime_seconds: number("w")?,
                },
            };
            (name.to_string() == text).then_some(name)
        };
        read().ok_or(NotAChunkName)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(compute_priority: u8, id: i64) -> ChunkName {
        let need = ChunkNeed { cores: 1, memory_bytes: 2 << 30, gpus: 0, walltime_seconds: 3600 };
        ChunkName { compute_priority, chunk_id: ChunkId(id), tasks: 16, need }
    }

    #[test]
    fn names_sort_by_priority_then_age() {
        let mut names = [
            name(1, 42).to_string(),
            name(0, 1).to_string(),
            name(2, 100).to_string(),
            name(1, 7).to_string(),
        ];
        names.sort();
        let ids: Vec<i64> = names.iter().map(|name| name.parse::<ChunkName>().unwrap().chunk_id.0).collect();
        assert_eq!(ids, [100, 7, 42, 1]);
        assert_eq!(name(1, 42).to_string(), "1-0000000000000042-n16-c1-m2147483648-g0-w3600");
    }

    proptest! {
        #[test]
        fn a_name_reads_back(priority in 0u8..3, id in 0i64..i64::MAX, tasks: u32, cores: u32, memory_bytes: u64, gpus: u32, walltime_seconds: u64) {
            let need = ChunkNeed { cores, memory_bytes, gpus, walltime_seconds };
            let name = ChunkName { compute_priority: priority, chunk_id: ChunkId(id), tasks, need };
            prop_assert_eq!(name.to_string().parse(), Ok(name));
        }

        #[test]
        fn other_names_are_no_chunks(text in "[0-9a-z.-]{0,60}") {
            if let Ok(name) = text.parse::<ChunkName>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}
