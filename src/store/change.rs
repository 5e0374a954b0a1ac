//! What users change: cancel and retry, by filter, however many records are meant. Touches `record`, `task`, `event`.

use std::collections::{BTreeSet, HashMap, HashSet};

use diesel::QueryableByName;
use diesel::sql_types::{Array, BigInt, Nullable};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::{Doing, StoreError};
use super::event::{self, NewEvent};
use super::filter::filtered;
use super::job_line::without_work;
use super::recall;
use super::types::{raw, sql};
use super::write::Writer;
use crate::model::ids::{JobId, RecordId};
use crate::model::record::{RecordChange, RecordStatus};
use crate::model::view::RecordFilter;

/// Records changed in one transaction.
const AT_ONCE: i64 = 10_000;

/// What `cancel` did.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct CancelOutcome {
    /// Cancelled now.
    pub cancelled: Vec<RecordId>,
    /// Of records named by id: those that were not, and why.
    pub refused: Vec<(RecordId, String)>,
    /// Jobs that have not ended and hold no task any more.
    pub jobs_without_work: Vec<JobId>,
}

/// What `retry` did.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct RetryOutcome {
    /// Waiting now.
    pub retried: Vec<RecordId>,
    /// Of records named by id: those that are not, and why.
    pub refused: Vec<(RecordId, String)>,
}

/// A change of status by a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    Cancel,
    Retry,
}

impl Change {
    const fn word(self) -> &'static str {
        match self {
            Change::Cancel => "cancelled",
            Change::Retry => "retried",
        }
    }

    const fn of_record(self) -> RecordChange {
        match self {
            Change::Cancel => RecordChange::Cancel,
            Change::Retry => RecordChange::Retry,
        }
    }

    const fn task(self) -> &'static str {
        match self {
            Change::Cancel => {
                "available = false, job_id = NULL, chunk_id = NULL, waiting_reason = NULL, not_before = NULL"
            }
            Change::Retry => {
                "available = true, job_id = NULL, chunk_id = NULL, waiting_reason = NULL, not_before = NULL, tries = 0, losses = 0, \
                 last_failure = NULL"
            }
        }
    }
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = sql::RecordId)]
    id: RecordId,
}

#[derive(QueryableByName)]
#[diesel(table_name = super::schema::task)]
struct TaskRow {
    record_id: RecordId,
    job_id: Option<JobId>,
}

#[derive(QueryableByName)]
struct StatusRow {
    #[diesel(sql_type = sql::RecordId)]
    id: RecordId,
    #[diesel(sql_type = sql::RecordStatus)]
    status: RecordStatus,
}

const CHANGEABLE: &str = "
    SELECT r.id FROM record r WHERE {filter} AND r.status = ANY($11) AND ($9 IS NULL OR r.id > $9)
        AND EXISTS (SELECT FROM task t WHERE t.record_id = r.id)
    ORDER BY r.id LIMIT $10";

impl Writer {
    /// Cancels the records that `filter` means and that have not ended. Jobs that hold such a task are told so, end its
    /// program, and go on without it; its result, should it come, is dropped.
    pub async fn cancel(&self, filter: &RecordFilter) -> Result<CancelOutcome, StoreError> {
        let (cancelled, jobs) = self.change(filter, Change::Cancel).await?;
        let jobs: Vec<JobId> = jobs.into_iter().collect();
        let mut conn = self.store.conn().await?;
        let jobs_without_work = without_work(&mut conn, &jobs).await?;
        let refused = refused(&mut conn, filter, &cancelled).await?;
        Ok(CancelOutcome { cancelled, refused, jobs_without_work })
    }

    /// Makes failed and cancelled records that `filter` means wait again, with all their tries.
    pub async fn retry(&self, filter: &RecordFilter) -> Result<RetryOutcome, StoreError> {
        let (retried, _) = self.change(filter, Change::Retry).await?;
        let mut conn = self.store.conn().await?;
        let refused = refused(&mut conn, filter, &retried).await?;
        Ok(RetryOutcome { retried, refused })
    }

