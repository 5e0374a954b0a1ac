//! Events: what happened, one line each, for people. Touches the table `event`; nothing decides by it.

use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::{Doing, StoreError};
use super::types::storable;
use crate::model::ids::{JobId, RecordId, SubmissionId};
use crate::model::view::EventLine;

/// An event to be written.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewEvent {
    pub(crate) kind: &'static str,
    pub(crate) record_id: Option<RecordId>,
    pub(crate) submission_id: Option<SubmissionId>,
    pub(crate) job_id: Option<JobId>,
    pub(crate) message: String,
}

/// Writes `events` in one statement.
pub(crate) async fn write(conn: &mut AsyncPgConnection, events: &[NewEvent]) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let ids = |id: fn(&NewEvent) -> Option<i64>| -> Vec<Option<i64>> { events.iter().map(id).collect() };
    diesel::sql_query(
        "INSERT INTO event (kind, record_id, submission_id, job_id, message)
         SELECT * FROM unnest($1, $2, $3, $4, $5)",
    )
    .bind::<Array<Text>, _>(events.iter().map(|event| event.kind).collect::<Vec<_>>())
    .bind::<Array<Nullable<BigInt>>, _>(ids(|event| event.record_id.map(|id| id.0)))
    .bind::<Array<Nullable<BigInt>>, _>(ids(|event| event.submission_id.map(|id| id.0)))
    .bind::<Array<Nullable<BigInt>>, _>(ids(|event| event.job_id.map(|id| id.0)))
    .bind::<Array<Text>, _>(events.iter().map(|event| storable(&event.message)).collect::<Vec<_>>())
    .execute(conn)
    .await
    .doing("storing events")?;
    Ok(())
}

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = Timestamptz, deserialize_as = jiff_diesel::Timestamp)]
    at: jiff::Timestamp,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    message: String,
}

/// The newest 200 events of a record and of the jobs that ran it, oldest first.
pub(crate) async fn of_record(
    conn: &mut AsyncPgConnection,
    record_id: RecordId,
) -> Result<Vec<EventLine>, StoreError> {
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT at, kind, message FROM (
            SELECT id, at, kind, message FROM event WHERE record_id = $1
            UNION
            SELECT id, at, kind, message FROM event WHERE record_id IS NULL AND job_id IN (
                SELECT job_id FROM compute_history WHERE record_id = $1
                UNION SELECT job_id FROM task WHERE record_id = $1)
            ORDER BY id DESC LIMIT 200) newest
         ORDER BY id",
    )
    .bind::<BigInt, _>(record_id.0)
    .load(conn)
    .await
    .doing("reading events")?;
    Ok(rows.into_iter().map(|row| EventLine { at: row.at, kind: row.kind, message: row.message }).collect())
}
