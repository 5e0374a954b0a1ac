//! Jobs of several nodes: a position for each result file.

use qcbatch::model::ids::NodeIndex;
use qcbatch::store::ingest::{Batch, IngestOutcome};

use crate::world::{SITE, World, decide, good};

#[tokio::test]
async fn each_node_has_a_position_of_its_own() {
    let world = World::new().await;
    world.add_waters(3).await;
    let jobs = world.run_all(3).await;
    let (job, tasks) = &jobs[0];
    let store = async |task: usize, node: u32, from: u64, to: u64| {
        let batch = Batch::prepare(*job, from, to, vec![good(*job, &tasks[task])]).await.unwrap();
        world.writer.ingest_batch(batch.of_node(NodeIndex(node)), &decide).await.unwrap()
    };
    let is_stored = |outcome| matches!(outcome, IngestOutcome::Stored(stored) if stored.completed == 1);
    assert!(is_stored(store(0, 0, 0, 100).await));
    assert!(is_stored(store(1, 2, 0, 70).await));
    assert_eq!(store(2, 2, 0, 140).await, IngestOutcome::Moved { offset: 70 });
    assert!(is_stored(store(2, 2, 70, 140).await));
    let row = world.store.live_jobs(SITE).await.unwrap().remove(0);
    assert_eq!([0, 1, 2].map(|node| row.offset(NodeIndex(node))), [100, 0, 140]);
}
