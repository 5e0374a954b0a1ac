//! Reports that fit no task: kept whole in `report_aside`, listed, adopted or removed on a person's order. A report that
//! is adopted is stored as any result is, once its calculation proves to be the record's.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::OptionalExtension;
use diesel::sql_types::{Array, BigInt, Binary, Integer, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::judge::{Standing, Verdict};
use super::parts;
use super::prepare::{self, Body};
use super::{standings, write};
use crate::model::identity::{Lineage, Misfit, check_adoption};
use crate::model::ids::{AsideId, JobId, RecordId, TaskId};
use crate::model::record::RecordStatus;
use crate::model::task::{TaskOutcome, TaskReport};
use crate::model::view::AsideLine;
use crate::store::connect::Store;
use crate::store::error::{Doing, StoreError};
use crate::store::event::{self, NewEvent};
use crate::store::types::{integer, raw, sql};
use crate::store::write::{Weight, Writer};

/// zstd's own default.
const LEVEL: i32 = 3;

/// Why a report was not adopted, in words for people.
pub type Refusal = String;

const KEEP: &str = "
    INSERT INTO report_aside (site, job_id, reason, record_id, task_id, attempt, outcome, report)
    SELECT $1, $2, given.* FROM unnest($3, $4, $5, $6, $7, $8)
        AS given(reason, record_id, task_id, attempt, outcome, report)";

/// Keeps those of `reports` that were judged to fit no task.
pub(super) async fn keep(
    conn: &mut AsyncPgConnection,
    site: &str,
    job_id: JobId,
    reports: &[TaskReport],
    verdicts: &[Verdict],
    standings: &HashMap<RecordId, Standing>,
) -> Result<(), StoreError> {
    let kept: Vec<(&TaskReport, Misfit)> = reports
        .iter()
        .zip(verdicts)
        .filter_map(|(report, verdict)| match verdict {
            Verdict::Aside(misfit) => Some((report, *misfit)),
            _ => None,
        })
        .collect();
    if kept.is_empty() {
        return Ok(());
    }
    let packed = kept.iter().map(|(report, _)| pack(report)).collect::<Result<Vec<_>, _>>()?;
    diesel::sql_query(KEEP)
        .bind::<Text, _>(site)
        .bind::<BigInt, _>(job_id.0)
        .bind::<Array<Text>, _>(kept.iter().map(|(_, misfit)| misfit.as_str()).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(raw(kept.iter().map(|(report, _)| report.record_id)))
        .bind::<Array<BigInt>, _>(raw(kept.iter().map(|(report, _)| report.task_id)))
        .bind::<Array<Integer>, _>(kept.iter().map(|(report, _)| integer(report.attempt)).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(kept.iter().map(|(report, _)| outcome(report)).collect::<Vec<_>>())
        .bind::<Array<Binary>, _>(packed)
        .execute(conn)
        .await
        .doing("keeping reports aside")?;
    let events: Vec<NewEvent> = kept
        .iter()
        .filter(|(report, _)| standings.contains_key(&report.record_id))
        .map(|(report, misfit)| NewEvent {
            kind: "aside",
            record_id: Some(report.record_id),
            job_id: Some(job_id),
            message: format!(
                "a report of attempt {} by job {job_id} was kept aside: {}",
                report.attempt,
                misfit.explain()
            ),
            ..NewEvent::default()
        })
        .collect();
    event::write(conn, &events).await
}

fn outcome(report: &TaskReport) -> &'static str {
    match &report.outcome {
        TaskOutcome::Complete { .. } => "complete",
        TaskOutcome::Error { .. } => "error",
        TaskOutcome::Progress(_) => "progress",
        TaskOutcome::Returned => "returned",
    }
}

fn pack(report: &TaskReport) -> Result<Vec<u8>, StoreError> {
    let failed = |source| StoreError::Stored { what: "a report".to_owned(), source };
    let json = serde_json::to_vec(report).map_err(|error| failed(error.into()))?;
    zstd::bulk::compress(&json, LEVEL).map_err(|error| failed(error.into()))
}

fn unpack(id: AsideId, packed: &[u8]) -> Result<TaskReport, StoreError> {
    let failed = |source| StoreError::Stored { what: format!("report {id} that was kept aside"), source };
    let json = zstd::stream::decode_all(packed).map_err(|error| failed(error.into()))?;
    serde_json::from_slice(&json).map_err(|error| failed(error.into()))
}

#[derive(diesel::QueryableByName)]
#[diesel(table_name = crate::store::schema::report_aside)]
struct LineRow {
    id: AsideId,
    #[diesel(sql_type = Timestamptz, deserialize_as = jiff_diesel::Timestamp)]
    at: jiff::Timestamp,
    reason: String,
    job_id: JobId,
    record_id: RecordId,
    task_id: TaskId,
    attempt: i32,
    outcome: String,
}

impl From<LineRow> for AsideLine {
    fn from(row: LineRow) -> AsideLine {
        let explanation = Misfit::parse(&row.reason).map_or("", Misfit::explain).to_owned();
        AsideLine {
            id: row.id,
            at: row.at,
            reason: row.reason,
            explanation,
            job_id: row.job_id,
            record_id: row.record_id,
            task_id: row.task_id,
            attempt: row.attempt,
            outcome: row.outcome,
        }
    }
}

#[derive(diesel::QueryableByName)]
#[diesel(table_name = crate::store::schema::report_aside)]
struct ReportRow {
    job_id: JobId,
    report: Vec<u8>,
}

#[derive(diesel::QueryableByName)]
struct IdRow {
    #[diesel(sql_type = sql::AsideId)]
    id: AsideId,
}

impl Store {
    /// Reports that the site keeps aside, newest first.
    pub async fn reports_aside(&self, site: &str, limit: u32) -> Result<Vec<AsideLine>, StoreError> {
        let rows: Vec<LineRow> = diesel::sql_query(
            "SELECT id, at, reason, job_id, record_id, task_id, attempt, outcome FROM report_aside
             WHERE site = $1 ORDER BY id DESC LIMIT $2",
        )
        .bind::<Text, _>(site)
        .bind::<BigInt, _>(i64::from(limit))
        .load(&mut self.conn().await?)
        .await
        .doing("reading reports that were kept aside")?;
        Ok(rows.into_iter().map(AsideLine::from).collect())
    }

    /// Ids of all of them, oldest first.
    pub async fn ids_of_reports_aside(&self, site: &str) -> Result<Vec<AsideId>, StoreError> {
        let rows: Vec<IdRow> = diesel::sql_query("SELECT id FROM report_aside WHERE site = $1 ORDER BY id")
            .bind::<Text, _>(site)
            .load(&mut self.conn().await?)
            .await
            .doing("reading reports that were kept aside")?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    async fn report_aside(&self, site: &str, id: AsideId) -> Result<Option<ReportRow>, StoreError> {
        diesel::sql_query("SELECT job_id, report FROM report_aside WHERE site = $1 AND id = $2")
            .bind::<Text, _>(site)
            .bind::<BigInt, _>(id.0)
            .get_result(&mut self.conn().await?)
            .await
            .optional()
            .doing("reading a report that was kept aside")
    }
}

impl Writer {
    /// Removes reports that were kept aside. Returns those that were there.
    pub async fn remove_reports_aside(&self, ids: &[AsideId]) -> Result<Vec<AsideId>, StoreError> {
        let mut transaction = self.begin().await?;
        let rows: Vec<IdRow> =
            diesel::sql_query("DELETE FROM report_aside WHERE site = $1 AND id = ANY($2) RETURNING id")
                .bind::<Text, _>(&self.site)
                .bind::<Array<BigInt>, _>(raw(ids.iter().copied()))
                .load(transaction.conn())
                .await
                .doing("removing reports that were kept aside")?;
        transaction.commit().await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    /// Stores a result that was kept aside as the result of its record, or says why not.
    pub async fn adopt_report_aside(&self, id: AsideId) -> Result<Result<RecordId, Refusal>, StoreError> {
        let Some(ReportRow { job_id, report }) = self.store.report_aside(&self.site, id).await? else {
            return Ok(Err("there is no such report".to_owned()));
        };
        let report = unpack(id, &report)?;
        let record_id = report.record_id;
        if !matches!(report.outcome, TaskOutcome::Complete { .. }) {
            return Ok(Err("it is a failure: there is no result to adopt".to_owned()));
        }
        let prepared = prepare::prepare(job_id, Arc::new(vec![report])).await?;
        if let Some(Body::Error { summary, .. }) = prepared.iter().map(|report| &report.body).next() {
            return Ok(Err(summary.clone()));
        }
        let parts = parts::store(&self.store, &prepared, Weight::Heavy).await?;
        let lineage = self.lineage().await?;
        let mut transaction = self.begin().await?;
        transaction.carries(Weight::Heavy);
        let conn = transaction.conn();
        let taken = diesel::sql_query("DELETE FROM report_aside WHERE site = $1 AND id = $2")
            .bind::<Text, _>(&self.site)
            .bind::<BigInt, _>(id.0)
            .execute(conn)
            .await
            .doing("taking a report that was kept aside")?;
        let standings = standings(conn, &prepared).await?;
        let refusal = match &prepared[..] {
            [report] if taken > 0 => refuse_adoption(report, standings.get(&record_id), job_id, lineage),
            _ => Some("there is no such report".to_owned()),
        };
        if let Some(refusal) = refusal {
            transaction.roll_back().await?;
            return Ok(Err(refusal));
        }
        write::write(conn, job_id, prepared, vec![Verdict::Complete], &parts).await?;
        let adopted = NewEvent {
            kind: "adopted",
            record_id: Some(record_id),
            job_id: Some(job_id),
            message: format!("the report that was kept aside as {id} was adopted"),
            ..NewEvent::default()
        };
        event::write(conn, &[adopted]).await?;
        transaction.commit().await?;
        Ok(Ok(record_id))
    }
}

/// Why a result cannot be its record's, if so.
fn refuse_adoption(
    report: &prepare::Prepared,
    standing: Option<&Standing>,
    job_id: JobId,
    lineage: &Lineage,
) -> Option<Refusal> {
    let Some(standing) = standing else { return Some(format!("there is no record {}", report.record_id)) };
    if !matches!(standing.status, RecordStatus::Waiting | RecordStatus::Running | RecordStatus::Error) {
        return Some(format!("record {} is {}", report.record_id, standing.status.as_str()));
    }
    let Some(task) = &standing.task else { return Some(Misfit::OtherTask.explain().to_owned()) };
    if let Err(misfit) = check_adoption(&report.said, &task.known(job_id), lineage) {
        return Some(misfit.explain().to_owned());
    }
    let fits = matches!(&report.body, Body::Complete(answer) if answer.record_type == standing.record_type);
    (!fits).then(|| Misfit::OtherType.explain().to_owned())
}
