//! `POST /v1/jobs/query` and `POST /v1/records/jobs`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::body::Query;
use super::error::ApiError;
use super::state::ApiState;
use crate::api::wire::{ErrorCode, JobQuery, RecordJob, RecordJobsQuery};
use crate::model::view::JobLine;

/// Most jobs of one answer, and most records asked about at once.
const MOST: usize = 10_000;

/// Jobs, newest first.
pub(super) async fn query(
    State(state): State<Arc<ApiState>>,
    Query(query): Query<JobQuery>,
) -> Result<Json<Vec<JobLine>>, ApiError> {
    let limit = query.limit.clamp(1, MOST as u32);
    Ok(Json(state.store.jobs(&query.pool, &query.state, limit).await?))
}

/// The job of each record, in the order asked.
pub(super) async fn of_records(
    State(state): State<Arc<ApiState>>,
    Query(query): Query<RecordJobsQuery>,
) -> Result<Json<Vec<RecordJob>>, ApiError> {
    if query.ids.len() > MOST {
        return Err(ApiError::new(
            ErrorCode::TooLarge,
            format!("at most {MOST} records can be asked about at once"),
        ));
    }
    let mut answers = Vec::with_capacity(query.ids.len());
    for id in query.ids {
        let found = state.store.job_of_record(id).await?.ok_or_else(|| ApiError::no_record(id))?;
        let (status, waiting_reason, job) = (found.status, found.waiting_reason, found.job);
        answers.push(RecordJob { record_id: id, status, waiting_reason, job });
    }
    Ok(Json(answers))
}
