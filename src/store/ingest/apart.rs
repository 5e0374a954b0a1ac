//! The slow way of bringing results in: one by one, after the database refused a batch. What it refuses of a single
//! report ends that report's record in error; everything else of the batch is stored as usual.

use std::sync::Arc;

use diesel_async::{AsyncConnection, AsyncPgConnection};

use super::judge::Court;
use super::parts::{self, Parts};
use super::prepare::{self, Prepared, refused};
use super::{Batch, IngestOutcome, Judged, Span, Stored, store};
use crate::model::task::TaskReport;
use crate::store::error::StoreError;
use crate::store::event::{self, NewEvent};
use crate::store::release::Decide;
use crate::store::restart::Underway;
use crate::store::write::{Weight, Writer};

impl Writer {
    /// Stores a batch report by report. What the database refuses for what it is ends its record in error; so does what it
    /// fails to store for `Suspicion::IsRefusal`.
    pub async fn ingest_batch_apart(
        &self,
        batch: Batch,
        suspicion: Suspicion,
        decide: Decide<'_>,
    ) -> Result<IngestOutcome, StoreError> {
        let Batch { way, underway, reports, .. } = batch;
        self.ingest_apart(way, &underway, &reports, suspicion, decide).await
    }

    /// As [`Writer::ingest`], each report behind a savepoint of its own.
    pub(super) async fn ingest_apart(
        &self,
        way: Span,
        underway: &Underway,
        reports: &Arc<Vec<TaskReport>>,
        suspicion: Suspicion,
        decide: Decide<'_>,
    ) -> Result<IngestOutcome, StoreError> {
        let lineage = self.lineage().await?;
        let court = Court { job_id: way.job_id, lineage, decide };
        let prepared = prepare::prepare(way.job_id, Arc::clone(reports)).await?;
        let mut with_parts = Vec::with_capacity(prepared.len());
        for report in prepared {
            let report = vec![report];
            let parts = parts::store(&self.store, &report, Weight::Light).await;
            with_parts.push((report, unless_away(parts, suspicion)?));
        }
        let mut transaction = self.begin().await?;
        transaction.carries(Weight::Heavy);
        let conn = transaction.conn();
        if let Some(offset) = self.move_offset(conn, way).await? {
            transaction.roll_back().await?;
            return Ok(IngestOutcome::Moved { offset });
        }
        let mut all = Stored::default();
        for (report, (prepared, parts)) in reports.iter().zip(with_parts) {
            let judged = Judged { site: &self.site, court, reports: std::slice::from_ref(report) };
            all += store_one(conn, judged, report, prepared, parts, suspicion).await?;
        }
        underway.remember(conn, lineage).await?;
        transaction.commit().await?;
        Ok(IngestOutcome::Stored(all))
    }
}

/// What a statement that took too long or too much memory means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suspicion {
    /// The database may be in trouble: the same is tried again.
    IsTrouble,
    /// It has been tried often enough: the report cannot be stored.
    IsRefusal,
}

/// What the database refuses for what it is comes back as a value; that the database is away stays an error.
fn unless_away<T>(
    outcome: Result<T, StoreError>,
    suspicion: Suspicion,
) -> Result<Result<T, StoreError>, StoreError> {
    match outcome {
        Err(error) if suspicion == Suspicion::IsRefusal && error.may_be_the_statement() => Ok(Err(error)),
        Err(error) if error.is_away() || !matches!(error, StoreError::Query { .. }) => Err(error),
        outcome => Ok(outcome),
    }
}

async fn store_one(
    conn: &mut AsyncPgConnection,
    judged: Judged<'_>,
    report: &TaskReport,
    prepared: Vec<Prepared>,
    parts: Result<Parts, StoreError>,
    suspicion: Suspicion,
) -> Result<Stored, StoreError> {
    let job_id = judged.court.job_id;
    let refusal = match parts {
        Ok(parts) => match unless_away(attempt(conn, judged, prepared, &parts).await, suspicion)? {
            Ok(stored) => return Ok(stored),
            Err(error) => error,
        },
        Err(error) => error,
    };
    let why = match &refusal {
        StoreError::Query { source, .. } => format!("the database refuses it: {source}"),
        other => other.to_string(),
    };
    let failed = refused(job_id, report, &why)
        .map_err(|error| StoreError::Stored { what: "a refusal".to_owned(), source: Box::new(error) })?;
    let ended = attempt(conn, judged, vec![failed], &Parts::default()).await;
    match unless_away(ended, Suspicion::IsTrouble)? {
        Ok(stored) => Ok(stored),
        Err(_) => {
            // Not even that: the record stays with its job, whose end gives it back.
            let dropped = NewEvent {
                kind: "dropped",
                record_id: Some(report.record_id),
                job_id: Some(job_id),
                message: why,
                ..NewEvent::default()
            };
            event::write(conn, &[dropped]).await?;
            Ok(Stored { dropped: 1, ..Stored::default() })
        }
    }
}

/// Stores behind a savepoint.
async fn attempt(
    conn: &mut AsyncPgConnection,
    judged: Judged<'_>,
    prepared: Vec<Prepared>,
    parts: &Parts,
) -> Result<Stored, StoreError> {
    conn.transaction(async |conn| store(conn, judged, prepared, parts).await).await
}

impl std::ops::AddAssign for Stored {
    fn add_assign(&mut self, other: Stored) {
        self.completed += other.completed;
        self.failed += other.failed;
        self.retried += other.retried;
        self.duplicates += other.duplicates;
        self.dropped += other.dropped;
        self.aside += other.aside;
        self.returned += other.returned;
    }
}
