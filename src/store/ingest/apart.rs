//! The slow way of bringing results in: one by one, after the database refused a batch. What it refuses of a single
//! report ends that report's record in error; everything else of the batch is stored as usual.

use std::sync::Arc;

use diesel_async::{AsyncConnection, AsyncPgConnection};

use super::parts::{self, Parts};
use super::prepare::{self, Prepared, refused};
use super::{IngestOutcome, Span, Stored, store};
use crate::model::ids::JobId;
use crate::model::task::TaskReport;
use crate::store::error::StoreError;
use crate::store::event::{self, NewEvent};
use crate::store::release::Decide;
use crate::store::restart::Underway;
use crate::store::write::Writer;

impl Writer {
    /// As [`Writer::ingest`], each report behind a savepoint of its own.
    pub(super) async fn ingest_apart(
        &self,
        way: Span,
        underway: &Underway,
        reports: &Arc<Vec<TaskReport>>,
        decide: Decide<'_>,
    ) -> Result<IngestOutcome, StoreError> {
        let prepared = prepare::prepare(way.job_id, Arc::clone(reports)).await?;
        let mut with_parts = Vec::with_capacity(prepared.len());
        for report in prepared {
            let report = vec![report];
            let parts = parts::store(&self.store, &report).await;
            with_parts.push((report, unless_away(parts)?));
        }
        let mut transaction = self.begin().await?;
        let conn = transaction.conn();
        if let Some(offset) = self.move_offset(conn, way).await? {
            transaction.roll_back().await?;
            return Ok(IngestOutcome::Moved { offset });
        }
        let mut all = Stored::default();
        for (report, (prepared, parts)) in reports.iter().zip(with_parts) {
            all += store_one(conn, way.job_id, report, prepared, parts, decide).await?;
        }
        underway.remember(conn).await?;
        transaction.commit().await?;
        Ok(IngestOutcome::Stored(all))
    }
}

/// What the database refuses for what it is comes back as a value; that the database is away stays an error.
fn unless_away<T>(outcome: Result<T, StoreError>) -> Result<Result<T, StoreError>, StoreError> {
    match outcome {
        Err(error) if error.is_away() || !matches!(error, StoreError::Query { .. }) => Err(error),
        outcome => Ok(outcome),
    }
}

async fn store_one(
    conn: &mut AsyncPgConnection,
    job_id: JobId,
    report: &TaskReport,
    prepared: Vec<Prepared>,
    parts: Result<Parts, StoreError>,
    decide: Decide<'_>,
) -> Result<Stored, StoreError> {
    let refusal = match parts {
        Ok(parts) => match unless_away(attempt(conn, job_id, prepared, &parts, decide).await)? {
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
    match unless_away(attempt(conn, job_id, vec![failed], &Parts::default(), decide).await)? {
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
    job_id: JobId,
    prepared: Vec<Prepared>,
    parts: &Parts,
    decide: Decide<'_>,
) -> Result<Stored, StoreError> {
    conn.transaction(async |conn| store(conn, job_id, prepared, parts, decide).await).await
}

impl std::ops::AddAssign for Stored {
    fn add_assign(&mut self, other: Stored) {
        self.completed += other.completed;
        self.failed += other.failed;
        self.retried += other.retried;
        self.duplicates += other.duplicates;
        self.dropped += other.dropped;
        self.returned += other.returned;
    }
}