    /// Changes page after page, each in a transaction: the changed records and the jobs that held them.
    async fn change(
        &self,
        filter: &RecordFilter,
        change: Change,
    ) -> Result<(Vec<RecordId>, BTreeSet<JobId>), StoreError> {
        let (mut changed, mut jobs, mut after) = (Vec::new(), BTreeSet::new(), None);
        loop {
            let mut transaction = self.begin().await?;
            let page: Vec<IdRow> = filtered(CHANGEABLE, filter)
                .bind::<Nullable<BigInt>, _>(after)
                .bind::<BigInt, _>(AT_ONCE)
                .bind::<Array<sql::RecordStatus>, _>(change.of_record().from())
                .load(transaction.conn())
                .await
                .doing("looking for records to change")?;
            let Some(last) = page.last() else {
                transaction.roll_back().await?;
                return Ok((changed, jobs));
            };
            after = Some(last.id.0);
            let ids = raw(page.into_iter().map(|row| row.id));
            change_page(transaction.conn(), ids, change, &mut changed, &mut jobs).await?;
            transaction.commit().await?;
        }
    }
}

async fn change_page(
    conn: &mut AsyncPgConnection,
    ids: Vec<i64>,
    change: Change,
    changed: &mut Vec<RecordId>,
    jobs: &mut BTreeSet<JobId>,
) -> Result<(), StoreError> {
    let tasks: Vec<TaskRow> = diesel::sql_query(
        "SELECT record_id, job_id FROM task WHERE record_id = ANY($1) ORDER BY id FOR UPDATE",
    )
    .bind::<Array<BigInt>, _>(&ids)
    .load(conn)
    .await
    .doing("locking tasks")?;
    // A record that lost its task meanwhile is complete.
    let ids = raw(tasks.iter().map(|task| task.record_id));
    if change == Change::Cancel {
        recall::note(conn, &ids).await?;
    }
    let statement = format!(
        "WITH locked AS (
            SELECT id FROM record WHERE id = ANY($1) AND status = ANY($2) ORDER BY id FOR NO KEY UPDATE
         ), changed AS (
            UPDATE record SET status = $3, modified_on = now() FROM locked WHERE record.id = locked.id
            RETURNING record.id
         ), freed AS (
            UPDATE task SET {} FROM changed WHERE task.record_id = changed.id)
         SELECT id FROM changed ORDER BY id",
        change.task()
    );
    let rows: Vec<IdRow> = diesel::sql_query(statement)
        .bind::<Array<BigInt>, _>(ids)
        .bind::<Array<sql::RecordStatus>, _>(change.of_record().from())
        .bind::<sql::RecordStatus, _>(change.of_record().to())
        .load(conn)
        .await
        .doing("changing records")?;
    let done: HashSet<RecordId> = rows.iter().map(|row| row.id).collect();
    jobs.extend(tasks.iter().filter(|task| done.contains(&task.record_id)).filter_map(|task| task.job_id));
    let events: Vec<NewEvent> = rows
        .iter()
        .map(|row| NewEvent {
            kind: change.word(),
            record_id: Some(row.id),
            message: format!("{} by a user", change.word()),
            ..NewEvent::default()
        })
        .collect();
    event::write(conn, &events).await?;
    changed.extend(rows.into_iter().map(|row| row.id));
    Ok(())
}

/// Why records that were named did not change.
async fn refused(
    conn: &mut AsyncPgConnection,
    filter: &RecordFilter,
    changed: &[RecordId],
) -> Result<Vec<(RecordId, String)>, StoreError> {
    let changed: HashSet<RecordId> = changed.iter().copied().collect();
    let left: BTreeSet<RecordId> = filter.ids.iter().copied().filter(|id| !changed.contains(id)).collect();
    if left.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<StatusRow> = diesel::sql_query("SELECT id, status FROM record WHERE id = ANY($1)")
        .bind::<Array<BigInt>, _>(raw(left.iter().copied()))
        .load(conn)
        .await
        .doing("reading statuses")?;
    let statuses: HashMap<RecordId, RecordStatus> =
        rows.into_iter().map(|row| (row.id, row.status)).collect();
    let reason = |id: RecordId| match statuses.get(&id) {
        Some(status) => format!("it is {}", status.as_str()),
        None => "there is no such record".to_owned(),
    };
    Ok(left.into_iter().map(|id| (id, reason(id))).collect())
}
