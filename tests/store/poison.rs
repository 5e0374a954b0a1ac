//! A result that the database fails to store again and again, although it answers, does not keep the others of its job.

use qcbatch::store::StoreError;
use qcbatch::store::ingest::{Batch, IngestOutcome, Stored, Suspicion};

use crate::world::{World, decide, good};

#[tokio::test]
async fn a_result_that_cannot_be_stored_is_set_aside_and_the_others_are_stored() {
    let world = World::new().await;
    let ids = world.add_waters(3).await;
    let jobs = world.run_all(3).await;
    let (job, tasks) = (jobs[0].0, &jobs[0].1);
    // What a statement that is too large for the server's memory says.
    world.execute(&format!(
        "CREATE FUNCTION too_large() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF new.record_id = {} AND new.status = 'complete' THEN RAISE EXCEPTION 'out of memory'; END IF;
                RETURN new;
            END $$;
         CREATE TRIGGER too_large BEFORE INSERT ON compute_history FOR EACH ROW EXECUTE FUNCTION too_large()",
        ids[1]
    ))
    .await;
    let batch = || async {
        Batch::prepare(job, 0, 1, tasks.iter().map(|task| good(job, task)).collect()).await.unwrap()
    };
    let suspicious = |error: &StoreError| error.is_away() && error.may_be_the_statement();

    let together = world.writer.ingest_batch(batch().await, &decide).await.unwrap_err();
    assert!(suspicious(&together), "{together:?}");
    let apart =
        world.writer.ingest_batch_apart(batch().await, Suspicion::IsTrouble, &decide).await.unwrap_err();
    assert!(suspicious(&apart), "{apart:?}");
    assert_eq!(world.status_of(ids[0]).await, "running", "the position has not moved");

    let aside = world.writer.ingest_batch_apart(batch().await, Suspicion::IsRefusal, &decide).await.unwrap();
    assert_eq!(aside, IngestOutcome::Stored(Stored { completed: 2, failed: 1, ..Stored::default() }));
    assert_eq!(world.status_of(ids[1]).await, "error");
    for id in [ids[0], ids[2]] {
        assert_eq!(world.status_of(id).await, "complete");
    }
}
