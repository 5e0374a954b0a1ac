//! The promises of `spool::ready`.

use super::*;
use crate::model::chunk::ChunkNeed;
use crate::model::ids::ChunkId;
use crate::spool::atomic;

fn name(compute_priority: u8, id: i64) -> ChunkName {
    let need = ChunkNeed { cores: 1, memory_bytes: 1 << 30, gpus: 0, walltime_seconds: 60 };
    ChunkName { compute_priority, chunk_id: ChunkId(id), tasks: 1, need }
}

#[test]
fn chunks_are_listed_by_urgency_and_other_files_are_not() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(list(&root.path().join("none")).unwrap(), vec![]);
    for chunk in [name(1, 42), name(0, 1), name(2, 100), name(1, 7)] {
        fs::write(root.path().join(chunk.to_string()), b"").unwrap();
    }
    fs::write(root.path().join(".tmp-1"), b"").unwrap();
    let ids: Vec<i64> = list(root.path()).unwrap().iter().map(|name| name.chunk_id.0).collect();
    assert_eq!(ids, [100, 7, 42, 1]);
}

#[test]
fn a_chunk_is_claimed_once_and_a_lost_answer_is_no_loss() {
    let root = tempfile::tempdir().unwrap();
    let ready = root.path().join("ready");
    let [one, two] = ["0", "1"].map(|index| JobDirectory::at(root.path().join(index)));
    for directory in [&ready, one.path(), two.path()] {
        atomic::create_directory(directory).unwrap();
    }
    fs::write(ready.join(name(1, 5).to_string()), b"chunk").unwrap();
    let path = claim(&ready, &name(1, 5), &one).unwrap().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"chunk");
    assert_eq!(claim(&ready, &name(1, 5), &two).unwrap(), None, "somebody else has it");
    assert_eq!(claim(&ready, &name(1, 5), &one).unwrap(), Some(path.clone()), "the rename had worked");
    assert_eq!(claimed(&one).unwrap(), vec![name(1, 5)]);
    finish(&path).unwrap();
    finish(&path).unwrap();
    assert_eq!(claim(&ready, &name(1, 5), &one).unwrap(), None);
}
